//! The policies that are compared, each walked through the real HPA and pods.

use std::time::Duration;

use chrono::TimeDelta;
use rayon::prelude::*;
use tidetable::forecast::nowcast::Nowcast;
use tidetable::forecast::{Known, Observation};
use tidetable::guard::Tolerance;
use tidetable::guard::tolerance::Mode;
use tidetable::plan::{Growth, RENEWAL, ScaleUp};
use tidetable::simulate::hpa::{Behavior, Hpa, Metric, Reading, Spec};
use tidetable::simulate::{Pods, StartUp, foresight};
use tidetable::time::Step;
use tidetable::units::{Load, Quantile, Replicas};

use crate::curve::{Cell, Coverage, Point};
use crate::world::World;

/// Quantiles that tidetable is asked for.
pub(crate) const QUANTILES: [f64; 25] = [
    0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.875, 0.9, 0.925, 0.94, 0.95, 0.96, 0.97, 0.98, 0.985, 0.99,
    0.993, 0.995, 0.998, 0.999, 0.9995, 0.9999, 0.99999,
];

/// Utilisations of the reactive HPA.
const UTILIZATIONS: [f64; 17] =
    [1.1, 1.05, 1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5, 0.45, 0.4, 0.35, 0.3];

/// From the end of a slot to its being settled.
const SETTLE: TimeDelta = TimeDelta::seconds(120);

/// What the nowcast says at each moment, a column per quantile, and how well that was. `None` where nothing is known.
struct Said {
    loads: Vec<Option<[f32; QUANTILES.len()]>>,
    coverage: Coverage,
}

/// The dead band of an HPA that was told nothing.
const BAND: f64 = 0.1;

/// Every policy on one world at one lead.
pub(crate) fn run(world: &World, lead: u64) -> Cell {
    let said = say(world, lead);
    let lead_time = Duration::from_secs(lead);
    let reactive = |band: f64| {
        UTILIZATIONS
            .par_iter()
            .map(|utilization| Point {
                knob: *utilization,
                ..walk_reactive(world, lead_time, *utilization, band)
            })
            .collect()
    };
    let ours = |tolerance: Tolerance, band: f64| {
        (0..QUANTILES.len())
            .into_par_iter()
            .map(|column| {
                let asked = |index: usize| {
                    let planned = f64::from(said.loads[index]?[column]);
                    let floor = world.moments[index].seen.unwrap_or_default().get();
                    Some(Replicas::bearing(Load::saturating(planned.max(floor)), world.capacity))
                };
                Point { knob: QUANTILES[column], ..walk(world, lead_time, (tolerance, band), asked) }
            })
            .collect()
    };
    let exact = Tolerance::default();
    let over_band = Tolerance { mode: Mode::Deadband, ..exact };
    let needs: Vec<Replicas> = world.moments.iter().map(|moment| moment.needed.unwrap_or_default()).collect();
    // As the HPA of `simulate` lets it climb.
    let growth = Growth { scale_up: ScaleUp::Doubling, pods_per_minute: None };
    let known = foresight::answers(&needs, lead_time, &growth);
    let foresight = walk(world, lead_time, (exact, 0.0), |index| Some(known[index]));
    Cell {
        trace: world.name.clone(),
        lead,
        reactive: reactive(0.0),
        reactive_in_band: reactive(BAND),
        ours: ours(exact, 0.0),
        ours_over_band: ours(over_band, BAND),
        foresight,
        coverage: said.coverage,
    }
}

fn walk_reactive(world: &World, lead: Duration, utilization: f64, tolerance: f64) -> Point {
    let metric = Metric::per_pod(world.capacity.get() * utilization);
    simulate(world, lead, tolerance, metric, |index, _| {
        world.moments[index].seen.map_or(Reading::Failed, |seen| Reading::Value(seen.get()))
    })
}

