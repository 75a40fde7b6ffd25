//! What KEDA may rely on, over real sockets with KEDA's own messages.
//!
//! Each test is a line of KEDA's source or an observation of the genuine programs: what it calls, in which order, what it
//! makes of an error, of an empty list, of a stream that breaks.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::disallowed_methods, reason = "how long an answer takes is measured in real time")]

mod stage;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use prometheus_client::registry::Registry;
use stage::{HandClock, decision, nine, seconds, target};
use tidetable::engine::{Board, Clock as _, ClusterView, Declared, ScaledObject, Target};
use tidetable::guard;
use tidetable::guard::tolerance::Seen;
use tidetable::keda::pb::external_scaler_client::ExternalScalerClient;
use tidetable::keda::pb::{
    GetMetricSpecResponse, GetMetricsRequest, GetMetricsResponse, IsActiveResponse, ScaledObjectRef,
};
use tidetable::keda::{self, Metrics};
use tidetable::simulate::Hpa;
use tidetable::simulate::hpa::{Behavior, Metric, Reading, Scale, Spec};
use tidetable::time::Timestamp;
use tidetable::units::Replicas;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status, Streaming};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_prost::ProstCodec;

/// A server on a port of its own.
struct Running {
    address: SocketAddr,
    board: Arc<Board>,
    clock: Arc<HandClock>,
    registry: Arc<Registry>,
    shutdown: CancellationToken,
    served: JoinHandle<Result<(), keda::Error>>,
}

async fn start(targets: &[&str]) -> Running {
    start_at(targets, HandClock::at(nine())).await
}

async fn start_at(targets: &[&str], clock: Arc<HandClock>) -> Running {
    let board = Arc::new(Board::new(targets.iter().map(|name| target(name))));
    let metrics = Metrics::default();
    let mut registry = Registry::with_prefix("tidetable");
    metrics.register(&mut registry);
    let shutdown = CancellationToken::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = keda::serve(listener, Arc::clone(&board), Arc::clone(&clock), metrics, shutdown.clone());
    Running { address, board, clock, registry: Arc::new(registry), shutdown, served: tokio::spawn(serving) }
}

impl Running {
    async fn channel(&self) -> Channel {
        Endpoint::from_shared(format!("http://{}", self.address)).unwrap().connect().await.unwrap()
    }

    async fn client(&self) -> ExternalScalerClient<Channel> {
        ExternalScalerClient::new(self.channel().await)
    }

    fn publish(&self, name: &str, after: Duration, replicas: Option<u32>) {
        self.board.publish(decision(name, nine() + after, replicas));
    }

    async fn end(self) {
        self.shutdown.cancel();
        within(self.served).await.unwrap().unwrap();
    }
}

/// The samples of a scrape that start with `start`.
fn scraped(registry: &Registry, start: &str) -> Vec<String> {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
    text.lines().filter(|line| line.starts_with(start)).map(Into::into).collect()
}

/// Nothing here takes long; what hangs must not hang the lane.
async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(seconds(8), future).await.expect("an answer within 8 s")
}

fn reference(scaled_object: &str, metadata: &[(&str, &str)]) -> ScaledObjectRef {
    let (namespace, name) = scaled_object.split_once('/').unwrap();
    ScaledObjectRef {
        name: name.into(),
        namespace: namespace.into(),
        scaler_metadata: metadata.iter().map(|(key, text)| ((*key).into(), (*text).into())).collect(),
    }
}

/// What KEDA sends for the trigger of `name`: all of its metadata.
fn trigger(name: &str) -> ScaledObjectRef {
    reference(
        &format!("payments/{name}"),
        &[("scalerAddress", "tidetable.scaling.svc:50051"), ("target", name), ("unsafeSsl", "false")],
    )
}

fn metrics_of(name: &str) -> GetMetricsRequest {
    GetMetricsRequest { scaled_object_ref: Some(trigger(name)), metric_name: name.into() }
}

