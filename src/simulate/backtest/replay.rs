//! All contenders on one course.
//!
//! ```text
//!   training ─────────────┬─ tested ─────────────────────────────────────────┐
//!   cron, static peak and │ fit ── fit ── fit ── …   each in force from when │
//!   the tuned utilisation │ it would be, learned from what was before it     │
//! ```
//!
//! Ours goes first, fit by fit; whoever watches may end it after any of them, and then the others run as far. What is learned
//! does not depend on what is decided, so fits are made ahead of the clock, side by side with the days before them. Results
//! do not depend on how many threads there are.

use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono_tz::Tz;
use rayon::prelude::*;

use super::accuracy::{Accuracy, Held, slots_between};
use super::course::{Conditions, Course};
use super::ours::Ours;
use super::run::{Keep, LateMoment, Run};
use super::scaler::{Cron, Foresight, Reactive, Scaler, Static};
use super::score::Score;
use crate::decision::{DECIDE_EVERY, Policy};
use crate::forecast::{Fitted, Forecaster, Known};
use crate::guard::Tolerance;
use crate::series::Series;
use crate::simulate::FineLoad;
use crate::time::{Slot, Timestamp, aligned_before};
use crate::units::{Quantile, Replicas};

const DAY_SECONDS: i64 = 86_400;

/// So many fits are made while as many are replayed: enough for no thread to wait for another, and few enough for the one
/// who ends it, and for memory.
const AHEAD: usize = 8;

/// When a model is learned, and from when on it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fit {
    /// The first slot it may not see.
    pub origin: Slot,
    /// From when on it is in force.
    pub in_force: Timestamp,
}

/// All that a backtest of one target depends on.
#[derive(Clone, Copy)]
pub struct Setup<'a> {
    /// Its name.
    pub target: &'a Arc<str>,
    /// How it is scaled.
    pub policy: &'a Policy,
    /// How its answers are written for the HPA.
    pub tolerance: Tolerance,
    /// The customers' wall clock.
    pub zone: Tz,
    /// How long after its end a slot may still change.
    pub settle_lag: Duration,
    /// How much of the newest past a decision looks at.
    pub memory: Duration,
    /// How much history a model is learned from.
    pub history: Duration,
    /// What was recorded, on the target's grid.
    pub recorded: &'a Series,
    /// The same on quarter minutes.
    pub load: &'a FineLoad,
    /// The cluster.
    pub conditions: &'a Conditions,
    /// Where settings of the contenders are chosen.
    pub training: &'a Range<Timestamp>,
    /// Where they are compared.
    pub tested: &'a Range<Timestamp>,
    /// Fits, in order.
    pub fits: &'a [Fit],
    /// What learns.
    pub forecaster: &'a dyn Forecaster,
    /// Quantiles of ours on the frontier, beside the policy's own.
    pub quantiles: &'a [Quantile],
    /// The utilisation of the reactive HPA.
    pub utilization: f64,
    /// Utilisations of the reactive HPA on the frontier, among which the tuned one is chosen.
    pub utilizations: &'a [f64],
    /// What a late pod-hour costs, in hours of a pod.
    pub kappa: f64,
}

/// Who is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// Ours.
    Tidetable,
    /// An HPA on the present rate.
    Reactive,
    /// The same at the utilisation that would have been best on the training span.
    ReactiveTuned,
    /// KEDA's `cron`.
    Cron,
    /// The training span's peak, always.
    StaticPeak,
    /// One who knows.
    Foresight,
}

impl Who {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tidetable => "tidetable",
            Self::Reactive => "reactive",
            Self::ReactiveTuned => "reactive_tuned",
            Self::Cron => "cron",
            Self::StaticPeak => "static_peak",
            Self::Foresight => "foresight",
        }
    }
}

/// How one of them did.
#[derive(Debug, Clone, PartialEq)]
pub struct Contender {
    /// Who.
    pub who: Who,
    /// Its quantile or utilisation, where it has one.
    pub setting: Option<f64>,
    /// What it cost.
    pub score: Score,
    /// `spec.replicas` after each sync, and the pods that were ready at it.
    pub replicas: Vec<(u32, u32)>,
}

/// One point of the frontier.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Who.
    pub who: Who,
    /// At which quantile or utilisation.
    pub setting: f64,
    /// What it cost.
    pub score: Score,
}

