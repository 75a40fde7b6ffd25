//! tidetable as `tidetable backtest` runs it, with a look at how well its plans hold.
//!
//! What is decided does not depend on the cluster, only how it is written for the HPA does: so a dead band is another run of
//! the same decisions.

use std::time::Duration;

use tidetable::decision::Policy;
use tidetable::forecast::HORIZON;
use tidetable::guard::{self, Tolerance};
use tidetable::plan;
use tidetable::simulate::FineLoad;
use tidetable::simulate::backtest::{Course, Keep, Ours, Past, Run, Scaler};
use tidetable::simulate::hpa::{Metric, Reading};
use tidetable::units::{Load, Quantile, Replicas};

use crate::curve::Coverage;
use crate::world::{PEAK_REPLICAS, SETTLE_LAG, World};

/// As the command takes it where nothing else is said.
const STALE_AFTER: Duration = Duration::from_secs(180);
const MEMORY: Duration = Duration::from_secs(HORIZON.as_secs() + 86_400);

/// At a median below this share of the peak nobody is busy.
const IDLE: f64 = 0.01;

/// The product at `quantile` over the whole course, each day with its model.
pub(crate) fn run<'a>(
    world: &'a World,
    course: &Course<'_>,
    lead_time: Duration,
    quantile: f64,
) -> Run<Judged<'a>> {
    let conditions = course.conditions();
    let quantile = Quantile::try_new(quantile).expect("a quantile");
    let policy = Policy {
        plan: plan::Options { lead_time, quantile, growth: conditions.growth() },
        guard: guard::Options {
            stale_after: STALE_AFTER,
            ..guard::Options::active(conditions.min, conditions.max)
        },
    };
    let spans = (SETTLE_LAG, MEMORY);
    let begin = course.decided_at(0);
    let ours = Ours::new("load".into(), policy, world.capacity, &world.minutes, spans, begin, 1);
    let judged = Judged {
        ours,
        load: &world.load,
        idle_below: Load::saturating(IDLE * PEAK_REPLICAS * world.capacity.get()),
        coverage: Coverage::default(),
        decided: Vec::with_capacity(course.syncs()),
    };
    let mut run = Run::new(judged, course, Keep::EachSync, lead_time);
    for (in_force, model) in &world.models {
        run.advance(course, course.syncs_until(*in_force));
        run.scaler.ours.learned(Some(model.clone()));
    }
    run.to_the_end(course)
}

/// The product, and beside it somebody who knows what came. Nothing of that goes back.
pub(crate) struct Judged<'a> {
    ours: Ours<'a>,
    load: &'a FineLoad,
    idle_below: Load,
    pub(crate) coverage: Coverage,
    /// What was decided for each sync.
    decided: Vec<Option<Replicas>>,
}

impl Judged<'_> {
    /// The same decisions, answered as `tolerance` says.
    pub(crate) fn answering(&self, tolerance: Tolerance) -> Answering<'_> {
        Answering { decided: &self.decided, tolerance }
    }
}

impl Scaler for Judged<'_> {
    fn metric(&self) -> Metric {
        self.ours.metric()
    }

    fn reading(&mut self, past: &Past<'_>) -> Reading {
        let reading = self.ours.reading(past);
        let decision = self.ours.decision(past.sync);
        self.decided.push(decision.and_then(|decision| decision.guarded));
        let plan = decision.and_then(|decision| decision.plan());
        if let Some(plan) = plan.filter(|plan| plan.median.get() >= self.idle_below.get())
            && let Some(came) = self.load.mean_rate(plan.peak_at, 60)
        {
            self.coverage.add(came <= plan.peak.get());
        }
        reading
    }
}

/// Decisions that were made, written for another HPA.
pub(crate) struct Answering<'a> {
    decided: &'a [Option<Replicas>],
    tolerance: Tolerance,
}

impl Scaler for Answering<'_> {
    fn metric(&self) -> Metric {
        Metric::REPLICAS
    }

    fn reading(&mut self, past: &Past<'_>) -> Reading {
        let answer = |replicas| self.tolerance.answer(replicas, Some(&past.hpa())).get();
        self.decided[past.sync].map_or(Reading::Failed, |replicas| Reading::Value(answer(replicas)))
    }
}
