//! What the source makes of a real server's answers.

use std::fmt::Write as _;
use std::time::Duration;

use tidetable::engine::{MetricSource, Sample};
use tidetable::source::prometheus::{Error, Settings, Source};
use tidetable::time::{Slot, Step, Timestamp, from_epoch_seconds};
use tidetable::units::Load;
use tokio::time::Instant;
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::server::Prometheus;
use crate::{connect, demand};

/// Slots of three weeks at 1 min: more than three chunks.
const THREE_WEEKS: i64 = 21 * 1440;
/// Only what was scraped in the minute itself, so that a hole shows at once and not after the lookback of 5 min.
const PAYMENTS: &str = "max_over_time(payments[59s])";
const PATIENCE: Duration = Duration::from_secs(20);

/// The slot that ends first: 2026-01-05T00:01:00Z.
fn first() -> Slot {
    Step::MINUTE.slot_of("2026-01-05T00:01:00Z".parse().unwrap())
}

/// What was paid in a slot; nothing is known of the second night from 01:00 to 03:00.
fn payments(slot: Slot) -> Option<f64> {
    let minute = slot.since(first());
    let hole = 1440 + 60..1440 + 180;
    (!hole.contains(&minute)).then(|| 100.0 + (minute % 1440) as f64 / 7.0)
}

fn slots(count: i64) -> impl Iterator<Item = Slot> {
    (0..count).map(|minute| first().plus(minute))
}

/// A server that has `payments` for so many minutes, and two series of `terminals` for the first of them.
fn server_with(minutes: i64) -> Prometheus {
    let mut text = "# TYPE payments gauge\n".to_owned();
    for slot in slots(minutes) {
        if let Some(load) = payments(slot) {
            writeln!(text, "payments {load} {}", Step::MINUTE.end(slot).timestamp()).unwrap();
        }
    }
    let at = Step::MINUTE.end(first()).timestamp();
    writeln!(text, "# TYPE terminals gauge\nterminals{{pod=\"a\",job=\"pay\"}} 1 {at}").unwrap();
    writeln!(text, "terminals{{pod=\"b\",job=\"pay\"}} 2 {at}\n# EOF").unwrap();
    Prometheus::start(&text, &[])
}

fn source_of(server: &Prometheus) -> Source {
    connect(Settings::for_url(server.url()))
}

async fn range(source: &Source, query: &str, count: i64) -> Result<Vec<Sample>, Error> {
    Ok(source.range(&demand(query), first(), first().plus(count)).await?.measured)
}

async fn instant(source: &Source, query: &str) -> Result<Sample, Error> {
    Ok(source.instant(&demand(query), Step::MINUTE.end(first()), PATIENCE).await?.measured)
}

#[tokio::test]
async fn three_weeks_come_back_as_they_were_written() {
    let server = server_with(THREE_WEEKS);
    let answered = range(&source_of(&server), PAYMENTS, THREE_WEEKS).await.unwrap();
    let written: Vec<Sample> = slots(THREE_WEEKS)
        .map(|slot| Sample { at: Step::MINUTE.end(slot), load: payments(slot).map(Load::saturating) })
        .collect();
    assert!(
        answered == written,
        "{} samples differ",
        answered.iter().zip(&written).filter(|(a, b)| a != b).count()
    );
    assert_eq!(answered.iter().filter(|sample| sample.load.is_none()).count(), 120);
}

