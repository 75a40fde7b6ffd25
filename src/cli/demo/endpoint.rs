//! A Prometheus to measure the simulated traffic with: the few paths of its HTTP API that a scaler needs.
//!
//! It answers as Prometheus does, down to the wording of its refusals, so that the demo runs through the same client as
//! production. It knows one counter and two ranges, refuses every other query as bad data, and never tells the future: an
//! instant after the simulated present has no sample.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::FormRejection;
use axum::extract::{Form, State};
use axum::http::{StatusCode, header::CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::engine::Clock;
use crate::simulate::Traffic;
use crate::time::{Timestamp, from_epoch_seconds};

/// The demo's query. Its range covers eight scrapes.
pub(super) const QUERY: &str = "sum(rate(payment_transactions_total[2m]))";

/// The same over the shortest range that still covers four scrapes.
pub(super) const QUERY_ONE_MINUTE: &str = "sum(rate(payment_transactions_total[1m]))";

/// Prometheus refuses to cut a range into more steps than this.
const MOST_STEPS: i64 = 11_000;

/// Serves on `listener` until `shutdown`.
///
/// # Errors
/// Whatever the listener's socket fails with.
pub(super) async fn serve<C: Clock>(
    listener: TcpListener,
    traffic: Arc<Traffic>,
    clock: Arc<C>,
    shutdown: CancellationToken,
) -> std::io::Result<()> {
    axum::serve(listener, router(traffic, clock)).with_graceful_shutdown(shutdown.cancelled_owned()).await
}

/// The paths, over `traffic` as far as `clock` has come.
pub(super) fn router<C: Clock>(traffic: Arc<Traffic>, clock: Arc<C>) -> Router {
    let prometheus = Prometheus { traffic, clock };
    Router::new()
        .route("/api/v1/query", get(instant::<C>).post(instant::<C>))
        .route("/api/v1/query_range", get(range::<C>).post(range::<C>))
        .route("/-/ready", get(|| async { "Prometheus Server is Ready.\n" }))
        .route("/-/healthy", get(|| async { "Prometheus Server is Healthy.\n" }))
        .with_state(prometheus)
}

struct Prometheus<C> {
    traffic: Arc<Traffic>,
    clock: Arc<C>,
}

// Derived, this would ask the clock itself to be cloned.
impl<C> Clone for Prometheus<C> {
    fn clone(&self) -> Self {
        Self { traffic: Arc::clone(&self.traffic), clock: Arc::clone(&self.clock) }
    }
}

impl<C: Clock> Prometheus<C> {
    /// The load that a query over `window_seconds` has at `milliseconds`, unless that is a hole or still to come.
    fn load(&self, milliseconds: i64, window_seconds: i64) -> Option<f64> {
        if milliseconds > self.clock.now().timestamp_millis() {
            return None;
        }
        let at = from_epoch_seconds(milliseconds.div_euclid(1000));
        self.traffic.observed(at, window_seconds)
    }
}

/// Why a query was refused, in Prometheus's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum BadData {
    #[error("error parsing form values: {0}")]
    Form(String),
    #[error("invalid parameter \"{parameter}\": cannot parse \"{found}\" to a valid {kind}")]
    Unreadable { parameter: &'static str, found: String, kind: &'static str },
    #[error("invalid parameter \"end\": end timestamp must not be before start time")]
    EndBeforeStart,
    #[error(
        "invalid parameter \"step\": zero or negative query resolution step widths are not accepted. \
         Try a positive integer"
    )]
    StepNotPositive,
    #[error(
        "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution \
         (?step=XX)"
    )]
    TooManySteps,
    #[error("invalid parameter \"query\": the demo knows {QUERY} and {QUERY_ONE_MINUTE}, not \"{0}\"")]
    UnknownQuery(String),
}

