//! An edge: a bell, a launch or a batch, at which the day's forecast rises within minutes.
//!
//! What is said of the next minutes is learned from four weeks of them. That makes twenty bells of one kind, of which a rare
//! quantile cannot be read; and the days that a bell is like may be days without one, as a half day's are. The day's forecast
//! has seen more days and knows their calendars, so at an edge it is heard as well, and what needs more counts.

use std::ops::Range;

use chrono::TimeDelta;

use super::Plan;
use super::asked::{Asked, Watched};
use crate::forecast::{Fitted, Known, median};
use crate::time::{Slot, Step, Timestamp};
use crate::units::{Load, Quantile};

/// What counts as an edge: what was some minutes before, so many times as large. A tenth within one minute is what scatter looks
/// like to the shape of the day, and a bell may take five to rise.
const RISES: f64 = 1.2;
const WITHIN: TimeDelta = TimeDelta::minutes(3);

/// The shape that two weeks of minutes leave scatters by half of what they do, and where they scatter by a tenth it rises by a
/// fifth some four times a day. An edge stands out of what the half hour before it does in as many minutes: it is farther from its
/// median than four standard deviations, by the median distance from that, which is 0.6745 of one where scatter is normal.
const STANDS_OUT: f64 = 4.0 / 0.6745;
const SCATTERS_OVER_MINUTES: i64 = 30;

/// `plan`, which speaks of one moment, or what the day says of the slot in which that lies, if it rises to more.
pub(super) fn over(plan: Plan, model: &dyn Fitted, known: &Known<'_>, quantile: Quantile) -> Plan {
    at_an_edge(&plan, model, known, quantile).unwrap_or(plan)
}

/// What the day says of the slot, where it rises to more than is planned.
fn at_an_edge(plan: &Plan, model: &dyn Fitted, known: &Known<'_>, quantile: Quantile) -> Option<Plan> {
    let step = known.settled.step();
    let slot = step.slot_of(plan.peak_at);
    if !rises(model, step, plan.peak_at, slot..slot.next())? {
        return None;
    }
    let asked = Asked::with(quantile);
    let day = model.forecast(known, slot..slot.next(), &asked.levels)?;
    let row = day.rows().next()?;
    let [median, own, for_long, unlikely] = asked.told(row.loads.try_into().ok()?);
    if own <= plan.peak.get() {
        return None;
    }
    let larger = |load: Load, day: f64| Load::saturating(load.get().max(day));
    let watched = plan.watched.map(|said| Watched {
        at: said.at,
        middle: Load::saturating(median),
        for_long: larger(said.for_long, for_long),
        unlikely: larger(said.unlikely, unlikely),
    });
    Some(Plan { watched, ..Plan::of_slot(&day, &row, [median, own], quantile) })
}

/// Whether the day is an edge above what it was shortly before `at` in any of `slots`; `None` where it does not say.
pub(super) fn rises(model: &dyn Fitted, step: Step, at: Timestamp, slots: Range<Slot>) -> Option<bool> {
    let before = model.outline(step.slot_of(at - WITHIN))?;
    // Scatter is looked at last, for hardly ever does anything rise.
    let mut stands_out = None;
    for slot in (slots.start.0..slots.end.0).map(Slot) {
        let rise = model.outline(slot)? - before;
        if rise > (RISES - 1.0) * before
            && rise > *stands_out.get_or_insert_with(|| scatter(model, step, at - WITHIN))
        {
            return Some(true);
        }
    }
    Some(false)
}