#[tokio::test]
async fn what_has_no_number_is_missing() {
    let server = server_with(10);
    let source = source_of(&server);
    for (query, told) in [
        ("vector(0) / 0", "NaN or an infinity"),
        ("vector(1) / 0", "NaN or an infinity"),
        ("vector(-1)", "less than zero"),
        ("nothing_of_that_name", "finds nothing"),
        ("0 / 0", "NaN or an infinity"),
    ] {
        let answered = range(&source, query, 10).await.unwrap();
        assert_eq!(answered.len(), 10, "{query}");
        assert!(answered.iter().all(|sample| sample.load.is_none()), "{query}");
        let newest = source.instant(&demand(query), Step::MINUTE.end(first()), PATIENCE).await.unwrap();
        assert_eq!(newest.measured.load, None, "{query}");
        assert!(newest.degraded.as_ref().is_some_and(|why| why.contains(told)), "{query}: {newest:?}");
    }
    let before = source.range(&demand(PAYMENTS), first().plus(-3), first().plus(1)).await.unwrap().measured;
    assert_eq!(
        before.iter().map(|sample| sample.load.is_some()).collect::<Vec<_>>(),
        [false, false, false, true]
    );
    assert!(range(&source, PAYMENTS, 0).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_instant_is_evaluated_when_it_was_asked_for() {
    let server = server_with(10);
    let source = source_of(&server);
    let at = Step::MINUTE.end(first().plus(4));
    let sample = source.instant(&demand(PAYMENTS), at, PATIENCE).await.unwrap().measured;
    assert_eq!(sample, Sample { at, load: payments(first().plus(4)).map(Load::saturating) });
    let scalar = source.instant(&demand("time()"), at, PATIENCE).await.unwrap().measured;
    assert_eq!(scalar.load.map(Load::get), Some(at.timestamp() as f64));
    let between = from_epoch_seconds(at.timestamp() + 15) + Duration::from_millis(250);
    let scalar = source.instant(&demand("time()"), between, PATIENCE).await.unwrap().measured;
    assert_eq!((scalar.at, scalar.load.map(Load::get)), (between, Some(at.timestamp() as f64 + 15.25)));
}

#[tokio::test]
async fn two_series_are_refused_with_the_labels_that_differ() {
    let server = server_with(10);
    let source = source_of(&server);
    let message = r#"the query "terminals" gives 2 series that differ in pod; wrap it in sum(...)"#;
    assert_eq!(range(&source, "terminals", 10).await.unwrap_err().to_string(), message);
    assert_eq!(instant(&source, "terminals").await.unwrap_err().to_string(), message);
    assert_eq!(instant(&source, "sum(terminals)").await.unwrap().load.map(Load::get), Some(3.0));
}

#[tokio::test]
async fn a_query_that_cannot_be_understood_is_refused_at_once() {
    let server = server_with(1);
    let error = range(&source_of(&server), "sum(payments", 10).await.unwrap_err();
    assert!(matches!(error, Error::Refused { status: 400, .. }), "{error}");
    assert!(error.to_string().contains("unclosed left parenthesis"), "{error}");
    let error = instant(&source_of(&server), "payments[5m]").await.unwrap_err();
    assert!(error.to_string().contains("range vector, not a load; wrap it in rate(...)"), "{error}");
}

#[tokio::test]
async fn an_answer_beyond_the_body_limit_comes_in_smaller_parts_or_is_not_read() {
    let server = server_with(600);
    let limited = |max_body_bytes| connect(Settings { max_body_bytes, ..Settings::for_url(server.url()) });
    let source = limited(4096);
    assert_eq!(
        range(&source, PAYMENTS, 600).await.unwrap(),
        range(&source_of(&server), PAYMENTS, 600).await.unwrap()
    );
    let error = range(&limited(512), PAYMENTS, 600).await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { limit: 512, .. }), "{error}");
}

#[tokio::test]
async fn a_frozen_server_costs_no_more_than_the_patience() {
    let server = server_with(10);
    let source = connect(Settings { timeout: Duration::from_secs(1), ..Settings::for_url(server.url()) });
    instant(&source, PAYMENTS).await.unwrap();
    server.freeze();

    let begin = Instant::now();
    let patience = Duration::from_millis(300);
    let error = source.instant(&demand(PAYMENTS), Step::MINUTE.end(first()), patience).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
    let error = range(&source, PAYMENTS, 10).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
    assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());

    server.thaw();
    let source = connect(Settings::for_url(server.url()));
    assert_eq!(instant(&source, PAYMENTS).await.unwrap().load.map(Load::get), payments(first()));
}

#[tokio::test]
async fn a_server_that_is_gone_says_so_and_its_return_is_noticed() {
    let mut server = server_with(10);
    let source = source_of(&server);
    instant(&source, PAYMENTS).await.unwrap();
    server.stop();
    let error = range(&source, PAYMENTS, 10).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("refused"), "{error}");
    server.start_again();
    assert_eq!(range(&source, PAYMENTS, 10).await.unwrap().len(), 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_scraped_just_now_is_answered_now() {
    let service = MockServer::start().await;
    let metrics = ResponseTemplate::new(200).set_body_raw("queue 42\n", "text/plain; version=0.0.4");
    Mock::given(path("/metrics")).respond_with(metrics).mount(&service).await;
    let server = Prometheus::start("", &[*service.address()]);
    let source = source_of(&server);
    let mut found = None;
    for _ in 0..100 {
        found = source.instant(&demand("queue"), present(), PATIENCE).await.unwrap().measured.load;
        if found.is_some() {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(found.map(Load::get), Some(42.0));
}

/// The present, to the second.
#[expect(clippy::disallowed_methods, reason = "a real server scrapes in real time")]
fn present() -> Timestamp {
    from_epoch_seconds(chrono::Utc::now().timestamp())
}