impl IntoResponse for BadData {
    fn into_response(self) -> Response {
        let error = serde_json::Value::from(self.to_string());
        let body = format!(r#"{{"status":"error","errorType":"bad_data","error":{error}}}"#);
        (StatusCode::BAD_REQUEST, [(CONTENT_TYPE, "application/json")], body).into_response()
    }
}

fn success(result_type: &str, result: &str) -> Response {
    let body =
        format!(r#"{{"status":"success","data":{{"resultType":"{result_type}","result":[{result}]}}}}"#);
    ([(CONTENT_TYPE, "application/json")], body).into_response()
}

type Parameters = Result<Form<HashMap<String, String>>, FormRejection>;

async fn instant<C: Clock>(
    State(prometheus): State<Prometheus<C>>,
    parameters: Parameters,
) -> Result<Response, BadData> {
    let parameters = readable(parameters)?;
    let at = match parameters.get("time") {
        Some(_) => milliseconds(&parameters, "time")?,
        None => prometheus.clock.now().timestamp_millis(),
    };
    let window_seconds = window_seconds(&parameters)?;
    let sample = prometheus.load(at, window_seconds).map(|load| {
        let mut sample = String::from(r#"{"metric":{},"value":"#);
        write_sample(&mut sample, at, load);
        sample.push('}');
        sample
    });
    Ok(success("vector", &sample.unwrap_or_default()))
}

async fn range<C: Clock>(
    State(prometheus): State<Prometheus<C>>,
    parameters: Parameters,
) -> Result<Response, BadData> {
    let parameters = readable(parameters)?;
    let (start, end) = (milliseconds(&parameters, "start")?, milliseconds(&parameters, "end")?);
    if end < start {
        return Err(BadData::EndBeforeStart);
    }
    let step = step_milliseconds(&parameters)?;
    if (end - start) / step > MOST_STEPS {
        return Err(BadData::TooManySteps);
    }
    let window_seconds = window_seconds(&parameters)?;
    let mut samples = String::new();
    for at in (0..=(end - start) / step).map(|count| start + count * step) {
        if let Some(load) = prometheus.load(at, window_seconds) {
            if !samples.is_empty() {
                samples.push(',');
            }
            write_sample(&mut samples, at, load);
        }
    }
    if !samples.is_empty() {
        samples = format!(r#"{{"metric":{{}},"values":[{samples}]}}"#);
    }
    Ok(success("matrix", &samples))
}

/// `[1700000000.500,"12.5"]`: seconds with a fraction only where there is one, and the number as text.
fn write_sample(text: &mut String, milliseconds: i64, load: f64) {
    let (seconds, fraction) = (milliseconds.div_euclid(1000), milliseconds.rem_euclid(1000));
    let _ = match fraction {
        0 => write!(text, r#"[{seconds},"{load}"]"#),
        _ => write!(text, r#"[{seconds}.{fraction:03},"{load}"]"#),
    };
}

fn readable(parameters: Parameters) -> Result<HashMap<String, String>, BadData> {
    parameters.map(|Form(parameters)| parameters).map_err(|rejection| BadData::Form(rejection.body_text()))
}

fn window_seconds(parameters: &HashMap<String, String>) -> Result<i64, BadData> {
    match parameters.get("query").map_or("", |query| query.trim()) {
        QUERY => Ok(120),
        QUERY_ONE_MINUTE => Ok(60),
        other => Err(BadData::UnknownQuery(other.to_owned())),
    }
}

/// A parameter as an instant: seconds since the epoch, perhaps with a fraction, or RFC 3339.
fn milliseconds(parameters: &HashMap<String, String>, parameter: &'static str) -> Result<i64, BadData> {
    let found = parameters.get(parameter).map_or("", String::as_str);
    let instant = found.parse::<f64>().ok().and_then(rounded_milliseconds);
    instant
        .or_else(|| found.parse::<Timestamp>().ok().map(|at| at.timestamp_millis()))
        .ok_or_else(|| BadData::Unreadable { parameter, found: found.to_owned(), kind: "timestamp" })
}

/// The step: seconds, or a duration such as `1m`.
fn step_milliseconds(parameters: &HashMap<String, String>) -> Result<i64, BadData> {
    let found = parameters.get("step").map_or("", String::as_str);
    let step = match found.parse::<f64>() {
        Ok(seconds) => rounded_milliseconds(seconds),
        Err(_) => {
            humantime::parse_duration(found).ok().and_then(|step| rounded_milliseconds(step.as_secs_f64()))
        }
    };
    match step {
        Some(step) if step > 0 => Ok(step),
        Some(_) => Err(BadData::StepNotPositive),
        None => Err(BadData::Unreadable { parameter: "step", found: found.to_owned(), kind: "duration" }),
    }
}

/// Seconds as whole milliseconds; `None` beyond the years a calendar holds.
fn rounded_milliseconds(seconds: f64) -> Option<i64> {
    /// Ten thousand years.
    const MOST_SECONDS: f64 = 3.2e11;
    #[expect(clippy::cast_possible_truncation, reason = "bounded to well inside an i64")]
    (seconds.abs() < MOST_SECONDS).then(|| (seconds * 1000.0).round() as i64)
}

#[cfg(test)]
mod tests {
    use chrono::{NaiveDate, TimeDelta};
    use chrono_tz::Tz;

    use super::*;
    use crate::simulate::traffic::Options;

    /// A clock that has stopped.
    struct Stopped(Timestamp);

    impl Clock for Stopped {
        fn now(&self) -> Timestamp {
            self.0
        }

        async fn sleep_until(&self, _: Timestamp) {}
    }

    /// 09:40 in New York on the day that is played.
    const NOW: i64 = 1_795_617_600;

    fn traffic() -> Traffic {
        let day: NaiveDate = "2026-11-25".parse().unwrap();
        Traffic::new(Options::new(7, Tz::America__New_York, day))
    }

    /// Serves at a simulated `now`, asks over a real socket, and gives the status and the body.
    async fn ask(now: i64, method: &str, path: &str, parameters: &[(&str, &str)]) -> (u16, String) {
        // Already installed when a test of the same process was first; either way there is one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let base = format!("http://{}{path}", listener.local_addr().unwrap());
        let clock = Arc::new(Stopped(from_epoch_seconds(now)));
        let shutdown = CancellationToken::new();
        let server = tokio::spawn(serve(listener, Arc::new(traffic()), clock, shutdown.clone()));
        let client = reqwest::Client::new();
        let request = match method {
            "GET" => client.get(base).query(parameters),
            _ => client.post(base).form(parameters),
        };
        let response = request.send().await.unwrap();
        let answer = (response.status().as_u16(), response.text().await.unwrap());
        shutdown.cancel();
        drop(client);
        server.await.unwrap().unwrap();
        answer
    }

    fn range_parameters<'a>(start: &'a str, end: &'a str, step: &'a str) -> [(&'a str, &'a str); 4] {
        [("query", QUERY), ("start", start), ("end", end), ("step", step)]
    }

    #[tokio::test]
    async fn a_range_is_evaluated_at_both_ends_and_never_after_the_present() {
        let (start, end) = ((NOW - 120).to_string(), (NOW + 120).to_string());
        for method in ["GET", "POST"] {
            let (status, body) =
                ask(NOW, method, "/api/v1/query_range", &range_parameters(&start, &end, "60")).await;
            let at = |seconds| traffic().observed(from_epoch_seconds(NOW + seconds), 120).unwrap();
            let expected = format!(
                r#"{{"status":"success","data":{{"resultType":"matrix","result":[{{"metric":{{}},"values":[[{},"{}"],[{},"{}"],[{},"{}"]]}}]}}}}"#,
                NOW - 120,
                at(-120),
                NOW - 60,
                at(-60),
                NOW,
                at(0),
            );
            assert_eq!((status, body), (200, expected), "{method}");
        }
    }

    #[tokio::test]
    async fn an_instant_is_one_sample_or_none() {
        let load = traffic().observed(from_epoch_seconds(NOW - 1), 60).unwrap();
        let found = |result: &str| {
            (200, format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{result}]}}}}"#))
        };
        let sample = format!(r#"{{"metric":{{}},"value":[{}.500,"{load}"]}}"#, NOW - 1);
        let past = [("query", QUERY_ONE_MINUTE), ("time", "1795617599.5")];
        assert_eq!(ask(NOW, "POST", "/api/v1/query", &past).await, found(&sample));
        let future = [("query", QUERY_ONE_MINUTE), ("time", "2026-11-25T14:40:00.001Z")];
        assert_eq!(ask(NOW, "GET", "/api/v1/query", &future).await, found(""));
        let (_, body) = ask(NOW, "GET", "/api/v1/query", &[("query", QUERY)]).await;
        assert!(body.contains(&format!("[{NOW},")), "without a time the present is meant: {body}");
    }

    #[tokio::test]
    async fn an_outage_is_a_gap_in_the_values() {
        let down = traffic().options().instant(14, 40);
        let (start, end) = (down.timestamp() - 60, (down + TimeDelta::minutes(12)).timestamp());
        let (start, end_text) = (start.to_string(), end.to_string());
        let (status, body) =
            ask(end, "GET", "/api/v1/query_range", &range_parameters(&start, &end_text, "1m")).await;
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        let minutes: Vec<i64> = body["data"]["result"][0]["values"]
            .as_array()
            .unwrap()
            .iter()
            .map(|sample| (sample[0].as_i64().unwrap() - down.timestamp()) / 60)
            .collect();
        assert_eq!((status, minutes), (200, vec![-1, 0, 1, 11, 12]));
    }

    async fn check_refusal(path: &str, parameters: &[(&str, &str)], error: &str) {
        let (status, body) = ask(NOW, "POST", path, parameters).await;
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, &body["status"], &body["errorType"]), (400, &"error".into(), &"bad_data".into()));
        assert!(body["error"].as_str().unwrap().contains(error), "{body}");
    }

