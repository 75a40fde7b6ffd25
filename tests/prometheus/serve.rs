//! The product as it is deployed: the `tidetable serve` binary between a real Prometheus and calls as KEDA makes them.
//!
//! What is needed is computed here from the traffic that was written down, never taken from the answer. Processes are
//! waited for by what they say, with deadlines, and ended by their ids.

#![expect(clippy::disallowed_methods, reason = "real processes live in real time")]

mod polls;
mod process;
mod reload;
mod replicas;
mod traffic;

use std::net::TcpListener;
use std::ops::RangeInclusive;
use std::thread;
use std::time::{Duration, Instant};

use polls::Polls;
use process::{Scaler, config, replicas, spawn, target, trigger};
use serde_json::Value;
use tidetable::keda::pb::external_scaler_client::ExternalScalerClient;
use tidetable::keda::pb::{GetMetricsRequest, GetMetricsResponse, ScaledObjectRef};
use tokio_stream::wrappers::ReceiverStream;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic::{Code, Request};
use tonic_prost::ProstCodec;
use traffic::{CALM, LESSER, REFUNDS, SURGE, Shop, Traffic};

use crate::server::free_address;

const PAYMENTS: &str = "payments-api";
const REFUND_WORKER: &str = "refunds";
/// Load per replica of the two.
const PER_REPLICA: u32 = 100;
const PER_REFUND_WORKER: u32 = 10;
/// Above everything that is ever needed.
const NO_LIMIT: u32 = 1_000;
/// The least that a configuration may say.
const SOON_STALE: &str = "staleAfter: 30s";

fn payments(more: &str) -> String {
    target(PAYMENTS, "payments_per_second", PER_REPLICA, NO_LIMIT, more)
}

fn refunds(more: &str) -> String {
    target(REFUND_WORKER, "refunds_per_second", PER_REFUND_WORKER, NO_LIMIT, more)
}

/// Replicas that bear `load`.
fn bearing(load: f64, per_replica: u32) -> u64 {
    let enough = |replicas: &u32| f64::from(replicas * per_replica) >= load;
    (0..=NO_LIMIT).find(enough).unwrap().into()
}

/// The replicas to plan for a surge like those recorded: at least for the smallest minute, at most for 3 % above the
/// largest, three times the noise.
fn surge_replicas(traffic: &Traffic) -> RangeInclusive<u64> {
    let (least, most) = traffic.recorded_surge();
    bearing(least, PER_REPLICA)..=bearing(most * 1.03, PER_REPLICA)
}

async fn refused(keda: &mut ExternalScalerClient<Channel>, target: &str, words: &[&str]) {
    let metrics = replicas(keda, target).await.unwrap_err();
    let active = keda.is_active(trigger(target)).await.unwrap_err();
    for status in [metrics, active] {
        assert_eq!(status.code(), Code::Unavailable, "{status}");
        for word in words {
            assert!(status.message().contains(word), "`{word}` is not in: {}", status.message());
        }
    }
    let specs = keda.get_metric_spec(trigger(target)).await.unwrap().into_inner().metric_specs;
    assert_eq!((specs.len(), specs[0].metric_name.as_str(), specs[0].target_size), (1, target, 1));
}

/// What a decision says, walked through each rule to the answer.
fn check_reasons(decision: &Value) {
    let applied = decision["applied"].as_array().unwrap();
    let planned = &decision["plan"]["replicas"];
    // On stale measurements the plan that is shown is the raised one, to which a rule has led.
    let raised = applied.first().filter(|first| first["rule"] == "raised_quantile");
    assert!(raised.is_none_or(|raised| raised["to"] == *planned), "{decision}");
    let mut number = raised.map_or(planned, |raised| &raised["from"]);
    for rule in applied {
        assert_eq!(&rule["from"], number, "{decision}");
        assert!(!rule["why"].as_str().unwrap().is_empty(), "{decision}");
        number = &rule["to"];
    }
    assert_eq!(number, &decision["guardedReplicas"], "{decision}");
}

