//! What a target costs in memory between fits: its history, its model and its published decisions.
//!
//! Resident memory of this process before and after holding 200 targets, by `/proc/self/status`, each time at rest: what fits
//! needed while they ran is no target's, nor is what a thread that fits keeps at hand for the next one. The peer is the same slots
//! as bare `f64`, in the same run.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use chrono_tz::Tz;
use tidetable::calendar::Almanac;
use tidetable::engine::{History, Sample};
use tidetable::forecast::forecaster;
use tidetable::history::Recent;
use tidetable::time::{Slot, Step, Timestamp};
use tidetable::units::Load;

/// The binary's own.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const TARGETS: usize = 200;
/// What a model is learned from.
const DAYS: i64 = 56;

/// What stays in memory between fits: `Demand::recent_span`.
const KEPT_DAYS: usize = 3;

/// What a fit has freed is given back to the system by the allocator's own thread, in ten seconds and once more where it has
/// slept meanwhile.
const REST: Duration = Duration::from_secs(25);

fn resident_kib() -> f64 {
    std::thread::sleep(REST);
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a line with the resident size");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number of KiB")
}

/// KiB per target that stay with what `hold` makes, on a thread that ends: as long as one lives, the allocator keeps at hand for
/// it about a megabyte of what it has freed, however many targets there are.
fn per_target<T: Send>(what: &str, hold: impl FnMut(usize) -> T + Send) -> Vec<T> {
    let before = resident_kib();
    let held: Vec<T> = std::thread::scope(|scope| {
        let all = scope.spawn(|| (0..TARGETS).map(hold).collect());
        all.join().expect("a thread that ends by itself")
    });
    println!("{what:<44} {:>8.1} KiB per target", (resident_kib() - before) / TARGETS as f64);
    held
}

fn main() {
    let step = Step::MINUTE;
    let end: Timestamp = "2026-11-20T12:00:00Z".parse().expect("an instant");
    let until = step.last_ended(end).next();
    let from = until.plus(-DAYS * 1_440);
    let samples: Vec<Sample> = (from.0..until.0)
        .map(Slot)
        .map(|slot| {
            let wave = 1.0 + (slot.0 as f64 / 1_440.0 * std::f64::consts::TAU).sin();
            Sample { at: step.end(slot), load: Some(Load::saturating(100.0 + 900.0 * wave)) }
        })
        .collect();
    let model = forecaster(&Almanac::none(Tz::America__New_York), &Arc::default());
    let recent = || {
        let mut recent = Recent::new(step, Duration::from_secs(86_400 * KEPT_DAYS as u64));
        recent.append(&samples[samples.len() - KEPT_DAYS * 1_440..], until);
        recent
    };
    let mut whole = Recent::new(step, Duration::from_secs(86_400 * DAYS.unsigned_abs()));
    whole.append(&samples, until);
    // One fit first, so that what its scratch memory leaves behind is not counted as a target's.
    drop(model.fit(whole.settled(), until));

    println!("{TARGETS} targets, {DAYS} days at {step} to learn from, {KEPT_DAYS} kept");
    let bare = per_target("peer: all slots as bare f64", |_| {
        samples.iter().map(|sample| sample.load.map_or(f64::NAN, Load::get)).collect::<Vec<_>>()
    });
    let models = per_target("a fitted model", |_| model.fit(whole.settled(), until));
    let histories = per_target("history in memory between fits", |_| recent());
    black_box((bare, models, histories));
}
