//! What came of what was forecast: each forecast that a plan rests on, and one an hour ahead, held against the measurement that
//! settles in its slot.
//!
//! ```text
//! decision ──▶ (slot, median, quantile) ──▶ waits until the slot has settled ──▶ counters: matured, covered, over, under, pinball
//! ```
//!
//! Counters and not means, so that whoever asks chooses the window: the coverage of six hours is the increase of `covered` over
//! that of `matured`, and the bias that of `over` less that of `under` over that of `observed`. A replica that has just started
//! has nothing to show, and shows nothing. What was not measured is not counted, and neither is a forecast that was not
//! trusted.

use std::collections::VecDeque;
use std::time::Duration;

use chrono::TimeDelta;

use super::Metrics;
use crate::decision::{Claim, Evidence};
use crate::forecast::Known;
use crate::guard::Rung;
use crate::series::Series;
use crate::time::{Slot, Step, Timestamp};
use crate::units::Quantile;

/// The longer of the two leads: far enough for the day's shape to tell, and not the last minutes.
const HOUR: Duration = Duration::from_secs(3600);

/// A finer grid is looked at this often: some three hundred forecasts wait at most, with a lead time of hours.
const EVERY: Duration = Duration::from_secs(60);

/// Half of the minute that a nowcast speaks of.
const HALF_A_MINUTE: TimeDelta = TimeDelta::seconds(30);

/// How far ahead a forecast was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lead {
    /// Where the plan is read: one lead time.
    Plan,
    /// An hour.
    Hour,
}

impl Lead {
    /// Its name, for a label.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Hour => "60m",
        }
    }
}

/// What was said of a slot.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Said {
    slot: Slot,
    /// How far the instant spoken of is from the end of the slot: of several the nearest counts.
    beside: TimeDelta,
    median: f64,
    upper: f64,
    quantile: Quantile,
}

/// What was said and what came, added to the counters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Outcome {
    /// Whether what came was not above the quantile.
    pub(super) covered: bool,
    /// The median less what came, where it was above.
    pub(super) over: f64,
    /// What came less the median, where it was below.
    pub(super) under: f64,
    /// The pinball loss of the quantile.
    pub(super) pinball: f64,
    /// What came.
    pub(super) observed: f64,
}

impl Outcome {
    fn of(said: &Said, observed: f64) -> Self {
        let (level, missing) = (said.quantile.get(), observed - said.upper);
        Self {
            covered: missing <= 0.0,
            over: (said.median - observed).max(0.0),
            under: (observed - said.median).max(0.0),
            pinball: if missing > 0.0 { level * missing } else { (level - 1.0) * missing },
            observed,
        }
    }
}

/// What was said of one demand and has not come yet.
#[derive(Debug, Default)]
pub(super) struct Record {
    plan: VecDeque<Said>,
    hour: VecDeque<Said>,
}

impl Record {
    /// Takes in what was decided of a demand at `at`, from `evidence` and to be read at `quantile`, and counts what has settled
    /// meanwhile.
    pub(super) fn note(
        &mut self,
        at: Timestamp,
        evidence: &Evidence<'_>,
        claim: &Claim,
        quantile: Quantile,
        (metrics, target): (&Metrics, &str),
    ) {
        for (lead, waiting) in [(Lead::Plan, &mut self.plan), (Lead::Hour, &mut self.hour)] {
            for outcome in matured(waiting, evidence.settled) {
                metrics.matured(target, evidence.demand, lead, &outcome);
            }
        }
        if claim.rung == Rung::Planned {
            let step = evidence.settled.step();
            keep(&mut self.plan, step, planned(step, claim));
            if is_asked(step, hour_ahead(step, at))
                && self.hour.back().map(|said| said.slot) != Some(hour_ahead(step, at))
            {
                keep(&mut self.hour, step, in_an_hour(at, evidence, quantile));
            }
        }
    }
}

/// What is said of those slots that have settled, with what came. What was never measured is forgotten.
fn matured(waiting: &mut VecDeque<Said>, settled: &Series) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    while let Some(said) = waiting.front().filter(|said| said.slot < settled.end()) {
        outcomes.extend(settled.load(said.slot).map(|observed| Outcome::of(said, observed)));
        waiting.pop_front();
    }
    outcomes
}

