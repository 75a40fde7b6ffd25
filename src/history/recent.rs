//! The newest part of a target's history, in memory.
//!
//! ```text
//!   forgotten │ settled: 12 13 ·· 15 16 17 │ unsettled: (18) 19 │ not ended
//!             └ retention, whole hours     └ settled_until   └ the provisional slot
//! ```
//!
//! * **A settled number stays.** A later sample for its slot changes nothing, whatever it says: a forecast may have
//!   learned from it, and two replicas must have learned the same.
//! * **A settled hole may be filled.** A hole was never a measurement, so nothing was learned from it; the source may
//!   have been replaying its log, or a remote write came late.
//! * **A provisional number is never promoted.** It was read before its slot had settled and may be short of traffic.
//!   The slot is read again when it has settled; until then [`settled`](History::settled) ends before it, which is how
//!   the engine knows from where to read.
//! * **Only the newest unsettled slot is kept**, for it may raise an answer; those before it say nothing more.
//!
//! It refuses samples that are not on the end of a slot, older than the retention, or more than a day ahead: a clock gone
//! wrong must not cost memory.

use std::time::Duration;

use crate::engine::{History, Sample};
use crate::forecast::Observation;
use crate::series::Series;
use crate::time::{Slot, Step};
use crate::units::Load;

/// Slots are forgotten in lumps of an hour, on borders of the grid: moving what is kept each minute would cost more than the
/// tick, lumps of a day are half a day that nothing looks at, and borders that depend on the grid alone leave two replicas with
/// the same history.
const LUMP: Duration = Duration::from_secs(3_600);

/// How far ahead of what is settled a slot may be and still be believed: no source lags by more than a day.
const FARTHEST_AHEAD: Duration = Duration::from_secs(86_400);

/// Whatever the retention, no more slots are kept: 95 years of minutes, in less than half a gigabyte.
const MOST_SLOTS: i64 = 50_000_000;

/// Settled load and the newest provisional slot of one target.
#[derive(Debug, Clone, PartialEq)]
pub struct Recent {
    settled: Series,
    /// The first slot that has not settled; never goes back.
    settled_until: Slot,
    provisional: Option<(Slot, Load)>,
    retention_slots: i64,
}

impl Recent {
    /// An empty history on the grid of `step`, which keeps at least `retention` and at most an hour more.
    pub fn new(step: Step, retention: Duration) -> Self {
        Self {
            settled: Series::empty(step, Slot(0)),
            settled_until: Slot(i64::MIN),
            provisional: None,
            retention_slots: step.slots_in(retention).min(MOST_SLOTS),
        }
    }

    /// The first slot that is kept.
    fn oldest(&self) -> Slot {
        let lump_slots = self.settled.step().slots_in(LUMP);
        let exact = self.settled_until.plus(-self.retention_slots);
        Slot(exact.0.div_euclid(lump_slots).saturating_mul(lump_slots))
    }

    /// The slot that a sample is about, if it is on the grid.
    fn slot_of(&self, sample: &Sample) -> Option<Slot> {
        let step = self.settled.step();
        let slot = step.slot_of(sample.at);
        (step.end(slot) == sample.at).then_some(slot)
    }

    fn settle(&mut self, slot: Slot, load: Option<Load>) {
        if slot < self.oldest() || self.settled.get(slot).is_some() {
            return;
        }
        match load {
            Some(load) => self.settled.put(slot, load),
            None => self.settled.mask(slot),
        }
    }

    fn foresee(&mut self, slot: Slot, load: Option<Load>) {
        let farthest = self.settled_until.plus(self.settled.step().slots_in(FARTHEST_AHEAD));
        if slot > farthest || self.provisional.is_some_and(|(newest, _)| slot < newest) {
            return;
        }
        match (load, self.provisional) {
            (Some(load), _) => self.provisional = Some((slot, load)),
            // What was there a moment ago and is not there any more is not known.
            (None, Some((newest, _))) if newest == slot => self.provisional = None,
            // A newer slot of which nothing is known yet does not take away what is known of an older one.
            (None, _) => {}
        }
    }
}

impl History for Recent {
    fn append(&mut self, samples: &[Sample], settled_until: Slot) {
        self.settled_until = self.settled_until.max(settled_until);
        self.settled.forget_before(self.oldest());
        self.provisional = self.provisional.filter(|(slot, _)| *slot >= self.settled_until);
        for sample in samples {
            match self.slot_of(sample) {
                Some(slot) if slot < self.settled_until => self.settle(slot, sample.load),
                Some(slot) => self.foresee(slot, sample.load),
                None => {}
            }
        }
    }