/// By how much the day is to rise to be more than what it scatters by in the half hour up to `at`. What recurs in it for a few
/// minutes, batches for one, moves no median.
fn scatter(model: &dyn Fitted, step: Step, at: Timestamp) -> f64 {
    let outline = |minutes: i64| model.outline(step.slot_of(at - TimeDelta::minutes(minutes)));
    let mut rises: Vec<f64> = (0..SCATTERS_OVER_MINUTES)
        .filter_map(|back| Some(outline(back)? - outline(back + WITHIN.num_minutes())?))
        .collect();
    let Some(usual) = median(&mut rises) else { return 0.0 };
    let mut apart: Vec<f64> = rises.iter().map(|rise| (rise - usual).abs()).collect();
    usual + STANDS_OUT * median(&mut apart).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use rand::{RngExt as _, SeedableRng as _};
    use rand_distr::StandardNormal;
    use rand_pcg::Pcg64Mcg;

    use super::*;
    use crate::forecast::Forecast;
    use crate::time::from_epoch_seconds;

    /// A day's shape by the minute, from the epoch on.
    #[derive(Debug)]
    struct Shape(Vec<f64>);

    impl Fitted for Shape {
        fn forecast(&self, _: &Known<'_>, _: Range<Slot>, _: &[Quantile]) -> Option<Forecast> {
            None
        }

        fn outline(&self, slot: Slot) -> Option<f64> {
            self.0.get(usize::try_from(slot.0).ok()?).copied()
        }
    }

    /// Two days around a hundred that scatter so much, times what `course` makes of each minute.
    fn scattered(scatter: f64, seed: u64, course: impl Fn(i64) -> f64) -> Shape {
        let mut random = Pcg64Mcg::seed_from_u64(seed);
        let mut minute = |minute| {
            let normal: f64 = random.sample(StandardNormal);
            100.0 * course(minute) * (1.0 + scatter * normal)
        };
        Shape((0..2 * 1440).map(&mut minute).collect())
    }

    /// The minutes of the second day that are edges.
    fn edges(shape: &Shape) -> Vec<i64> {
        let is_edge = |minute: &i64| {
            let (slot, end) = (Slot(*minute), from_epoch_seconds(60 * (minute + 1)));
            rises(shape, Step::MINUTE, end, slot..slot.next()).unwrap()
        };
        (1440..2 * 1440).filter(is_edge).collect()
    }

    #[test]
    fn what_two_weeks_of_scattering_minutes_leave_is_no_edge() {
        let shapes: Vec<_> = (0..20).map(|seed| scattered(0.0465, seed, |_| 1.0)).collect();
        let rises_by_a_fifth = |shape: &Shape| {
            (1440..2 * 1440).filter(|minute| shape.0[*minute] > RISES * shape.0[minute - 3]).count()
        };
        let fifths: usize = shapes.iter().map(rises_by_a_fifth).sum();
        let edges: usize = shapes.iter().map(|shape| edges(shape).len()).sum();
        assert!(fifths >= 50 && edges <= fifths / 4, "{edges} of {fifths} in twenty days");
    }

    #[test]
    fn a_bell_is_one_through_scatter_and_after_a_ramp() {
        let check = |shape: &Shape| {
            let found = edges(shape);
            let bell = found.iter().filter(|minute| (2000..2003).contains(*minute)).count();
            assert!(bell == 3 && found.len() <= 4, "{found:?}");
        };
        check(&scattered(0.0465, 3, |minute| if minute < 2000 { 1.0 } else { 1.7 }));
        check(&scattered(0.002, 3, |minute| if minute < 2000 { 1.0 } else { 1.25 }));
        // It climbs by two per cent a minute before, which is no edge.
        let ramp = |minute: i64| 1.02_f64.powi(minute.clamp(1900, 2000) as i32 - 1900);
        check(&scattered(0.005, 3, |minute| ramp(minute) * if minute < 2000 { 1.0 } else { 1.5 }));
        // Where there was nothing before.
        check(&scattered(0.05, 3, |minute| if minute < 2000 { 0.0 } else { 1.0 }));
    }

    #[test]
    fn batches_that_recur_are_edges_each() {
        let shape = scattered(0.02, 3, |minute| if minute % 20 < 2 { 1.6 } else { 1.0 });
        assert_eq!(edges(&shape).len(), 2 * 72);
    }
}