/// KEDA's reading of a value: the float if it is above zero, else the integer (`external_scaler.go`).
fn read(response: &GetMetricsResponse) -> f64 {
    assert_eq!(response.metric_values.len(), 1, "the HPA adds them up, so there must be exactly one");
    let value = &response.metric_values[0];
    if value.metric_value_float > 0.0 {
        value.metric_value_float
    } else {
        f64::from(i32::try_from(value.metric_value).unwrap())
    }
}

#[track_caller]
fn check_same(a: f64, b: u32) {
    assert!((a - f64::from(b)).abs() < f64::EPSILON, "{a} is not {b}");
}

#[track_caller]
fn check_refused<T: std::fmt::Debug>(answer: Result<T, Status>, code: Code, words: &[&str]) {
    let status = answer.expect_err("a refusal");
    assert_eq!(status.code(), code, "{status}");
    for word in words {
        assert!(status.message().contains(word), "`{word}` is not in: {}", status.message());
    }
}

#[tokio::test]
async fn a_poll_of_keda_gets_spec_value_and_activity() {
    let server = start(&["payments-api"]).await;
    server.publish("payments-api", seconds(0), Some(34));
    let mut keda = server.client().await;

    let specs = keda.get_metric_spec(trigger("payments-api")).await.unwrap().into_inner().metric_specs;
    assert_eq!(specs.len(), 1);
    assert_eq!((specs[0].metric_name.as_str(), specs[0].target_size), ("payments-api", 1));
    check_same(specs[0].target_size_float, 1);

    // KEDA asks by the name of the spec and reads by it.
    let request = GetMetricsRequest {
        scaled_object_ref: Some(trigger("payments-api")),
        metric_name: specs[0].metric_name.clone(),
    };
    let values = keda.get_metrics(request).await.unwrap().into_inner();
    check_same(read(&values), 34);
    assert_eq!(values.metric_values[0].metric_name, "payments-api");
    assert_eq!(values.metric_values[0].metric_value, 34);
    check_same(values.metric_values[0].metric_value_float, 34);

    assert!(keda.is_active(trigger("payments-api")).await.unwrap().into_inner().result);
    server.end().await;
}

#[tokio::test]
async fn an_hpa_with_a_tolerance_is_asked_for_so_much_more_and_decides_as_any_other() {
    let server = start(&["payments-api"]).await;
    let headroom = guard::Tolerance { mode: guard::tolerance::Mode::Headroom, up: 0.1, down: 0.1 };
    let target = Target { tolerance: headroom, ..Target::clone(&target("payments-api")) };
    server.board.replace([Arc::new(target)]);
    server.publish("payments-api", seconds(0), Some(22));
    let answered = server.client().await.get_metrics(metrics_of("payments-api")).await.unwrap().into_inner();
    let value = &answered.metric_values[0];
    assert_eq!((value.metric_value, value.metric_value_float.to_string()), (25, "24.2".to_owned()));
    server.end().await;
}

/// A cluster whose HPA says no tolerance, and in which so many replicas are counted; 0 is that they cannot be read.
#[derive(Debug, Default)]
struct Counted(AtomicU32);

impl ClusterView for Counted {
    fn scale_up(&self, _: &ScaledObject) -> Option<tidetable::plan::ScaleUp> {
        None
    }

    fn lead_time(&self, _: &ScaledObject) -> Option<Duration> {
        None
    }

    fn declared(&self, _: &Target) -> Option<Declared> {
        Some(Declared::default())
    }

    fn hpa(&self, owner: &ScaledObject, _: Timestamp) -> Option<Seen> {
        assert_eq!(owner.to_string(), "payments/payments-api");
        let current = Some(Replicas(self.0.load(Ordering::SeqCst))).filter(|current| *current > Replicas(0));
        Some(Seen { current, ..Seen::default() })
    }
}