/// The forecast that a plan rests on; none where the model went wrong and was cut.
fn planned(step: Step, claim: &Claim) -> Option<Said> {
    let plan = claim.plan.as_ref().filter(|plan| plan.absurd.is_none())?;
    let slot = step.slot_of(plan.peak_at - HALF_A_MINUTE.min(TimeDelta::from_std(step.duration() / 2).ok()?));
    Some(Said {
        slot,
        beside: (step.end(slot) - plan.peak_at).abs(),
        median: plan.median.get(),
        upper: plan.peak.get(),
        quantile: plan.quantile,
    })
}

fn hour_ahead(step: Step, at: Timestamp) -> Slot {
    step.slot_of(at + HOUR)
}

/// What the model says of the slot in an hour.
fn in_an_hour(at: Timestamp, evidence: &Evidence<'_>, quantile: Quantile) -> Option<Said> {
    let slot = hour_ahead(evidence.settled.step(), at);
    let known = Known { settled: evidence.settled, origin: evidence.settled.end(), live: evidence.live };
    let forecast = evidence.model?.forecast(&known, slot..slot.next(), &[Quantile::MEDIAN, quantile])?;
    let row = forecast.rows().next()?;
    Some(Said { slot, beside: TimeDelta::zero(), median: row.loads[0], upper: row.loads[1], quantile })
}

/// Whether a slot is one of those that are looked at.
fn is_asked(step: Step, slot: Slot) -> bool {
    slot.0.rem_euclid(step.slots_in(EVERY)) == 0
}

/// Keeps what was said of a slot, the nearest of several, ascending by slot.
fn keep(waiting: &mut VecDeque<Said>, step: Step, said: Option<Said>) {
    let Some(said) = said.filter(|said| is_asked(step, said.slot)) else { return };
    // A window whose peak stays where it is comes again and again, and a later one may come sooner.
    let place = waiting.partition_point(|other| other.slot < said.slot);
    match waiting.get_mut(place).filter(|other| other.slot == said.slot) {
        Some(other) if said.beside < other.beside => *other = said,
        Some(_) => {}
        None => waiting.insert(place, said),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Load;

    fn said(slot: i64, beside: i64, median: f64, upper: f64) -> Said {
        Said { slot: Slot(slot), beside: TimeDelta::seconds(beside), median, upper, quantile: Quantile::P95 }
    }

    #[test]
    fn what_came_is_held_against_the_nearest_that_was_said_once_it_has_settled() {
        let mut waiting = VecDeque::new();
        for one in [
            said(12, 7, 90.0, 110.0),
            said(10, 22, 1.0, 2.0),
            said(10, 7, 100.0, 120.0),
            said(10, 8, 3.0, 4.0),
        ] {
            keep(&mut waiting, Step::MINUTE, Some(one));
        }
        let mut settled = Series::empty(Step::MINUTE, Slot(8));
        settled.put(Slot(9), Load::saturating(70.0));
        assert!(matured(&mut waiting, &settled).is_empty(), "slot 10 has not settled");
        settled.put(Slot(10), Load::saturating(130.0));
        let [missed] = matured(&mut waiting, &settled)[..] else { panic!("one has settled") };
        assert!(!missed.covered);
        let close = |a: f64, b: f64| (a - b).abs() < 1e-9;
        assert!(
            close(missed.under, 30.0) && close(missed.over, 0.0) && close(missed.pinball, 9.5),
            "{missed:?}"
        );

        settled.mask(Slot(11));
        settled.put(Slot(12), Load::saturating(80.0));
        let [covered] = matured(&mut waiting, &settled)[..] else { panic!("another") };
        assert!(covered.covered && close(covered.over, 10.0) && close(covered.pinball, 1.5), "{covered:?}");
        assert!(waiting.is_empty());
    }

    #[test]
    fn what_was_not_measured_is_not_counted_and_a_fine_grid_is_looked_at_once_a_minute() {
        let mut waiting = VecDeque::new();
        keep(&mut waiting, Step::MINUTE, Some(said(10, 0, 1.0, 2.0)));
        let mut settled = Series::empty(Step::MINUTE, Slot(8));
        settled.mask(Slot(10));
        assert!(matured(&mut waiting, &settled).is_empty() && waiting.is_empty());
        let fine = Step::try_new(Duration::from_secs(15)).unwrap();
        (0..400).for_each(|slot| keep(&mut waiting, fine, Some(said(slot, 0, 1.0, 2.0))));
        assert_eq!(waiting.len(), 100);
    }
}
