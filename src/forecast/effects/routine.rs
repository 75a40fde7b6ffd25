//! Which effects are so frequent that the week itself holds them.
//!
//! A market opens on every working day: there is no day to compare with, and the same slot of the last weeks already is what
//! comes next week. Such an effect is neither taken out of history nor multiplied in again. A pay day falls on one Friday in
//! five and an event on none: those are taken out, so that the other Fridays do not inherit them.

use std::ops::Range;

use crate::series::Series;
use crate::time::{LocalClock, Slot};

/// The weeks whose same slot is looked at, as days: as many as a profile of the week remembers.
const DAYS: [i64; 12] = [7, -7, 14, -14, 21, -21, 28, -28, 35, 42, 49, 56];

/// Where an effect covers more than this part of them, a median over them is the effect.
const ROUTINE: f64 = 0.6;

/// Fewer comparisons say nothing.
const ENOUGH: u32 = 4;

/// Whether the windows of one name cover most of the same weekday's same hour, over the weeks of `history` before `origin`.
///
/// `windows` are `(the slot that begins with the instant, the slots)`, of which the newest dozen are looked at.
pub(super) fn is_routine(
    history: &Series,
    origin: Slot,
    clock: &LocalClock,
    windows: &[(Slot, Range<Slot>)],
) -> bool {
    let step = history.step();
    let (mut compared, mut covered) = (0, 0);
    for (at, _) in windows.iter().rev().filter(|(at, _)| *at < origin).take(DAYS.len()) {
        for days in DAYS {
            let Some(then) = clock.days_earlier(step.end(*at), days).map(|then| step.slot_of(then)) else {
                continue;
            };
            if then < origin && history.load(then).is_some() {
                compared += 1;
                covered += u32::from(windows.iter().any(|(_, slots)| slots.contains(&then)));
            }
        }
    }
    compared >= ENOUGH && f64::from(covered) > ROUTINE * f64::from(compared)
}