    fn settled(&self) -> &Series {
        &self.settled
    }

    fn provisional(&self) -> Option<Observation> {
        self.provisional.map(|(slot, load)| Observation { at: self.settled.step().end(slot), load })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;
    use proptest::prelude::*;

    const STEP: Step = Step::MINUTE;
    const DAYS: Duration = Duration::from_secs(3 * 86_400);
    /// A Monday of 2026, in slots.
    const FIRST: i64 = 29_450_880;

    /// Samples from a picture that begins at a slot after [`FIRST`]: a digit per slot, `.` is a hole, a space is no sample.
    fn samples(begin: i64, picture: &str) -> Vec<Sample> {
        let slots = (FIRST + begin..).map(Slot);
        slots
            .zip(picture.chars())
            .filter(|(_, sign)| *sign != ' ')
            .map(|(slot, sign)| Sample {
                at: STEP.end(slot),
                load: sign.to_digit(10).map(|digit| Load::saturating(f64::from(digit))),
            })
            .collect()
    }

    fn append(history: &mut Recent, begin: i64, picture: &str, settled_until: i64) {
        history.append(&samples(begin, picture), Slot(FIRST + settled_until));
    }

    fn drawn(history: &Recent) -> String {
        let settled = history.settled();
        let sign = |slot| settled.load(slot).map_or_else(|| ".".to_owned(), |load| format!("{load:.0}"));
        settled.grid().slots().map(sign).collect()
    }

    fn provisional(history: &Recent) -> Option<(i64, f64)> {
        history.provisional().map(|newest| (STEP.slot_of(newest.at).0 - FIRST, newest.load.get()))
    }

    #[test]
    fn a_settled_number_stays_and_a_settled_hole_may_be_filled() {
        let mut history = Recent::new(STEP, DAYS);
        append(&mut history, 0, "12.4", 4);
        append(&mut history, 0, "9.39", 4);
        assert_eq!(drawn(&history), "1234");
        append(&mut history, 0, "....", 4);
        assert_eq!(drawn(&history), "1234");
    }

    #[test]
    fn what_has_not_settled_is_provisional_and_is_read_again() {
        let mut history = Recent::new(STEP, DAYS);
        append(&mut history, 0, "12345", 3);
        assert_eq!((drawn(&history).as_str(), provisional(&history)), ("123", Some((4, 5.0))));
        // Time goes by without a sample: nothing provisional becomes settled.
        append(&mut history, 0, "", 5);
        assert_eq!((drawn(&history).as_str(), provisional(&history)), ("123", None));
        append(&mut history, 3, "679", 5);
        assert_eq!((drawn(&history).as_str(), provisional(&history)), ("12367", Some((5, 9.0))));
    }

    #[test]
    fn the_newest_unsettled_slot_is_the_provisional_one() {
        let mut history = Recent::new(STEP, DAYS);
        append(&mut history, 0, "12 45", 2);
        append(&mut history, 3, "7", 2);
        assert_eq!(provisional(&history), Some((4, 5.0)), "an older one does not replace it");
        append(&mut history, 4, "6.", 2);
        assert_eq!(provisional(&history), Some((4, 6.0)), "a newer hole does not take it away");
        append(&mut history, 4, ".", 2);
        assert_eq!(provisional(&history), None, "its own hole does");
    }

    #[test]
    fn settled_slots_do_not_become_unsettled_when_the_clock_goes_back() {
        let mut history = Recent::new(STEP, DAYS);
        append(&mut history, 0, "1234", 4);
        append(&mut history, 0, "9999", 1);
        assert_eq!((drawn(&history).as_str(), provisional(&history)), ("1234", None));
    }

    #[test]
    fn what_lies_beyond_the_retention_is_forgotten_in_whole_hours() {
        let mut history = Recent::new(STEP, DAYS);
        for hour in 0..240 {
            append(&mut history, hour * 60, &"5".repeat(60), (hour + 1) * 60);
            append(&mut history, hour * 60 + 60, &"5".repeat(59), (hour + 1) * 60 + 59);
        }
        let settled = history.settled();
        assert_eq!(settled.first().0 - FIRST, 7 * 1440);
        assert_eq!(settled.end().0 - FIRST, 10 * 1440 + 59);
        append(&mut history, 7 * 1440 - 1, "9", 10 * 1440 + 59);
        assert_eq!(history.settled().first().0 - FIRST, 7 * 1440, "what is forgotten does not come back");
    }

    #[test]
    fn a_clock_gone_wrong_costs_no_memory() {
        let mut history = Recent::new(STEP, DAYS);
        append(&mut history, 0, "123", 3);
        let absurd = ["1970-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "2999-01-01T00:00:00Z"];
        let mut strays: Vec<Sample> =
            absurd.map(|at| Sample { at: at.parse().unwrap(), load: Some(Load::ZERO) }).to_vec();
        strays.extend([Timestamp::MIN_UTC, Timestamp::MAX_UTC].map(|at| Sample { at, load: None }));
        let between = STEP.end(Slot(FIRST)) + Duration::from_secs(15);
        strays.push(Sample { at: between, load: Some(Load::ZERO) });
        history.append(&strays, Slot(FIRST + 3));
        assert_eq!((drawn(&history).as_str(), provisional(&history)), ("123", None));
        history.append(&strays, Slot(i64::MAX));
        assert!(history.settled().grid().len <= 3 * 1440 + 60);
        history.append(&strays, Slot(i64::MIN));
        assert!(Recent::new(STEP, Duration::MAX).oldest() <= Slot(0));
    }

    /// A day or so of a digit per slot, holes in between.
    fn truth() -> impl Strategy<Value = Vec<Option<u8>>> {
        prop::collection::vec(prop::option::weighted(0.8, 0..10_u8), 1..300)
    }

    fn sample(slot: i64, load: Option<u8>) -> Sample {
        let load = load.map(|load| Load::saturating(f64::from(load)));
        Sample { at: STEP.end(Slot(FIRST + slot)), load }
    }

    fn all(truth: &[Option<u8>]) -> Vec<Sample> {
        (0..).zip(truth).map(|(slot, load)| sample(slot, *load)).collect()
    }

    fn end(truth: &[Option<u8>]) -> Slot {
        Slot(FIRST + i64::try_from(truth.len()).unwrap())
    }

    proptest! {
        #[test]
        fn any_chunks_in_any_order_give_the_same_history(
            truth in truth(),
            sizes in prop::collection::vec(1..40_usize, 300),
            order in any::<u64>(),
        ) {
            let samples = all(&truth);
            let mut at_once = Recent::new(STEP, DAYS);
            at_once.append(&samples, end(&truth));

            let mut rest = samples.as_slice();
            let mut chunks = Vec::new();
            for size in sizes {
                let (chunk, later) = rest.split_at(size.min(rest.len()));
                chunks.push(chunk);
                rest = later;
            }
            let shuffled = |chunk: &&[Sample]| {
                chunk.first().map(|sample| sample.at.timestamp().cast_unsigned().wrapping_mul(order | 1))
            };
            chunks.sort_by_key(shuffled);
            let mut in_chunks = Recent::new(STEP, DAYS);
            for chunk in chunks {
                in_chunks.append(chunk, end(&truth));
                // A second time changes nothing.
                in_chunks.append(chunk, end(&truth));
            }
            prop_assert_eq!(in_chunks, at_once);
        }

        #[test]
        fn reading_along_as_time_goes_by_gives_what_reading_afterwards_gives(
            truth in truth(),
            lag in 0..4_i64,
            pauses in prop::collection::vec(1..7_i64, 300),
        ) {
            let mut afterwards = Recent::new(STEP, DAYS);
            let until = i64::try_from(truth.len()).unwrap();
            let settled_until = Slot(FIRST + (until - lag).max(0));
            afterwards.append(&all(&truth), settled_until);

            let mut along = Recent::new(STEP, DAYS);
            let mut now = 0;
            for pause in pauses {
                now = (now + pause).min(until);
                let settled_until = (now - lag).max(0);
                // As the engine does: from the end of what is settled. What has not settled is still short of traffic.
                let from = if along.settled().is_empty() { 0 } else { along.settled().end().0 - FIRST };
                let samples: Vec<Sample> = (from..now)
                    .map(|slot| {
                        let load = truth[usize::try_from(slot).unwrap()];
                        sample(slot, if slot < settled_until { load } else { load.map(|load| load / 2) })
                    })
                    .collect();
                along.append(&samples, Slot(FIRST + settled_until));
            }
            prop_assert_eq!(along.settled(), afterwards.settled());
        }

        #[test]
        fn masking_a_slot_equals_not_having_it(truth in truth()) {
            let mut masked = Recent::new(STEP, DAYS);
            masked.append(&all(&truth), end(&truth));
            let mut left_out = Recent::new(STEP, DAYS);
            let known: Vec<Sample> = all(&truth).into_iter().filter(|sample| sample.load.is_some()).collect();
            left_out.append(&known, end(&truth));
            prop_assert!(masked.settled().points().eq(left_out.settled().points()));
            prop_assert_eq!(masked.provisional(), left_out.provisional());
        }
    }
}
