//! `tidetable import`, as it is typed.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Output};

use tidetable::engine::Demand;

use super::*;
use crate::server::Prometheus;

fn import(folder: &Path, arguments: &[&str]) -> Output {
    let config = folder.join("tidetable.yaml");
    if !config.exists() {
        std::fs::write(&config, config_text(&folder.join("archive"), "15m")).unwrap();
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidetable"));
    command.args(["import", "--target", "payments-api", "--config"]).arg(config).args(arguments);
    command.env_remove("TIDETABLE_CONFIG").output().unwrap()
}

fn said(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Asserts that it went well and said this one line, and nothing on standard error.
fn assert_said(output: &Output, line: &str) {
    assert_eq!(
        (said(&output.stdout).as_str(), said(&output.stderr).as_str()),
        (format!("{line}\n").as_str(), "")
    );
    assert_eq!(output.status.code(), Some(0));
}

/// From noon of the day before `first` to noon of the day after the last, stamped at the end of each slot.
fn csv(first: &str, count: usize) -> String {
    let step = target("15m").demands[0].step;
    let slots = span(step, first, count);
    let mut text = String::from("timestamp,value\n");
    for slot in (slots.start.0 - 48..slots.end.0 + 48).map(Slot) {
        let load = truth(slot).map_or_else(String::new, |load| load.get().to_string());
        writeln!(text, "{},{load}", step.end(slot).timestamp()).unwrap();
    }
    text
}

#[tokio::test]
async fn a_file_is_imported_day_by_day_and_again_only_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("load.csv.gz");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(csv("2026-01-15", 70).as_bytes()).unwrap();
    std::fs::write(&input, gzip.finish().unwrap()).unwrap();
    let arguments = ["--from", "csv", "--stamp", "end", "--input", input.to_str().unwrap()];
    let line = "payments-api: 70 days written, 2 not whole and left out; 1 month rolled up";
    assert_said(&import(folder.path(), &arguments), line);

    let home = folder.path().join("archive");
    std::fs::remove_file(file(&home, "day-2026-03-10.parquet")).unwrap();
    let line = "payments-api: 1 day written, 69 there already, 2 not whole and left out";
    assert_said(&import(folder.path(), &arguments), line);

    let target = target("15m");
    let step = target.demands[0].step;
    let recalled = recall(&open(&home), &target, &span(step, "2026-01-01", 100)).await;
    assert_eq!((recalled.days, recalled.passed_over.len()), (70, 0));
    assert_true(&recalled, step);
}

#[test]
fn a_span_can_be_chosen() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("load.csv");
    std::fs::write(&input, csv("2026-01-15", 20)).unwrap();
    let input = input.to_str().unwrap();
    let chosen = ["--since", "2026-01-20T00:00:00Z", "--until", "2026-01-25T06:00:00Z"];
    let arguments = [["--from", "csv", "--stamp", "end", "--input", input].as_slice(), &chosen].concat();
    let line = "payments-api: 5 days written, 1 not whole and left out";
    assert_said(&import(folder.path(), &arguments), line);
    let backwards = ["--from", "csv", "--input", input, "--since", "10d", "--until", "20d"];
    let ended = import(folder.path(), &backwards);
    assert_eq!(ended.status.code(), Some(2), "{ended:?}");
    assert!(String::from_utf8(ended.stderr).unwrap().contains("is not before --until"));
    // What has not settled is not kept, whatever the file says.
    let line = "payments-api: 0 days written";
    let future = ["--from", "csv", "--stamp", "end", "--input", input, "--since", "1s"];
    assert_said(&import(folder.path(), &future), line);
}

#[tokio::test]
async fn the_targets_own_source_is_imported_as_far_back_as_it_reaches() {
    let folder = tempfile::tempdir().unwrap();
    let target = target("15m");
    let step = target.demands[0].step;
    // From noon of the 5th to the last midnight of the 7th.
    let slots = span(step, "2026-01-05", 3);
    let mut text = "# TYPE payments gauge\n".to_owned();
    for slot in (slots.start.0 + 48..slots.end.0).map(Slot) {
        if let Some(load) = truth(slot) {
            writeln!(text, "payments {} {}", load.get(), step.end(slot).timestamp()).unwrap();
        }
    }
    let prometheus = Prometheus::start(&(text + "# EOF"), &[]);
    let query = "max_over_time(payments[899s])";
    let config = config_text(&folder.path().join("archive"), "15m")
        .replace("http://127.0.0.1:9", &prometheus.url())
        .replace(&target.demands[0].query, query);
    std::fs::write(folder.path().join("tidetable.yaml"), config).unwrap();
    let arguments =
        ["--from", "prometheus", "--since", "2026-01-04T00:00:00Z", "--until", "2026-01-09T00:00:00Z"];
    let line = "payments-api: 3 days written, 2 without a measurement";
    assert_said(&import(folder.path(), &arguments), line);
    let line = "payments-api: 0 days written, 3 there already, 2 without a measurement";
    assert_said(&import(folder.path(), &arguments), line);

    let target =
        Target { demands: vec![Demand { query: query.to_owned(), ..target.demands[0].clone() }], ..target };
    let recalled = recall(&open(&folder.path().join("archive")), &target, &slots).await;
    assert_eq!((recalled.days, recalled.samples.len()), (3, 3 * 96));
    assert!(recalled.samples[..48].iter().all(|sample| sample.load.is_none()));
    let measured = Recalled { samples: recalled.samples[48..].to_vec(), ..Recalled::default() };
    assert_true(&measured, step);
}

#[test]
fn mistakes_are_named_with_a_remedy_and_an_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("load.csv");
    std::fs::write(&input, "timestamp,value\n0,1\n60,2\n120,3\n").unwrap();
    let input = input.to_str().unwrap();
    for (arguments, code, remedy) in [
        (&["--from", "csv"][..], 2, "--input"),
        (&["--from", "s3"], 2, "possible values"),
        (&["--from", "prometheus", "--input", input], 2, "leave it out"),
        (&["--from", "prometheus", "--since", "yesterday"], 2, "such as 400d"),
        (&["--from", "csv", "--input", "/nowhere.csv"], 1, "check the path"),
        (&["--from", "csv", "--input", input], 1, "rows are 1m apart and the step of payments-api is 15m"),
        (&["--from", "prometheus", "--since", "3d"], 1, "run the same command again"),
    ] {
        let output = import(folder.path(), arguments);
        let error = said(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{error}");
        assert!(error.contains(remedy) && output.stdout.is_empty(), "{error}");
    }
    let wrong = folder.path().join("wrong.yaml");
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidetable"));
    command.args(["import", "--from", "prometheus", "--target", "orders", "--config"]).arg(&wrong);
    let text = config_text(folder.path(), "15m");
    for (text, remedy) in [
        (text.clone(), "has no target \"orders\"; targets are: payments-api"),
        (
            text.replace("payments-api:", "orders:").replace("history:", "#"),
            "names no archive to import into",
        ),
        (text.replace("min: 3", "min: 300"), "lower min or raise max"),
        (
            text.replace("payments-api:", "orders:")
                .replace("demand: {", "demand: [{ source: main, query: up, name: queue }, {")
                .replace("unit: tx/s }", "unit: tx/s }]"),
            "orders has several demands; give --demand with one of: demand-2, queue",
        ),
    ] {
        std::fs::write(&wrong, text).unwrap();
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(said(&output.stderr).contains(remedy), "{}", said(&output.stderr));
    }
}
