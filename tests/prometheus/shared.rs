//! Queries that many targets share: what they cost a real server, and that each target still fares for itself.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use tidetable::engine::{Demand, Label, Measured, MetricSource, Sample};
use tidetable::source::prometheus::{Error, Settings, Source};
use tidetable::time::{Slot, Step, Timestamp};
use tidetable::units::Load;
use tokio::task::JoinSet;
use tokio::time::Instant;
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use crate::server::Prometheus;
use crate::{connect, demand};

const BY_TARGET: &str = "sum by (target) (max_over_time(load[59s]))";
const PATIENCE: Duration = Duration::from_secs(20);

/// The slot that ends first: 2026-01-05T00:01:00Z.
fn first() -> Slot {
    Step::MINUTE.slot_of("2026-01-05T00:01:00Z".parse().unwrap())
}

/// What `target` has in a slot.
fn load(target: usize, slot: Slot) -> f64 {
    (target * 1000) as f64 + (slot.since(first()) % 1000) as f64
}

/// A server that has the load of so many targets for so many minutes.
fn server_with(targets: usize, minutes: i64) -> Prometheus {
    let mut text = "# TYPE load gauge\n".to_owned();
    for target in 0..targets {
        for slot in (0..minutes).map(|minute| first().plus(minute)) {
            let at = Step::MINUTE.end(slot).timestamp();
            writeln!(text, "load{{target=\"t{target}\"}} {} {at}", load(target, slot)).unwrap();
        }
    }
    // Two pods of one target, which the query does not add up.
    let at = Step::MINUTE.end(first()).timestamp();
    writeln!(text, "# TYPE pods gauge\npods{{target=\"t1\"}} 1 {at}").unwrap();
    writeln!(text, "pods{{target=\"t2\",pod=\"a\"}} 1 {at}\npods{{target=\"t2\",pod=\"b\"}} 1 {at}").unwrap();
    writeln!(text, "# TYPE odd gauge\nodd{{target=\"a\\\"b\\\\c$1\"}} 7 {at}").unwrap();
    Prometheus::start(&(text + "# EOF\n"), &[])
}

fn shared(query: &str, target: &str) -> Demand {
    let label = Label { name: "target".to_owned(), content: target.to_owned() };
    Demand { label: Some(label), ..demand(query) }
}

/// How many queries a server has answered, by its own account: instant ones and ranges.
async fn queries(server: &Prometheus) -> (usize, usize) {
    let text = reqwest::get(format!("{}/metrics", server.url())).await.unwrap().text().await.unwrap();
    let count = |handler: &str| {
        let head = format!("prometheus_http_requests_total{{code=\"200\",handler=\"{handler}\"}} ");
        text.lines().find_map(|line| line.strip_prefix(&head)).map_or(0, |count| count.parse().unwrap())
    };
    (count("/api/v1/query"), count("/api/v1/query_range"))
}

/// The bytes of bodies that a server has sent, by its own account.
async fn bytes(server: &Prometheus) -> f64 {
    let text = reqwest::get(format!("{}/metrics", server.url())).await.unwrap().text().await.unwrap();
    let sums = text.lines().filter(|line| line.starts_with("prometheus_http_response_size_bytes_sum"));
    let queries = sums.filter(|line| line.contains("/api/v1/query"));
    queries.filter_map(|line| line.split_whitespace().last()?.parse::<f64>().ok()).sum()
}

/// What this process has computed so far, in hundredths of a second.
fn ticks_of_cpu() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    fields.get(11..13).unwrap_or_default().iter().filter_map(|field| field.parse::<u64>().ok()).sum()
}

/// Every target asks at once, as workers do within a tick.
async fn all_ask<T: Send + 'static, F>(targets: usize, ask: impl Fn(Demand) -> F) -> Vec<(usize, T)>
where
    F: Future<Output = Result<Measured<T>, Error>> + Send + 'static,
{
    let mut asking = JoinSet::new();
    for target in 0..targets {
        let asked = ask(shared(BY_TARGET, &format!("t{target}")));
        asking.spawn(async move { (target, asked.await.unwrap().measured) });
    }
    asking.join_all().await
}

fn instant(source: &Arc<Source>, at: Timestamp) -> impl Fn(Demand) -> InFlight<Sample> + use<> {
    let source = Arc::clone(source);
    move |demand| {
        let source = Arc::clone(&source);
        Box::pin(async move { source.instant(&demand, at, PATIENCE).await })
    }
}

