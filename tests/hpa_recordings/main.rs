//! The simulated HPA and KEDA beside recordings of the genuine programs, evaluation by evaluation.
//!
//! `open`: each row is fed to the simulated HPA with the clock, the replicas and the readings that the genuine controller
//! had, and what it decides is compared with what was decided then. The simulator keeps its own memory throughout, so one
//! wrong row usually brings more.
//!
//! `closed`: only the clock and the script are given. The simulated KEDA polls the scripted scaler, falls back, wakes and
//! sends to sleep; the simulated HPA reads from it and scales; and replicas are what the two of them made of it. From the
//! recording come `status_before` where somebody else acts at the same time, ready pods for metrics of type `Value`, and
//! reads that KEDA failed without asking its scaler, which is a race within it.
//!
//! `HPA_RECORDINGS` names the folder, `tests/data/hpa` unless it is set; pairs `NAME.csv` and `NAME.json`, each plain or
//! `.gz`. How they were made: `tests/data/hpa/README.md`.

#![expect(clippy::unwrap_used, reason = "a recording that cannot be read fails the test")]

mod recording;
mod replay;

use std::path::PathBuf;

use recording::Recording;
use replay::Decided;

/// The share of evaluations that must agree, in each recording and so in all.
const AGREEMENT: f64 = 0.99;

#[test]
fn decides_as_the_recorded_controller_did() {
    check("open", replay::open);
}

#[test]
fn walks_as_the_recorded_programs_did_when_left_alone() {
    check("closed", replay::closed);
}

fn check(mode: &str, replay: fn(&Recording) -> Vec<Decided>) {
    let folder = std::env::var_os("HPA_RECORDINGS")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/hpa"), PathBuf::from);
    let recordings = recording::all_in(&folder);
    assert!(!recordings.is_empty(), "no pairs NAME.csv, NAME.json in {}", folder.display());

    let (mut matched, mut total, mut poor) = (0, 0, Vec::new());
    for recording in &recordings {
        let decided = replay(recording);
        assert_eq!(decided.len(), recording.rows.len());
        let pairs = || recording.rows.iter().zip(&decided);
        for (row, decided) in pairs().filter(|(row, decided)| !decided.agrees_with(row)) {
            println!("{mode} {} n={}: {decided:?}\n    recorded {row:?}", recording.name, row.n);
        }
        let agreed = pairs().filter(|(row, decided)| decided.agrees_with(row)).count();
        println!("{mode} {}: {agreed} / {}", recording.name, decided.len());
        if (agreed as f64) < AGREEMENT * decided.len() as f64 {
            poor.push(format!("{}: {agreed} / {}", recording.name, decided.len()));
        }
        matched += agreed;
        total += decided.len();
    }
    println!("{mode}, {} recordings: {matched} / {total} decisions match", recordings.len());
    assert!(poor.is_empty(), "{mode}: below {AGREEMENT}:\n{}", poor.join("\n"));
}