    #[tokio::test]
    async fn what_it_cannot_answer_it_refuses_in_the_words_of_prometheus() {
        const RANGE: &str = "/api/v1/query_range";
        check_refusal("/api/v1/query", &[("query", "up")], "not \"up\"").await;
        check_refusal(
            "/api/v1/query",
            &[("query", QUERY), ("time", "noon")],
            "\"noon\" to a valid timestamp",
        )
        .await;
        check_refusal(RANGE, &range_parameters("", "60", "60"), "parameter \"start\"").await;
        check_refusal(RANGE, &range_parameters("60", "0", "60"), "end timestamp must not be before start")
            .await;
        check_refusal(RANGE, &range_parameters("0", "60", "0"), "zero or negative").await;
        check_refusal(RANGE, &range_parameters("0", "60", "soon"), "\"soon\" to a valid duration").await;
        check_refusal(RANGE, &range_parameters("0", "660060", "60"), "exceeded maximum resolution").await;
    }

    #[tokio::test]
    async fn eleven_thousand_steps_are_not_too_many_and_it_says_when_it_is_ready() {
        let (status, _) = ask(0, "POST", "/api/v1/query_range", &range_parameters("0", "660000", "60")).await;
        assert_eq!(status, 200);
        assert_eq!(ask(NOW, "GET", "/-/ready", &[]).await, (200, "Prometheus Server is Ready.\n".to_owned()));
    }
}
