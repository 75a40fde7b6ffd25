//! `tidetable backtest` as an operator and as a machine use it.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use super::fortnight::recorded;

/// Counts by five minutes, as a CSV.
fn csv(days: i64) -> String {
    let recorded = recorded(days);
    let step = recorded.step();
    let mut text = String::from("timestamp,value\n");
    let points: Vec<_> = recorded.points().collect();
    for five in points.chunks(5) {
        let count: f64 = five.iter().map(|(_, load)| load.get() * 60.0).sum();
        writeln!(text, "{},{count:.0}", step.start(five[0].0).format("%Y-%m-%dT%H:%M:%SZ")).unwrap();
    }
    text
}

fn backtest(folder: &Path, flags: &str) -> Output {
    let line = "backtest --input load.csv --capacity 36000 --per 5m --min 3 --timezone America/New_York \
                --from 2026-05-15T12:00:00Z --quantiles 0.9 --utilizations 0.8,0.9";
    Command::new(env!("CARGO_BIN_EXE_tidetable"))
        .current_dir(folder)
        .args(line.split_whitespace())
        .args(flags.split('|').filter(|flag| !flag.is_empty()))
        .env_remove("TIDETABLE_CONFIG")
        .output()
        .unwrap()
}

/// The same for the target of a configuration, which says this of `growth`.
fn configured(folder: &Path, growth: &str, flags: &str) -> (Output, Value) {
    let config = format!(
        "sources: {{ main: {{ prometheus: {{ url: 'http://127.0.0.1:9' }} }} }}
targets:
  payments-api:
    scaledObject: payments/payments-api
    demand: {{ source: main, query: 'sum(rate(payments_total[2m]))', step: 1m }}
    capacity: {{ perReplica: 36000 }}
    replicas: {{ min: 3, max: 200 }}
    leadTime: 2m
    timezone: America/New_York
{growth}"
    );
    std::fs::write(folder.join("tidetable.yaml"), config).unwrap();
    let line = "backtest --config tidetable.yaml --input load.csv --per 5m --quantiles 0.9 --utilizations 0.8 \
                --from 2026-05-15T12:00:00Z --to 2026-05-15T15:00:00Z --output out.json";
    let ended = Command::new(env!("CARGO_BIN_EXE_tidetable"))
        .current_dir(folder)
        .args(line.split_whitespace())
        .args(flags.split('|').filter(|flag| !flag.is_empty()))
        .output()
        .unwrap();
    let json = std::fs::read(folder.join("out.json")).unwrap_or_else(|_| panic!("{ended:?}"));
    (ended, serde_json::from_slice(&json).unwrap())
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("load.csv"), csv(15)).unwrap();
    folder
}

#[test]
fn a_file_and_a_capacity_are_enough_and_twice_is_the_same_bytes() {
    let folder = folder();
    let run = |name: &str| {
        let ended =
            backtest(folder.path(), &format!("--report|{name}.html|--output|{name}.json|--price|0.05"));
        assert_eq!(ended.status.code(), Some(0), "{}", String::from_utf8_lossy(&ended.stderr));
        let read =
            |ending: &str| std::fs::read_to_string(folder.path().join(format!("{name}.{ending}"))).unwrap();
        (String::from_utf8(ended.stdout).unwrap(), read("html"), read("json"))
    };
    let (table, report, json) = run("one");
    let again = run("two");
    assert_eq!((&table, &report, &json), (&again.0, &again.1, &again.2));

    assert!(table.contains("tidetable, quantile 0.95"), "{table}");
    assert!(table.contains("a step of 300 s: what load does within a step is interpolated"), "{table}");

    for outside in ["src=", "href=", "url(", "@import", "http"] {
        assert!(!report.contains(outside), "the report reaches outside by {outside}");
    }
    for part in [
        "<svg",
        "late pods, by policy",
        "The worst moments",
        "perfect foresight",
        "prefers-color-scheme:dark",
    ] {
        assert!(report.contains(part), "{part}");
    }

    let json: Value = serde_json::from_str(&json).unwrap();
    let target = &json["targets"][0];
    assert_eq!((&json["format"], &json["partial"]), (&Value::from(2), &Value::from(false)));
    let policies: Vec<&str> =
        target["policies"].as_array().unwrap().iter().map(|it| it["policy"].as_str().unwrap()).collect();
    assert_eq!(policies, ["tidetable", "reactive", "reactive_tuned", "cron", "static_peak", "foresight"]);
    let number = |policy: usize, key: &str| target["policies"][policy][key].as_f64().unwrap();
    assert!((number(5, "hours_ratio") - 1.0).abs() < 1e-12);
    assert!((number(0, "cost") - 0.05 * number(0, "replica_hours")).abs() < 1e-9);
    assert!(
        number(0, "late_pod_minutes") < number(2, "late_pod_minutes"),
        "ours is less late than a tuned HPA"
    );
    assert!((number(0, "transactions") - number(1, "transactions")).abs() < 1e-6, "all bear the same");
    assert_eq!(target["frontier"].as_array().unwrap().len(), 4);
    assert!(target["forecast"]["wql"].as_f64().unwrap() < 0.2);
}

