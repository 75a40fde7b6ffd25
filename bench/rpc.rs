//! What KEDA waits for: `GetMetrics` under a thousand targets, beside a bare gRPC health check.
//!
//! Both servers listen on loopback with one worker thread; the caller has a thread and a runtime of its own, and one
//! connection to each, as KEDA has. Calls are made at a fixed rate whether or not earlier ones were answered, so a slow
//! answer cannot hide those behind it. The two take turns by the second, so that a noisy machine is noisy for both, and
//! the ratio says what our part costs beyond tonic's.
//!
//! `cargo bench --bench rpc`; numbers go into `bench/README.md` with machine and commit.

#![expect(clippy::unwrap_used, reason = "a bench that cannot go on has failed")]
#![expect(clippy::disallowed_methods, reason = "a bench measures real time")]

#[path = "../tests/stage/mod.rs"]
mod stage;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use stage::{HandClock, decision, nine, seconds, target};
use tidetable::engine::Board;
use tidetable::keda::pb::external_scaler_client::ExternalScalerClient;
use tidetable::keda::pb::{GetMetricsRequest, ScaledObjectRef};
use tidetable::keda::{self, Metrics};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

const TARGETS: usize = 1_000;
/// 2,000 calls per second, two at a time because a timer ticks in milliseconds.
const CALLS_PER_TICK: usize = 2;
const TICK: Duration = Duration::from_millis(1);
/// Ten seconds of each, and one before that does not count.
const TURNS: usize = 10;
const TICKS_PER_TURN: usize = 1_000;

fn main() {
    let (ours, peer) = (runtime(), runtime());
    let scaler = ours.block_on(serve_scaler(&ours));
    let health = peer.block_on(serve_health(&peer));
    let caller = Builder::new_current_thread().enable_all().build().unwrap();
    caller.block_on(async {
        let (scaler, health) = (connect(scaler).await, connect(health).await);
        turn(&scaler, get_metrics).await;
        turn(&health, check).await;
        let (mut answers, mut checks) = (Vec::new(), Vec::new());
        for _ in 0..TURNS {
            answers.extend(turn(&scaler, get_metrics).await);
            checks.extend(turn(&health, check).await);
        }
        println!(
            "2,000 calls/s for {TURNS} s of each, taking turns; {TARGETS} targets; one connection each\n"
        );
        println!("{:<14}{:>12}{:>12}{:>12}{:>12}{:>10}", "", "p50", "p99", "p99.9", "max", "calls");
        let ours = report("GetMetrics", answers);
        let peer = report("health Check", checks);
        println!("{:<14}{:>12.2}{:>12.2}", "ratio", ours[0] / peer[0], ours[1] / peer[1]);
    });
}

/// One worker thread, as on a small pod.
fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

async fn serve_scaler(runtime: &Runtime) -> SocketAddr {
    let board = Arc::new(Board::new((0..TARGETS).map(|index| target(&name(index)))));
    for index in 0..TARGETS {
        board.publish(decision(&name(index), nine(), Some(34)));
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let clock = HandClock::at(nine());
    clock.advance(seconds(5));
    runtime.spawn(keda::serve(listener, board, clock, Metrics::default(), CancellationToken::new()));
    address
}

async fn serve_health(runtime: &Runtime) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (_, service) = tonic_health::server::health_reporter();
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    runtime.spawn(Server::builder().add_service(service).serve_with_incoming(incoming));
    address
}

async fn connect(address: SocketAddr) -> Channel {
    Endpoint::from_shared(format!("http://{address}")).unwrap().tcp_nodelay(true).connect().await.unwrap()
}

fn name(index: usize) -> String {
    format!("payments-{index:04}")
}

async fn get_metrics(channel: Channel, index: usize) {
    let name = name(index % TARGETS);
    let metadata = [("scalerAddress", "tidetable.scaling.svc:50051"), ("target", &name)];
    let reference = ScaledObjectRef {
        name: name.clone(),
        namespace: "payments".into(),
        scaler_metadata: metadata.map(|(key, text)| (key.into(), text.into())).into(),
    };
    let request = GetMetricsRequest { scaled_object_ref: Some(reference), metric_name: name };
    let answer = ExternalScalerClient::new(channel).get_metrics(request).await.unwrap();
    assert_eq!(answer.get_ref().metric_values[0].metric_value, 34);
}

async fn check(channel: Channel, _: usize) {
    let answer = HealthClient::new(channel).check(HealthCheckRequest::default()).await.unwrap();
    assert_eq!(answer.get_ref().status, 1);
}

/// One second of calls, and how long each took.
async fn turn<F>(channel: &Channel, call: impl Fn(Channel, usize) -> F) -> Vec<Duration>
where
    F: Future<Output = ()> + Send + 'static,
{
    let (sender, mut receiver) = mpsc::channel(TICKS_PER_TURN * CALLS_PER_TICK);
    let mut ticks = tokio::time::interval(TICK);
    for tick in 0..TICKS_PER_TURN {
        ticks.tick().await;
        for of_tick in 0..CALLS_PER_TICK {
            let answer = call(channel.clone(), tick * CALLS_PER_TICK + of_tick);
            let sender = sender.clone();
            let since = Instant::now();
            tokio::spawn(async move {
                answer.await;
                sender.try_send(since.elapsed()).expect("the channel holds a turn");
            });
        }
    }
    drop(sender);
    let mut took = Vec::new();
    while let Some(duration) = receiver.recv().await {
        took.push(duration);
    }
    took
}

/// Prints a line, and returns the median and the p99 in seconds.
fn report(what: &str, mut took: Vec<Duration>) -> [f64; 2] {
    took.sort_unstable();
    let at = |per_mille: usize| took[(took.len() - 1) * per_mille / 1_000];
    let (p50, p99, p999, max) = (at(500), at(990), at(999), at(1_000));
    println!("{what:<14}{p50:>12.1?}{p99:>12.1?}{p999:>12.1?}{max:>12.1?}{:>10}", took.len());
    [p50.as_secs_f64(), p99.as_secs_f64()]
}
