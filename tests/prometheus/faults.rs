//! Faults that a real Prometheus cannot be made to show, and who we say we are when we ask.

use std::collections::HashMap;
use std::fs;
use std::num::NonZeroU32;
use std::time::Duration;

use tidetable::engine::{MetricSource, Sample};
use tidetable::source::prometheus::{Auth, Error, Method, Settings, Source};
use tidetable::time::{Slot, from_epoch_seconds};
use tidetable::units::Load;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::Instant;
use wiremock::matchers::{body_string_contains, header, method, path, query_param};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use crate::{connect, demand};

const ONE: &str =
    r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[6000,"1"]}]}}"#;

async fn ask(source: &Source) -> Result<Sample, Error> {
    let patience = Duration::from_secs(5);
    Ok(source.instant(&demand("sum(x)"), from_epoch_seconds(6000), patience).await?.measured)
}

async fn instant(settings: Settings) -> Result<Sample, Error> {
    ask(&connect(settings)).await
}

/// The error for one answer, and how often the server was asked.
async fn failure(answer: ResponseTemplate) -> (Error, usize) {
    let server = MockServer::start().await;
    Mock::given(path("/api/v1/query")).respond_with(answer).mount(&server).await;
    let error = instant(Settings::for_url(server.uri())).await.unwrap_err();
    (error, server.received_requests().await.unwrap().len())
}

/// Answers once with `answer` and then well: the sample, and how long it took.
async fn recovery(answer: ResponseTemplate) -> (Result<Sample, Error>, Duration) {
    let server = MockServer::start().await;
    Mock::given(path("/api/v1/query")).respond_with(answer).up_to_n_times(1).mount(&server).await;
    let fine = ResponseTemplate::new(200).set_body_string(ONE);
    Mock::given(path("/api/v1/query")).respond_with(fine).mount(&server).await;
    let begin = Instant::now();
    (instant(Settings::for_url(server.uri())).await, begin.elapsed())
}

#[tokio::test]
async fn what_may_pass_is_tried_again_and_no_more_than_three_times() {
    for status in [429, 500, 502, 503] {
        let (sample, _) = recovery(ResponseTemplate::new(status)).await;
        assert_eq!(sample.unwrap().load.map(Load::get), Some(1.0), "{status}");
    }
    let body = r#"{"status":"error","errorType":"timeout","error":"query timed out"}"#;
    let (error, asked) = failure(ResponseTemplate::new(503).set_body_string(body)).await;
    assert_eq!(asked, 3);
    assert!(error.to_string().contains("(503: timeout: query timed out)"), "{error}");
}

#[tokio::test]
async fn retry_after_is_honoured_when_there_is_time_and_reported_when_there_is_none() {
    let (sample, took) = recovery(ResponseTemplate::new(429).insert_header("Retry-After", "1")).await;
    assert_eq!(sample.unwrap().load.map(Load::get), Some(1.0));
    assert!(took >= Duration::from_secs(1), "{took:?}");

    let (error, asked) = failure(ResponseTemplate::new(429).insert_header("Retry-After", "600")).await;
    assert_eq!(asked, 1);
    let retry_after = Some(Duration::from_secs(600));
    assert!(
        matches!(error, Error::Unavailable { status: 429, retry_after: found, .. } if found == retry_after)
    );
}

#[tokio::test]
async fn what_will_not_pass_is_reported_at_once() {
    for (status, remedy) in [
        (400, "correct the query"),
        (401, "check the source's auth"),
        (403, "check the source's auth"),
        (404, "check the path prefix"),
        (422, "record the query as a rule"),
    ] {
        let (error, asked) = failure(ResponseTemplate::new(status).set_body_string("no\nway")).await;
        assert_eq!(asked, 1, "{status}");
        assert!(error.to_string().contains(remedy) && error.to_string().contains("no way"), "{error}");
    }
}

