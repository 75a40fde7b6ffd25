//! Which windows come so often that the week itself holds them.
//!
//! A market opens on every working day: there is no day to compare with, and the same slot of the last weeks already is what
//! comes next week. Such a window is neither taken out of history nor multiplied in again. A pay day falls on one Friday in
//! five and an event on none: those are taken out, so that the other Fridays do not inherit them.
//!
//! A name that is regular may have a window that is not: a sale of every Friday that comes on a Thursday once, a pay day that
//! is brought forward, a settlement that moved by an hour. The week holds nothing of those, so each time of the week at which
//! a name has windows is asked by itself, and all windows at it alike: if some were taken out of history and others not,
//! what is left would be neither.

use std::collections::HashMap;
use std::ops::Range;

use crate::series::Series;
use crate::time::{LocalClock, Slot};

const WEEK_SECONDS: i64 = 7 * 86_400;

/// The weeks whose same slot is looked at, as days: as many as a profile of the week remembers.
const DAYS: [i64; 12] = [7, -7, 14, -14, 21, -21, 28, -28, 35, 42, 49, 56];

/// Where the windows of a name cover more than this part of them, a median over them is the effect.
const ROUTINE: f64 = 0.6;

/// Fewer comparisons say nothing of a name, and fewer than those nothing of one time of the week.
const ENOUGH: u32 = 4;
const ENOUGH_OF_A_TIME: u32 = 2;

/// A window of one name: the slot that begins with its instant, and all its slots.
pub(super) type Spot = (Slot, Range<Slot>);

/// For each of the windows of one name, ascending, whether the weeks of `history` before `origin` hold it: they cover most of
/// the same weekday's same hour, looked at from the newest dozen of them and from the newest dozen at its time of the week.
pub(super) fn routine(history: &Series, origin: Slot, clock: &LocalClock, windows: &[Spot]) -> Vec<bool> {
    let step = history.step();
    let compare = |seen_from: &mut dyn Iterator<Item = &Spot>| {
        let (mut compared, mut covered) = (0, 0);
        for (at, _) in seen_from.take(DAYS.len()) {
            for days in DAYS {
                let Some(then) = clock.days_earlier(step.end(*at), days).map(|then| step.slot_of(then))
                else {
                    continue;
                };
                if then < origin && history.load(then).is_some() {
                    compared += 1;
                    covered += u32::from(windows.iter().any(|(_, slots)| slots.contains(&then)));
                }
            }
        }
        (compared, covered)
    };
    let has_begun = |(at, _): &&Spot| *at < origin;
    let (compared, covered) = compare(&mut windows.iter().rev().filter(has_begun));
    if compared < ENOUGH || f64::from(covered) <= ROUTINE * f64::from(compared) {
        return vec![false; windows.len()];
    }
    let time_of_week = |at: Slot| clock.local_seconds(step.start(at)).rem_euclid(WEEK_SECONDS);
    let held = |time: i64, slots: &Range<Slot>| {
        let span = slots.end.since(slots.start) * step.seconds();
        let alike = |(at, _): &&Spot| {
            let apart = (time_of_week(*at) - time).rem_euclid(WEEK_SECONDS);
            apart.min(WEEK_SECONDS - apart) < span
        };
        let alike: Vec<&Spot> = windows.iter().rev().filter(alike).collect();
        // A time that has no window behind it yet is looked at from those to come.
        let begun = alike.iter().copied().filter(has_begun);
        let (compared, covered) = match begun.clone().next() {
            Some(_) => compare(&mut begun.into_iter()),
            None => compare(&mut alike.iter().copied()),
        };
        compared < ENOUGH_OF_A_TIME || 2 * covered >= compared
    };
    let mut by_time: HashMap<i64, bool> = HashMap::new();
    windows
        .iter()
        .map(|(at, slots)| {
            let time = time_of_week(*at);
            *by_time.entry(time).or_insert_with(|| held(time, slots))
        })
        .collect()
}