/// Where the HPA stands after each of a few syncs, each with a call: it begins at `from` and `wanted` is decided.
async fn walk(server: &Running, cluster: &Counted, from: u32, wanted: u32) -> Vec<u32> {
    let after = u64::from(from) * 1_000_000 + u64::from(wanted) * 1_000;
    server.publish("payments-api", seconds(after), Some(wanted));
    let in_force = nine() + seconds(after + 10);
    server.clock.advance((in_force - server.clock.now()).to_std().unwrap());
    let mut client = server.client().await;
    let mut hpa =
        Hpa::new(Spec::new(Replicas(1), Replicas(1000), Metric::REPLICAS, Some(Behavior::default())));
    let (mut stands, mut walked) = (Replicas(from), Vec::new());
    for sync in 0..8 {
        cluster.0.store(stands.0, Ordering::SeqCst);
        let answered = client.get_metrics(metrics_of("payments-api")).await.unwrap().into_inner();
        // A sync after the window of each one before it.
        let at = nine() + seconds(600 * sync);
        let scale = Scale { spec: stands, status: stands, ready: stands };
        stands = hpa.sync(at, scale, &[Reading::Value(read(&answered))]).desired().unwrap();
        walked.push(stands.0);
    }
    walked
}

#[tokio::test]
async fn an_answer_steps_over_the_band_of_an_hpa_from_the_replicas_that_are_counted() {
    let server = start(&["payments-api"]).await;
    let auto = guard::Tolerance { mode: guard::tolerance::Mode::Auto, ..guard::Tolerance::default() };
    server.board.replace([Arc::new(Target { tolerance: auto, ..Target::clone(&target("payments-api")) })]);
    let cluster = Arc::new(Counted::default());
    server.board.watch(Arc::<Counted>::clone(&cluster));
    // A plain answer of 22 is ignored at 20 for ever.
    for (from, wanted, rests) in [(20, 22, 23), (20, 40, 40), (22, 21, 22), (30, 20, 20), (100, 101, 111)] {
        let walked = walk(&server, &cluster, from, wanted).await;
        // At the first sync the HPA's window still holds where it began.
        assert_eq!(walked[1..], [rests; 7], "{from} to {wanted}");
    }
    cluster.0.store(0, Ordering::SeqCst);
    let answered = server.client().await.get_metrics(metrics_of("payments-api")).await.unwrap().into_inner();
    assert!((read(&answered) - 111.1).abs() < 1e-9, "headroom while nobody counts: {answered:?}");
    server.end().await;
}

#[tokio::test]
async fn zero_is_an_instruction_and_inactive() {
    let server = start(&["payments-api"]).await;
    server.publish("payments-api", seconds(0), Some(0));
    let mut keda = server.client().await;
    let values = keda.get_metrics(metrics_of("payments-api")).await.unwrap().into_inner();
    check_same(read(&values), 0);
    check_same(values.metric_values[0].metric_value_float, 0);
    assert!(!keda.is_active(trigger("payments-api")).await.unwrap().into_inner().result);
    server.end().await;
}

#[tokio::test]
async fn before_the_first_decision_the_spec_is_answered_and_nothing_else() {
    let server = start(&["payments-api"]).await;
    let mut keda = server.client().await;
    let specs = keda.get_metric_spec(trigger("payments-api")).await.unwrap().into_inner();
    assert_eq!(specs.metric_specs.len(), 1);
    let words = ["payments-api", "no decision has been made yet"];
    check_refused(keda.get_metrics(metrics_of("payments-api")).await, Code::Unavailable, &words);
    check_refused(keda.is_active(trigger("payments-api")).await, Code::Unavailable, &words);
    server.end().await;
}

#[tokio::test]
async fn a_decision_without_a_number_is_an_error_and_never_a_zero_or_false() {
    let server = start(&["payments-api"]).await;
    server.publish("payments-api", seconds(0), None);
    let mut keda = server.client().await;
    let words = ["payments-api", "never been measured", "metrics source"];
    check_refused(keda.get_metrics(metrics_of("payments-api")).await, Code::Unavailable, &words);
    check_refused(keda.is_active(trigger("payments-api")).await, Code::Unavailable, &words);
    server.end().await;
}

