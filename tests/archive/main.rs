//! The archive on a real disk: what is kept stays kept, whatever happens to the process, the disk or the bytes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod broken;
mod disk;
mod duckdb;
mod fixture;
mod import;
mod keeping;
mod killed;
#[path = "../prometheus/server.rs"]
#[expect(dead_code, reason = "its own tests freeze and stop it")]
mod server;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tidetable::config;
use tidetable::engine::{Archive as _, Day, Recalled, Target};
use tidetable::history::Archive;
use tidetable::series::Series;
use tidetable::time::{Slot, Step};
use tidetable::units::Load;

/// A configuration whose archive is `folder`.
fn config_text(folder: &Path, step: &str) -> String {
    format!(
        "\
sources: {{ main: {{ prometheus: {{ url: http://127.0.0.1:9 }} }} }}
history: {{ archive: 'file://{}', retention: 1100d }}
targets:
  payments-api:
    scaledObject: payments/payments-api
    demand: {{ source: main, query: 'sum(rate(payment_transactions_total[2m]))', step: {step}, unit: tx/s }}
    capacity: {{ perReplica: 120 }}
    replicas: {{ min: 3, max: 200 }}
    timezone: America/New_York
",
        folder.display()
    )
}

fn target(step: &str) -> Target {
    config::parse("tidetable.yaml", &config_text(Path::new("/nowhere"), step)).unwrap().targets.remove(0)
}

fn days(count: u64) -> Duration {
    Duration::from_secs(count * 86_400)
}

fn open(folder: &Path) -> Archive {
    Archive::try_new(folder, days(1100)).unwrap()
}

fn day(text: &str) -> Day {
    Day::on(text.parse().unwrap()).unwrap()
}

/// Days from the first, as many as asked for.
fn from_day(first: &str, count: usize) -> impl Iterator<Item = Day> {
    std::iter::successors(Some(day(first)), |day| Some(day.next())).take(count)
}

/// The slots from the first day on.
fn span(step: Step, first: &str, count: usize) -> Range<Slot> {
    let last = from_day(first, count).last().unwrap();
    day(first).slots(step).start..last.slots(step).end
}

/// What was measured in a slot, by a rule: a day's wave with a hole now and then.
fn truth(slot: Slot) -> Option<Load> {
    let wave = 900.0 + 400.0 * (slot.0 as f64 / 229.0).sin() + (slot.0 * 7919 % 1000) as f64 / 16.0;
    (slot.0 % 97 != 13).then(|| Load::try_new(wave).unwrap())
}

/// A day as it was measured.
fn measured(step: Step, day: Day) -> Series {
    let slots = day.slots(step);
    let mut series = Series::empty(step, slots.start);
    for slot in (slots.start.0..slots.end.0).map(Slot) {
        match truth(slot) {
            Some(load) => series.put(slot, load),
            None => series.mask(slot),
        }
    }
    series
}

/// Recalls some days.
async fn recall(archive: &Archive, target: &Target, slots: &Range<Slot>) -> Recalled {
    archive.recall(target, &target.demands[0], slots.start, slots.end).await.unwrap()
}

/// Asserts that what was recalled is what was measured, slot by slot, in order, each once.
fn assert_true(recalled: &Recalled, step: Step) {
    let slots: Vec<Slot> = recalled.samples.iter().map(|sample| step.slot_of(sample.at)).collect();
    assert!(slots.windows(2).all(|pair| pair[0] < pair[1]), "out of order or twice");
    for (sample, slot) in recalled.samples.iter().zip(slots) {
        assert_eq!(sample.load, truth(slot), "{}", sample.at);
    }
}

/// Every file below `folder`, by its path from there.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(folder).unwrap().display().to_string());
            }
        }
    }
    found.sort();
    found
}

/// The file of a span.
fn file(folder: &Path, name: &str) -> PathBuf {
    folder.join(files(folder).into_iter().find(|file| file.ends_with(name)).unwrap())
}

/// This test binary, to run one of its tests in a process of its own.
fn this_test(name: &str) -> std::process::Command {
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--nocapture", "--test-threads=1"]);
    command
}
