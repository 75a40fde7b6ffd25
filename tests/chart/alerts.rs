//! Alerts and dashboard: their metrics are ours, their queries are read by Prometheus' own tool, and each alert has its
//! row in the README.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use super::*;
use crate::render::{production, rendered};

fn production_objects() -> Objects {
    rendered(&[production("production", json!({}))]).remove(0)
}

fn rules(objects: &Objects) -> Vec<Value> {
    let groups = objects.one("PrometheusRule")["spec"]["groups"].as_array().unwrap();
    groups.iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
}

#[test]
fn each_alert_has_a_row_that_begins_with_a_command() {
    let readme = read("README.md");
    let (_, section) = readme.split_once("## When it pages you").expect("the section");
    let section = section.split("\n## ").next().unwrap();
    for rule in rules(&production_objects()) {
        let alert = rule["alert"].as_str().unwrap();
        let row = section.lines().find(|line| line.starts_with(&format!("| `{alert}` |")));
        let row = row.unwrap_or_else(|| panic!("{alert} has no row in the README's \"When it pages you\""));
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        assert!(cells[2].starts_with('`'), "{alert}: the second cell is what to run first: {row}");
        let link = rule["annotations"]["runbook_url"].as_str().unwrap();
        assert!(link.ends_with("#when-it-pages-you"), "{alert}: {link}");
        assert!(["critical", "warning"].map(Value::from).contains(&rule["labels"]["severity"]), "{alert}");
    }
}

/// `tidetable serve` on ports of its own choice, ended with this value.
struct Serve(Child);

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The names of the metrics that a process shows from its start, as queries spell them.
fn metrics() -> BTreeSet<String> {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("tidetable.yaml");
    fs::write(
        &config,
        "\
sources: { main: { prometheus: { url: http://127.0.0.1:9 } } }
targets:
  api:
    scaledObject: payments/api
    demand: { source: main, query: up }
    capacity: { perReplica: 1 }
    replicas: { min: 1, max: 2 }
    timezone: UTC
",
    )
    .unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidetable"));
    command.env_clear().args([
        "serve",
        "--grpc",
        "127.0.0.1:0",
        "--http",
        "127.0.0.1:0",
        "--log-format",
        "json",
    ]);
    command.arg("--config").arg(&config).stdin(Stdio::null()).stderr(Stdio::piped());
    let mut serve = Serve(command.spawn().unwrap());
    let mut said = BufReader::new(serve.0.stderr.take().unwrap()).lines();
    let address = said.find_map(|line| {
        let event: Value = serde_json::from_str(&line.unwrap()).unwrap();
        let shown = event.to_string().contains("showing metrics");
        shown.then(|| event["address"].as_str().unwrap().to_owned())
    });
    let mut stream = TcpStream::connect(address.expect("the address of the pages")).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n").unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    let mut names = BTreeSet::new();
    for (name, kind) in page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')) {
        let suffixes: &[&str] = match kind {
            "counter" => &["_total"],
            "histogram" => &["_bucket", "_count", "_sum"],
            "info" => &["_info"],
            _ => &[""],
        };
        names.extend(suffixes.iter().map(|suffix| format!("{name}{suffix}")));
    }
    names
}

/// Whether a metric that is shown with its first sample only, such as one of failures, is registered under that name.
fn is_registered(metric: &str) -> bool {
    let name = metric.trim_start_matches("tidetable_");
    let name =
        ["_total", "_bucket", "_count", "_sum"].iter().fold(name, |name, end| name.trim_end_matches(end));
    // A unit is part of the name, or given beside it.
    let names = [name, name.trim_end_matches("_seconds")].map(|name| format!("\"{name}\""));
    let files = [
        "src/engine/metrics.rs",
        "src/keda/metrics.rs",
        "src/cli/expiry.rs",
        "src/cluster/metrics.rs",
        "src/telemetry/decisions.rs",
    ];
    files.iter().any(|file| names.iter().any(|name| read(file).contains(name)))
}

#[test]
fn alerts_and_dashboard_ask_for_metrics_that_exist() {
    let objects = production_objects();
    let dashboard =
        objects.all("ConfigMap").into_iter().find_map(|map| map["data"]["tidetable.json"].as_str());
    let dashboard: Value = serde_json::from_str(dashboard.unwrap()).unwrap();
    let mut queries: Vec<String> =
        rules(&objects).iter().map(|rule| rule["expr"].as_str().unwrap().to_owned()).collect();
    for panel in dashboard["panels"].as_array().unwrap() {
        let targets = panel["targets"].as_array().unwrap();
        queries.extend(targets.iter().map(|target| target["expr"].as_str().unwrap().to_owned()));
    }
    let metrics = metrics();
    assert!(metrics.len() > 20 && queries.len() > 20 && !is_registered("tidetable_no_such_total"));
    for query in queries {
        let words = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        for metric in words.filter(|word| word.starts_with("tidetable_")) {
            assert!(
                metrics.contains(metric) || is_registered(metric),
                "{metric} of {query:?} is not among {metrics:?}"
            );
        }
    }
}

#[test]
fn prometheus_takes_the_rules_and_they_fire_when_they_should() {
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("rules.yaml");
    fs::write(&rules, production_objects().one("PrometheusRule")["spec"].to_string()).unwrap();
    fs::copy(here("tests/chart/alerts.test.yaml"), folder.path().join("alerts.test.yaml")).unwrap();
    for arguments in [["check", "rules", "rules.yaml"], ["test", "rules", "alerts.test.yaml"]] {
        let output = Command::new(promtool()).current_dir(folder.path()).args(arguments).output().unwrap();
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        assert!(output.status.success(), "{arguments:?}: {}", said.concat());
    }
}

/// Where tests/run.sh and tests/prometheus find it too.
fn promtool() -> PathBuf {
    let named = std::env::var_os("PROMETHEUS_BIN_DIR").map(PathBuf::from);
    let places = named.into_iter().chain([here("target/tools/prometheus/usr/bin")]);
    let found = places.map(|place| place.join("promtool")).find(|tool| tool.is_file());
    found.unwrap_or_else(|| "promtool".into())
}
