//! `tidetable calendar` and the calendar flags of `tidetable forecast`, as an operator uses them.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

const CONFIG: &str = "
events:
  - { name: phone launch, at: 2026-11-27T11:00:00, timezone: Asia/Kolkata, uplift: { expected: 6, upper: 12 }, ramp: 5m, hold: 45m, decay: 2h }
calendars:
  our-freeze: { title: Freeze, dates: [2026-12-01] }
sources: { main: { prometheus: { url: http://prometheus:9090 } } }
targets:
  api:
    scaledObject: payments/api
    demand: { source: main, query: up }
    capacity: { perReplica: 120 }
    replicas: { min: 3, max: 200 }
    timezone: America/New_York
    calendars: [us-payroll-semi-monthly, nyse, us-fed, our-freeze]
";

fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("tidetable.yaml"), CONFIG).expect("a file");
    folder
}

fn run(folder: &TempDir, line: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidetable"));
    command.args(line.split_whitespace()).current_dir(folder.path()).env_remove("TIDETABLE_CONFIG");
    command.output().expect("the binary runs")
}

fn printed(folder: &TempDir, line: &str) -> String {
    let Output { status, stdout, stderr } = run(folder, line);
    assert!(status.success() && stderr.is_empty(), "{line}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).expect("text")
}

fn refused(folder: &TempDir, line: &str) -> String {
    let Output { status, stdout, stderr } = run(folder, line);
    assert!(stdout.is_empty(), "{line}");
    let code = status.code().expect("it was not killed");
    format!("$ tidetable {line}\n{}exit {code}\n", String::from_utf8(stderr).expect("text"))
}

fn reference(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/calendars").join(name);
    let mut text = String::new();
    let file = fs::File::open(path).expect("the table");
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).expect("gzip");
    text
}

#[test]
fn the_sessions_of_an_exchange_are_printed_like_the_reference_table_to_the_byte() {
    let folder = folder();
    for (name, mic) in [("nyse", "xnys"), ("lse", "xlon"), ("xetra", "xetr"), ("tse", "xtks")] {
        let line = format!("calendar show {name} --from 2015-01-01 --to 2028-01-01 --format csv");
        let table = reference(&format!("{mic}_sessions.csv.gz")).replace("\r\n", "\n");
        assert!(printed(&folder, &line) == table, "{name}");
    }
}

#[test]
fn dates_are_shown_as_a_table_as_csv_and_as_json() {
    let folder = folder();
    let year = "--from 2026-06-01 --to 2026-07-10";
    let shown = [
        format!("calendar show us-payroll-semi-monthly {year}"),
        format!("calendar show us-fed {year} --format csv"),
        "calendar show hkex --from 2026-02-16 --to 2026-02-21".to_owned(),
        "calendar show in-nse --from 2026-12-20 --to 2027-02-01 --format json".to_owned(),
        "calendar show our-freeze --from 2026-01-01 --to 2027-01-01 --format csv --config tidetable.yaml"
            .to_owned(),
        "calendar show in-nse --from 2026-12-20 --to 2027-02-01".to_owned(),
    ]
    .map(|line| format!("$ tidetable {line}\n{}\n", printed(&folder, &line)));
    insta::assert_snapshot!(shown.concat());
}

#[test]
fn every_calendar_is_listed_with_the_age_of_its_tables() {
    let folder = folder();
    let shipped = printed(&folder, "calendar list");
    insta::assert_snapshot!(shipped.replace(chrono_tz::IANA_TZDB_VERSION, "VERSION"));
    let with_own = printed(&folder, "calendar list --config tidetable.yaml --format csv");
    assert!(with_own.contains("\nour-freeze,recurring,,UTC,Freeze\n"), "{with_own}");
    assert!(!shipped.contains("our-freeze"));
}

#[test]
fn what_is_coming_for_a_target_is_told_with_its_effect() {
    let folder = folder();
    let line = "calendar next api --config tidetable.yaml --from 2026-11-25T12:00:00Z --within 6d";
    insta::assert_snapshot!("next", printed(&folder, line));
    let json = printed(&folder, &format!("{line} --format json"));
    let rows: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let launch = rows.as_array().expect("a list").iter().find(|row| row["name"] == "phone launch");
    assert_eq!(launch.expect("the launch")["upper"], "12");
}

#[test]
fn what_a_declared_peak_needs_and_how_much_of_it_the_maximum_leaves_out_is_told() {
    let folder = folder();
    let declared = CONFIG.replace("uplift: { expected: 6, upper: 12 }", "peak: 36000");
    fs::write(folder.path().join("tidetable.yaml"), &declared).expect("a file");
    let line =
        "calendar next api --config tidetable.yaml --from 2026-11-25T12:00:00Z --within 6d --format json";
    let launch = || {
        let rows: serde_json::Value = serde_json::from_str(&printed(&folder, line)).expect("JSON");
        let rows = rows.as_array().expect("a list");
        let launch = rows.iter().find(|row| row["name"] == "phone launch").expect("the launch").clone();
        let bell = rows.iter().find(|row| row["name"] == "nyse open").expect("the bell");
        assert!(
            bell["replicas"].is_null() && bell["missing"].is_null(),
            "of a multiple it is not known: {bell}"
        );
        launch
    };
    assert_eq!(launch()["replicas"], "300");
    assert_eq!(launch()["missing"], "100");
    let raised = declared.replace("max: 200", "max: 400");
    fs::write(folder.path().join("tidetable.yaml"), raised).expect("a file");
    assert_eq!(launch()["missing"], "0");
}

#[test]
fn what_is_not_there_is_refused_with_a_remedy() {
    let folder = folder();
    let said = [
        "calendar show nise",
        "calendar show nyse --from 2027-01-01 --to 2026-01-01",
        "calendar show nyse --from 1492-01-01",
        "calendar next apy --config tidetable.yaml",
        "calendar next api --config tidetable.yaml --within 500d",
        "calendar next api --config nowhere.yaml",
    ]
    .map(|line| refused(&folder, line));
    insta::assert_snapshot!("refused", said.join("\n"));
}

/// Three weeks of a load that repeats, hour by hour.
fn load() -> String {
    let start = chrono::DateTime::parse_from_rfc3339("2026-11-01T00:00:00Z").expect("an instant");
    let rows = (0..21 * 24).map(|hour| {
        let at = start + chrono::TimeDelta::hours(hour);
        format!("{},{}\n", at.to_rfc3339(), 100 + (hour % 24) * 10)
    });
    "timestamp,value\n".to_owned() + &rows.collect::<String>()
}

#[test]
fn a_forecast_takes_calendars_and_files_of_events_and_names_their_mistakes() {
    let folder = folder();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("a file");
    write("load.csv", &load());
    write("events.csv", "name,at\nlaunch,2026-11-22T05:00:00\n");
    write("events.yaml", "- { name: launch, at: 2026-11-22T05:00:00Z, uplift: { expected: 2, upper: 3 } }\n");
    write("wrong.csv", "name,at\nlaunch,soon\n");
    for events in ["events.csv", "events.yaml"] {
        let line =
            format!("forecast --input load.csv --calendars us-fed,nyse --events {events} --horizon 3h");
        assert_eq!(printed(&folder, &line).lines().count(), 4, "{line}");
    }
    let said = [
        "forecast --input load.csv --calendars nyse,us-fde",
        "forecast --input load.csv --events wrong.csv",
        "forecast --input load.csv --events nowhere.ics",
        "forecast --input load.csv --events load.csv",
        "forecast --input load.csv --events events.csv --output events.csv",
    ]
    .map(|line| refused(&folder, line));
    insta::assert_snapshot!("forecast_refused", said.join("\n"));
}
