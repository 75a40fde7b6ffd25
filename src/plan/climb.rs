//! The climb to a later peak: what must stand already, or the rest could not be reached.
//!
//! A plan speaks of one moment, and the plan of the next sync of a moment one sync later. Each may climb by a step of
//! [`Growth`], so between the moment spoken of and a slot that begins later lies one step at least:
//!
//! ```text
//!    spoken of       + 15 s          + 30 s          + 45 s
//!  ─────┼───────────────┼───────────────┼───────────────┼───▶
//!  under way: 1 │ begins here: 1 │ here: 2       │ here: 3     steps before what the slot needs
//! ```
//!
//! The slot in which that moment lies is one step away as well. A plan of the next minutes speaks of the mean of a minute, which
//! takes in a sharp edge by and by, and who has climbed to the edge must not come down from it again meanwhile.
//!
//! What a slot needs is never asked for as a whole here: by then a plan speaks of it, and where the newest measurement is known
//! it mostly speaks with more certainty than the day's forecast, which is read here; where not, [`super::edge`] knows.

use super::believable::Believable;

use super::edge;
use super::growth::{Growth, SYNC};
use crate::forecast::{Fitted, Known, Row};
use crate::time::{Slot, Step, Timestamp};
use crate::units::{Load, LoadPerReplica, Quantile, Replicas};

/// No climb is begun longer before its peak, forty hours: with the longest lead time that is as far as a forecast reaches.
pub(super) const LONGEST_CLIMB_SYNCS: u32 = 40 * 240;

/// A peak beyond the moment spoken of, the way to which begins now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Climb {
    /// When.
    pub at: Timestamp,
    /// What it needs.
    pub to: Replicas,
}

/// A climb that has begun.
#[derive(Debug, Clone, Copy)]
pub(super) struct Begun {
    /// What must be asked for already.
    pub(super) replicas: Replicas,
    /// For which peak.
    pub(super) climb: Climb,
    /// What the model said of that peak, where it was cut.
    pub(super) absurd: Option<Load>,
}

/// The way up from the moment of which a plan speaks.
pub(super) struct Way<'a> {
    pub(super) spoken_of: Timestamp,
    pub(super) growth: &'a Growth,
    /// No climb leads above it.
    pub(super) max: Replicas,
}

