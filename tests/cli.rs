//! The command line as an operator meets it: the real binary, real files, exit codes and every word it says.
//!
//! Commands run in a folder of their own and name files without a path, so that messages are the same everywhere.

#![expect(clippy::unwrap_used, reason = "whatever fails here is a failed test, and says where")]

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use tempfile::TempDir;

/// The first stamp of every generated file, a Monday.
const BEGIN: &str = "2026-03-02T00:00:00Z";

/// Five weeks at five minutes.
const ROWS: usize = 35 * 288;

fn instant(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn rfc3339(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// A day that rises and falls, with some noise.
fn daily(row: usize) -> f64 {
    let phase = (row % 288) as f64 / 288.0 * std::f64::consts::TAU;
    (1000.0 + 600.0 * phase.sin() + (row * 7919 % 101) as f64).round()
}

/// `rows` of `timestamp,value`, `minutes` apart.
fn csv(rows: usize, minutes: i64, load: impl Fn(usize) -> f64) -> String {
    let mut text = String::from("timestamp,value\n");
    for row in 0..rows {
        let at = instant(BEGIN) + TimeDelta::minutes(minutes * i64::try_from(row).unwrap());
        writeln!(text, "{},{}", rfc3339(at), load(row)).unwrap();
    }
    text
}

/// A folder in which commands are run.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A folder with five weeks of load.
    fn with_load() -> Self {
        Self::new().with("load.csv", csv(ROWS, 5, daily))
    }

    fn with(self, name: &str, text: impl AsRef<[u8]>) -> Self {
        fs::write(self.path(name), text).unwrap();
        self
    }

    fn with_origins<'a>(self, origins: impl IntoIterator<Item = &'a str>) -> Self {
        let origins: Vec<&str> = origins.into_iter().collect();
        self.with("origins.csv", format!("origin\n{}\n", origins.join("\n")))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidetable"));
        // Nothing that the caller's shell has set, such as COLUMNS or TIDETABLE_CONFIG, changes what is said.
        command.env_clear().current_dir(self.0.path()).args(line.split_whitespace());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run(&self, line: &str) -> Output {
        self.command(line).output().unwrap()
    }

    /// What a command that works prints; in a pipe it says nothing beside.
    fn printed(&self, line: &str) -> String {
        let Output { status, stdout, stderr } = self.run(line);
        assert_eq!((status.code(), text(&stderr)), (Some(0), String::new()), "{line}");
        text(&stdout)
    }

    /// A command that is refused: its exit code and what it says, for a snapshot.
    fn refused(&self, line: &str) -> String {
        let Output { status, stdout, stderr } = self.run(line);
        assert_eq!(text(&stdout), "", "{line}");
        format!("$ tidetable {line}\n{}exit {}\n\n", text(&stderr), status.code().unwrap())
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The rows under the header, split into cells.
fn rows(printed: &str) -> Vec<Vec<&str>> {
    printed.lines().skip(1).map(|line| line.split(',').collect()).collect()
}

/// The quantiles of a row.
fn loads(row: &[&str]) -> Vec<f64> {
    row[2..].iter().map(|cell| cell.parse().unwrap()).collect()
}

fn fixture(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/config").join(name).display().to_string()
}

// -- what it is --------------------------------------------------------------------------------------------------------

#[test]
fn every_command_says_what_it_is_for() {
    let folder = Folder::new();
    let mut said = String::new();
    for command in ["", "demo ", "serve ", "check ", "render ", "forecast ", "backtest "] {
        let line = format!("{command}--help");
        write!(said, "$ tidetable {line}\n{}\n", folder.printed(&line)).unwrap();
    }
    insta::assert_snapshot!("help", said);
    assert_eq!(folder.printed("--version"), format!("tidetable {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn who_says_nothing_gets_help_and_who_misspells_gets_a_suggestion() {
    let folder = Folder::new();
    let said = ["", "forcast", "forecast", "forecast --imput load.csv"].map(|line| folder.refused(line));
    insta::assert_snapshot!("usage", said.concat());
}

// -- forecast ----------------------------------------------------------------------------------------------------------

#[test]
fn a_forecast_needs_nothing_but_a_file() {
    let printed = Folder::with_load().printed("forecast --input load.csv");
    assert_eq!(printed.lines().next(), Some("origin,timestamp,q50,q90,q95,q99"));
    let rows = rows(&printed);
    assert_eq!(rows.len(), 288, "24 hours, 5 minutes apart");
    let end = instant("2026-04-06T00:00:00Z");
    for (lead, row) in rows.iter().enumerate() {
        let stamp = end + TimeDelta::minutes(5 * i64::try_from(lead).unwrap());
        assert_eq!(row[..2], [rfc3339(end), rfc3339(stamp)]);
        let loads = loads(row);
        assert!(loads.is_sorted() && loads.iter().all(|load| load.is_finite() && *load >= 0.0), "{row:?}");
        let expected = daily(lead);
        assert!((loads[0] / expected - 1.0).abs() < 0.25, "{row:?} {expected}");
    }
}

#[test]
fn quantiles_are_columns_in_ascending_order_each_once() {
    let printed =
        Folder::with_load().printed("forecast --input load.csv --horizon 1h --quantiles 0.99,0.5,0.975,0.5");
    assert_eq!(printed.lines().next(), Some("origin,timestamp,q50,q97.5,q99"));
    assert_eq!(rows(&printed).len(), 12);
}

#[test]
fn a_horizon_that_ends_within_a_step_covers_that_step() {
    let folder = Folder::with_load();
    let count = |line: &str| rows(&folder.printed(line)).len();
    assert_eq!(count("forecast --input load.csv --step 1h --horizon 30m"), 1);
    assert_eq!(count("forecast --input load.csv --horizon 12m"), 3);
    assert_eq!(count("forecast --input load.csv --horizon 48h"), 576);
}

#[test]
fn a_stamp_at_the_end_is_the_same_load_a_step_later() {
    let shifted = csv(ROWS + 1, 5, |row| daily(row.saturating_sub(1)));
    // Without its first row, whose stamp is the beginning of the first slot.
    let shifted = shifted.replacen(&format!("{BEGIN},{}\n", daily(0)), "", 1);
    let folder = Folder::with_load().with("ends.csv", shifted);
    let starts = folder.printed("forecast --input load.csv --horizon 1h");
    let ends = folder.printed("forecast --input ends.csv --horizon 1h --stamp end");
    for (start, end) in rows(&starts).iter().zip(rows(&ends)) {
        assert_eq!((start[0], &start[2..]), (end[0], &end[2..]));
        assert_eq!(instant(end[1]) - instant(start[1]), TimeDelta::minutes(5));
    }
}

#[test]
fn finer_input_becomes_a_step_by_sum_mean_or_max() {
    // Each five minutes: 30, 5, 5, 5, 5.
    let minutes = csv(15 * 1440, 1, |row| if row.is_multiple_of(5) { 30.0 } else { 5.0 });
    let folder = Folder::new().with("minutes.csv", minutes);
    for (how, expected) in
        [("", 50.0), (" --resample sum", 50.0), (" --resample mean", 10.0), (" --resample max", 30.0)]
    {
        let line = format!("forecast --input minutes.csv --step 5m --horizon 30m{how}");
        for row in rows(&folder.printed(&line)) {
            assert!(loads(&row).iter().all(|load| (load / expected - 1.0).abs() < 0.02), "{how}: {row:?}");
        }
    }
}

#[test]
fn a_step_that_the_input_breaks_off_in_is_the_first_to_forecast() {
    let folder = Folder::new().with("minutes.csv", csv(15 * 1440 + 3, 1, |_| 10.0));
    let printed = folder.printed("forecast --input minutes.csv --step 5m --horizon 10m");
    let stamps: Vec<_> = rows(&printed).iter().map(|row| (row[0].to_owned(), row[1].to_owned())).collect();
    let origin = "2026-03-17T00:03:00Z".to_owned();
    let at = |minute| format!("2026-03-17T00:{minute}:00Z");
    assert_eq!(stamps, [(origin.clone(), at("00")), (origin, at("05"))]);
}

#[test]
fn gzip_and_unix_seconds_give_the_same_bytes() {
    let plain = csv(ROWS, 5, daily);
    let mut unix = String::from("timestamp,value\n");
    for row in rows(&plain) {
        writeln!(unix, "{},{}", instant(row[0]).timestamp(), row[1]).unwrap();
    }
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(plain.as_bytes()).unwrap();
    let folder = Folder::with_load().with("load.csv.gz", packed.finish().unwrap()).with("unix.csv", unix);
    let expected = folder.printed("forecast --input load.csv");
    assert_eq!(folder.printed("forecast --input load.csv.gz"), expected);
    assert_eq!(folder.printed("forecast --input unix.csv"), expected);
}

#[test]
fn a_hole_is_a_hole_however_it_is_written_and_never_a_zero() {
    let hole = |row: usize| row % 2000 > 1900;
    let whole = csv(ROWS, 5, daily);
    let with = |put: &dyn Fn(&str) -> String| {
        let mut text = String::from("timestamp,value\n");
        for (row, line) in whole.lines().skip(1).enumerate() {
            match line.split_once(',') {
                Some((stamp, _)) if hole(row) => text += &put(stamp),
                _ => writeln!(text, "{line}").unwrap(),
            }
        }
        text
    };
    let folder = Folder::new()
        .with("absent.csv", with(&|_| String::new()))
        .with("blank.csv", with(&|stamp| format!("{stamp},\n")))
        .with("nan.csv", with(&|stamp| format!("{stamp},NaN\n")))
        .with("zero.csv", with(&|stamp| format!("{stamp},0\n")))
        .with_origins(["2026-04-05T22:00:00Z", "2026-03-29T15:00:00Z"]);
    let forecast = |name: &str| folder.printed(&format!("forecast --input {name}.csv --origins origins.csv"));
    let absent = forecast("absent");
    assert_eq!(forecast("blank"), absent);
    assert_eq!(forecast("nan"), absent);
    assert_ne!(forecast("zero"), absent);
}

#[test]
fn any_scale_has_finite_numbers_and_quantiles_that_never_cross() {
    let folder = Folder::new()
        .with("zeros.csv", csv(ROWS, 5, |_| 0.0))
        .with("constant.csv", csv(ROWS, 5, |_| 42.0))
        .with("huge.csv", csv(ROWS, 5, |row| 1e9 * daily(row)))
        .with("small.csv", csv(ROWS, 5, |row| 1e-9 * daily(row)))
        .with("tiny.csv", csv(ROWS, 5, |row| (row * 7919 % 3) as f64));
    let check = |name: &str, low: f64, high: f64| {
        let printed = folder.printed(&format!("forecast --input {name}.csv --quantiles 0.01,0.5,0.9,0.999"));
        for row in rows(&printed) {
            let loads = loads(&row);
            assert!(
                loads.is_sorted() && loads.iter().all(|load| (low..=high).contains(load)),
                "{name}: {row:?}"
            );
        }
    };
    check("zeros", 0.0, 0.0);
    check("constant", 41.9, 42.1);
    check("huge", 1e11, 4e12);
    check("small", 1e-7, 4e-6);
    check("tiny", 0.0, 10.0);
}

#[test]
fn points_after_an_origin_cannot_change_its_forecast() {
    // Some end where a hole begins, and some where a fit is due.
    let hole = |row: usize| (9000..9010).contains(&row);
    let mut known = String::from("timestamp,value\n");
    let mut wild = known.clone();
    let origin = instant(BEGIN) + TimeDelta::minutes(5 * 9010);
    for (row, line) in csv(ROWS, 5, daily).lines().skip(1).enumerate().filter(|(row, _)| !hole(*row)) {
        let (stamp, _) = line.split_once(',').unwrap();
        if instant(stamp) < origin {
            writeln!(known, "{line}").unwrap();
            writeln!(wild, "{line}").unwrap();
        } else {
            writeln!(wild, "{stamp},{}", 1e6 * row as f64).unwrap();
        }
    }
    let earlier = origin - TimeDelta::hours(5);
    let folder = Folder::new()
        .with("known.csv", known)
        .with("wild.csv", wild)
        .with_origins([rfc3339(origin).as_str(), rfc3339(earlier).as_str()]);
    let before = folder.printed("forecast --input known.csv --origins origins.csv");
    assert_eq!(folder.printed("forecast --input wild.csv --origins origins.csv"), before);
}

#[test]
fn a_fit_that_is_due_within_a_hole_does_not_know_how_long_the_hole_is() {
    // 28 days, of which the last 35 minutes are missing: the fit is due at midnight, in the middle of nothing.
    let whole = csv(ROWS, 5, daily);
    let known: Vec<&str> = whole.lines().take(1 + 28 * 288 - 7).collect();
    let later: Vec<&str> = whole.lines().skip(1 + 28 * 288).collect();
    let folder = Folder::new()
        .with("known.csv", known.join("\n"))
        .with("all.csv", [known, later].concat().join("\n"))
        .with_origins(["2026-03-30T00:00:00Z"]);
    let before = folder.printed("forecast --input known.csv --origins origins.csv");
    assert_eq!(folder.printed("forecast --input all.csv --origins origins.csv"), before);
}

#[test]
fn origins_are_answered_in_their_order_also_twice_and_between_slots() {
    let origins =
        ["2026-04-05T12:00:00Z", "2026-03-25T00:03:00Z", "2026-04-01T06:00:00Z", "2026-03-25T00:03:00Z"];
    let folder = Folder::with_load().with_origins(origins);
    let printed = folder.printed("forecast --input load.csv --horizon 10m --origins origins.csv");
    let rows = rows(&printed);
    let asked: Vec<&str> = rows.iter().step_by(2).map(|row| row[0]).collect();
    assert_eq!(asked, origins);
    assert_eq!(rows[2..4], rows[6..8]);
    assert_eq!(rows[2][1], "2026-03-25T00:00:00Z", "the slot that has not ended is the first");

    let alone = Folder::with_load().with_origins(["2026-04-01T06:00:00Z"]);
    let printed = alone.printed("forecast --input load.csv --horizon 10m --origins origins.csv");
    assert_eq!(rows[4..6], self::rows(&printed), "an origin does not know the others");
}

#[test]
fn what_is_wrong_with_a_forecast_is_said_with_a_remedy() {
    let folder = Folder::with_load()
        .with("empty.csv", "")
        .with("header.csv", "timestamp,value\n")
        .with("nameless.csv", "2026-03-02T00:00:00Z,1\n")
        .with("garbage.csv", "timestamp,value\n2026-03-02T00:00:00Z,1\nhello\n")
        .with("many.csv", "timestamp,value\n2026-03-02T00:00:00Z,1\n2026-03-02T00:05:00Z,many\n")
        .with("short.csv", csv(228, 5, daily))
        .with("nothing.csv", "origin\n")
        .with("soon.csv", "origin\nsoon\n")
        .with("early.csv", "origin\n2026-03-02T12:00:00Z\n")
        .with("before.csv", "origin\n2020-01-01T00:00:00Z\n")
        .with("late.csv", "origin\n2026-05-05T00:00:00Z\n")
        .with("holed.csv", csv(ROWS, 5, |row| if row < 7000 { daily(row) } else { f64::NAN }));
    let said = [
        "--input nowhere.csv",
        "--input empty.csv",
        "--input header.csv",
        "--input nameless.csv",
        "--input garbage.csv",
        "--input many.csv",
        "--input short.csv",
        "--input holed.csv",
        "--input load.csv --origins nowhere.csv",
        "--input load.csv --origins nothing.csv",
        "--input load.csv --origins soon.csv",
        "--input load.csv --origins early.csv",
        "--input load.csv --origins before.csv",
        "--input load.csv --origins late.csv",
        "--input load.csv --timezone America/NewYork",
        "--input load.csv --timezone Mars",
        "--input load.csv --horizon 1day2",
        "--input load.csv --horizon soon",
        "--input load.csv --horizon 72h",
        "--input load.csv --horizon 0s",
        "--input load.csv --step 0s",
        "--input load.csv --step 2d",
        "--input load.csv --step 7m",
        "--input load.csv --step 1m",
        "--input load.csv --resample median",
        "--input load.csv --quantiles 0",
        "--input load.csv --quantiles 1",
        "--input load.csv --quantiles 0.5,p99",
        "--input load.csv --calendars nise",
        "--input load.csv --output load.csv",
        "--input load.csv --output .",
        "--input load.csv --output nowhere/out.csv",
    ]
    .map(|line| folder.refused(&format!("forecast {line}")));
    insta::assert_snapshot!("forecast_mistakes", said.concat());
}

#[test]
fn a_file_gets_the_bytes_that_standard_output_would_have_got() {
    let folder = Folder::with_load().with("out.csv", "what was there before, and is longer than nothing");
    let printed = folder.printed("forecast --input load.csv");
    assert_eq!(folder.printed("forecast --input load.csv --output out.csv"), "");
    assert_eq!(fs::read_to_string(folder.path("out.csv")).unwrap(), printed);
    assert_eq!(folder.printed("forecast --input load.csv --output /dev/stdout"), printed);
    assert_eq!(folder.names(), ["load.csv", "out.csv"]);
}

#[test]
fn what_stands_behind_a_forecast_is_said_beside_it_when_asked() {
    let folder = Folder::with_load();
    let printed = folder.printed("forecast --input load.csv");
    let Output { status, stdout, stderr } = folder.run("forecast --input load.csv --explain");
    assert_eq!((status.code(), text(&stdout)), (Some(0), printed));
    let said = text(&stderr);
    for part in [
        "history: ",
        " slots measured from ",
        "days: learned from ",
        "hours: learned from ",
        "not asked: nowcast",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
}

#[test]
fn an_output_that_cannot_be_written_is_said_before_the_work() {
    // The input is not even there: had it been opened first, that would be the complaint.
    let said = Folder::new().refused("forecast --input nowhere.csv --output nowhere/out.csv");
    assert!(said.contains("nowhere/out.csv: cannot be written") && said.contains("exit 1"), "{said}");
}

#[test]
fn a_forecast_that_fails_leaves_what_was_there() {
    let folder = Folder::with_load().with("out.csv", "yesterday's").with_origins(["2026-03-02T12:00:00Z"]);
    folder.refused("forecast --input load.csv --origins origins.csv --output out.csv");
    assert_eq!(fs::read_to_string(folder.path("out.csv")).unwrap(), "yesterday's");
    assert_eq!(folder.names(), ["load.csv", "origins.csv", "out.csv"]);
}

#[test]
fn a_forecast_that_is_interrupted_leaves_what_was_there() {
    let folder = Folder::with_load().with("out.csv", "yesterday's");
    // Origins that never come hold the command in the middle of its work, for as long as it takes to interrupt it.
    let pipe = folder.path("origins.csv");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let line = "forecast --input load.csv --origins origins.csv --output out.csv";
    let mut forecast = folder.command(line).spawn().unwrap();
    let _origins = fs::OpenOptions::new().write(true).open(&pipe).unwrap();
    signal("INT", &forecast);
    assert!(!forecast.wait().unwrap().success());
    assert_eq!(fs::read_to_string(folder.path("out.csv")).unwrap(), "yesterday's");
    assert_eq!(folder.names(), ["load.csv", "origins.csv", "out.csv"]);
}

#[test]
fn a_reader_who_has_seen_enough_is_no_failure() {
    let payments = fixture("payments.yaml");
    let origins: Vec<String> = (1..=20).map(|day| format!("2026-03-{:02}T00:00:00Z", 11 + day)).collect();
    let folder = Folder::with_load().with_origins(origins.iter().map(String::as_str));
    // More than a pipe holds, so that the reader is gone before the last byte.
    for line in [
        "forecast --input load.csv --origins origins.csv",
        &format!("check --config {payments}"),
        &format!("render --config {payments} payments-api"),
        "demo --once",
    ] {
        let mut child = folder.command(line).spawn().unwrap();
        drop(child.stdout.take());
        let Output { status, stderr, .. } = child.wait_with_output().unwrap();
        assert_eq!((status.code(), text(&stderr)), (Some(0), String::new()), "{line}");
    }
}

// -- check and render --------------------------------------------------------------------------------------------------

#[test]
fn check_prints_every_complaint_on_stderr_and_what_is_in_effect_on_stdout() {
    let folder = Folder::new();
    let Output { status, stdout, stderr } =
        folder.run(&format!("check --config {}", fixture("mistakes.yaml")));
    let complaints = text(&stderr);
    assert_eq!((status.code(), text(&stdout)), (Some(2), String::new()));
    assert!(complaints.lines().count() > 15, "{complaints}");
    assert!(complaints.lines().all(|line| line.contains("mistakes.yaml:")), "{complaints}");

    let effective = folder.printed(&format!("check --config {}", fixture("payments.yaml")));
    assert!(effective.starts_with("# ok: 2 targets, 2 sources"), "{effective}");
    fs::write(folder.path("effective.yaml"), &effective).unwrap();
    assert_eq!(folder.printed("check --config effective.yaml"), effective, "what is in effect is in effect");
}

#[test]
fn a_configuration_that_is_not_there_is_the_same_mistake_for_every_command() {
    let folder = Folder::with_load();
    let said = ["check", "render payments-api", "serve"]
        .map(|command| folder.refused(&format!("{command} --config nowhere.yaml")));
    insta::assert_snapshot!("config_missing", said.concat());
}

#[test]
fn render_prints_a_manifest_or_names_the_nearest_target() {
    let folder = Folder::new().with("tidetable.yaml", fs::read(fixture("payments.yaml")).unwrap());
    let manifest = folder.printed("render --config tidetable.yaml payments-api");
    assert!(
        manifest.contains("kind: ScaledObject") && manifest.contains("target: \"payments-api\""),
        "{manifest}"
    );
    insta::assert_snapshot!(folder.refused("render --config tidetable.yaml payment-api"), @r#"
    $ tidetable render --config tidetable.yaml payment-api
    there is no target "payment-api"; did you mean "payments-api"? targets are: payments-api, settlement-worker
    exit 2
    "#);
}

// -- demo --------------------------------------------------------------------------------------------------------------

/// The numbers of the line that sums up a demo: late pod-minutes, then replica-hours, ours and the reactive one's.
fn summed_up(line: &str) -> [f64; 4] {
    let numbers: Vec<&str> = line
        .split([' ', ',', ';'])
        .filter(|word| word.starts_with(|sign: char| sign.is_ascii_digit()))
        .collect();
    let [late, reactive_late, hours, reactive_hours] = numbers.try_into().expect(line);
    let expected = format!(
        "late pod-minutes: tidetable {late}, reactive {reactive_late}; replica-hours: tidetable {hours}, reactive {reactive_hours}"
    );
    assert_eq!(line, expected);
    [late, reactive_late, hours, reactive_hours].map(|number| number.parse().expect(line))
}

#[test]
fn the_same_seed_plays_the_same_day_and_ours_is_less_late_at_less_cost() {
    let folder = Folder::new();
    let line = "demo --once --seed 7";
    let again = folder.command(line).spawn().unwrap();
    let printed = folder.printed(line);
    assert_eq!(text(&again.wait_with_output().unwrap().stdout), printed);
    assert_eq!(printed.lines().count(), 2 + 96 + 1, "a header, a row per quarter of an hour, a summary");
    let [late, reactive_late, hours, reactive_hours] = summed_up(printed.lines().last().unwrap());
    assert!(late < reactive_late / 3.0, "{late} {reactive_late}");
    assert!(hours < reactive_hours, "{hours} {reactive_hours}");
}

#[test]
fn what_the_demo_cannot_play_is_refused() {
    let folder = Folder::new();
    let said = [
        "--day soon",
        "--day=+262142-12-31",
        "--day=-262143-01-01",
        "--seed -1",
        "--speed 0",
        "--once --speed 2",
    ];
    insta::assert_snapshot!(
        "demo_mistakes",
        said.map(|line| folder.refused(&format!("demo {line}"))).concat()
    );
}

#[test]
fn a_signal_ends_the_live_demo_with_its_summary() {
    let folder = Folder::new();
    for name in ["INT", "TERM"] {
        let (mut demo, mut out) = live(&folder);
        let first: Vec<String> = (0..4).map(|_| line_of(&mut out)).collect();
        assert!(first[1].starts_with("time "), "{first:?}");
        assert!(first[2].starts_with("Fri 09:00") && first[3].starts_with("Fri 09:01"), "{first:?}");
        signal(name, &demo);
        let mut rest = String::new();
        out.read_to_string(&mut rest).unwrap();
        summed_up(rest.lines().last().unwrap());
        assert_eq!(ended(&mut demo), (Some(0), 2), "SIG{name}");
    }
}

#[test]
fn a_reader_who_leaves_the_live_demo_ends_it() {
    let folder = Folder::new();
    let (mut demo, mut out) = live(&folder);
    (0..3).for_each(|_| drop(line_of(&mut out)));
    drop(out);
    assert_eq!(ended(&mut demo), (Some(0), 2));
}

fn live(folder: &Folder) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut demo = folder.command("demo --seed 7").spawn().unwrap();
    let out = BufReader::new(demo.stdout.take().unwrap());
    (demo, out)
}

fn line_of(out: &mut impl BufRead) -> String {
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    line
}

/// The exit code, and how many lines were on standard error.
fn ended(child: &mut Child) -> (Option<i32>, usize) {
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    let status: ExitStatus = child.wait().unwrap();
    (status.code(), said.lines().count())
}

fn signal(name: &str, to: &Child) {
    let kill = format!("kill -{name} {}", to.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
}