/// What came of a backtest.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// How many syncs were compared: fewer than there are when it was ended.
    pub syncs: usize,
    /// Each contender, ours first.
    pub contenders: Vec<Contender>,
    /// Ours over quantiles and the reactive HPA over utilisations.
    pub frontier: Vec<Point>,
    /// How good the forecast was.
    pub accuracy: Accuracy,
    /// The share of plans whose quantile was not exceeded at the moment they spoke of.
    pub plan_coverage: Option<f64>,
    /// The worst late moments of ours, the worst first.
    pub worst: Vec<LateMoment>,
    /// Fits that found too short a history.
    pub unfit: usize,
}

/// Compares them. `watch` is told how far ours has come, and may end it.
pub fn replay(setup: &Setup<'_>, watch: &(dyn Fn(Timestamp) -> ControlFlow<()> + Sync)) -> Outcome {
    let course = Course::over(setup.tested.clone(), setup.load, setup.conditions);
    let training = Course::over(setup.training.clone(), setup.load, setup.conditions);
    let replayed = ours(setup, &course, watch);
    let course = course.cut(replayed.syncs);

    let lead_time = setup.policy.plan.lead_time;
    let tuned = tuned_utilization(setup, &training);
    let reactive = |utilization| -> Box<dyn Scaler> {
        Box::new(Reactive { capacity: setup.conditions.capacity, utilization })
    };
    let others: Vec<(Who, Option<f64>, Box<dyn Scaler>)> = vec![
        (Who::Reactive, Some(setup.utilization), reactive(setup.utilization)),
        (Who::ReactiveTuned, Some(tuned), reactive(tuned)),
        (Who::Cron, None, Box::new(Cron::of(&training, setup.zone, lead_time, setup.tested.end))),
        (Who::StaticPeak, None, Box::new(Static::peak_of(&training))),
        (Who::Foresight, None, Box::new(Foresight::of(&course, lead_time, &setup.conditions.growth()))),
    ];
    let others: Vec<Contender> = others
        .into_par_iter()
        .map(|(who, setting, scaler)| {
            let run = Run::new(scaler, &course, Keep::EachSync, lead_time).to_the_end(&course);
            Contender { who, setting, score: run.score, replicas: run.replicas }
        })
        .collect();

    let mut frontier = replayed.frontier;
    frontier.extend(along_utilizations(setup, &course));
    Outcome {
        syncs: course.syncs(),
        plan_coverage: replayed.held.share(),
        contenders: std::iter::once(replayed.contender).chain(others).collect(),
        frontier,
        accuracy: replayed.accuracy,
        worst: replayed.worst,
        unfit: replayed.unfit,
    }
}

/// The reactive HPA at each utilisation of the grid.
fn along_utilizations(setup: &Setup<'_>, course: &Course<'_>) -> Vec<Point> {
    let at = |utilization: &f64| {
        let scaler = Reactive { capacity: setup.conditions.capacity, utilization: *utilization };
        let run = Run::new(scaler, course, Keep::Score, Duration::ZERO).to_the_end(course);
        Point { who: Who::Reactive, setting: *utilization, score: run.score }
    };
    setup.utilizations.par_iter().map(at).collect()
}

/// The utilisation of the grid that cost least on the training span; the lower where two cost the same.
fn tuned_utilization(setup: &Setup<'_>, training: &Course<'_>) -> f64 {
    let points = along_utilizations(setup, training);
    let cost = |point: &Point| point.score.weighed(setup.kappa);
    let cheapest =
        points.iter().min_by(|a, b| cost(a).total_cmp(&cost(b)).then(a.setting.total_cmp(&b.setting)));
    cheapest.map_or(setup.utilization, |point| point.setting)
}

/// What came of ours.
struct Replayed {
    syncs: usize,
    contender: Contender,
    frontier: Vec<Point>,
    held: Held,
    accuracy: Accuracy,
    worst: Vec<LateMoment>,
    unfit: usize,
}