#[tokio::test]
async fn a_redirect_is_named_and_not_followed() {
    let login = ResponseTemplate::new(302).insert_header("Location", "https://login.example/?next=s3cret");
    let (error, asked) = failure(login).await;
    assert_eq!(asked, 1);
    assert!(error.to_string().contains("redirects (302) to https://login.example; "), "{error}");
}

#[tokio::test]
async fn a_200_that_is_no_answer_is_refused() {
    let (error, asked) = failure(ResponseTemplate::new(200).set_body_string("<html>Sign in</html>")).await;
    assert!(error.to_string().contains("<html>Sign in"), "{error}");
    assert_eq!(asked, 1);
    let (error, _) = failure(ResponseTemplate::new(200).set_body_string(&ONE[..60])).await;
    assert!(error.to_string().contains("the body ends too early"), "{error}");
    let body = r#"{"status":"error","errorType":"bad_data","error":"no tenant"}"#;
    let (error, _) = failure(ResponseTemplate::new(200).set_body_string(body)).await;
    assert!(matches!(error, Error::Reported { .. }) && error.to_string().contains("no tenant"), "{error}");
    let body = ONE.replace(r#""value":[6000,"1"]"#, r#""histogram":[6000,{"count":"1","sum":"1"}]"#);
    let (error, _) = failure(ResponseTemplate::new(200).set_body_string(body)).await;
    assert!(matches!(error, Error::Histogram { .. }), "{error}");
}

#[tokio::test]
async fn a_connection_that_breaks_in_the_middle_of_a_body_is_reported() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let mut asked = 0;
        while let Ok((mut connection, _)) = listener.accept().await {
            asked += 1;
            let _ = connection.read(&mut [0; 4096]).await;
            let half = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}", ONE.len(), &ONE[..40]);
            let _ = connection.write_all(half.as_bytes()).await;
            if asked == 3 {
                break;
            }
        }
        asked
    });
    let error = instant(Settings::for_url(url)).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    assert_eq!(server.await.unwrap(), 3);
}

#[tokio::test]
async fn a_question_is_a_form_behind_the_prefix_with_headers_and_parameters() {
    for prefix in ["/prometheus", "/select/0/prometheus", "/v1/projects/pay/location/global/prometheus", ""] {
        a_question_is_a_form_behind(prefix).await;
    }
}

async fn a_question_is_a_form_behind(prefix: &str) {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path(format!("{prefix}/api/v1/query")))
        .and(query_param("dedup", "true"))
        .and(header("X-Scope-OrgID", "pay"))
        .and(header("Content-Type", "application/x-www-form-urlencoded"))
        .and(body_string_contains("query=sum%28x%29"))
        .and(body_string_contains("time=6000.000"))
        .respond_with(ResponseTemplate::new(200).set_body_string(ONE))
        .mount(&server)
        .await;
    let mut settings = Settings::for_url(format!("{}{prefix}/", server.uri()));
    settings.parameters = [("dedup".to_owned(), "true".to_owned())].into();
    settings.headers = vec![("X-Scope-OrgID".to_owned(), "pay".to_owned())];
    assert_eq!(instant(settings).await.unwrap().load.map(Load::get), Some(1.0));
}

#[tokio::test]
async fn a_range_is_asked_in_chunks_that_share_no_edge() {
    let server = MockServer::start().await;
    let empty = r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#;
    let answer = ResponseTemplate::new(200).set_body_string(empty);
    Mock::given(path("/api/v1/query_range")).respond_with(answer).mount(&server).await;
    let source = connect(Settings::for_url(server.uri()));
    let samples = source.range(&demand("sum(x)"), Slot(100), Slot(20_101)).await.unwrap().measured;
    assert_eq!(samples.len(), 20_001);
    let asked: Vec<String> = server
        .received_requests()
        .await
        .unwrap()
        .iter()
        .map(|request| {
            let body = String::from_utf8_lossy(&request.body).into_owned();
            body.split('&')
                .filter(|part| !part.starts_with("query") && !part.starts_with("timeout"))
                .collect::<Vec<_>>()
                .join("&")
        })
        .collect();
    assert_eq!(
        asked,
        [
            "start=6060&end=606000&step=60",
            "start=606060&end=1206000&step=60",
            "start=1206060&end=1206060&step=60",
        ]
    );
}

