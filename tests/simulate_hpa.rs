//! The simulated HPA beside recordings of the genuine controller, evaluation by evaluation.
//!
//! Each row of a recording is fed to the simulator with the clock, the replicas and the readings that the genuine
//! controller had, and what it decides is compared with what was decided then. The simulator keeps its own memory
//! throughout, so one wrong row usually brings more.
//!
//! The recordings are not in the repository. The lane names their folder, and fails where it is empty:
//! `TIDETABLE_HPA_RECORDINGS=… cargo nextest run --run-ignored all simulate_hpa --no-capture`

#![expect(clippy::unwrap_used, reason = "a recording that cannot be read fails the test")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::DateTime;
use serde_json::Value;
use tidetable::simulate::hpa::{
    Behavior, Hpa, Limited, Metric, Outcome, Policy, PolicyKind, Reading, Rules, Scale, SelectPolicy, Spec,
    Target,
};
use tidetable::time::Timestamp;
use tidetable::units::Replicas;

/// The share of rows that must agree, in any one recording and so in all.
const AGREEMENT: f64 = 0.99;

#[test]
#[ignore = "lane `recordings`: needs the folder named by TIDETABLE_HPA_RECORDINGS"]
fn decides_as_the_recorded_controller_did() {
    let folder = std::env::var_os("TIDETABLE_HPA_RECORDINGS")
        .expect("TIDETABLE_HPA_RECORDINGS names the folder of NAME.csv and NAME.json pairs");
    let mut recordings: Vec<PathBuf> = std::fs::read_dir(&folder)
        .expect("TIDETABLE_HPA_RECORDINGS is a folder that can be read")
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    recordings.sort();
    assert!(!recordings.is_empty(), "no recordings in {}", folder.display());

    let (mut matched, mut total, mut poor) = (0, 0, Vec::new());
    for recording in &recordings {
        let (agreed, rows) = replay(recording);
        if f64::from(agreed) < AGREEMENT * f64::from(rows) {
            poor.push(format!("{}: {agreed} of {rows}", recording.display()));
        }
        matched += agreed;
        total += rows;
    }
    println!("{matched} of {total} evaluations agree, in {} recordings", recordings.len());
    assert!(poor.is_empty(), "below {AGREEMENT}:\n{}", poor.join("\n"));
}

/// Rows that agree, and rows.
fn replay(recording: &Path) -> (u32, u32) {
    let meta: Value = serde_json::from_slice(&std::fs::read(recording).unwrap()).unwrap();
    let mut rows = csv::Reader::from_path(recording.with_extension("csv")).unwrap();
    let headers = rows.headers().unwrap().clone();
    let mut hpa = Hpa::new(spec(&meta));
    let (mut matched, mut total) = (0, 0);
    for row in rows.records() {
        let row = row.unwrap();
        let field = |name: &str| {
            row.get(headers.iter().position(|header| header == name).expect("a known column")).unwrap()
        };
        let count = |name: &str| Replicas(field(name).parse().unwrap_or_default());
        let scale =
            Scale { spec: count("spec_before"), status: count("status_before"), ready: count("ready_pods") };
        let readings: Vec<Reading> = (0..hpa.spec.metrics.len())
            .map(|metric| field(&format!("m{metric}_hpa")).parse().map_or(Reading::Failed, Reading::Value))
            .collect();
        let decided = if field("t_decide").is_empty() { field("t") } else { field("t_decide") };
        let outcome = hpa.look(at(decided), scale, &readings);
        if !field("t_write").is_empty() {
            // What was written is taken from the recording, so that one disagreement is counted once.
            hpa.wrote(at(field("t_write")), scale.spec, count("spec_after"));
        }
        let expected = (field("outcome"), field("proposed"), field("desired"));
        // A refused status update leaves the reason of an earlier evaluation behind.
        let limited_known = field("status_written") == "1";
        let (kind, proposed, desired, limited) = told(outcome);
        let agrees = expected == (kind, proposed.as_str(), desired.as_str())
            && (!limited_known || limited.is_none_or(|limited| limited == field("limited")));
        if !agrees {
            println!("{} n={} {outcome:?}, recorded {expected:?}", recording.display(), field("n"));
        }
        matched += u32::from(agrees);
        total += 1;
    }
    (matched, total)
}