#[tokio::test]
async fn a_decision_that_was_not_renewed_expires() {
    let server = start(&["payments-api"]).await;
    server.publish("payments-api", seconds(0), Some(34));
    let mut keda = server.client().await;
    server.clock.advance(seconds(300));
    check_same(read(&keda.get_metrics(metrics_of("payments-api")).await.unwrap().into_inner()), 34);
    server.clock.advance(seconds(1));
    let words = ["the last decision is 301 s old"];
    check_refused(keda.get_metrics(metrics_of("payments-api")).await, Code::Unavailable, &words);
    check_refused(keda.is_active(trigger("payments-api")).await, Code::Unavailable, &words);
    keda.get_metric_spec(trigger("payments-api")).await.unwrap();
    server.end().await;
}

#[tokio::test]
async fn a_published_decision_is_not_answered_before_its_time() {
    let server = start(&["payments-api"]).await;
    server.publish("payments-api", seconds(0), Some(10));
    server.publish("payments-api", seconds(15), Some(34));
    let mut keda = server.client().await;
    for (passed, expected) in [(0, 10), (14, 10), (1, 34), (15, 34)] {
        server.clock.advance(seconds(passed));
        check_same(read(&keda.get_metrics(metrics_of("payments-api")).await.unwrap().into_inner()), expected);
    }
    server.end().await;
}

#[tokio::test]
async fn two_replicas_that_decide_at_different_moments_switch_together() {
    let clock = HandClock::at(nine());
    let (early, late) = (
        start_at(&["payments-api"], Arc::clone(&clock)).await,
        start_at(&["payments-api"], Arc::clone(&clock)).await,
    );
    let (mut ask_early, mut ask_late) = (early.client().await, late.client().await);
    let mut answers = Vec::new();
    for replica in [&early, &late] {
        replica.publish("payments-api", seconds(0), Some(10));
    }
    early.publish("payments-api", seconds(15), Some(34));
    for (passed, late_decides) in [(7, false), (7, true), (1, false)] {
        clock.advance(seconds(passed));
        if late_decides {
            late.publish("payments-api", seconds(15), Some(34));
        }
        for client in [&mut ask_early, &mut ask_late] {
            answers.push(read(&client.get_metrics(metrics_of("payments-api")).await.unwrap().into_inner()));
        }
    }
    assert_eq!(format!("{answers:?}"), "[10.0, 10.0, 10.0, 10.0, 34.0, 34.0]");
    early.end().await;
    late.end().await;
}

#[tokio::test]
async fn an_unknown_target_a_foreign_one_and_a_missing_one_are_told_apart() {
    let server = start(&["payments-api", "ledger"]).await;
    let mut keda = server.client().await;
    let ask = |scaled_object: &str, metadata: &[(&str, &str)]| reference(scaled_object, metadata);

    check_refused(
        keda.get_metric_spec(ask("payments/payments-api", &[("target", "payment-api")])).await,
        Code::NotFound,
        &["payment-api", "did you mean \"payments-api\"?"],
    );
    check_refused(
        keda.get_metric_spec(ask("shop/payments-api", &[("target", "payments-api")])).await,
        Code::PermissionDenied,
        &["not bound to ScaledObject shop/payments-api", "scaledObject"],
    );
    check_refused(
        keda.get_metric_spec(ask("payments/ledger", &[("target", "payments-api")])).await,
        Code::PermissionDenied,
        &["payments/ledger"],
    );
    check_refused(
        keda.get_metric_spec(ask("payments/ledger", &[("scalerAddress", "x:1")])).await,
        Code::InvalidArgument,
        &["add `target: ledger`"],
    );
    check_refused(
        keda.get_metrics(GetMetricsRequest::default()).await,
        Code::InvalidArgument,
        &["names no ScaledObject"],
    );
    for stream in [
        keda.stream_is_active(ask("shop/payments-api", &[("target", "payments-api")])).await.err(),
        keda.stream_metric_spec(ask("shop/payments-api", &[("target", "payments-api")])).await.err(),
    ] {
        assert_eq!(stream.unwrap().code(), Code::PermissionDenied);
    }
    server.end().await;
}