fn range(source: &Arc<Source>, from: Slot, until: Slot) -> impl Fn(Demand) -> InFlight<Vec<Sample>> + use<> {
    let source = Arc::clone(source);
    move |demand| {
        let source = Arc::clone(&source);
        Box::pin(async move { source.range(&demand, from, until).await })
    }
}

type InFlight<T> = std::pin::Pin<Box<dyn Future<Output = Result<Measured<T>, Error>> + Send>>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_targets_cost_five_queries_a_minute() {
    const TARGETS: usize = 1000;
    const MINUTES: i64 = 240;
    let server = server_with(TARGETS, MINUTES + 10);
    let source = Arc::new(connect(Settings { max_body_bytes: 64 << 20, ..Settings::for_url(server.url()) }));

    let begin = (Instant::now(), ticks_of_cpu());
    let now = first().plus(MINUTES);
    let histories = all_ask(TARGETS, range(&source, first(), now)).await;
    let back_fill = (begin.0.elapsed(), ticks_of_cpu() - begin.1, bytes(&server).await);
    for (target, samples) in histories {
        assert_eq!(samples.len(), usize::try_from(MINUTES).unwrap());
        let is_as_written = |(sample, minute): (&Sample, i64)| {
            let slot = first().plus(minute);
            *sample == Sample { at: Step::MINUTE.end(slot), load: Some(Load::saturating(load(target, slot))) }
        };
        assert!(samples.iter().zip(0..).all(is_as_written), "t{target}");
    }
    let (_, ranges) = queries(&server).await;
    assert!(ranges <= 2, "{ranges} range queries for four hours of a thousand targets");

    let begin = (Instant::now(), ticks_of_cpu());
    for minute in 1..=5 {
        let now = now.plus(minute);
        let tail = all_ask(TARGETS, range(&source, now.plus(-3), now)).await;
        let newest = |target| Some(Load::saturating(load(target, now.plus(-1))));
        assert!(tail.iter().all(|(target, samples)| samples[2].load == newest(*target)));
        for quarter in 0..4 {
            let at = Step::MINUTE.end(now.plus(-1)) + Duration::from_secs(15 * quarter);
            let answered = all_ask(TARGETS, instant(&source, at)).await;
            assert!(quarter > 0 || answered.iter().all(|(target, sample)| sample.load == newest(*target)));
        }
    }
    let after = queries(&server).await;
    let sent = bytes(&server).await;
    println!(
        "1,000 targets: four hours of history in {ranges} queries, {:.1} MB, {:?}, {} ms of CPU; then {} instant and {} \
         range queries a minute, {:.0} kB and {} ms of CPU a minute",
        back_fill.2 / 1e6,
        back_fill.0,
        back_fill.1 * 10,
        after.0 / 5,
        (after.1 - ranges) / 5,
        (sent - back_fill.2) / 5e3,
        (ticks_of_cpu() - begin.1) * 10 / 5,
    );
    assert_eq!(after, (20, ranges + 5));
}

#[tokio::test]
async fn history_beyond_the_body_limit_comes_in_smaller_parts_once_for_all() {
    let server = server_with(20, 600);
    // Twenty series weigh 600 bytes an instant: 240 instants are too many, 120 are not.
    let source = Arc::new(connect(Settings { max_body_bytes: 100_000, ..Settings::for_url(server.url()) }));
    let histories = all_ask(20, range(&source, first(), first().plus(600))).await;
    for (target, samples) in histories {
        let written = (0..600).map(|minute| Some(load(target, first().plus(minute))));
        assert!(samples.iter().map(|sample| sample.load.map(Load::get)).eq(written), "t{target}");
    }
    let (_, ranges) = queries(&server).await;
    assert!((5..=16).contains(&ranges), "{ranges}");
}