impl Way<'_> {
    /// What must be asked for already for the sake of a later peak, by as much of the forecast as is `believable`; `None` where that
    /// is no more than the `planned` anyway, or where `model` does not reach.
    pub(super) fn begin(
        &self,
        planned: Replicas,
        model: &dyn Fitted,
        known: &Known<'_>,
        believable: Believable,
        capacity: LoadPerReplica,
        quantile: Quantile,
    ) -> Option<Begun> {
        let step = known.settled.step();
        let slots = step.slot_of(self.spoken_of)..self.last_slot(planned, self.max, step)?.next();
        if self.is_level(model, slots.start, step) {
            return None;
        }
        let later = model.forecast(known, slots, &[quantile])?;
        let needs =
            |row: &Row<'_>| Replicas::bearing(believable.load(row.loads[0], &row.components), capacity);
        let walked = self.down(later.rows().rev().map(|row| (row.slot, needs(&row))), step);
        let (replicas, climb) = walked.filter(|(replicas, _)| *replicas > planned)?;
        let peak = later.rows().find(|row| step.end(row.slot) == climb.at);
        let absurd = peak.and_then(|row| believable.absurd(row.loads[0], &row.components));
        Some(Begun { replicas, climb, absurd })
    }

    /// Whether no slot from `first` on that a climb could be for holds anything to climb to, as far as can be told without the newest points: replicas can double within a step,
    /// and the day neither rises to an edge nor has anything beside it. That is so at most ticks, and a forecast is what a tick takes
    /// longest for. It does not depend on what is planned, or a larger measurement could be answered with fewer.
    fn is_level(&self, model: &dyn Fitted, first: Slot, step: Step) -> bool {
        let Some(last) = self.last_slot(Replicas(0), self.max, step) else { return false };
        let slots = first..last.next();
        let span = step.start(slots.start)..step.end(slots.end.plus(-1));
        self.growth.doubles(self.max)
            && edge::rises(model, step, self.spoken_of, slots) == Some(false)
            && !model.is_lifted(span.start, span.end)
    }

    /// The last slot to whose needs, up to `to` replicas, the way can have begun where `standing` are asked for anyway: what is
    /// further away can be reached from those. `None` where the way is not even two steps long.
    pub(super) fn last_slot(&self, standing: Replicas, to: Replicas, step: Step) -> Option<Slot> {
        let reached = self.growth.syncs_to_climb(standing, to, LONGEST_CLIMB_SYNCS);
        let last = reached.checked_sub(1).filter(|last| *last > 0)?;
        Some(step.slot_of(self.spoken_of + SYNC * last))
    }

    /// Walks down from the last of `needs`, which comes first, to the moment spoken of, one slot at a time.
    pub(super) fn down(
        &self,
        needs: impl Iterator<Item = (Slot, Replicas)>,
        step: Step,
    ) -> Option<(Replicas, Climb)> {
        let (mut needed, mut steps) = (0.0_f64, 0_u32);
        let mut top = None;
        for (slot, own) in needs {
            let own = own.min(self.max);
            let own_steps = self.steps_before(step.start(slot));
            needed = self.growth.long_before(needed, steps.saturating_sub(own_steps));
            steps = own_steps;
            if f64::from(own.0) >= needed {
                needed = f64::from(own.0);
                top = Some(Climb { at: step.end(slot), to: own });
            }
        }
        Some((Replicas::whole(self.growth.long_before(needed, steps)), top?))
    }

    /// How many steps can be climbed before a slot that begins at `start`: as many as there are decisions yet to come that
    /// speak of a moment before its first second, and one.
    fn steps_before(&self, start: Timestamp) -> u32 {
        let whole = (start - self.spoken_of).to_std().unwrap_or_default().as_secs() / SYNC.as_secs();
        u32::try_from(whole).unwrap_or(u32::MAX).saturating_add(1)
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;
    use std::time::Duration;

    use chrono::TimeDelta;
    use proptest::prelude::*;

    use super::super::{Options, Plan, ScaleUp, ScaleUpPolicy, Select, Unit, for_lead_time};
    use super::*;
    use crate::forecast::{Components, Forecast, Peak};
    use crate::series::Series;
    use crate::time::from_epoch_seconds;

    /// Knows to the second when the load changes from one to another, and what it means of the next minutes.
    #[derive(Debug, Clone, Copy)]
    struct Edge {
        at: Timestamp,
        from: f64,
        to: f64,
        step: Step,
        sees: Sees,
    }

    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Sees {
        Day,
        NextMinutes,
    }

    impl Edge {
        /// The mean of the time up to `end`.
        fn mean(self, end: Timestamp, span: Duration) -> f64 {
            let after = ((end - self.at).as_seconds_f64() / span.as_secs_f64()).clamp(0.0, 1.0);
            self.from + after * (self.to - self.from)
        }
    }

    impl Fitted for Edge {
        fn forecast(&self, known: &Known<'_>, targets: Range<Slot>, levels: &[Quantile]) -> Option<Forecast> {
            let step = known.settled.step();
            let mut forecast = Forecast::new(step.start(known.origin), step, targets.start, levels.len());
            for slot in (targets.start.0..targets.end.0).map(Slot) {
                let load = self.mean(step.end(slot), step.duration());
                forecast.push(levels.iter().map(|_| load), Components::default());
            }
            Some(forecast)
        }

        fn outline(&self, slot: Slot) -> Option<f64> {
            Some(self.mean(self.step.end(slot), self.step.duration()))
        }

        fn peak(
            &self,
            known: &Known<'_>,
            until: Timestamp,
            _: &[Quantile],
            loads: &mut [Load],
        ) -> Option<Peak> {
            let at = until - TimeDelta::seconds(22);
            let point = Load::saturating(self.mean(at, Duration::from_secs(60)));
            loads.fill(point);
            let origin = known.settled.step().start(known.origin);
            (self.sees == Sees::NextMinutes).then_some(Peak {
                at,
                origin,
                point,
                usual: point,
                effect: 0.0,
                cause: None,
            })
        }
    }

    fn plan(now: Timestamp, edge: &Edge, options: &Options) -> Plan {
        let step = edge.step;
        let settled = Series::empty(step, step.last_ended(now).next());
        let known = Known { settled: &settled, origin: settled.end(), live: None };
        let one = LoadPerReplica::try_new(1.0).unwrap();
        for_lead_time(now, edge, &known, one, options, options.quantile, Replicas(500)).unwrap()
    }

    fn growth(scale_up: ScaleUp, pods_per_minute: Option<f64>) -> Growth {
        Growth { scale_up, pods_per_minute }
    }

    fn percent(amount: u32, seconds: u64) -> ScaleUp {
        let period = Duration::from_secs(seconds);
        let policies = vec![ScaleUpPolicy { unit: Unit::Percent, amount, period }];
        ScaleUp::Policies { select: Select::Max, policies }
    }

    const EDGE: i64 = 1_000_000_200;

    fn options(lead_time: u64, growth: Growth) -> Options {
        Options { lead_time: Duration::from_secs(lead_time), quantile: Quantile::P95, growth }
    }

    proptest! {
        #[test]
        fn a_plan_toward_an_edge_never_comes_down_and_its_climb_can_be_climbed(
            into in 0_i64..60, offset in 0_i64..15, lead_time in 30_u64..300, step in 0_usize..3,
            (from, to) in (1_u32..100, 101_u32..400), growths in 0_usize..4, minutes in any::<bool>(),
        ) {
            // Who looks at minutes refuses a coarser grid.
            let seconds = if minutes { [15, 30, 60] } else { [15, 60, 300] };
            let step = Step::try_new(Duration::from_secs(seconds[step])).unwrap();
            let growth = [
                growth(ScaleUp::Doubling, None), growth(ScaleUp::Doubling, Some(4.0)),
                growth(percent(900, 15), None), growth(percent(30, 60), None),
            ][growths].clone();
            let sees = if minutes { Sees::NextMinutes } else { Sees::Day };
            let at = from_epoch_seconds(EDGE + into);
            let edge = Edge { at, from: f64::from(from), to: f64::from(to), step, sees };
            let options = options(lead_time, growth);
            let first = EDGE - 15 * 1440 + offset;
            let mut last = Replicas(0);
            let mut standing = edge.from;
            for now in (0..1500).map(|sync| from_epoch_seconds(first + 15 * sync)) {
                let plan = plan(now, &edge, &options);
                prop_assert!(plan.replicas >= last, "{last}, then {} at {now}, edge at {at}", plan.replicas);
                last = plan.replicas;
                standing = options.growth.after(standing).min(f64::from(plan.replicas.0)).max(standing);
                // What the moment spoken of needs stands when it comes.
                prop_assert!(standing + 1e-6 >= plan.peak.get(), "{standing} of {} at {now}", plan.peak);
            }
            prop_assert_eq!(last, Replicas(to));
        }
    }

    #[test]
    fn what_a_later_slot_needs_is_asked_for_a_step_before_and_as_a_whole_when_a_plan_speaks_of_it() {
        let at = from_epoch_seconds(EDGE);
        let edge = Edge { at, from: 10.0, to: 100.0, step: Step::MINUTE, sees: Sees::NextMinutes };
        let ask = |seconds: i64, growth: Growth| {
            // So that the moment spoken of lies so long before the edge.
            let now = at - TimeDelta::seconds(seconds + 143);
            let plan = plan(now, &edge, &options(120, growth));
            // Once the edge is under way it speaks of the slot of it.
            let spoken_of = if seconds < 0 { -60 } else { seconds };
            assert_eq!(at - plan.peak_at, TimeDelta::seconds(spoken_of));
            plan.replicas.0
        };
        let doubling = |seconds| ask(seconds, growth(ScaleUp::Doubling, None));
        assert_eq!([45, 31, 30, 16, 15, 14, 0].map(doubling), [10, 13, 13, 25, 25, 50, 50]);
        let four_a_minute = |seconds| ask(seconds, growth(ScaleUp::Doubling, Some(4.0)));
        assert_eq!([31, 30, 15, 0].map(four_a_minute), [97, 97, 98, 99]);
        // Under way: a quarter of a minute has it, which the mean of the minute needs 33 for; but the day knows of the edge.
        assert_eq!([-1, -15].map(|after| (doubling(after), four_a_minute(after))), [(100, 100); 2]);
        let tenfold = |seconds| ask(seconds, Growth::default());
        assert_eq!([45, 30, 15, 0, -1].map(tenfold), [10, 10, 10, 10, 100]);
    }

    #[test]
    fn a_climb_of_a_day_and_a_half_begins_in_time_and_no_earlier() {
        let (at, five_minutes) = (from_epoch_seconds(EDGE), Step::try_new(Duration::from_secs(300)).unwrap());
        let edge = Edge { at, from: 10.0, to: 460.0, step: five_minutes, sees: Sees::Day };
        // 450 pods at one in five minutes are 37 and a half hours; looked at every quarter of an hour.
        let options = options(120, growth(ScaleUp::Doubling, Some(0.2)));
        let (mut standing, mut begun) = (edge.from, None);
        for quarters in (0..=44 * 4).rev() {
            let now = at - TimeDelta::minutes(15 * quarters) - TimeDelta::seconds(165);
            let plan = plan(now, &edge, &options);
            begun = begun.or(plan.climb.map(|_| quarters));
            standing = (standing + 3.0).min(f64::from(plan.replicas.0)).max(standing);
        }
        // At 150 quarters ten do still.
        assert_eq!(begun, Some(149));
        assert!(standing >= 456.0, "{standing}");
    }
}
