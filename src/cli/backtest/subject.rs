//! One target, ready to be replayed: its policy, its load, the cluster and the spans.

use std::collections::BTreeSet;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::time::Duration;

use chrono_tz::Tz;

use super::args::Args;
use super::cluster::{self, conditions, growth_by_flags, tolerance_by_flags};
use super::input;
use super::summary::Settings;
use crate::calendar::{Almanac, Window, WindowSource};
use crate::decision::Policy;
use crate::engine::{Cadence, Demand, LeadTime, Target};
use crate::forecast::{Exclusion, HORIZON, absurd, forecaster};
use crate::guard::{self, Mode, Tolerance};
use crate::plan;
use crate::series::Series;
use crate::simulate::backtest::{Conditions, Course, Fit, Outcome, Setup, replay};
use crate::simulate::{FineLoad, Within};
use crate::time::{Step, Timestamp};
use crate::units::{Load, LoadPerReplica, Replicas};

/// Settings are chosen on at most this much of what lies before the comparison.
const TRAINING: Duration = Duration::from_secs(28 * 86_400);

/// A year of seconds of a larger load is more than sums can tell apart.
const LARGEST: f64 = 1e200;

/// So many events are named in a report.
const NAMED: usize = 8;

/// How a target is scaled and what is known of its demand, from a configuration or from flags.
#[derive(Debug, Clone)]
pub(super) struct Meant {
    pub(super) target: Arc<str>,
    pub(super) policy: Policy,
    pub(super) lead_time_from: LeadTime,
    pub(super) tolerance: Tolerance,
    pub(super) capacity: LoadPerReplica,
    almanac: Almanac,
    exclude: Arc<[Exclusion]>,
    pub(super) step: Step,
    settle_lag: Duration,
    memory: Duration,
    history: Duration,
    unit: String,
}

impl Meant {
    /// What the configuration says of one demand of a target.
    pub(super) fn of(target: &Target, demand: &Demand) -> Self {
        Self {
            target: Arc::clone(&target.name),
            policy: target.policy.clone(),
            lead_time_from: target.lead_time,
            tolerance: target.tolerance,
            capacity: demand.capacity,
            almanac: target.almanac.clone(),
            exclude: Arc::clone(&target.exclude),
            step: demand.step,
            settle_lag: demand.settle_lag,
            memory: demand.recent_span(),
            history: demand.history,
            unit: demand.unit.clone(),
        }
    }

    /// What the flags say; `None` without a capacity.
    pub(super) fn by_flags(args: &Args) -> Option<Self> {
        let quick = &args.quick;
        let capacity = quick.capacity?;
        Some(Self {
            target: Arc::from("load"),
            policy: Policy {
                plan: plan::Options {
                    lead_time: quick.lead_time,
                    quantile: quick.quantile,
                    growth: growth_by_flags(&args.cluster),
                },
                guard: guard::Options {
                    stale_after: Duration::from_secs(180),
                    ..guard::Options::active(Replicas(quick.min), Replicas(quick.max))
                },
            },
            lead_time_from: LeadTime::Configured,
            tolerance: tolerance_by_flags(&args.cluster),
            capacity,
            almanac: Almanac::none(quick.timezone),
            exclude: Arc::default(),
            step: Step::MINUTE,
            settle_lag: Duration::from_secs(120),
            memory: HORIZON + Duration::from_secs(86_400),
            history: Duration::from_secs(56 * 86_400),
            unit: "load".to_owned(),
        })
    }
}

/// A target, ready to be replayed.
#[derive(Debug)]
pub(super) struct Subject {
    pub(super) target: Arc<str>,
    pub(super) input_step: Step,
    /// Why the input may not be all that there was.
    pub(super) doubts: Vec<String>,
    /// On the target's grid.
    pub(super) recorded: Series,
    pub(super) training: Range<Timestamp>,
    pub(super) tested: Range<Timestamp>,
    pub(super) settings: Settings,
    pub(super) unit: String,
    pub(super) zone: Tz,
    pub(super) conditions: Conditions,
    meant: Meant,
    load: FineLoad,
    fits: Vec<Fit>,
}

impl Subject {
    /// Puts it together, or says why it cannot be.
    pub(super) fn new(args: &Args, meant: Meant, input: input::Recording) -> Result<Self, String> {
        let input::Recording { series: mut input, compared_from, mut doubts } = input;
        doubts.extend(without_the_absurd(&mut input, &meant.almanac)?);
        let (training, tested) = spans(args, &meant.target, &input, compared_from)?;
        doubts.extend(mostly_a_hole(&input, &training));
        let load = FineLoad::of(&input, Within::Wandering { seed: args.seed });
        let recorded = on_grid(&input, &load, meant.step);
        let conditions = conditions(args, &meant);
        let fits = fits(args, &meant, &tested);
        let mut meant = meant;
        // In shadow, what would be answered is what is asked.
        meant.policy.guard.mode = Mode::Active;
        Ok(Self {
            target: Arc::clone(&meant.target),
            settings: settings(args, &meant, &conditions, &tested),
            unit: meant.unit.clone(),
            zone: meant.almanac.timezone(),
            input_step: input.step(),
            doubts,
            recorded,
            training,
            tested,
            conditions,
            meant,
            load,
            fits,
        })
    }