fn ours(
    setup: &Setup<'_>,
    course: &Course<'_>,
    watch: &(dyn Fn(Timestamp) -> ControlFlow<()> + Sync),
) -> Replayed {
    let lead_time = setup.policy.plan.lead_time;
    let own = setup.policy.plan.quantile;
    let others = setup.quantiles.iter().filter(|level| **level != own).map(|level| (*level, Keep::Score));
    let mut runs: Vec<Run<Ours<'_>>> = std::iter::once((own, Keep::EachSync))
        .chain(others)
        .map(|(quantile, keep)| {
            let mut policy = setup.policy.clone();
            policy.plan.quantile = quantile;
            let spans = (setup.settle_lag, setup.memory);
            let begin = course.decided_at(0);
            let remember = usize::try_from(lead_time.as_secs() / DECIDE_EVERY.as_secs()).unwrap_or(0) + 2;
            let target = Arc::clone(setup.target);
            let capacity = setup.conditions.capacity;
            let ours = Ours::new(target, policy, capacity, setup.recorded, spans, begin, remember);
            let ours = ours.answering(setup.tolerance);
            Run::new(ours, course, keep, lead_time)
        })
        .collect();

    let spans = spans(setup.fits, course);
    let mut accuracy = Accuracy::default();
    let mut unfit = 0;
    let mut syncs = 0;
    let mut model: Option<Arc<dyn Fitted>> = None;
    let ended = AtomicBool::new(false);
    let mut batches = spans.chunks(AHEAD);
    let mut batch = batches.next().unwrap_or_default();
    let mut learned = learn_all(setup, batch, &ended);
    while !batch.is_empty() && !ended.load(Ordering::Relaxed) {
        let next = batches.next().unwrap_or_default();
        let (learned_next, ()) = rayon::join(
            || learn_all(setup, next, &ended),
            || {
                for (span, learned) in batch.iter().zip(learned) {
                    unfit += usize::from(span.fit.is_some() && learned.is_none());
                    // A fit that failed leaves the one before it in force.
                    model = learned.or(model.take());
                    if let Some(model) = &model {
                        score(setup, course, &span.syncs, model.as_ref(), &mut accuracy);
                    }
                    runs.par_iter_mut().for_each(|run| {
                        run.scaler.learned(model.clone());
                        run.advance(course, span.syncs.end);
                    });
                    syncs = span.syncs.end;
                    if watch(course.decided_at(syncs)).is_break() {
                        ended.store(true, Ordering::Relaxed);
                        break;
                    }
                }
            },
        );
        (batch, learned) = (next, learned_next);
    }

    let frontier = runs.iter().map(|run| Point {
        who: Who::Tidetable,
        setting: run.scaler.policy().plan.quantile.get(),
        score: run.score,
    });
    let mut frontier: Vec<Point> = frontier.collect();
    frontier.sort_by(|a, b| a.setting.total_cmp(&b.setting));
    let main = runs.swap_remove(0);
    Replayed {
        syncs,
        frontier,
        accuracy,
        unfit,
        worst: main.worst(),
        contender: Contender {
            who: Who::Tidetable,
            setting: Some(own.get()),
            score: main.score,
            replicas: main.replicas,
        },
        held: main.held,
    }
}

/// Syncs between two fits, with the fit that is in force.
struct Span {
    syncs: Range<usize>,
    fit: Option<Fit>,
}

fn spans(fits: &[Fit], course: &Course<'_>) -> Vec<Span> {
    let mut spans = Vec::new();
    let (mut from, mut fit) = (0, None);
    for next in fits {
        let until = course.syncs_until(next.in_force);
        if until > from {
            spans.push(Span { syncs: from..until, fit });
            from = until;
        }
        fit = Some(*next);
    }
    if from < course.syncs() {
        spans.push(Span { syncs: from..course.syncs(), fit });
    }
    spans
}

/// The model of each span, in their order. Nothing is begun any more once it is `ended`.
fn learn_all(setup: &Setup<'_>, spans: &[Span], ended: &AtomicBool) -> Vec<Option<Arc<dyn Fitted>>> {
    let model =
        |span: &Span| span.fit.filter(|_| !ended.load(Ordering::Relaxed)).and_then(|fit| learn(setup, fit));
    spans.par_iter().map(model).collect()
}

/// The model of a fit, from the whole days of history before its origin; `None` where they are too few.
fn learn(setup: &Setup<'_>, Fit { origin, .. }: Fit) -> Option<Arc<dyn Fitted>> {
    let step = setup.recorded.step();
    let oldest = aligned_before(step.start(origin) - setup.history, DAY_SECONDS);
    let history = setup.recorded.between(step.last_ended(oldest).next(), origin);
    setup.forecaster.fit(&history, origin).ok().map(Arc::from)
}

fn score(
    setup: &Setup<'_>,
    course: &Course<'_>,
    syncs: &Range<usize>,
    model: &dyn Fitted,
    accuracy: &mut Accuracy,
) {
    let step = setup.recorded.step();
    let (from, until) = (course.decided_at(syncs.start), course.decided_at(syncs.end));
    let origin = step.last_ended(from - setup.settle_lag).next();
    let known = Known { settled: setup.recorded, origin, live: None };
    accuracy.score(model, &known, slots_between(step, from, until), setup.recorded);
}

/// The replicas that a course needs, sync by sync.
pub fn needs(course: &Course<'_>) -> Vec<Option<Replicas>> {
    (0..course.syncs()).map(|sync| course.needed(sync)).collect()
}
