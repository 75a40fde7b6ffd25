//! Reads a recording: a table of evaluations and the description of what was recorded. Columns and keys that are not
//! known are not looked at.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tidetable::simulate::hpa::{
    Behavior, Metric, Policy, PolicyKind, Reading, Rules, SelectPolicy, Spec, Target,
};
use tidetable::simulate::keda::{Answer, Caching, Fallback, FallbackBehavior, ScaledObject, Trigger};
use tidetable::time::Timestamp;
use tidetable::units::Replicas;

/// One recorded run.
pub(crate) struct Recording {
    pub(crate) name: String,
    pub(crate) spec: Spec,
    pub(crate) scaled_object: ScaledObject,
    pub(crate) initial: Replicas,
    pub(crate) scripts: Vec<Vec<(f64, Answer)>>,
    /// When KEDA polled.
    pub(crate) polls: Vec<f64>,
    /// When a write of KEDA's was done. What it wrote is for the simulated KEDA to find.
    pub(crate) keda_writes: Vec<f64>,
    /// What somebody wrote by hand.
    pub(crate) manual: Vec<(f64, Replicas)>,
    /// A Deployment or a person acted while it was recorded.
    pub(crate) others_act: bool,
    pub(crate) rows: Vec<Row>,
    start: f64,
}

/// One recorded evaluation.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) n: u32,
    pub(crate) began: f64,
    pub(crate) read: Option<f64>,
    pub(crate) decided: f64,
    pub(crate) written: Option<f64>,
    pub(crate) spec: Replicas,
    pub(crate) status: Replicas,
    pub(crate) ready: Replicas,
    pub(crate) readings: Vec<Reading>,
    /// KEDA failed the read of this metric without asking the scaler.
    pub(crate) not_asked: Vec<bool>,
    pub(crate) outcome: String,
    pub(crate) proposed: Option<Replicas>,
    pub(crate) desired: Option<Replicas>,
    pub(crate) spec_after: Replicas,
    /// The reason of `ScalingLimited`; `None` where the status of an earlier evaluation stood.
    pub(crate) limited: Option<String>,
}

/// Every recording in `folder`, by name.
pub(crate) fn all_in(folder: &Path) -> Vec<Recording> {
    let mut pairs: BTreeMap<String, PathBuf> = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        if let Some(name) = file.strip_suffix(".gz").unwrap_or(&file).strip_suffix(".json") {
            pairs.insert(name.to_owned(), path);
        }
    }
    pairs.into_iter().map(|(name, description)| Recording::read(&name, &description)).collect()
}

/// The text of a file, unpacked if its name says that it is packed.
fn text(path: &Path) -> Vec<u8> {
    let packed = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    if path.extension().is_none_or(|extension| extension != "gz") {
        return packed;
    }
    let mut text = Vec::new();
    flate2::read::MultiGzDecoder::new(packed.as_slice()).read_to_end(&mut text).unwrap();
    text
}

impl Recording {
    fn read(name: &str, description: &Path) -> Self {
        let meta: Value = serde_json::from_slice(&text(description)).unwrap();
        let table = ["csv", "csv.gz"].map(|ending| description.with_file_name(format!("{name}.{ending}")));
        let table = table.iter().find(|path| path.exists()).unwrap_or_else(|| panic!("no table for {name}"));
        let triggers = list(&meta["triggers"]);
        let events = list(&meta["scripted_events"]);
        let writes = list(&meta["observed"]["other_scale_writes"]);
        let spec = spec(&meta);
        Self {
            name: name.to_owned(),
            rows: rows(&text(table), spec.metrics.len()),
            scaled_object: scaled_object(&meta, &spec),
            spec,
            initial: Replicas(number(&meta["deployment"]["initial_replicas"])),
            scripts: triggers.iter().map(script).collect(),
            polls: list(&meta["observed"]["keda_polls"]).iter().map(instant).collect(),
            keda_writes: writes.iter().filter(|write| write["by"] == "keda").map(instant).collect(),
            manual: writes
                .iter()
                .filter(|write| write["by"] != "keda")
                .map(|write| (instant(write), Replicas(number(&write["replicas"]))))
                .collect(),
            others_act: !events.is_empty(),
            start: meta["observed"]["start_unix"].as_f64().unwrap_or_default(),
        }
    }

    /// An instant of the recording on the clock by which KEDA truncates.
    pub(crate) fn at(&self, seconds: f64) -> Timestamp {
        #[expect(clippy::cast_possible_truncation, reason = "recordings are of this century")]
        chrono::DateTime::from_timestamp_millis(((self.start + seconds) * 1000.0).round() as i64).unwrap()
    }

    /// What each scripted scaler says at `seconds`.
    pub(crate) fn answers(&self, seconds: f64) -> Vec<Answer> {
        let said = |script: &Vec<(f64, Answer)>| {
            script
                .iter()
                .rev()
                .find(|(from, _)| *from <= seconds)
                .map_or(Answer::Failed, |(_, answer)| *answer)
        };
        self.scripts.iter().map(said).collect()
    }
}

