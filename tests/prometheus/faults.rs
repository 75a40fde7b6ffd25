//! Faults that a real Prometheus cannot be made to show, and who we say we are when we ask.

use std::sync::{Arc, Mutex};
use std::time::Duration;
use std::{fs, io};

use tidetable::engine::{MetricSource, Sample};
use tidetable::source::prometheus::{Auth, Error, Settings};
use tidetable::time::{Slot, from_epoch_seconds};
use tidetable::units::Load;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::Instant;
use wiremock::matchers::{body_string_contains, header, method, path, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::{connect, demand};

const ONE: &str =
    r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[6000,"1"]}]}}"#;

async fn instant(settings: Settings) -> Result<Sample, Error> {
    connect(settings).instant(&demand("sum(x)"), from_epoch_seconds(6000), Duration::from_secs(5)).await
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
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/prometheus/api/v1/query"))
        .and(query_param("dedup", "true"))
        .and(header("X-Scope-OrgID", "pay"))
        .and(header("Content-Type", "application/x-www-form-urlencoded"))
        .and(body_string_contains("query=sum%28x%29"))
        .and(body_string_contains("time=6000.000"))
        .respond_with(ResponseTemplate::new(200).set_body_string(ONE))
        .mount(&server)
        .await;
    let mut settings = Settings::for_url(format!("{}/prometheus/?dedup=true", server.uri()));
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
    let samples = source.range(&demand("sum(x)"), Slot(100), Slot(20_101)).await.unwrap();
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
        let sample =
            source.instant(&demand("sum(x)"), from_epoch_seconds(6000), Duration::from_secs(5)).await;
        assert_eq!(sample.unwrap().load.map(Load::get), Some(1.0));
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
    let ask = || async {
        source.instant(&demand("sum(x)"), from_epoch_seconds(6000), Duration::from_secs(5)).await
    };

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
        sample = newest => assert_eq!(sample.unwrap().load.map(Load::get), Some(1.0)),
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
async fn what_makes_measurements_doubtful_is_logged_once_for_a_call() {
    let server = MockServer::start().await;
    let partial = r#"{"status":"success","warnings":["store a is down"],"data":{"resultType":"matrix","result":
        [{"metric":{"card":"4111111111111111"},"values":[[6060,"-1"],[6120,"2"]]}]}}"#;
    let answer = ResponseTemplate::new(200).set_body_string(partial);
    Mock::given(path("/api/v1/query_range")).respond_with(answer).mount(&server).await;
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let _until_the_end = tracing::subscriber::set_default(subscriber);
    let source = connect(Settings::for_url(format!("{}/?token=s3cret", server.uri())));
    let samples = source.range(&demand("sum(x)"), Slot(100), Slot(20_100)).await.unwrap();
    assert_eq!(
        samples[..2].iter().map(|sample| sample.load.map(Load::get)).collect::<Vec<_>>(),
        [None, Some(2.0)]
    );
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert_eq!(log.matches("WARN").count(), 1, "{log}");
    assert!(log.contains("store a is down") && log.contains("negative=2"), "{log}");
    assert!(!log.contains("s3cret") && !log.contains("4111111111111111"), "{log}");
}

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