#[tokio::test]
async fn a_proxy_that_allows_no_post_is_asked_by_get() {
    let server = MockServer::start().await;
    Mock::given(method("POST")).respond_with(ResponseTemplate::new(405)).expect(1).mount(&server).await;
    Mock::given(method("GET"))
        .and(path("/api/v1/query"))
        .and(query_param("query", "sum(x)"))
        .respond_with(ResponseTemplate::new(200).set_body_string(ONE))
        .expect(2)
        .mount(&server)
        .await;
    let source = connect(Settings::for_url(server.uri()));
    for _ in 0..2 {
        assert_eq!(ask(&source).await.unwrap().load.map(Load::get), Some(1.0));
    }
}

#[tokio::test]
async fn credentials_are_read_on_each_call_and_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let token_file = folder.path().join("token");
    let server = MockServer::start().await;
    for token in ["Bearer s3cret", "Bearer r0tated", "Basic cGF5OnIwdGF0ZWQ="] {
        let fine = ResponseTemplate::new(200).set_body_string(ONE);
        Mock::given(header("Authorization", token)).respond_with(fine).expect(1).mount(&server).await;
    }
    let auth = Auth::BearerTokenFile(token_file.clone());
    let source = connect(Settings { auth, ..Settings::for_url(server.uri()) });
    let ask = || ask(&source);

    let message = ask().await.unwrap_err().to_string();
    assert!(
        message.contains(&token_file.display().to_string()) && message.contains("cannot be read"),
        "{message}"
    );
    fs::write(&token_file, "s3cret\n").unwrap();
    ask().await.unwrap();
    fs::write(&token_file, "r0tated").unwrap();
    ask().await.unwrap();
    fs::write(&token_file, "\n").unwrap();
    assert!(ask().await.unwrap_err().to_string().contains("is empty"));
    fs::write(&token_file, "s3cret\ns3cret").unwrap();
    let message = ask().await.unwrap_err().to_string();
    assert!(message.contains("one line") && !message.contains("s3cret"), "{message}");

    fs::write(&token_file, "r0tated\n").unwrap();
    let auth = Auth::Basic { username: "pay".to_owned(), password_file: token_file };
    instant(Settings { auth, ..Settings::for_url(server.uri()) }).await.unwrap();
}

#[tokio::test]
async fn calls_in_flight_are_bounded_and_history_leaves_seats_free() {
    let server = MockServer::start().await;
    let slow = ResponseTemplate::new(200).set_delay(Duration::from_secs(20));
    Mock::given(path("/api/v1/query_range")).respond_with(slow.clone()).mount(&server).await;
    let fine = ResponseTemplate::new(200).set_body_string(ONE);
    Mock::given(path("/api/v1/query")).respond_with(fine).mount(&server).await;
    let source = connect(Settings { concurrency: 2, ..Settings::for_url(server.uri()) });
    let history = demand("sum(x)");
    let backfills = async {
        tokio::join!(source.range(&history, Slot(0), Slot(10)), source.range(&history, Slot(0), Slot(10)),)
    };
    let newest = source.instant(&history, from_epoch_seconds(6000), Duration::from_secs(5));
    tokio::select! {
        biased;
        _ = backfills => panic!("the slow server answered"),
        sample = newest => assert_eq!(sample.unwrap().measured.load.map(Load::get), Some(1.0)),
    }
}

#[tokio::test]
async fn who_finds_no_seat_in_time_says_so() {
    let server = MockServer::start().await;
    let slow = ResponseTemplate::new(200).set_delay(Duration::from_secs(20));
    Mock::given(path("/api/v1/query")).respond_with(slow).mount(&server).await;
    let source = connect(Settings { concurrency: 1, ..Settings::for_url(server.uri()) });
    let history = demand("sum(x)");
    let ask = |patience| source.instant(&history, from_epoch_seconds(6000), Duration::from_millis(patience));
    let (first, second) = tokio::join!(ask(400), ask(200));
    assert!(matches!(first, Err(Error::Timeout { .. })), "{first:?}");
    assert!(matches!(second, Err(Error::Crowded { concurrency: 1, .. })), "{second:?}");
}