    /// The syncs that are compared.
    pub(super) fn course(&self) -> Course<'_> {
        Course::over(self.tested.clone(), &self.load, &self.conditions)
    }

    /// Whether load within a step of the input was made up.
    pub(super) fn interpolated(&self) -> bool {
        self.input_step > Step::MINUTE
    }

    /// How many models are learned.
    pub(super) fn work(&self) -> usize {
        self.fits.len()
    }

    /// Replays it. `watch` is asked after each fit whether to go on.
    pub(super) fn replay(
        &self,
        args: &Args,
        watch: &(dyn Fn(Timestamp) -> ControlFlow<()> + Sync),
    ) -> Outcome {
        let setup = Setup {
            target: &self.target,
            policy: &self.meant.policy,
            tolerance: self.meant.tolerance,
            zone: self.zone,
            settle_lag: self.meant.settle_lag,
            memory: self.meant.memory,
            history: self.meant.history,
            recorded: &self.recorded,
            load: &self.load,
            conditions: &self.conditions,
            training: &self.training,
            tested: &self.tested,
            fits: &self.fits,
            forecaster: &*forecaster(&self.meant.almanac, &self.meant.exclude),
            quantiles: &args.contest.quantiles,
            utilization: args.contest.utilization,
            utilizations: &args.contest.utilizations,
            kappa: self.settings.cost_ratio,
        };
        replay(&setup, watch)
    }
}

/// Masks what is no load that can be, and says so. One such row would lend the sums of all that follows its own rounding.
fn without_the_absurd(input: &mut Series, almanac: &Almanac) -> Result<Option<String>, String> {
    let absurd = absurd(input, almanac);
    let first = absurd.first().and_then(|slot| Some((input.step().start(*slot), input.load(*slot)?)));
    for slot in &absurd {
        input.mask(*slot);
    }
    let most = input.points().map(|(_, load)| load.get()).fold(0.0, f64::max);
    if most > LARGEST {
        return Err(format!("loads of up to {most:e} cannot be summed up; give them in a larger unit"));
    }
    Ok(first.map(|(at, load)| {
        let others = if absurd.len() > 1 { format!(" and {} others", absurd.len() - 1) } else { String::new() };
        format!("the input: {load:e} at {at}{others} can be no load and is left out; look for a counter that wrapped")
    }))
}

/// The load on the target's grid: as recorded where the steps are the same, else mean rates.
fn on_grid(input: &Series, load: &FineLoad, step: Step) -> Series {
    if input.step() == step || input.is_empty() {
        return input.clone();
    }
    let begin = step.slot_of(input.step().start(input.first())).next();
    let end = step.last_ended(input.step().start(input.end())).next();
    let mut recorded = Series::empty(step, begin);
    for slot in (begin.0..end.0).map(crate::time::Slot) {
        match load.mean_rate(step.end(slot), step.seconds()) {
            Some(rate) => recorded.put(slot, Load::saturating(rate)),
            None => recorded.mask(slot),
        }
    }
    recorded
}

/// Where settings are chosen, and where policies are compared: not before `compared_from`, unless it is said.
fn spans(
    args: &Args,
    target: &str,
    input: &Series,
    compared_from: Option<Timestamp>,
) -> Result<(Range<Timestamp>, Range<Timestamp>), String> {
    let (first, end) = (input.step().start(input.first()), input.step().start(input.end()));
    let half = (end - first) / 2;
    let by_default = first + half.min(chrono::TimeDelta::seconds(TRAINING.as_secs().cast_signed()));
    let by_default = compared_from.map_or(by_default, |from| from.max(by_default));
    let from = args.from.unwrap_or(by_default);
    let to = args.to.unwrap_or(end).min(end);
    if from <= first && first < to {
        return Err(format!(
            "nothing of {target} is recorded before {from} to choose the others' settings on; it begins at {first}: choose a later --from"
        ));
    }
    if from >= to {
        return Err(format!(
            "nothing of {target} is recorded between {from} and {to}, but from {first} to {end}; choose --from and --to within"
        ));
    }
    let step = input.step();
    if input.loads(step.last_ended(from).next()..step.last_ended(to).next()).next().is_none() {
        return Err(format!(
            "nothing of {target} was measured between {from} and {to}: all of it is a hole; choose another --from or --to"
        ));
    }
    Ok(((from - TRAINING).max(first)..from, from..to))
}

/// Where less than half of the time was measured on which the others' settings are chosen: they are no match then, and that is said.
fn mostly_a_hole(input: &Series, training: &Range<Timestamp>) -> Option<String> {
    let step = input.step();
    let slots = step.last_ended(training.start).next()..step.last_ended(training.end).next();
    let all = slots.end.since(slots.start);
    let measured = input.loads(slots).count();
    (2 * i64::try_from(measured).unwrap_or(i64::MAX) < all).then(|| {
        format!(
            "the input: {measured} of the {all} steps before {} are measured, and the others' settings are chosen on those; choose a later --from",
            training.end
        )
    })
}