#[tokio::test]
async fn each_target_has_its_own_column_hole_or_refusal() {
    let server = server_with(2, 10);
    let source = connect(Settings::for_url(server.url()));
    let at = Step::MINUTE.end(first());
    let ask = async |query: &str, target: &str| {
        let answered = source.instant(&shared(query, target), at, PATIENCE).await;
        answered.map(|sample| sample.measured.load.map(Load::get))
    };
    assert_eq!(ask(BY_TARGET, "t1").await, Ok(Some(1000.0)));
    assert_eq!(ask(BY_TARGET, "t7").await, Ok(None), "a hole, not a zero and not an error");
    let history = source.range(&shared(BY_TARGET, "t7"), first(), first().plus(10)).await.unwrap().measured;
    assert_eq!(history.len(), 10);
    assert!(history.iter().all(|sample| sample.load.is_none()));

    let each = "sum by (target, pod) (pods)";
    assert_eq!(ask(each, "t1").await, Ok(Some(1.0)));
    let refusal = ask(each, "t2").await.unwrap_err().to_string();
    assert_eq!(
        refusal,
        r#"the query "sum by (target, pod) (pods)" gives 2 series of one target that differ in pod; write sum by (target) (...)"#
    );
    let refusal = ask("sum(pods)", "t1").await.unwrap_err().to_string();
    assert!(
        refusal.contains("none of the 1 series") && refusal.contains("sum by (target) (...)"),
        "{refusal}"
    );
    assert_eq!(queries(&server).await, (3, 1), "one for each query that differs, and one for history");
}

#[tokio::test]
async fn the_history_for_a_model_of_one_target_brings_its_series_alone() {
    let server = server_with(50, 10);
    let source = connect(Settings::for_url(server.url()));
    let history = async |query: &str, target: &str| {
        let read = source.range(&shared(query, target), first().plus(-9_000), first().plus(10)).await;
        read.map(|samples| {
            samples.measured.iter().map(|sample| sample.load.map(Load::get)).collect::<Vec<_>>()
        })
    };
    let read = history(BY_TARGET, "t7").await.unwrap();
    assert_eq!(read.len(), 9_010);
    assert!(read[..9_000].iter().all(Option::is_none));
    assert!(read[9_000..].iter().copied().eq((0..10).map(|minute| Some(load(7, first().plus(minute))))));
    assert_eq!(queries(&server).await, (0, 1));
    assert!(bytes(&server).await < 1_000.0, "fifty series are not carried for one");

    assert!(history(BY_TARGET, "t77").await.unwrap().iter().all(Option::is_none));
    assert_eq!(history("odd", r#"a"b\c$1"#).await.unwrap()[9_000], Some(7.0));
    let refusal = history("sum by (target, pod) (pods)", "t2").await.unwrap_err().to_string();
    assert!(refusal.contains("gives 2 series of one target that differ in pod"), "{refusal}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn histories_for_models_are_read_once_for_all_who_ask_at_about_the_same_time() {
    const MINUTES: i64 = 9_000;
    let server = server_with(30, MINUTES);
    let source = Arc::new(connect(Settings::for_url(server.url())));
    // Each target's weeks begin and end at minutes of their own, as their refits do.
    let mut asking = JoinSet::new();
    for target in 0..30 {
        let source = Arc::clone(&source);
        let slots = first().plus(i64::try_from(target).unwrap())
            ..first().plus(MINUTES + 3 * i64::try_from(target).unwrap());
        asking.spawn(async move {
            let demand = shared(BY_TARGET, &format!("t{target}"));
            let read = source.range(&demand, slots.start, slots.end).await.unwrap().measured;
            (target, slots, read)
        });
    }
    for (target, slots, read) in asking.join_all().await {
        assert_eq!(read.len(), usize::try_from(slots.end.since(slots.start)).unwrap());
        for (sample, slot) in read.iter().zip((slots.start.0..).map(Slot)) {
            let written = slot < first().plus(MINUTES);
            let load = written.then(|| Load::saturating(load(target, slot)));
            assert_eq!(*sample, Sample { at: Step::MINUTE.end(slot), load }, "t{target}");
        }
    }
    let (_, ranges) = queries(&server).await;
    assert!(ranges <= 4, "{ranges} range queries for six days of thirty targets");
}

/// `{target="a"}` and `{target="b"}` at every instant that is asked for.
struct Two;

impl Respond for Two {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let body = String::from_utf8_lossy(&request.body).into_owned();
        let asked: HashMap<_, _> = body.split('&').filter_map(|pair| pair.split_once('=')).collect();
        let time = asked["time"];
        ResponseTemplate::new(200).set_body_string(format!(
            r#"{{"status":"success","warnings":["store c is down"],"data":{{"resultType":"vector","result":[
               {{"metric":{{"target":"a"}},"value":[{time},"1"]}},{{"metric":{{"target":"b"}},"value":[{time},"2"]}}]}}}}"#
        ))
    }
}