#[tokio::test]
async fn what_makes_measurements_doubtful_comes_with_them() {
    let server = MockServer::start().await;
    let partial = r#"{"status":"success","warnings":["store a is down"],"isPartial":true,
        "data":{"resultType":"matrix","result":
        [{"metric":{"card":"4111111111111111"},"values":[[6060,"-1"],[6120,"2"]]}]}}"#;
    let answer = ResponseTemplate::new(200).set_body_string(partial);
    Mock::given(path("/api/v1/query_range")).respond_with(answer).mount(&server).await;
    let vector = ONE.replace(r#""success","#, r#""success","isPartial":true,"#);
    let answer = ResponseTemplate::new(200).set_body_string(vector);
    Mock::given(path("/api/v1/query")).respond_with(answer).mount(&server).await;
    let source = connect(Settings::for_url(server.uri()));
    let whole = source.range(&demand("sum(x)"), Slot(100), Slot(20_100)).await.unwrap();
    let begins: Vec<_> = whole.measured[..2].iter().map(|sample| sample.load.map(Load::get)).collect();
    assert_eq!(begins, [None, Some(2.0)]);
    assert_eq!(whole.degraded.as_deref(), Some("store a is down; the answer is partial (isPartial)"));
    let newest = source.instant(&demand("sum(x)"), from_epoch_seconds(6000), Duration::from_secs(5)).await;
    assert_eq!(newest.unwrap().degraded.as_deref(), Some("the answer is partial (isPartial)"));
}

/// Answers a range query with one series that has every instant, unless it has more than so many points.
struct Bears {
    points: i64,
    otherwise: ResponseTemplate,
}

impl Respond for Bears {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let asked: HashMap<_, _> = form_urlencoded(&request.body);
        let number = |name: &str| asked[name].parse::<i64>().unwrap();
        let (start, end, step) = (number("start"), number("end"), number("step"));
        if (end - start) / step + 1 > self.points {
            return self.otherwise.clone();
        }
        let values: Vec<_> = (start..=end).step_by(60).map(|at| format!(r#"[{at},"{at}"]"#)).collect();
        let values = values.join(",");
        ResponseTemplate::new(200).set_body_string(format!(
            r#"{{"status":"success","data":{{"resultType":"matrix","result":[{{"metric":{{}},"values":[{values}]}}]}}}}"#
        ))
    }
}

fn form_urlencoded(body: &[u8]) -> HashMap<String, String> {
    let body = String::from_utf8_lossy(body);
    let pairs = body.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, content)| (name.to_owned(), content.to_owned())).collect()
}

async fn asked(server: &MockServer) -> usize {
    server.received_requests().await.unwrap().len()
}

#[tokio::test]
async fn what_is_too_heavy_is_asked_for_in_halves_and_the_size_that_worked_is_remembered() {
    let text = r#"{"status":"error","errorType":"execution","error":"query processing would load too many samples"}"#;
    for otherwise in
        [ResponseTemplate::new(422).set_body_string(text), ResponseTemplate::new(503).set_body_string(text)]
    {
        let server = MockServer::start().await;
        let bears = Bears { points: 700, otherwise };
        Mock::given(path("/api/v1/query_range")).respond_with(bears).mount(&server).await;
        let source = connect(Settings::for_url(server.uri()));
        let heavy = demand("sum(x)");
        let range = || source.range(&heavy, Slot(0), Slot(2500));
        let expected: Vec<_> = (0..2500).map(|slot| Some(f64::from(slot + 1) * 60.0)).collect();
        let loads = |samples: Vec<Sample>| -> Vec<_> {
            samples.iter().map(|sample| sample.load.map(Load::get)).collect()
        };
        assert_eq!(loads(range().await.unwrap().measured), expected);
        // 2500 and 1250 are too many, then four times 625.
        assert_eq!(asked(&server).await, 6);
        assert_eq!(loads(range().await.unwrap().measured), expected);
        assert_eq!(asked(&server).await, 10, "the ladder is not climbed again");
    }
}

