//! KEDA's calls at an even pace, beside bare health checks: what `scale` and `crowd` measure answers with.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use tidetable::keda::pb::external_scaler_client::ExternalScalerClient;
use tidetable::keda::pb::{GetMetricsRequest, ScaledObjectRef};
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

/// 2,000 calls a second, two at a time because a timer ticks in milliseconds.
const CALLS_PER_TICK: usize = 2;
const TICK: Duration = Duration::from_millis(1);

/// How long calls of one kind took.
#[derive(Default)]
struct Tally {
    took: Mutex<Vec<Duration>>,
    refused: AtomicUsize,
}

impl Tally {
    async fn count(self: Arc<Self>, call: impl Future<Output = Result<(), tonic::Status>>) {
        let since = Instant::now();
        match call.await {
            Ok(()) => self.took.lock().unwrap().push(since.elapsed()),
            Err(_) => drop(self.refused.fetch_add(1, Ordering::Relaxed)),
        }
    }

    fn report(&self, name: &str) {
        let mut took = std::mem::take(&mut *self.took.lock().unwrap());
        took.sort_unstable();
        let at = |per_mille: usize| took[(took.len() - 1) * per_mille / 1_000];
        println!(
            "{name}: {} answered, {} refused: p50 {:.2?}, p99 {:.2?}, p99.9 {:.2?}, max {:.2?}",
            took.len(),
            self.refused.load(Ordering::Relaxed),
            at(500),
            at(990),
            at(999),
            at(1_000)
        );
    }
}

/// Calls `GetMetrics` of one target after the other at an even pace, whether or not earlier ones were answered.
///
/// Every tenth tick also checks a server that only says it is well: what the machine and gRPC cost at that moment.
pub(crate) fn call(grpc: SocketAddr, targets: usize, duration: Duration) {
    let peer = serve_health();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (metrics, checks) = (Arc::new(Tally::default()), Arc::new(Tally::default()));
    runtime.block_on(async {
        let (channel, peer) = (connect(grpc).await, connect(peer).await);
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
        let began = Instant::now();
        let mut index = 0;
        while began.elapsed() < duration {
            ticks.tick().await;
            for _ in 0..CALLS_PER_TICK {
                let name = format!("t{}", index % targets);
                index += 1;
                tokio::spawn(Arc::clone(&metrics).count(get_metrics(channel.clone(), name)));
            }
            if index % (10 * CALLS_PER_TICK) == 0 {
                tokio::spawn(Arc::clone(&checks).count(check(peer.clone())));
            }
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    });
    metrics.report("GetMetrics");
    checks.report("a bare health check");
}

async fn connect(address: SocketAddr) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap().tcp_nodelay(true);
    endpoint.connect().await.unwrap()
}

/// A server that answers health checks and nothing else, on a thread of its own.
fn serve_health() -> SocketAddr {
    let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (_, service) = tonic_health::server::health_reporter();
        runtime.block_on(tonic::transport::Server::builder().add_service(service).serve(address)).unwrap();
    });
    while TcpStream::connect(address).is_err() {
        thread::sleep(Duration::from_millis(10));
    }
    address
}

async fn check(channel: Channel) -> Result<(), tonic::Status> {
    HealthClient::new(channel).check(HealthCheckRequest::default()).await.map(drop)
}

async fn get_metrics(channel: Channel, name: String) -> Result<(), tonic::Status> {
    let metadata = [("scalerAddress", "tidetable.scaling.svc:50051"), ("target", &name)];
    let reference = ScaledObjectRef {
        name: name.clone(),
        namespace: "payments".into(),
        scaler_metadata: metadata.map(|(key, text)| (key.into(), text.into())).into(),
    };
    let request = GetMetricsRequest { scaled_object_ref: Some(reference), metric_name: name };
    ExternalScalerClient::new(channel).get_metrics(request).await.map(drop)
}
