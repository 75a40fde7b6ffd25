//! The policies that are compared, each walked through KEDA, the HPA and pods as `tidetable backtest` does it.

use std::time::Duration;

use rayon::prelude::*;
use tidetable::guard::Tolerance;
use tidetable::guard::tolerance::Mode;
use tidetable::simulate::backtest::{Course, Foresight, Keep, Reactive, Run};

use crate::curve::{Cell, Point};
use crate::ours;
use crate::world::World;

/// Quantiles that tidetable is asked for; those below the median are nobody's, and there to be as cheap as a reactive HPA that is
/// always late.
pub(crate) const QUANTILES: [f64; 25] = [
    0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.875, 0.9, 0.925, 0.94, 0.95, 0.96, 0.97, 0.98, 0.985,
    0.99, 0.993, 0.995, 0.998, 0.999, 0.9999, 0.99999,
];

/// Utilisations of the reactive HPA.
const UTILIZATIONS: [f64; 17] =
    [1.1, 1.05, 1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5, 0.45, 0.4, 0.35, 0.3];

/// The dead band of an HPA that was told nothing.
const BAND: f64 = 0.1;

/// Every policy on one world at one lead.
pub(crate) fn run(world: &World, lead: u64) -> Cell {
    let lead_time = Duration::from_secs(lead);
    let conditions = [0.0, BAND].map(|tolerance| world.conditions(lead_time, tolerance));
    let [exact, banded] =
        conditions.each_ref().map(|conditions| Course::over(world.tested.clone(), &world.load, conditions));

    let reactive = |course: &Course<'_>| {
        let at = |utilization: &f64| {
            let scaler = Reactive { capacity: world.capacity, utilization: *utilization };
            let run = Run::new(scaler, course, Keep::EachSync, lead_time).to_the_end(course);
            Point::of(*utilization, &run.replicas, course, &world.in_ramp)
        };
        UTILIZATIONS.par_iter().map(at).collect()
    };
    let over_band = Tolerance { mode: Mode::Deadband, up: BAND, down: BAND };
    let ours = |quantile: &f64| {
        let run = ours::run(world, &exact, lead_time, *quantile);
        let in_band = Run::new(run.scaler.answering(over_band), &banded, Keep::EachSync, lead_time);
        let in_band = in_band.to_the_end(&banded);
        let point = |replicas, course| Point::of(*quantile, replicas, course, &world.in_ramp);
        ((point(&run.replicas, &exact), run.scaler.coverage), point(&in_band.replicas, &banded))
    };
    let ((ours, coverage), ours_over_band) = QUANTILES.par_iter().map(ours).unzip();
    let known = Foresight::of(&exact, lead_time, &exact.conditions().growth());
    let foresight = Run::new(known, &exact, Keep::EachSync, lead_time).to_the_end(&exact);
    Cell {
        trace: world.name.clone(),
        lead,
        reactive: reactive(&exact),
        reactive_in_band: reactive(&banded),
        ours,
        ours_over_band,
        foresight: Point::of(0.0, &foresight.replicas, &exact, &world.in_ramp),
        coverage,
    }
}
