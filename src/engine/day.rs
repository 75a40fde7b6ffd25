//! A UTC day, the unit in which settled load is archived.

use std::fmt;
use std::ops::Range;

use chrono::NaiveDate;

use crate::series::Series;
use crate::time::{Slot, Step, Timestamp, epoch_seconds, from_epoch_seconds};

const DAY_SECONDS: i64 = 86_400;

/// A day in UTC. The slots of a day are those that end after its midnight and not after the next, so that each slot of any
/// step belongs to exactly one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(i64);

impl Day {
    /// The day of a slot: the one in which it ends.
    pub fn of(step: Step, slot: Slot) -> Self {
        Self((slot.0.saturating_add(1).saturating_mul(step.seconds()) - 1).div_euclid(DAY_SECONDS))
    }

    /// The day of a date; `None` beyond the years 1 to 9999.
    pub fn on(date: NaiveDate) -> Option<Self> {
        use chrono::Datelike;
        let midnight = date.and_hms_opt(0, 0, 0)?.and_utc();
        (1..=9999).contains(&date.year()).then(|| Self(epoch_seconds(midnight).div_euclid(DAY_SECONDS)))
    }

    /// Its date.
    pub fn date(self) -> NaiveDate {
        self.start().date_naive()
    }

    /// Its first instant.
    pub fn start(self) -> Timestamp {
        from_epoch_seconds(self.0.saturating_mul(DAY_SECONDS))
    }

    /// The first instant after it.
    pub fn end(self) -> Timestamp {
        self.next().start()
    }

    /// The day after it.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The slots that end in it.
    pub fn slots(self, step: Step) -> Range<Slot> {
        let first_ending_after = |seconds: i64| Slot(seconds.div_euclid(step.seconds()));
        let start = self.0.saturating_mul(DAY_SECONDS);
        first_ending_after(start)..first_ending_after(start.saturating_add(DAY_SECONDS))
    }

    /// The days whose every slot lies in `slots`.
    pub fn whole_within(step: Step, slots: Range<Slot>) -> impl Iterator<Item = Self> {
        let first = Self::of(step, slots.start);
        let first = if first.slots(step).start < slots.start { first.next() } else { first };
        (first.0..).map(Self).take_while(move |day| day.slots(step).end <= slots.end)
    }

    /// The part of `series` that is this day; `None` when the series does not reach over all of it.
    pub fn cut(self, series: &Series) -> Option<Series> {
        let slots = self.slots(series.step());
        if series.is_empty() || series.first() > slots.start || series.end() < slots.end {
            return None;
        }
        let mut day = Series::empty(series.step(), slots.start);
        for slot in (slots.start.0..slots.end.0).map(Slot) {
            match series.get(slot) {
                Some(load) => day.put(slot, load),
                None => day.mask(slot),
            }
        }
        Some(day)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.date().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Load;
    use std::time::Duration;

    fn step(seconds: u64) -> Step {
        Step::try_new(Duration::from_secs(seconds)).unwrap()
    }

    #[test]
    fn every_slot_of_any_step_belongs_to_exactly_one_day() {
        for seconds in [1, 7, 60, 420, 3600, 50_000, 86_400] {
            let step = step(seconds);
            let day = Day::of(step, step.slot_of("2028-02-29T12:00:00Z".parse().unwrap()));
            assert_eq!(day.slots(step).end, day.next().slots(step).start);
            let slots = day.slots(step);
            for slot in [slots.start, slots.end.plus(-1)].into_iter().filter(|slot| *slot < slots.end) {
                assert_eq!(Day::of(step, slot), day, "{seconds}");
            }
            assert_eq!(Day::of(step, slots.end), Day::of(step, slots.end.plus(-1)).next());
        }
        let minutes = Day::on(NaiveDate::from_ymd_opt(2026, 11, 1).unwrap()).unwrap().slots(Step::MINUTE);
        assert_eq!(minutes.end.since(minutes.start), 1440);
        assert_eq!(
            Step::MINUTE.end(minutes.end.plus(-1)),
            "2026-11-02T00:00:00Z".parse::<Timestamp>().unwrap()
        );
    }

    #[test]
    fn a_day_is_cut_out_whole_or_not_at_all() {
        let day = Day::of(step(3600), Slot(500_000));
        let slots = day.slots(step(3600));
        let mut series = Series::empty(step(3600), slots.start.plus(-3));
        series.put(slots.start.plus(-3), Load::ZERO);
        series.put(slots.end.plus(-2), Load::ZERO);
        assert_eq!(day.cut(&series), None);
        series.mask(slots.end.plus(-1));
        let cut = day.cut(&series).unwrap();
        assert_eq!((cut.first(), cut.end(), cut.measured_count()), (slots.start, slots.end, 1));
        let whole: Vec<Day> = Day::whole_within(step(3600), series.first()..series.end()).collect();
        assert_eq!(whole, [day]);
        assert_eq!(day.to_string(), "2027-01-15");
    }
}