#[test]
fn a_row_that_can_be_no_load_is_left_out_and_said_and_the_rest_is_what_it_was() {
    let folder = folder();
    let load = folder.path().join("load.csv");
    let run = || {
        let ended = backtest(folder.path(), "--to|2026-05-15T14:00:00Z");
        assert_eq!(ended.status.code(), Some(0), "{}", String::from_utf8_lossy(&ended.stderr));
        String::from_utf8(ended.stdout).unwrap()
    };
    let others = |table: &str| {
        let rows = ["reactive HPA at", "KEDA cron", "perfect foresight"];
        let rows = table.lines().filter(|line| rows.iter().any(|row| line.contains(row)));
        rows.map(str::to_owned).collect::<Vec<_>>()
    };
    let clean = run();
    let text = std::fs::read_to_string(&load).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let (stamp, _) = lines[3000].split_once(',').unwrap();
    lines[3000] = format!("{stamp},18446744073709551615");
    std::fs::write(&load, lines.join("\n")).unwrap();
    let wrapped = run();
    assert!(wrapped.contains("can be no load and is left out; look for a counter that wrapped"), "{wrapped}");
    assert_eq!((others(&wrapped).len(), others(&wrapped)), (3, others(&clean)), "{wrapped}");
}

#[test]
fn a_time_in_which_nothing_was_measured_passes_no_gate() {
    let folder = folder();
    let rows = csv(15);
    let holed: Vec<String> = rows
        .lines()
        .map(|row| if row.starts_with("2026-05-15") { format!("{},NaN", &row[..20]) } else { row.to_owned() })
        .collect();
    std::fs::write(folder.path().join("load.csv"), holed.join("\n")).unwrap();
    let ended = backtest(folder.path(), "--to|2026-05-15T20:00:00Z|--fail-if|failed_share > 0.001");
    assert_eq!(ended.status.code(), Some(2), "{ended:?}");
    let said = String::from_utf8(ended.stderr).unwrap();
    assert!(
        said.contains("nothing of load was measured between") && said.contains("choose another"),
        "{said}"
    );
}

#[test]
fn a_gate_exits_with_1_where_its_condition_holds_and_with_2_where_it_is_wrong() {
    let folder = folder();
    let code = |condition: &str| {
        let ended = backtest(folder.path(), &format!("--to|2026-05-15T14:00:00Z|--fail-if|{condition}"));
        (ended.status.code(), String::from_utf8(ended.stderr).unwrap())
    };
    assert_eq!(code("replica_hours < 0"), (Some(0), String::new()));
    let (failed, said) = code("replica_hours > 1");
    assert_eq!(failed, Some(1));
    assert!(said.starts_with("tidetable: load fails: tidetable.replica_hours > 1 ("), "{said}");
    let (unpriced, said) = code("cost > 1");
    assert_eq!(unpriced, Some(2));
    assert!(said.contains("tidetable.cost is not known without a price; give --price"), "{said}");
    assert_eq!(code("failed_shore > 1").0, Some(2));
}

#[test]
fn the_cluster_grows_as_the_configuration_says_and_a_flag_that_says_otherwise_is_noted() {
    let folder = folder();
    let slow = "    growth: { podsPerMinute: 1, scaleUp: { policies: [{ type: Pods, value: 4, periodSeconds: 60 }] } }\n";
    let run = |growth: &str, flags: &str| {
        let (ended, json) = configured(folder.path(), growth, flags);
        assert_eq!(ended.status.code(), Some(0), "{ended:?}");
        (String::from_utf8(ended.stdout).unwrap(), json["targets"][0].clone())
    };
    let late =
        |target: &Value, policy: usize| target["policies"][policy]["late_pod_minutes"].as_f64().unwrap();
    let said = |target: &Value| {
        let settings = &target["settings"];
        let keys = ["behavior", "pods_per_minute", "growth_as_planned"];
        keys.map(|key| settings[key].clone())
    };
    let (_, free) = run("", "");
    let (table, limited) = run(slow, "");
    assert_eq!(said(&free), [Value::from("recommended"), Value::Null, Value::from(true)]);
    assert_eq!(said(&limited), [Value::from("configured"), Value::from(1.0), Value::from(true)]);
    assert!(!table.contains("cluster has another"), "{table}");
    // A reactive HPA opens at half past nine with a pod a minute, as production would.
    assert!(late(&limited, 1) > 1.5 * late(&free, 1), "{} against {}", late(&limited, 1), late(&free, 1));
    let (table, otherwise) = run(slow, "--pods-per-minute|60|--behavior|recommended");
    assert_eq!(said(&otherwise), [Value::from("recommended"), Value::from(60.0), Value::from(false)]);
    assert!(table.contains("cluster has another, by --behavior or --pods-per-minute"), "{table}");
}

#[test]
fn what_was_known_ahead_is_told_beside_the_numbers() {
    let folder = folder();
    let (ended, json) = configured(folder.path(), "    calendars: [us-fed, nyse]\n", "");
    let (table, known) =
        (String::from_utf8(ended.stdout).unwrap(), "known ahead, to tidetable alone: calendars us-fed, nyse");
    assert!(table.contains(known), "{table}");
    assert_eq!(json["targets"][0]["settings"]["remarks"], serde_json::json!([known]));
}

#[test]
fn what_cannot_be_replayed_is_said_with_a_remedy() {
    let folder = folder();
    for (flags, remedy) in [
        ("--to|2026-05-01T00:00:00Z", "choose --from and --to within"),
        ("--report|nowhere/report.html", "cannot be written"),
        ("--target|a", "give --config"),
        ("--config|nowhere.yaml", "cannot be used with"),
        ("--input|other.csv", "--input load=FILE"),
        ("--utilization|0", "a number above 0"),
        ("--cpu-target|70", "write 0.7 for 70 %"),
        ("--max|2", "--min 3 is above --max 2; choose a --max of at least 3"),
        ("--lead-time|72h", "a lead time is from 1s to 6h"),
        ("--lead-time|0s", "a lead time is from 1s to 6h"),
        ("--fail-if|cron.wql > 1", "cron makes no forecast"),
    ] {
        let ended = backtest(folder.path(), flags);
        let said = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(2), "{flags}: {said}");
        assert!(said.to_lowercase().contains(&remedy.to_lowercase()), "{flags}: {said}");
    }
}