/// An outcome in the recording's words.
fn told(outcome: Outcome) -> (&'static str, String, String, Option<&'static str>) {
    match outcome {
        Outcome::Disabled => ("disabled", String::new(), String::new(), None),
        Outcome::Failed => ("error", String::new(), String::new(), None),
        Outcome::Clamped { desired } => ("clamp", String::new(), desired.to_string(), None),
        Outcome::Decided { proposed, desired, limited, failed, .. } => {
            let limited = match limited {
                Limited::DesiredWithinRange => "DesiredWithinRange",
                Limited::TooFewReplicas => "TooFewReplicas",
                Limited::TooManyReplicas => "TooManyReplicas",
                Limited::ScaleUpLimit => "ScaleUpLimit",
                Limited::ScaleDownLimit => "ScaleDownLimit",
            };
            let kind = if failed == 0 { "ok" } else { "partial" };
            (kind, proposed.to_string(), desired.to_string(), Some(limited))
        }
    }
}

fn at(seconds: &str) -> Timestamp {
    let seconds: f64 = seconds.parse().unwrap();
    #[expect(clippy::cast_possible_truncation, reason = "recordings last minutes")]
    DateTime::from_timestamp_millis((seconds * 1000.0).round() as i64).unwrap()
}

fn spec(meta: &Value) -> Spec {
    let hpa = &meta["hpa"];
    let seconds = |value: &Value| value.as_u64().map(Duration::from_secs);
    Spec {
        min: Replicas(number(&hpa["min_replicas"])),
        max: Replicas(number(&hpa["max_replicas"])),
        metrics: hpa["metrics"].as_array().unwrap().iter().map(metric).collect(),
        behavior: (!hpa["behavior"].is_null()).then(|| Behavior {
            up: rules(&hpa["behavior"]["scaleUp"]),
            down: rules(&hpa["behavior"]["scaleDown"]),
        }),
        tolerance: meta["controller"]["tolerance"].as_f64().unwrap(),
        downscale_window: seconds(&meta["controller"]["downscale_stabilization_seconds"]).unwrap(),
    }
}

fn metric(metric: &Value) -> Metric {
    let target = metric["target_milli"].as_u64().unwrap();
    let target = match metric["target_type"].as_str().unwrap() {
        "AverageValue" => Target::PerPod(target),
        "Value" => Target::InAll(target),
        other => panic!("target type {other}"),
    };
    Metric { target }
}

fn rules(rules: &Value) -> Rules {
    Rules {
        tolerance: rules["tolerance"].as_str().map(|text| match text.strip_suffix('m') {
            Some(milli) => milli.parse::<f64>().unwrap() / 1000.0,
            None => text.parse().unwrap(),
        }),
        window: rules["stabilizationWindowSeconds"].as_u64().map(Duration::from_secs),
        select: match rules["selectPolicy"].as_str().unwrap() {
            "Max" => SelectPolicy::Max,
            "Min" => SelectPolicy::Min,
            "Disabled" => SelectPolicy::Disabled,
            other => panic!("select policy {other}"),
        },
        policies: rules["policies"]
            .as_array()
            .unwrap()
            .iter()
            .map(|policy| Policy {
                kind: match policy["type"].as_str().unwrap() {
                    "Pods" => PolicyKind::Pods,
                    "Percent" => PolicyKind::Percent,
                    other => panic!("policy {other}"),
                },
                amount: number(&policy["value"]),
                period: Duration::from_secs(policy["periodSeconds"].as_u64().unwrap()),
            })
            .collect(),
    }
}

fn number(value: &Value) -> u32 {
    u32::try_from(value.as_u64().unwrap()).unwrap()
}