/// `tolerance` is how an answer is encoded, and the HPA's band in fact. Who has nothing to say says so, like a reactive HPA's source.
fn walk(
    world: &World,
    lead: Duration,
    tolerance: (Tolerance, f64),
    asked: impl Fn(usize) -> Option<Replicas>,
) -> Point {
    simulate(world, lead, tolerance.1, Metric::REPLICAS, |index, current| {
        let value = |asked: Replicas| tolerance.0.encode(asked.max(Replicas(1)), Some(current)).get();
        asked(index).map_or(Reading::Failed, |asked| Reading::Value(value(asked)))
    })
}

/// Walks the deployment through the test span; `reading` is what the HPA gets at a moment, given the replicas.
fn simulate(
    world: &World,
    lead: Duration,
    tolerance: f64,
    metric: Metric,
    mut reading: impl FnMut(usize, Replicas) -> Reading,
) -> Point {
    let mut spec = Spec::new(Replicas(1), Replicas(1000), metric, Some(Behavior::default()));
    spec.tolerance = tolerance;
    let mut hpa = Hpa::new(spec);
    let began = world.moments[0];
    let mut pods =
        Pods::new(began.at, began.needed.unwrap_or_default().max(Replicas(1)), StartUp::Fixed(lead));
    let mut point = Point::default();
    for (index, moment) in world.moments.iter().enumerate() {
        let scale = pods.scale(moment.at);
        let outcome = hpa.sync(moment.at, scale, &[reading(index, scale.status)]);
        if let Some(desired) = outcome.desired().filter(|desired| *desired != scale.spec) {
            pods.scale_to(moment.at, desired);
        }
        // In a hole nobody knows what is needed, and so not what is late or idle either.
        let Some(needed) = moment.needed else { continue };
        let late = f64::from(needed.0.saturating_sub(pods.ready(moment.at).0)) / 4.0;
        point.late += late;
        if moment.in_ramp {
            point.late_in_ramps += late;
        }
        point.hours += f64::from(pods.status().0) / 240.0;
        point.needed_minutes += f64::from(needed.0) / 4.0;
    }
    point
}

/// The nowcast at each moment, fitted anew at each midnight from what had settled.
fn say(world: &World, lead: u64) -> Said {
    let window = TimeDelta::seconds(i64::try_from(lead).expect("a lead"))
        + TimeDelta::from_std(RENEWAL).expect("small");
    let levels = QUANTILES.map(|level| Quantile::try_new(level).expect("a quantile"));
    let days: Vec<_> = world
        .moments
        .chunks(5760)
        .collect::<Vec<_>>()
        .into_par_iter()
        .map(|day| {
            let origin = Step::MINUTE.last_ended(day[0].at - SETTLE).next();
            let model = Nowcast::fit(&world.minutes, origin, &world.almanac);
            let mut coverage = Coverage::default();
            let mut said = Vec::with_capacity(day.len());
            for moment in day {
                let known = Known {
                    settled: &world.minutes,
                    origin: Step::MINUTE.last_ended(moment.at - SETTLE).next(),
                    live: moment.seen.map(|load| Observation { at: moment.at, load }),
                };
                let mut loads = [Load::ZERO; QUANTILES.len()];
                let peak = model
                    .as_ref()
                    .and_then(|model| model.peak(&known, moment.at + window, &levels, &mut loads));
                if let Some(peak) = &peak
                    && let Some(came) = world.rate(peak.at, 60)
                {
                    let idle_below = model.as_ref().map_or(0.0, Nowcast::idle_below);
                    coverage.add(peak.point.get() >= idle_below, came, &loads);
                }
                // Without a nowcast the reactive need speaks alone, and after an hour without measurements nothing does.
                let loads = peak.map(|_| loads).or(moment.seen.map(|seen| [seen; QUANTILES.len()]));
                #[expect(clippy::cast_possible_truncation, reason = "seven digits are plenty")]
                said.push(loads.map(|loads| loads.map(|load| load.get() as f32)));
            }
            (said, coverage)
        })
        .collect();
    let mut all = Said { loads: Vec::new(), coverage: Coverage::default() };
    for (said, coverage) in days {
        all.loads.extend(said);
        all.coverage.merge(&coverage);
    }
    all
}