#[tokio::test]
async fn the_prefix_of_the_hpa_is_understood_and_never_answered() {
    let server = start(&["payments-api"]).await;
    server.publish("payments-api", seconds(0), Some(34));
    let mut keda = server.client().await;
    let ask = |metric: &str| GetMetricsRequest {
        scaled_object_ref: Some(trigger("payments-api")),
        metric_name: metric.into(),
    };
    let values = keda.get_metrics(ask("s0-payments-api")).await.unwrap().into_inner();
    assert_eq!(values.metric_values[0].metric_name, "payments-api");
    check_refused(
        keda.get_metrics(ask("queue-length")).await,
        Code::InvalidArgument,
        &["queue-length", "payments-api"],
    );
    server.end().await;
}

#[tokio::test]
async fn huge_metadata_are_refused_before_they_are_read() {
    let server = start(&["payments-api"]).await;
    let mut keda = server.client().await;
    let padded = |bytes: usize| {
        reference("payments/payments-api", &[("target", "payments-api"), ("caCert", &"x".repeat(bytes))])
    };
    keda.get_metric_spec(padded(8 * 1024)).await.unwrap();
    check_refused(
        keda.get_metric_spec(padded(20 * 1024)).await,
        Code::InvalidArgument,
        &["`scalerAddress` and `target` are enough"],
    );
    check_refused(keda.get_metric_spec(padded(200 * 1024)).await, Code::OutOfRange, &["message"]);
    let long_name = reference("payments/payments-api", &[("target", &"y".repeat(10_000))]);
    check_refused(keda.get_metric_spec(long_name).await, Code::NotFound, &["yyy…"]);
    server.end().await;
}

