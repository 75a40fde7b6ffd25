//! `tidetable backtest` on what a metrics source has, and on what that says of itself.

use std::collections::HashMap;
use std::process::Command;

use serde_json::Value;
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

/// A day that rises and falls at every instant that is asked for, of which the source says that it is not all there is.
struct Partial;

impl Respond for Partial {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let body = String::from_utf8_lossy(&request.body).into_owned();
        let asked: HashMap<_, _> = body.split('&').filter_map(|pair| pair.split_once('=')).collect();
        let number = |name: &str| asked[name].parse::<i64>().unwrap();
        let load = |at: i64| 1000.0 + 500.0 * (at as f64 / 86_400.0 * std::f64::consts::TAU).sin();
        let step = usize::try_from(number("step")).unwrap();
        let instants = (number("start")..=number("end")).step_by(step);
        let values: Vec<_> = instants.map(|at| format!(r#"[{at},"{:.1}"]"#, load(at))).collect();
        let values = values.join(",");
        ResponseTemplate::new(200).set_body_string(format!(
            r#"{{"status":"success","warnings":["store c is down"],"data":{{"resultType":"matrix","result":[
               {{"metric":{{}},"values":[{values}]}}]}}}}"#
        ))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_source_doubts_of_its_answer_is_told_beside_the_numbers() {
    let server = MockServer::start().await;
    Mock::given(path("/api/v1/query_range")).respond_with(Partial).mount(&server).await;
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "sources: {{ main: {{ prometheus: {{ url: '{}' }} }} }}
targets:
  payments-api:
    scaledObject: payments/payments-api
    demand: {{ source: main, query: 'sum(rate(payments_total[2m]))', step: 5m }}
    capacity: {{ perReplica: 120 }}
    replicas: {{ min: 3, max: 200 }}
    leadTime: 2m
    timezone: UTC
",
        server.uri()
    );
    std::fs::write(folder.path().join("tidetable.yaml"), config).unwrap();
    let line = "backtest --config tidetable.yaml --quantiles 0.9 --utilizations 0.8 --output out.json --report out.html \
                --from 2026-05-15T12:00:00Z --to 2026-05-15T13:00:00Z";
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidetable"));
    command.current_dir(folder.path()).args(line.split_whitespace());
    let ended = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    let note = "a doubt about the load, from the source: store c is down";
    let table = String::from_utf8(ended.stdout).unwrap();
    assert_eq!(table.matches(note).count(), 1, "{table}");
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let json: Value = serde_json::from_str(&read("out.json")).unwrap();
    assert_eq!(json["targets"][0]["doubts"], serde_json::json!(["the source: store c is down"]));
    assert!(read("out.html").contains(note));
}
