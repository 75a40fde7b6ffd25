//! Slots that are looked at as one, where what has settled is held against windows.
//!
//! ```text
//!   window from      full                      fade              until
//!        ├─────┬─────┼──────┬──────┬──────┬─────┼────┬─────┬─────┤        bins of its lift, cut at its edges
//!                                                         ││││││││▶ origin      the newest hour, slot by slot or nearly
//! ```
//!
//! A pay day lasts a day, and its lift is known by two dozen minutes: held against it and each other window minute by minute, what
//! has settled took milliseconds at each tick.

use std::ops::Range;

use chrono::TimeDelta;

use super::lift::Lift;
use crate::calendar::Window;
use crate::time::{Slot, Step, Timestamp, epoch_seconds};

/// The newest slots are looked at more closely: the minutes to come rest on them.
const NEWEST: TimeDelta = TimeDelta::hours(1);

/// By so many parts of a bin, or one by one.
const PARTS_OF_BIN: i64 = 8;

/// What grows or fades is cut into so many parts: of a lift of three within one of them, a tenth at most is not where it was.
const PARTS_OF_RAMP: i32 = 16;

/// Cuts `slots`, of which the last is the newest that has settled, where any of `windows` changes what is expected. Without windows
/// there is nothing to look at.
pub(super) fn spans<'a>(
    step: Step,
    slots: Range<Slot>,
    windows: impl Iterator<Item = (&'a Window, &'a Lift)>,
) -> Vec<Range<Slot>> {
    let windows: Vec<_> = windows.collect();
    let Some(bin) = windows.iter().map(|(_, lift)| lift.bin_seconds()).min() else { return Vec::new() };
    if slots.is_empty() {
        return Vec::new();
    }
    let newest = step.slot_of(step.start(slots.end) - NEWEST).next().max(slots.start).min(slots.end);
    let together = (bin / PARTS_OF_BIN / step.seconds()).max(1);
    let mut cuts: Vec<Slot> = (newest.0..slots.end.0).filter(|slot| slot % together == 0).map(Slot).collect();
    cuts.extend([slots.start, newest, slots.end]);
    for (window, lift) in windows {
        for edge in [window.from, window.full, window.fade, window.until] {
            // The slot in which it lies, and those beside it.
            let within = step.last_ended(edge).next();
            cuts.extend([within.plus(-1), within, within.next()]);
        }
        for (begin, end) in [(window.from, window.full), (window.fade, window.until)] {
            let part = (end - begin) / PARTS_OF_RAMP;
            cuts.extend((1..PARTS_OF_RAMP).map(|nth| first_in(step, begin + part * nth)));
        }
        let [begin, end] =
            [window.from.max(step.start(slots.start)), window.until.min(step.start(slots.end))];
        cuts.extend(lift.borders(window.at, begin..end).map(|border| first_in(step, border)));
    }
    cuts.retain(|cut| slots.start <= *cut && *cut <= slots.end);
    cuts.sort_unstable();
    cuts.dedup();
    cuts.windows(2).map(|two| two[0]..two[1]).collect()
}

/// The first slot whose middle lies at `border` or after it.
fn first_in(step: Step, border: Timestamp) -> Slot {
    let (twice, doubled) = (2 * epoch_seconds(border) - step.seconds(), 2 * step.seconds());
    Slot(twice.div_euclid(doubled) + i64::from(twice.rem_euclid(doubled) > 0))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::calendar::{Envelope, WindowSource};
    use crate::time::epoch_seconds;

    /// A window from six to six with its instant at noon, and two dozen bins of half an hour.
    fn pay_day() -> (Window, Lift) {
        let hours = TimeDelta::hours;
        let envelope = Envelope { lead: hours(6), ramp: hours(2), hold: hours(6), decay: hours(4) };
        let at = "2026-11-27T12:00:00Z".parse().unwrap();
        let window = Window::around("pay day".into(), WindowSource::Calendar, at, &envelope);
        (window, Lift::unseen(1_800, -12, 24))
    }

    fn cut(step: Step, from: &str, until: &str) -> (Window, Vec<Range<Slot>>) {
        let (window, lift) = pay_day();
        let slot = |at: &str| step.last_ended(at.parse().unwrap()).next();
        let spans = spans(step, slot(from)..slot(until), [(&window, &lift)].into_iter());
        assert_eq!(spans.first().unwrap().start, slot(from));
        assert_eq!(spans.last().unwrap().end, slot(until));
        assert!(spans.windows(2).all(|two| two[0].end == two[1].start), "{spans:?}");
        (window, spans)
    }

    #[test]
    fn the_newest_hour_is_looked_at_by_an_eighth_of_a_bin_and_the_rest_by_bins() {
        for (seconds, together) in [(15, 15), (60, 3), (300, 1), (1_800, 1)] {
            let step = Step::try_new(Duration::from_secs(seconds)).unwrap();
            let (_, spans) = cut(step, "2026-11-26T12:00:00Z", "2026-11-27T16:00:00Z");
            let of_an_hour = 3_600 / step.seconds() / together;
            let hour = step.last_ended("2026-11-27T15:00:00Z".parse().unwrap()).next();
            let newest: Vec<_> = spans.iter().filter(|span| span.start >= hour).collect();
            let most = newest.iter().map(|span| span.end.since(span.start)).max();
            assert_eq!(most, Some(together), "{seconds}: {newest:?}");
            let count = i64::try_from(spans.len()).unwrap();
            assert!(count < of_an_hour + 24 + 13 + 32, "{seconds}: {count} spans");
        }
    }

    #[test]
    fn no_span_lies_in_two_bins_or_on_both_sides_of_an_edge() {
        let step = Step::MINUTE;
        let (window, spans) = cut(step, "2026-11-26T12:00:00Z", "2026-11-28T12:00:00Z");
        let (_, lift) = pay_day();
        for span in &spans {
            let bin = |slot: Slot| {
                let middle = step.start(slot) + TimeDelta::seconds(30);
                lift.bin((middle - window.at).num_seconds())
            };
            let last = span.end.plus(-1);
            assert_eq!(bin(span.start), bin(last), "{span:?}");
            for edge in [window.from, window.full, window.fade, window.until] {
                let before = |slot: Slot| step.start(slot) < edge;
                assert_eq!(before(span.start), before(last), "{span:?} {edge}");
            }
        }
        // Up to the edge nothing is in force in full: the slot that ends there is looked at by itself.
        let full = Slot(epoch_seconds(window.full) / 60);
        assert!(spans.contains(&(full.plus(-1)..full)));
    }

    #[test]
    fn without_windows_or_slots_there_is_nothing_to_look_at() {
        let (window, lift) = pay_day();
        assert!(spans(Step::MINUTE, Slot(0)..Slot(99), std::iter::empty()).is_empty());
        assert!(spans(Step::MINUTE, Slot(9)..Slot(9), [(&window, &lift)].into_iter()).is_empty());
    }
}