async fn asked(server: &MockServer) -> usize {
    server.received_requests().await.unwrap().len()
}

fn at(seconds: i64) -> Timestamp {
    tidetable::time::from_epoch_seconds(seconds)
}

/// A server whose instant queries end as `answer` says.
async fn server_that(answer: impl Respond + 'static) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(path("/api/v1/query")).respond_with(answer).mount(&server).await;
    server
}

#[tokio::test]
async fn what_is_doubtful_about_an_answer_reaches_every_target() {
    let server = server_that(Two).await;
    let source = connect(Settings::for_url(server.uri()));
    for (target, found) in [("a", Some(1.0)), ("b", Some(2.0)), ("c", None)] {
        let answered = source.instant(&shared("x", target), at(6000), PATIENCE).await.unwrap();
        assert_eq!(answered.measured.load.map(Load::get), found);
        assert_eq!(answered.degraded.as_deref(), Some("store c is down"));
    }
    assert_eq!(asked(&server).await, 1);
    let other_step = Demand { step: Step::try_new(PATIENCE).unwrap(), ..shared("x", "a") };
    for other in [shared("y", "a"), other_step] {
        source.instant(&other, at(6000), PATIENCE).await.unwrap();
    }
    source.instant(&shared("x", "a"), at(6015), PATIENCE).await.unwrap();
    assert_eq!(asked(&server).await, 4, "another query, another step and another instant are asked for");
}

#[tokio::test]
async fn what_had_not_settled_is_read_again_and_the_rest_is_not() {
    let server = MockServer::start().await;
    let empty = r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#;
    let answer = ResponseTemplate::new(200).set_body_string(empty);
    Mock::given(path("/api/v1/query_range")).respond_with(answer).mount(&server).await;
    let source = connect(Settings::for_url(server.uri()));
    let demand = Demand { settle_lag: Duration::from_secs(120), ..shared("x", "a") };
    for (from, until, queries, why) in [
        (0, 100, 1, "nothing is known"),
        (0, 100, 1, "the same moment"),
        (50, 100, 1, "a part of it"),
        (98, 101, 2, "a minute later, from the first slot that had not settled"),
        (98, 101, 2, "another target, in the same minute"),
        (98, 102, 3, "time has gone on, though nothing settled"),
    ] {
        source.range(&demand, Slot(from), Slot(until)).await.unwrap();
        assert_eq!(asked(&server).await, queries, "{why}");
    }
}

#[tokio::test]
async fn a_failure_reaches_every_target_and_is_tried_again_for_the_next_tick() {
    let down = ResponseTemplate::new(400).set_body_string("no such function");
    let server = server_that(down).await;
    let source = connect(Settings::for_url(server.uri()));
    let demands: Vec<_> = (0..50).map(|target| shared("x", &format!("t{target}"))).collect();
    for demand in &demands {
        let error = source.instant(demand, at(6000), PATIENCE).await.unwrap_err();
        assert!(error.to_string().contains("no such function"), "{error}");
    }
    assert_eq!(asked(&server).await, 1);
    source.instant(&demands[0], at(6015), PATIENCE).await.unwrap_err();
    assert_eq!(asked(&server).await, 2);
}

#[tokio::test]
async fn everyone_waits_no_longer_than_their_own_patience() {
    let slow = ResponseTemplate::new(200)
        .set_delay(Duration::from_millis(1500))
        .set_body_string(r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#);
    let server = server_that(slow).await;
    let source = connect(Settings::for_url(server.uri()));
    let begin = Instant::now();
    let ask = async |target: &str, patience: u64| {
        let patience = Duration::from_millis(patience);
        let answered = source.instant(&shared("x", target), at(6000), patience).await;
        (answered, begin.elapsed())
    };
    // The first one's giving up takes the answer from nobody: the flight has twice its patience.
    let ((first, first_took), (second, _), (third, _)) =
        tokio::join!(ask("a", 1000), ask("b", 4000), ask("c", 100));
    assert!(matches!(first, Err(Error::Timeout { .. })) && matches!(third, Err(Error::Timeout { .. })));
    assert!(first_took < Duration::from_millis(1450), "{first_took:?}");
    assert_eq!(second.unwrap().measured.load, None);
    assert_eq!(asked(&server).await, 1);
}