fn script(trigger: &Value) -> Vec<(f64, Answer)> {
    let answer = |step: &Value| match step["error"]["rpc"].as_str() {
        None => Answer::Said {
            reading: step["value"].as_f64().unwrap_or(f64::NAN),
            active: step["active"].as_bool().unwrap_or(true),
        },
        Some("GetMetricSpec") => Answer::Unreachable,
        Some(_) => Answer::Failed,
    };
    list(&trigger["script"]).iter().map(|step| (step["t"].as_f64().unwrap(), answer(step))).collect()
}

fn rows(table: &[u8], metrics: usize) -> Vec<Row> {
    let mut reader = csv::Reader::from_reader(table);
    let headers = reader.headers().unwrap().clone();
    let rows = reader.records().map(|row| {
        let row = row.unwrap();
        let field = |name: &str| -> String {
            let column = headers.iter().position(|header| header == name);
            let column = column.unwrap_or_else(|| panic!("no column {name}"));
            row.get(column).unwrap().to_owned()
        };
        let seconds = |name: &str| field(name).parse::<f64>().ok();
        let count = |name: &str| field(name).parse::<u32>().ok().map(Replicas);
        let began = seconds("t").unwrap();
        Row {
            n: field("n").parse().unwrap(),
            began,
            read: seconds("t_read"),
            decided: seconds("t_decide").unwrap_or(began),
            written: seconds("t_write"),
            spec: count("spec_before").unwrap(),
            status: count("status_before").unwrap_or_default(),
            ready: count("ready_pods").unwrap_or_default(),
            readings: (0..metrics)
                .map(|metric| {
                    field(&format!("m{metric}_hpa")).parse().map_or(Reading::Failed, Reading::Value)
                })
                .collect(),
            not_asked: (0..metrics)
                .map(|metric| field(&format!("m{metric}_scaler")) == "NOT_ASKED")
                .collect(),
            outcome: field("outcome"),
            proposed: count("proposed"),
            desired: count("desired"),
            spec_after: count("spec_after").unwrap(),
            limited: (field("status_written") == "1").then(|| field("limited")),
        }
    });
    rows.collect()
}

fn scaled_object(meta: &Value, spec: &Spec) -> ScaledObject {
    let said = &meta["scaled_object"];
    let caching = match said["use_cached_metrics"].as_bool() {
        Some(true) => Caching::FromLastPoll,
        _ => Caching::AskEachTime,
    };
    let fallback = &said["fallback"];
    ScaledObject {
        min: Replicas(number(&said["min_replica_count"])),
        idle: said["idle_replica_count"].as_u64().map(|_| Replicas(number(&said["idle_replica_count"]))),
        cooldown: seconds(&said["cooldown_period_seconds"]).unwrap_or(ScaledObject::COOLDOWN),
        fallback: (!fallback.is_null()).then(|| Fallback {
            failure_threshold: number(&fallback["failureThreshold"]),
            replicas: Replicas(number(&fallback["replicas"])),
            behavior: match fallback["behavior"].as_str() {
                None | Some("static") => FallbackBehavior::Static,
                Some("currentReplicas") => FallbackBehavior::CurrentReplicas,
                Some("currentReplicasIfHigher") => FallbackBehavior::CurrentReplicasIfHigher,
                Some("currentReplicasIfLower") => FallbackBehavior::CurrentReplicasIfLower,
                Some(other) => panic!("fallback behavior {other}"),
            },
        }),
        triggers: spec.metrics.iter().map(|metric| Trigger { target: metric.target, caching }).collect(),
    }
}

fn spec(meta: &Value) -> Spec {
    let hpa = &meta["hpa"];
    Spec {
        min: Replicas(number(&hpa["min_replicas"])),
        max: Replicas(number(&hpa["max_replicas"])),
        metrics: list(&hpa["metrics"]).iter().map(metric).collect(),
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
        window: seconds(&rules["stabilizationWindowSeconds"]),
        select: match rules["selectPolicy"].as_str().unwrap() {
            "Max" => SelectPolicy::Max,
            "Min" => SelectPolicy::Min,
            "Disabled" => SelectPolicy::Disabled,
            other => panic!("select policy {other}"),
        },
        policies: list(&rules["policies"]).iter().map(policy).collect(),
    }
}

fn policy(policy: &Value) -> Policy {
    Policy {
        kind: match policy["type"].as_str().unwrap() {
            "Pods" => PolicyKind::Pods,
            "Percent" => PolicyKind::Percent,
            other => panic!("policy {other}"),
        },
        amount: number(&policy["value"]),
        period: seconds(&policy["periodSeconds"]).unwrap(),
    }
}

fn instant(event: &Value) -> f64 {
    event["t"].as_f64().unwrap()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn seconds(value: &Value) -> Option<Duration> {
    value.as_u64().map(Duration::from_secs)
}

fn number(value: &Value) -> u32 {
    u32::try_from(value.as_u64().unwrap()).unwrap()
}