/// The response as KEDA before 2.17 knows it.
#[derive(Clone, PartialEq, prost::Message)]
struct OldMetricsResponse {
    #[prost(message, repeated, tag = "1")]
    metric_values: Vec<OldMetricValue>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct OldMetricValue {
    #[prost(string, tag = "1")]
    metric_name: String,
    #[prost(int64, tag = "2")]
    metric_value: i64,
}

#[tokio::test]
async fn a_client_that_knows_no_float_fields_reads_the_same_number() {
    let server = start(&["payments-api"]).await;
    server.publish("payments-api", seconds(0), Some(34));
    let mut old = Grpc::new(server.channel().await);
    old.ready().await.unwrap();
    let codec = ProstCodec::<GetMetricsRequest, OldMetricsResponse>::default();
    let path = PathAndQuery::from_static("/externalscaler.ExternalScaler/GetMetrics");
    let values = old.unary(Request::new(metrics_of("payments-api")), path, codec).await.unwrap().into_inner();
    assert_eq!(
        values.metric_values,
        [OldMetricValue { metric_name: "payments-api".into(), metric_value: 34 }]
    );
    server.end().await;
}

#[tokio::test]
async fn a_call_whose_request_never_arrives_is_ended_by_us() {
    let server = start(&["payments-api"]).await;
    let mut silent = Grpc::new(server.channel().await);
    silent.ready().await.unwrap();
    let codec = ProstCodec::<GetMetricsRequest, GetMetricsResponse>::default();
    let path = PathAndQuery::from_static("/externalscaler.ExternalScaler/GetMetrics");
    let request = Request::new(tokio_stream::pending());
    let since = Instant::now();
    within(silent.client_streaming(request, path, codec)).await.expect_err("no request, no answer");
    assert!(since.elapsed() < seconds(3), "{:?}", since.elapsed());
    server.end().await;
}

async fn activity(server: &Running) -> Streaming<IsActiveResponse> {
    within(server.client().await.stream_is_active(trigger("payments-api"))).await.unwrap().into_inner()
}

async fn next_activity(stream: &mut Streaming<IsActiveResponse>) -> Option<bool> {
    within(stream.message()).await.expect("a stream ends with OK").map(|response| response.result)
}

#[tokio::test]
async fn activity_is_pushed_on_open_on_change_and_every_30_s() {
    let server = start(&["payments-api"]).await;
    server.publish("payments-api", seconds(0), Some(34));
    let mut stream = activity(&server).await;
    assert_eq!(next_activity(&mut stream).await, Some(true), "on open");

    server.clock.advance(seconds(10));
    server.publish("payments-api", seconds(10), Some(35));
    server.publish("payments-api", seconds(10), Some(0));
    assert_eq!(next_activity(&mut stream).await, Some(false), "on change, and only on change");

    server.publish("payments-api", seconds(20), Some(5));
    server.clock.advance(seconds(10));
    assert_eq!(next_activity(&mut stream).await, Some(true), "when a published decision comes into force");

    server.clock.advance(seconds(30));
    assert_eq!(next_activity(&mut stream).await, Some(true), "30 s later");
    server.end().await;
}

#[tokio::test]
async fn activity_that_is_not_known_is_not_pushed() {
    let server = start(&["payments-api"]).await;
    let mut stream = activity(&server).await;
    server.publish("payments-api", seconds(0), None);
    server.clock.advance(seconds(60));
    server.publish("payments-api", seconds(60), Some(0));
    assert_eq!(next_activity(&mut stream).await, Some(false), "the first that is known");
    server.end().await;
}

#[tokio::test]
async fn the_spec_is_pushed_on_open_and_every_30_s_and_equals_the_polled_one() {
    let server = start(&["payments-api"]).await;
    let mut keda = server.client().await;
    let polled = keda.get_metric_spec(trigger("payments-api")).await.unwrap().into_inner();
    let mut stream = keda.stream_metric_spec(trigger("payments-api")).await.unwrap().into_inner();
    for _ in 0..3 {
        let pushed: Option<GetMetricSpecResponse> = within(stream.message()).await.unwrap();
        assert_eq!(pushed.as_ref(), Some(&polled));
        server.clock.advance(seconds(30));
    }
    server.end().await;
}

#[tokio::test]
async fn streams_end_with_ok_at_shutdown_and_health_says_so() {
    let server = start(&["payments-api"]).await;
    server.publish("payments-api", seconds(0), Some(34));
    let mut active = activity(&server).await;
    let mut specs =
        server.client().await.stream_metric_spec(trigger("payments-api")).await.unwrap().into_inner();
    assert_eq!(next_activity(&mut active).await, Some(true));
    within(specs.message()).await.unwrap();

    let mut health = HealthClient::new(server.channel().await);
    let mut watched = Vec::new();
    for service in ["", "externalscaler.ExternalScaler"] {
        let request = HealthCheckRequest { service: service.into() };
        assert_eq!(health.check(request.clone()).await.unwrap().into_inner().status, 1, "SERVING");
        let mut watch = health.watch(request).await.unwrap().into_inner();
        assert_eq!(within(watch.message()).await.unwrap().unwrap().status, 1, "SERVING");
        watched.push(watch);
    }
    let unknown = HealthCheckRequest { service: "other".into() };
    assert_eq!(health.check(unknown).await.unwrap_err().code(), Code::NotFound);

    let registry = Arc::clone(&server.registry);
    server.shutdown.cancel();
    assert_eq!(next_activity(&mut active).await, None);
    assert_eq!(within(specs.message()).await.unwrap(), None);
    for mut watch in watched {
        assert_eq!(within(watch.message()).await.unwrap().unwrap().status, 2, "NOT_SERVING");
        assert!(within(watch.message()).await.unwrap().is_none());
    }
    server.end().await;
    for rpc in ["StreamIsActive", "StreamMetricSpec"] {
        let open = format!("tidetable_open_streams{{rpc=\"{rpc}\"}} ");
        assert_eq!(scraped(&registry, &open), [format!("{open}0")]);
    }
}

#[tokio::test]
async fn peers_that_say_nothing_or_read_nothing_do_not_hold_up_the_end() {
    let server = start(&["payments-api"]).await;
    server.publish("payments-api", seconds(0), Some(34));
    let silent = TcpStream::connect(server.address).await.unwrap();
    let unread = activity(&server).await;
    server.clock.advance(seconds(30));
    server.end().await;
    drop((silent, unread));
}

#[tokio::test]
async fn push_triggers_of_many_targets_do_not_lock_out_polls_on_the_same_connection() {
    let names: Vec<String> = (0..150).map(|index| format!("target-{index}")).collect();
    let server = start(&["target-0"]).await;
    let mut keda = server.client().await;
    // A reload brings the others, after the connection has been told its limit.
    check_refused(keda.get_metrics(metrics_of("target-7")).await, Code::NotFound, &["target-7"]);
    server.board.replace(names.iter().map(|name| target(name)));
    let mut open = Vec::new();
    for name in &names {
        server.publish(name, seconds(0), Some(1));
        let active = within(keda.stream_is_active(trigger(name))).await.unwrap().into_inner();
        let specs = within(keda.stream_metric_spec(trigger(name))).await.unwrap().into_inner();
        open.push((active, specs));
    }
    check_same(read(&within(keda.get_metrics(metrics_of("target-7"))).await.unwrap().into_inner()), 1);
    server.end().await;
}

#[tokio::test]
async fn each_rpc_is_counted_by_method_and_code_and_strangers_make_no_series() {
    let server = start(&["payments-api"]).await;
    let mut keda = server.client().await;
    keda.get_metric_spec(trigger("payments-api")).await.unwrap();
    keda.get_metrics(metrics_of("payments-api")).await.unwrap_err();
    server.publish("payments-api", seconds(0), Some(34));
    for _ in 0..3 {
        keda.get_metrics(metrics_of("payments-api")).await.unwrap();
    }
    keda.is_active(reference("a/b", &[("target", "secret")])).await.unwrap_err();

    let counted: HashMap<String, u32> = scraped(&server.registry, "tidetable_rpcs_total")
        .iter()
        .chain(&scraped(&server.registry, "tidetable_target_rpcs_total"))
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(series, count)| (series.to_owned(), count.parse().unwrap()))
        .collect();
    let expected = [
        ("tidetable_rpcs_total{rpc=\"GetMetricSpec\",code=\"OK\"}", 1),
        ("tidetable_rpcs_total{rpc=\"GetMetrics\",code=\"OK\"}", 3),
        ("tidetable_rpcs_total{rpc=\"GetMetrics\",code=\"UNAVAILABLE\"}", 1),
        ("tidetable_rpcs_total{rpc=\"IsActive\",code=\"NOT_FOUND\"}", 1),
        ("tidetable_target_rpcs_total{target=\"payments-api\",rpc=\"GetMetricSpec\"}", 1),
        ("tidetable_target_rpcs_total{target=\"payments-api\",rpc=\"GetMetrics\"}", 4),
    ];
    assert_eq!(counted, expected.map(|(series, count)| (series.to_owned(), count)).into());
    let timed = scraped(&server.registry, "tidetable_rpc_duration_seconds_count{rpc=\"GetMetrics\"}");
    assert_eq!(timed, ["tidetable_rpc_duration_seconds_count{rpc=\"GetMetrics\"} 4"]);
    server.end().await;
}

#[tokio::test]
async fn two_thousand_polls_in_a_row_are_answered_from_memory() {
    let server = start(&["payments-api"]).await;
    server.publish("payments-api", seconds(0), Some(34));
    let mut keda = server.client().await;
    let mut took = Vec::new();
    for _ in 0..2_000 {
        let since = Instant::now();
        keda.get_metrics(metrics_of("payments-api")).await.unwrap();
        took.push(since.elapsed());
    }
    took.sort_unstable();
    println!("p50 {:?}, p99 {:?}, max {:?}", took[1_000], took[1_980], took[1_999]);
    assert!(took[1_980] < Duration::from_millis(50), "the contract with KEDA is a p99 below 50 ms");
    server.end().await;
}
