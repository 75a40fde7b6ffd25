//! The numbers of a backtest, as JSON has them and as table and report show them.
//!
//! Keys are part of the product: a gate or a dashboard reads them. `format` changes when one of them changes its meaning.

use serde::Serialize;

use super::explain;
use super::subject::Subject;
use crate::decision::Decision;
use crate::simulate::backtest::{Contender, LateMoment, Outcome, Point, Score, Who};
use crate::time::Timestamp;

/// The version of the keys. In 1, `plan_coverage` held an answer against the most of the 45 s in which its pods are the newest,
/// of which a plan does not speak.
const FORMAT: u32 = 2;

/// The numbers of a policy that a condition may name.
pub(super) const METRICS: [&str; 12] = [
    "late_pod_minutes",
    "late_share",
    "under_minutes",
    "worst_shortfall",
    "failed",
    "failed_share",
    "replica_hours",
    "hours_ratio",
    "cost",
    "scale_changes",
    "wql",
    "plan_coverage",
];

/// All of a run.
#[derive(Debug, Serialize)]
pub(super) struct Whole {
    pub(super) format: u32,
    pub(super) tidetable: &'static str,
    /// Whether it was ended before its end.
    pub(super) partial: bool,
    pub(super) targets: Vec<Summary>,
}

impl Whole {
    pub(super) fn of(targets: Vec<Summary>) -> Self {
        let partial = targets.iter().any(|target| target.partial);
        Self { format: FORMAT, tidetable: env!("CARGO_PKG_VERSION"), partial, targets }
    }
}

/// One target.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Summary {
    pub(super) target: String,
    pub(super) partial: bool,
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
    pub(super) training_from: Timestamp,
    pub(super) input_step_seconds: i64,
    pub(super) step_seconds: i64,
    /// Whether load within a step of the input was interpolated.
    pub(super) interpolated: bool,
    pub(super) measured_minutes: f64,
    pub(super) unmeasured_minutes: f64,
    /// Why the input may not be all that there was, in the words of whoever has it.
    pub(super) doubts: Vec<String>,
    pub(super) unit: String,
    pub(super) settings: Settings,
    pub(super) policies: Vec<PolicySummary>,
    pub(super) forecast: ForecastSummary,
    pub(super) frontier: Vec<FrontierPoint>,
    pub(super) worst: Vec<Moment>,
}

/// What the run was made with.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Settings {
    pub(super) capacity: f64,
    pub(super) lead_time_seconds: u64,
    pub(super) quantile: f64,
    pub(super) min: u32,
    pub(super) max: u32,
    pub(super) timezone: &'static str,
    pub(super) behavior: &'static str,
    pub(super) tolerance: f64,
    /// That of a `cpu` trigger beside each policy's metric.
    pub(super) cpu_target: Option<f64>,
    pub(super) pods_per_minute: Option<f64>,
    /// Whether the plan counts on the growth that this cluster has.
    pub(super) growth_as_planned: bool,
    /// What was taken for granted of the cluster, or made otherwise by a flag.
    pub(super) remarks: Vec<String>,
    pub(super) start_up_sigma: f64,
    pub(super) queue_seconds: f64,
    pub(super) load_per_seconds: f64,
    pub(super) scrape_delay_seconds: f64,
    pub(super) cost_ratio: f64,
    pub(super) utilizations: Vec<f64>,
    pub(super) refit_seconds: u64,
    pub(super) price: Option<f64>,
    pub(super) seed: u64,
}

/// What a policy cost.
#[derive(Debug, Clone, Serialize)]
pub(super) struct PolicySummary {
    pub(super) policy: &'static str,
    /// Its quantile or utilisation.
    pub(super) setting: Option<f64>,
    #[serde(flatten)]
    pub(super) bill: Bill,
    pub(super) worst_hour: Option<WorstHour>,
}

/// The numbers that policies and points of the frontier share.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Bill {
    pub(super) late_pod_minutes: f64,
    pub(super) late_share: f64,
    pub(super) under_minutes: f64,
    pub(super) worst_shortfall: u32,
    pub(super) transactions: f64,
    pub(super) failed: f64,
    pub(super) failed_share: f64,
    pub(super) replica_hours: f64,
    /// Replica-hours over those of perfect foresight.
    pub(super) hours_ratio: Option<f64>,
    pub(super) cost: Option<f64>,
    pub(super) scale_changes: u32,
}