#[tokio::test]
async fn halving_has_an_end_and_is_not_tried_where_it_cannot_help() {
    for (status, text, most) in [
        (422, "query processing would load too many samples", 9),
        (503, "query timed out", 11),
        (422, "found duplicate series for the match group", 1),
        (400, "too many", 1),
    ] {
        let server = MockServer::start().await;
        let answer = ResponseTemplate::new(status).set_body_string(text);
        Mock::given(path("/api/v1/query_range")).respond_with(answer).mount(&server).await;
        let source =
            connect(Settings { timeout: Duration::from_secs(20), ..Settings::for_url(server.uri()) });
        let error = source.range(&demand("sum(x)"), Slot(0), Slot(10_000)).await.unwrap_err();
        assert!(error.to_string().contains(text), "{error}");
        assert_eq!(asked(&server).await, most, "{status} {text}");
    }
}

#[tokio::test]
async fn retry_after_may_be_a_date() {
    let limited = ResponseTemplate::new(429)
        .insert_header("Date", "Fri, 27 Nov 2026 09:30:00 GMT")
        .insert_header("Retry-After", "Fri, 27 Nov 2026 09:30:01 GMT");
    let (sample, took) = recovery(limited).await;
    assert_eq!(sample.unwrap().load.map(Load::get), Some(1.0));
    assert!(took >= Duration::from_secs(1), "{took:?}");
    let (error, asked) =
        failure(ResponseTemplate::new(429).insert_header("Retry-After", "Tue, 01 Jan 2999 00:00:00 GMT"))
            .await;
    assert_eq!(asked, 1);
    assert!(matches!(error, Error::Unavailable { status: 429, retry_after: Some(_), .. }), "{error}");
}

#[tokio::test]
async fn the_method_is_the_one_that_is_configured() {
    for (method_set, allowed, fine) in [
        (Method::Get, "GET", true),
        (Method::Get, "POST", false),
        (Method::Post, "POST", true),
        (Method::Post, "GET", false),
        (Method::Auto, "GET", true),
    ] {
        let server = MockServer::start().await;
        let one = ResponseTemplate::new(200).set_body_string(ONE);
        Mock::given(method(allowed)).respond_with(one).mount(&server).await;
        Mock::given(wiremock::matchers::any()).respond_with(ResponseTemplate::new(405)).mount(&server).await;
        let answered = instant(Settings { method: method_set, ..Settings::for_url(server.uri()) }).await;
        assert_eq!(answered.is_ok(), fine, "{method_set:?} {allowed}: {answered:?}");
        if let Err(error) = answered {
            assert_eq!(asked(&server).await, 1);
            assert!(error.to_string().contains("set the source's method to auto"), "{error}");
        }
    }
}

#[tokio::test]
async fn calls_in_a_second_are_bounded_and_waiting_counts_against_the_patience() {
    let server = MockServer::start().await;
    let fine = ResponseTemplate::new(200).set_body_string(ONE);
    Mock::given(path("/api/v1/query")).respond_with(fine).mount(&server).await;
    let queries_per_second = NonZeroU32::new(1);
    let source = connect(Settings { queries_per_second, ..Settings::for_url(server.uri()) });
    let begin = Instant::now();
    for _ in 0..2 {
        ask(&source).await.unwrap();
    }
    assert!(begin.elapsed() >= Duration::from_millis(950), "{:?}", begin.elapsed());
    let patience = Duration::from_millis(50);
    let error = source.instant(&demand("sum(x)"), from_epoch_seconds(6000), patience).await.unwrap_err();
    assert!(matches!(error, Error::Throttled { per_second: 1, .. }), "{error}");
    assert_eq!(asked(&server).await, 2);
}