/// Fits on the serving cadence: from the one that is in force when the comparison begins.
fn fits(args: &Args, meant: &Meant, tested: &Range<Timestamp>) -> Vec<Fit> {
    let cadence = Cadence::of(&meant.target, meant.step).renewed_every(args.contest.refit);
    let settled = |at: Timestamp| meant.step.last_ended(at - meant.settle_lag).next();
    let mut origin = cadence.former(cadence.origin(settled(tested.start)));
    let mut fits = Vec::new();
    loop {
        let in_force = cadence.in_force_at(origin, meant.settle_lag);
        if in_force >= tested.end {
            return fits;
        }
        fits.push(Fit { origin, in_force });
        origin = cadence.next(origin);
    }
}

/// The calendars and events that tidetable knew of in `tested`.
fn known_ahead(almanac: &Almanac, tested: &Range<Timestamp>) -> Option<String> {
    let outlook = almanac.over(tested.clone());
    let declared =
        |window: &&Window| window.source == WindowSource::Event && window.touches(tested.start, tested.end);
    let events: BTreeSet<&str> =
        outlook.windows().iter().filter(declared).map(|window| &*window.name).collect();
    let calendars: Vec<&str> = almanac.calendars().iter().map(|calendar| &*calendar.name).collect();
    let mut known = Vec::new();
    if !calendars.is_empty() {
        known.push(format!("calendars {}", calendars.join(", ")));
    }
    if !events.is_empty() {
        let others = events.len().saturating_sub(NAMED);
        let others = if others > 0 { format!(" and {others} others") } else { String::new() };
        let named: Vec<&str> = events.into_iter().take(NAMED).collect();
        known.push(format!("events {}{others}", named.join(", ")));
    }
    (!known.is_empty()).then(|| format!("known ahead, to tidetable alone: {}", known.join("; ")))
}

fn settings(args: &Args, meant: &Meant, conditions: &Conditions, tested: &Range<Timestamp>) -> Settings {
    let mut remarks = cluster::remarks(args, meant, conditions);
    remarks.extend(known_ahead(&meant.almanac, tested));
    let quantile = meant.policy.plan.quantile.get();
    Settings {
        capacity: conditions.capacity.get(),
        lead_time_seconds: meant.policy.plan.lead_time.as_secs(),
        quantile,
        min: conditions.min.0,
        max: conditions.max.0,
        timezone: meant.almanac.timezone().name(),
        behavior: cluster::behavior_name(&args.cluster, meant),
        tolerance: cluster::tolerance_in_force(conditions),
        cpu_target: args.cluster.cpu_target,
        pods_per_minute: conditions.pods_per_minute,
        growth_as_planned: conditions.growth() == meant.policy.plan.growth,
        remarks,
        start_up_sigma: args.cluster.start_up_sigma,
        queue_seconds: args.cluster.queue.as_secs_f64(),
        load_per_seconds: args.cluster.per.as_secs_f64(),
        scrape_delay_seconds: args.cluster.scrape_delay.as_secs_f64(),
        // The cost ratio for which the quantile is the right one: the inverse of τ = 1 − 2 / (1 + κ).
        cost_ratio: args.contest.cost_ratio.unwrap_or(2.0 / (1.0 - quantile) - 1.0),
        utilizations: args.contest.utilizations.clone(),
        refit_seconds: args.contest.refit.as_secs(),
        price: args.price,
        seed: args.seed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is compared of so many days from a source, in days after their first instant.
    fn compared(days: i64, flags: &str) -> Result<(f64, f64), String> {
        let first: Timestamp = "2026-03-02T00:00:00Z".parse().unwrap();
        let step = Step::MINUTE;
        let mut series = Series::empty(step, step.last_ended(first).next());
        for slot in [series.first(), step.last_ended(first + chrono::TimeDelta::days(days))] {
            series.put(slot, Load::saturating(1.0));
        }
        let args = Args::of_line(&format!("backtest --capacity 120 --input load.csv {flags}"));
        let last_month = first + chrono::TimeDelta::days(days - 28);
        let (training, tested) = spans(&args, "load", &series, Some(last_month))?;
        assert_eq!(training.end, tested.start);
        let days = |at: Timestamp| (at - first).as_seconds_f64() / 86_400.0;
        Ok((days(tested.start), days(tested.end)))
    }

    #[test]
    fn of_a_source_the_last_month_is_compared_and_of_little_the_later_half() {
        assert_eq!(compared(84, ""), Ok((56.0, 84.0)));
        assert_eq!(compared(40, ""), Ok((20.0, 40.0)));
        assert_eq!(compared(15, ""), Ok((7.5, 15.0)));
        assert_eq!(compared(84, "--from 2026-03-12T00:00:00Z"), Ok((10.0, 84.0)), "who says it, says it");
    }

    #[test]
    fn where_nothing_was_recorded_before_there_is_nothing_to_choose_settings_on() {
        for from in ["2026-03-02T00:00:00Z", "2026-02-02T00:00:00Z"] {
            let refused = compared(84, &format!("--from {from}")).unwrap_err();
            assert!(refused.contains("choose a later --from"), "{refused}");
        }
    }
}