#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct WorstHour {
    pub(super) from: Timestamp,
    pub(super) late_pod_minutes: f64,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct FrontierPoint {
    pub(super) policy: &'static str,
    pub(super) setting: f64,
    #[serde(flatten)]
    pub(super) bill: Bill,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct ForecastSummary {
    /// Weighted quantile loss of the forecast in force; `null` where there was none.
    pub(super) wql: Option<f64>,
    pub(super) scored_slots: usize,
    pub(super) coverage: Vec<Coverage>,
    /// The share of plans whose quantile was not exceeded by the minute of which they spoke.
    pub(super) plan_coverage: Option<f64>,
    /// Fits that found too short a history.
    pub(super) unfit: usize,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Coverage {
    pub(super) level: f64,
    pub(super) covered: f64,
}

/// A late moment, explained.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Moment {
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
    pub(super) late_pod_minutes: f64,
    pub(super) worst_at: Timestamp,
    pub(super) needed: u32,
    pub(super) ready: u32,
    /// The same in words.
    pub(super) why: String,
    /// What was decided one lead time before, whose pods would just have been ready.
    pub(super) decision: Option<Explained>,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Explained {
    pub(super) at: Timestamp,
    pub(super) rung: &'static str,
    pub(super) observed: Option<f64>,
    pub(super) reactive_need: Option<u32>,
    pub(super) planned: Option<u32>,
    pub(super) foreseen: Option<f64>,
    pub(super) foreseen_median: Option<f64>,
    pub(super) foreseen_for: Option<Timestamp>,
    pub(super) guarded: Option<u32>,
    pub(super) applied: Vec<String>,
}

impl Summary {
    pub(super) fn of(subject: &Subject, outcome: &Outcome) -> Self {
        let course = subject.course();
        let foresight = outcome.contenders.iter().find(|it| it.who == Who::Foresight);
        let least_hours = foresight.map(|it| it.score.tally.replica_hours);
        let bill = |score: &Score| Bill::of(score, least_hours, subject.settings.price);
        let measured_minutes = outcome.contenders.first().map_or(0.0, |it| it.score.measured_minutes);
        let minutes = outcome.syncs as f64 / 4.0;
        Self {
            target: subject.target.to_string(),
            partial: outcome.syncs < course.syncs(),
            from: course.decided_at(0),
            to: course.decided_at(outcome.syncs),
            training_from: subject.training.start,
            input_step_seconds: subject.input_step.seconds(),
            step_seconds: subject.recorded.step().seconds(),
            interpolated: subject.interpolated(),
            measured_minutes,
            unmeasured_minutes: minutes - measured_minutes,
            doubts: subject.doubts.clone(),
            unit: subject.unit.clone(),
            settings: subject.settings.clone(),
            policies: outcome.contenders.iter().map(|it| policy(it, bill(&it.score))).collect(),
            forecast: ForecastSummary {
                wql: outcome.accuracy.wql(),
                scored_slots: outcome.accuracy.slots,
                coverage: outcome
                    .accuracy
                    .coverage()
                    .map(|(level, covered)| Coverage { level, covered })
                    .collect(),
                plan_coverage: outcome.plan_coverage,
                unfit: outcome.unfit,
            },
            frontier: outcome.frontier.iter().map(|point| frontier(point, bill(&point.score))).collect(),
            worst: outcome.worst.iter().map(|it| Moment::of(it, subject)).collect(),
        }
    }

    /// A number by its name; `None` where this run has none.
    pub(super) fn number(&self, who: Who, metric: &str) -> Option<f64> {
        let policy = self.policies.iter().find(|it| it.policy == who.name())?;
        let bill = &policy.bill;
        match metric {
            "late_pod_minutes" => Some(bill.late_pod_minutes),
            "late_share" => Some(bill.late_share),
            "under_minutes" => Some(bill.under_minutes),
            "worst_shortfall" => Some(f64::from(bill.worst_shortfall)),
            "failed" => Some(bill.failed),
            "failed_share" => Some(bill.failed_share),
            "replica_hours" => Some(bill.replica_hours),
            "hours_ratio" => bill.hours_ratio,
            "cost" => bill.cost,
            "scale_changes" => Some(f64::from(bill.scale_changes)),
            "wql" if who == Who::Tidetable => self.forecast.wql,
            "plan_coverage" if who == Who::Tidetable => self.forecast.plan_coverage,
            _ => None,
        }
    }
}

impl Bill {
    fn of(score: &Score, least_hours: Option<f64>, price: Option<f64>) -> Self {
        let replica_hours = score.tally.replica_hours;
        Self {
            late_pod_minutes: score.tally.late_pod_minutes,
            late_share: score.late_share(),
            under_minutes: score.under_minutes,
            worst_shortfall: score.tally.worst_shortfall.0,
            transactions: score.transactions,
            failed: score.failed,
            failed_share: score.failed_share(),
            replica_hours,
            hours_ratio: least_hours.filter(|hours| *hours > 0.0).map(|hours| replica_hours / hours),
            cost: price.map(|price| price * replica_hours),
            scale_changes: score.scale_changes,
        }
    }
}

fn policy(contender: &Contender, bill: Bill) -> PolicySummary {
    let worst_hour = contender
        .score
        .worst_hour
        .map(|hour| WorstHour { from: hour.from, late_pod_minutes: hour.late_pod_minutes });
    PolicySummary { policy: contender.who.name(), setting: contender.setting, bill, worst_hour }
}

fn frontier(point: &Point, bill: Bill) -> FrontierPoint {
    FrontierPoint { policy: point.who.name(), setting: point.setting, bill }
}

impl Moment {
    fn of(moment: &LateMoment, subject: &Subject) -> Self {
        let decision = moment.decision.as_ref().map(Explained::of);
        Self {
            from: moment.from,
            to: moment.until,
            late_pod_minutes: moment.late_pod_minutes,
            worst_at: moment.worst_at,
            needed: moment.needed.0,
            ready: moment.ready.0,
            why: explain::why(moment, decision.as_ref(), subject.conditions.max, subject.zone),
            decision,
        }
    }
}

impl Explained {
    fn of(decision: &Decision) -> Self {
        let plan = decision.plan();
        let applied = decision.applied.iter().map(|applied| {
            let from = applied.from.map_or("nothing".to_owned(), |from| from.to_string());
            format!("{}: {from} → {}, {}", applied.rule.name(), applied.to, applied.why)
        });
        Self {
            at: decision.at,
            rung: decision.rung.name(),
            observed: decision.observed().map(|observation| observation.load.get()),
            reactive_need: decision.reactive_need().map(|need| need.0),
            planned: plan.map(|plan| plan.replicas.0),
            foreseen: plan.map(|plan| plan.peak.get()),
            foreseen_median: plan.map(|plan| plan.median.get()),
            foreseen_for: plan.map(|plan| plan.peak_at),
            guarded: decision.guarded.map(|guarded| guarded.0),
            applied: applied.collect(),
        }
    }
}
