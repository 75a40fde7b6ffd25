//! Surges that nobody announced: a news item, an outage of a rival, a runaway client.
//!
//! They are not learned from, so that the same hour of next week is not stood ready for. What comes again, what lasts and
//! what may not be over yet is demand like any other.

use std::ops::Range;

use super::findings::FEWEST_WEEKS;
use super::past::{ALWAYS_ALLOWED, Past};
use crate::time::Slot;

/// A surge is so many times what every other week shows at the same time, and more than a small part of the busiest there is:
/// the doubling of a few is no surge.
const OVER_USUAL: f64 = 2.0;
const OVER_BUSIEST: f64 = 0.2;

/// It is over within this time, and has been for a while: what lasts may stay, and is to be learned.
const SECONDS: i64 = 4 * 3600;
const IS_OVER_FOR: i64 = 3600;

/// Within it demand may come back to the usual for so long.
const PAUSES: i64 = 300;

/// Surges that come more often than once in so many days are the nature of the service.
const ONCE_IN_DAYS: i64 = 14;

/// Demand that no other week knows, twice all of them, and which is over. `busiest` is the busiest there is.
pub(super) fn surges(past: &Past, busiest: f64) -> Vec<Slot> {
    let step = past.step.seconds();
    let week = 7 * 86_400 / step;
    let twice = |load: f64, other: Slot| past.load(other).is_none_or(|other| other * OVER_USUAL < load);
    let high = past.slots().filter(|(slot, load)| {
        // The weeks beside it are cheap to look at, and leave little to look at closely.
        *load > OVER_BUSIEST * busiest && twice(*load, slot.plus(week)) && twice(*load, slot.plus(-week))
    });
    let high: Vec<Slot> =
        high.filter(|(slot, load)| beyond_every_week(past, *slot, *load)).map(|(slot, _)| slot).collect();
    let end = past.first.plus(i64::try_from(past.loads.len()).unwrap_or(i64::MAX));
    let runs: Vec<Range<Slot>> = high
        .chunk_by(|slot, next| next.since(*slot) * step <= PAUSES.max(step))
        .filter_map(|run| Some(*run.first()?..run.last()?.next()))
        .filter(|run| run.end.since(run.start) * step <= SECONDS)
        .filter(|run| end.since(run.end) * step >= IS_OVER_FOR)
        .filter(|run| !(run.start.0..run.end.0).any(|slot| past.excused(Slot(slot))))
        .collect();
    let allowed = (end.since(past.first) * step) as f64 / 86_400.0 / ONCE_IN_DAYS as f64;
    if runs.len() as f64 > allowed.floor().max(ALWAYS_ALLOWED as f64) {
        return Vec::new();
    }
    let lonely = runs.iter().filter(|run| !runs.iter().any(|other| past.same_time(run, other)));
    let slots = lonely.flat_map(|run| (run.start.0..run.end.0).map(Slot));
    slots.filter(|slot| past.load(*slot).is_some()).collect()
}

/// Whether a load is far above what every other week shows at the same time.
fn beyond_every_week(past: &Past, slot: Slot, load: f64) -> bool {
    let mut weeks = 0;
    for others in past.weeks(slot) {
        if others.iter().any(|other| other * OVER_USUAL >= load) {
            return false;
        }
        weeks += 1;
    }
    weeks >= FEWEST_WEEKS
}