/// The number that is answered and the decision behind it, of one moment.
async fn answered(scaler: &Scaler, keda: &mut ExternalScalerClient<Channel>, target: &str) -> (u64, Value) {
    for _ in 0..10 {
        let before = scaler.decision(target);
        let number = replicas(keda, target).await.unwrap();
        if scaler.decision(target) == before {
            return (number, before);
        }
    }
    panic!("the decision never stands still");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keda_is_answered_what_the_forecast_asks_for() {
    let shop = Shop::open(Traffic::starting_now()).await;
    // All three kinds of need are far apart, so that the answer tells who gave it.
    let needed = surge_replicas(&shop.traffic);
    let (reactive, daily) = (bearing(CALM * 1.01, PER_REPLICA), bearing(LESSER, PER_REPLICA));
    assert!(reactive == 10 && daily == 20 && needed.contains(&bearing(SURGE, PER_REPLICA)), "{needed:?}");

    let capped = target("payments-capped", "payments_per_second", PER_REPLICA, 25, "");
    // A young demand of 42 refunds, one for each replica, beside the payments that are planned for.
    let two = target("payments-two", "payments_per_second", PER_REPLICA, NO_LIMIT, "").replace(
        "history: 21d }",
        "history: 21d }\n      - { source: main, query: refunds_per_second, name: refunds, capacity: { perReplica: 1 } }",
    );
    let two = two.replace("demand: {", "demand:\n      - {");
    let scaler = Scaler::start(&shop.prometheus.url(), &(payments("") + &capped + &two));
    let mut keda = scaler.keda().await;
    scaler.reaches(PAYMENTS, "planned");
    let (number, decision) = answered(&scaler, &mut keda, PAYMENTS).await;
    println!("needed {needed:?}, answered {number}: {decision}");
    assert!(needed.contains(&number), "{number} is not in {needed:?}: {decision}");
    assert_eq!(decision["guardedReplicas"], number);
    assert_eq!(decision["rung"], "planned");
    assert_eq!(decision["reactiveNeedReplicas"], reactive);
    assert_eq!(decision["plan"]["quantile"], 0.95);
    check_reasons(&decision);

    scaler.reaches("payments-capped", "planned");
    let (number, decision) = answered(&scaler, &mut keda, "payments-capped").await;
    assert_eq!(number, 25);
    check_reasons(&decision);
    let last = decision["applied"].as_array().unwrap().last().unwrap();
    assert_eq!(last["rule"], "max");
    assert!(last["why"].as_str().unwrap().contains("the configured maximum is 25; 3"), "{last}");

    scaler.reaches("payments-two", "reactive_only");
    let (number, decision) = answered(&scaler, &mut keda, "payments-two").await;
    let for_refunds = bearing(REFUNDS, 1);
    assert!(for_refunds > *needed.end(), "the refunds need the most: {needed:?}");
    assert_eq!((number, &decision["needsMost"]), (for_refunds, &"refunds".into()), "{decision}");
    assert_eq!(decision["plansMost"], "demand-1");
    assert_eq!(decision["demands"][0]["rung"], "planned");

    assert!(keda.is_active(trigger(PAYMENTS)).await.unwrap().into_inner().result);
    let polled = keda.get_metric_spec(trigger(PAYMENTS)).await.unwrap().into_inner();
    let mut active = keda.stream_is_active(trigger(PAYMENTS)).await.unwrap().into_inner();
    let mut specs = keda.stream_metric_spec(trigger(PAYMENTS)).await.unwrap().into_inner();
    assert!(soon(active.message()).await.unwrap().unwrap().result);
    assert_eq!(soon(specs.message()).await.unwrap().unwrap(), polled);

    let foreign = ScaledObjectRef { namespace: "shop".into(), ..trigger(PAYMENTS) };
    assert_eq!(keda.get_metric_spec(foreign.clone()).await.unwrap_err().code(), Code::PermissionDenied);
    assert_eq!(keda.is_active(foreign).await.unwrap_err().code(), Code::PermissionDenied);
    let unknown = replicas(&mut keda, "payment-api").await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
    assert!(unknown.message().contains("did you mean \"payments-api\"?"), "{unknown}");
}

/// What is pushed on open, or ends at once, does so at once.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(5), future).await.expect("within 5 s")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ladder_is_walked_down_and_up_without_a_poll_that_notices() {
    let mut shop = Shop::open(Traffic::starting_now()).await;
    let needed = surge_replicas(&shop.traffic);
    let young = bearing(REFUNDS, PER_REFUND_WORKER);
    let scaler = Scaler::start(&shop.prometheus.url(), &(payments(SOON_STALE) + &refunds(SOON_STALE)));
    let mut keda = scaler.keda().await;
    scaler.reaches(PAYMENTS, "planned");
    scaler.reaches(REFUND_WORKER, "reactive_only");
    assert_eq!(replicas(&mut keda, REFUND_WORKER).await.unwrap(), young);

    let begin = Instant::now();
    let polls = Polls::begin(scaler.grpc, PAYMENTS, needed);
    for outage in ["frozen", "stopped"] {
        match outage {
            "frozen" => shop.prometheus.freeze(),
            _ => shop.prometheus.stop(),
        }
        let decision = scaler.reaches(PAYMENTS, "plan_only");
        println!("{outage}, {:.1} s: {decision}", begin.elapsed().as_secs_f64());
        assert_eq!(decision["plan"]["quantile"], 0.99, "raised");
        assert_eq!(decision["reactiveNeedReplicas"], 10, "frozen at what was measured last");
        check_reasons(&decision);
        scaler.reaches(REFUND_WORKER, "unavailable");
        refused(&mut keda, REFUND_WORKER, &["there is no plan", "see whether its metrics source answers"])
            .await;

        match outage {
            "frozen" => shop.prometheus.thaw(),
            _ => shop.prometheus.start_again(),
        }
        let decision = scaler.reaches(PAYMENTS, "planned");
        println!("{outage} no more, {:.1} s: {decision}", begin.elapsed().as_secs_f64());
        scaler.reaches(REFUND_WORKER, "reactive_only");
        assert_eq!(replicas(&mut keda, REFUND_WORKER).await.unwrap(), young);
    }
    let report = polls.end();
    println!(
        "{} polls in {:.0} s: p50 {:?}, p99 {:?}, max {:?}; over 50 ms: {:?}, and {} while the machine stood still, \
         for {:?} at most",
        report.count,
        begin.elapsed().as_secs_f64(),
        report.p50,
        report.p99,
        report.max,
        report.slow,
        report.stalled,
        report.longest_stall
    );
    assert!(report.wrong.is_empty(), "{} of {}: {:?}", report.wrong.len(), report.count, report.wrong);
    assert!(report.count >= 2_000, "{}", report.count);
    assert!(report.p99 < Duration::from_millis(50), "{:?}", report.p99);
    // In quiet runs there is none, and the longest takes 10 to 30 ms. A core that a hypervisor takes away for a moment is not
    // seen by every sleeper; what waits for Prometheus or for a fit would be far over, and each 15 s.
    assert!(report.slow.len() <= report.count / 1_000, "{:?}", report.slow);
    assert!(report.slow.iter().all(|took| *took < Duration::from_millis(100)), "{:?}", report.slow);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_ends_streams_with_ok_and_lets_a_call_under_way_finish() {
    let shop = Shop::open(Traffic::starting_now()).await;
    let mut scaler = Scaler::start(&shop.prometheus.url(), &payments(""));
    let channel = scaler.channel().await;
    let mut keda = ExternalScalerClient::new(channel.clone());
    scaler.reaches(PAYMENTS, "planned");
    let mut active = keda.stream_is_active(trigger(PAYMENTS)).await.unwrap().into_inner();
    let mut specs = keda.stream_metric_spec(trigger(PAYMENTS)).await.unwrap().into_inner();
    assert!(soon(active.message()).await.unwrap().is_some());
    assert!(soon(specs.message()).await.unwrap().is_some());

    // A call that the server has begun to read and whose end has not been sent.
    let (message, messages) = tokio::sync::mpsc::channel(1);
    let request =
        GetMetricsRequest { scaled_object_ref: Some(trigger(PAYMENTS)), metric_name: PAYMENTS.into() };
    message.send(request).await.unwrap();
    let mut slow = Grpc::new(channel);
    slow.ready().await.unwrap();
    let under_way = tokio::spawn(async move {
        let codec = ProstCodec::<GetMetricsRequest, GetMetricsResponse>::default();
        let path = PathAndQuery::from_static("/externalscaler.ExternalScaler/GetMetrics");
        slow.client_streaming(Request::new(ReceiverStream::new(messages)), path, codec).await
    });
    // There is room again when the message is on its way, and what one connection carries comes in order.
    drop(soon(message.reserve()).await.unwrap());
    keda.get_metric_spec(trigger(PAYMENTS)).await.unwrap();

    let since = Instant::now();
    scaler.terminate();
    assert_eq!(soon(active.message()).await.expect("a clean end"), None);
    assert_eq!(soon(specs.message()).await.expect("a clean end"), None);
    drop(message);
    let values = soon(under_way).await.unwrap().expect("a call under way finishes").into_inner();
    assert!(
        surge_replicas(&shop.traffic).contains(&values.metric_values[0].metric_value.try_into().unwrap())
    );
    let (status, _) = scaler.ended_within(Duration::from_secs(20));
    println!("from SIGTERM to the exit: {:?}", since.elapsed());
    assert_eq!(status.code(), Some(0), "{}", scaler.log());
    let log = scaler.log();
    assert!(log.contains("SIGTERM") && !log.contains("still open") && !log.contains("exceeded"), "{log}");
}

/// Runs it until it gives up: the exit code and what it said.
fn given_up(config: &str) -> (i32, String) {
    let folder = tempfile::tempdir().unwrap();
    let mut child = spawn(folder.path(), config);
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
            return (status.code().expect("it ended by itself"), log);
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            let _ = child.wait();
            panic!("it has not given up");
        }
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_busy_port_is_a_failure_that_names_the_address() {
    let busy = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = busy.local_addr().unwrap();
    for (grpc, http, key) in
        [(address, free_address(), "server.grpc"), (free_address(), address, "server.http")]
    {
        let (code, said) = given_up(&config("http://127.0.0.1:9", grpc, http, &payments("")));
        assert_eq!(code, 1, "{said}");
        let last = said.lines().last().unwrap();
        assert!(last.contains(&format!("cannot listen on {address} ({key})")), "{said}");
    }
}

#[test]
fn a_broken_configuration_is_refused_with_line_and_key() {
    let broken = payments("quantile: 0.9").replace("max: 1000", "max: 2");
    let broken = config("http://127.0.0.1:9", free_address(), free_address(), &broken);
    let (code, said) = given_up(&broken);
    assert_eq!(code, 2, "{said}");
    for (word, key) in [("max: 2", "replicas.min: 3 is above max"), ("quantile", "unknown key \"quantile\"")]
    {
        let line = broken.lines().position(|line| line.contains(word)).unwrap() + 1;
        let found =
            said.lines().any(|said| said.contains(&format!("config.yaml:{line}:")) && said.contains(key));
        assert!(found, "`{key}` is not said of line {line}:\n{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn started_without_prometheus_it_says_why_it_has_no_number_and_recovers() {
    let mut shop = Shop::open(Traffic::starting_now()).await;
    shop.prometheus.stop();
    let scaler = started_blind(&shop, "refused").await;
    shop.prometheus.start_again();
    recovered(&shop, &scaler).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn started_beside_a_frozen_prometheus_it_says_why_it_has_no_number_and_recovers() {
    let shop = Shop::open(Traffic::starting_now()).await;
    shop.prometheus.freeze();
    let scaler = started_blind(&shop, "did not").await;
    shop.prometheus.thaw();
    recovered(&shop, &scaler).await;
}

/// A process that has decided without ever having measured; `complaint` is what its log says of the source.
async fn started_blind(shop: &Shop, complaint: &str) -> Scaler {
    let begin = Instant::now();
    let scaler = Scaler::start(&shop.prometheus.url(), &payments(""));
    let mut keda = scaler.keda().await;
    // Before the first decision and after it there is a reason to give.
    refused(&mut keda, PAYMENTS, &[PAYMENTS]).await;
    scaler.reaches(PAYMENTS, "unavailable");
    refused(&mut keda, PAYMENTS, &["has never been measured", "there is no plan", "metrics source"]).await;
    let (ready, why) = scaler.page("/readyz");
    println!("{:.1} s after the start: {ready} {why}", begin.elapsed().as_secs_f64());
    assert_eq!(ready, 200, "a pod that is not ready takes GetMetricSpec out of the Service: {why}");
    assert_eq!(scaler.page("/healthz").0, 200);
    let log = scaler.log();
    assert!(log.contains("WARN") && log.contains(complaint), "{log}");
    scaler
}

/// Its number is the forecast's, and is pushed to who has waited for it.
async fn recovered(shop: &Shop, scaler: &Scaler) {
    let mut keda = scaler.keda().await;
    let mut active = keda.stream_is_active(trigger(PAYMENTS)).await.unwrap().into_inner();
    scaler.reaches(PAYMENTS, "planned");
    let (number, decision) = answered(scaler, &mut keda, PAYMENTS).await;
    assert!(surge_replicas(&shop.traffic).contains(&number), "{decision}");
    assert!(soon(active.message()).await.unwrap().unwrap().result);
}
