//! The published decisions as gauges, read when somebody scrapes.
//!
//! Read at scrape and not written at decision, so that a gauge cannot outlive what it shows: a decision that expired takes
//! its gauges with it, and ages grow while a worker is stuck. What is not known is absent, never 0; that a target cannot
//! be answered for is itself known, and is `tidetable_answering` at 0.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use crate::decision::{Claim, Decision};
use crate::engine::{Board, Clock, Demand, NoDecision, Target};
use crate::guard::{Mode, Rule};
use crate::time::Timestamp;
use crate::units::Load;

/// The gauges of all targets.
pub struct Decisions<C> {
    board: Arc<Board>,
    clock: Arc<C>,
}

impl<C> fmt::Debug for Decisions<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decisions").field("board", &self.board).finish_non_exhaustive()
    }
}

impl<C: Clock> Decisions<C> {
    /// Gauges of what is published on `board`, by `clock`.
    pub fn new(board: Arc<Board>, clock: Arc<C>) -> Self {
        Self { board, clock }
    }

    /// Makes the gauges visible in `registry`, which brings the prefix.
    pub fn register(self, registry: &mut Registry) {
        registry.register_collector(Box::new(self));
    }
}

/// One target at the moment of a scrape.
struct Reading {
    now: Timestamp,
    target: Arc<Target>,
    decision: Result<Arc<Decision>, NoDecision>,
}

impl Reading {
    fn decision(&self) -> Option<&Decision> {
        self.decision.as_deref().ok()
    }

    /// Each demand, with what was made of it. A decision made before the configuration changed may know others.
    fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        self.target.demands.iter().map(|demand| {
            let claims = self.decision().map_or(&[][..], |decision| &decision.claims);
            Part { of: self, demand, claim: claims.iter().find(|claim| claim.demand == demand.name) }
        })
    }

    fn since(&self, instant: Timestamp) -> f64 {
        (self.now - instant).to_std().unwrap_or(Duration::ZERO).as_secs_f64()
    }
}

/// One demand of a target at the moment of a scrape.
#[derive(Clone, Copy)]
struct Part<'a> {
    of: &'a Reading,
    demand: &'a Demand,
    claim: Option<&'a Claim>,
}

/// A gauge whose samples `F` reads, and which has none where it is not known.
struct Gauge<F> {
    name: &'static str,
    help: &'static str,
    unit: Option<Unit>,
    read: F,
}

type OfTarget = fn(&Reading) -> Option<f64>;
type OfDemand = fn(Part<'_>) -> Option<f64>;

const OF_TARGETS: [Gauge<OfTarget>; 11] = [
    Gauge {
        name: "answering",
        help: "1 when GetMetrics has a replica count to answer with, 0 when it answers with an error",
        unit: None,
        read: |reading| {
            Some(f64::from(u8::from(reading.decision().is_some_and(|decision| decision.guarded.is_some()))))
        },
    },
    Gauge {
        name: "guarded_replicas",
        help: "The replica count that is answered",
        unit: None,
        read: |reading| Some(f64::from(reading.decision()?.guarded?.0)),
    },
    Gauge {
        name: "planned_replicas",
        help: "The replica count that the forecast wants, also while it is not followed",
        unit: None,
        read: |reading| Some(f64::from(reading.decision()?.plan()?.replicas.0)),
    },
    Gauge {
        name: "reactive_need_replicas",
        help: "The replica count that the newest measurements need",
        unit: None,
        read: |reading| Some(f64::from(reading.decision()?.reactive_need()?.0)),
    },
    Gauge {
        name: "shortfall_replicas",
        help: "The most replicas that will be missing in the largest shortfall of the next 48 h, 0 while none is foreseen",
        unit: None,
        read: |reading| {
            let missing = |decision: &Decision| decision.shortfall.map_or(0.0, |it| f64::from(it.missing.0));
            reading.decision().filter(|decision| decision.plan().is_some()).map(missing)
        },
    },
    Gauge {
        name: "shortfall_start_timestamp",
        help: "When that shortfall begins; absent while none is foreseen",
        unit: Some(Unit::Seconds),
        read: |reading| Some(reading.decision()?.shortfall?.from.timestamp() as f64),
    },
    Gauge {
        name: "min_replicas",
        help: "The configured minimum",
        unit: None,
        read: |reading| Some(f64::from(reading.target.policy.guard.min.0)),
    },
    Gauge {
        name: "max_replicas",
        help: "The configured maximum; planned replicas above it are pods that will be missing",
        unit: None,
        read: |reading| Some(f64::from(reading.target.policy.guard.max.0)),
    },
    Gauge {
        name: "planned_quantile",
        help: "The quantile of demand that plans are read at: the share of forecasts that are not to be exceeded",
        unit: None,
        read: |reading| Some(reading.target.policy.plan.quantile.get()),
    },
    Gauge {
        name: "decision_age",
        help: "Age of the decision in force, or of the one that expired",
        unit: Some(Unit::Seconds),
        read: |reading| match &reading.decision {
            Ok(decision) => Some(reading.since(decision.at)),
            Err(NoDecision::Expired { age }) => Some(age.as_secs_f64()),
            Err(NoDecision::Never) => None,
        },
    },
    Gauge {
        name: "lead_time",
        help: "From asking for a pod to the pod being ready",
        unit: Some(Unit::Seconds),
        read: |reading| Some(reading.target.policy.plan.lead_time.as_secs_f64()),
    },
];

const OF_DEMANDS: [Gauge<OfDemand>; 4] = [
    Gauge {
        name: "observed_load",
        help: "The newest measurement, in the unit of the query",
        unit: None,
        read: |part| Some(part.claim?.observed_load()?.get()),
    },
    Gauge {
        name: "capacity_load",
        help: "What one replica bears, in the unit of the query",
        unit: None,
        read: |part| Some(part.demand.capacity.get()),
    },
    Gauge {
        name: "observed_age",
        help: "Age of the newest measurement",
        unit: Some(Unit::Seconds),
        read: |part| Some(part.of.since(part.claim?.observed?.at)),
    },
    Gauge {
        name: "plan_origin_age",
        help: "Age of the last settled measurement that the plan rests on",
        unit: Some(Unit::Seconds),
        read: |part| Some(part.of.since(part.claim?.plan.as_ref()?.origin)),
    },
];

impl<C: Clock> Collector for Decisions<C> {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let now = self.clock.now();
        let table = self.board.table();
        let readings: Vec<Reading> = table
            .targets()
            .map(|target| {
                let published = table.published(&target.name).unwrap_or_default();
                let decision = published.at(now).map(Arc::clone);
                Reading { now, target: Arc::clone(target), decision }
            })
            .collect();

        for Gauge { name, help, unit, read } in &OF_TARGETS {
            let samples = readings.iter().filter_map(|reading| Some(([by(reading)], read(reading)?)));
            family(&mut encoder, (name, help, unit.as_ref()), samples)?;
        }
        let parts = || readings.iter().flat_map(Reading::parts);
        for Gauge { name, help, unit, read } in &OF_DEMANDS {
            let samples = parts().filter_map(|part| Some((by_demand(part), read(part)?)));
            family(&mut encoder, (name, help, unit.as_ref()), samples)?;
        }
        let forecast = parts().flat_map(|part| {
            let plan = part.claim.and_then(|claim| claim.plan.as_ref());
            let [target, demand] = by_demand(part);
            let sample = |quantile, load: Load| ([target, demand, ("quantile", quantile)], load.get());
            plan.map(|plan| [sample("planned", plan.peak), sample("median", plan.median)])
                .into_iter()
                .flatten()
        });
        let help = "The largest demand of the lead-time window, in the unit of the query";
        family(&mut encoder, ("forecast_load", help, None), forecast)?;
        let rungs = parts().filter_map(|part| {
            let [target, demand] = by_demand(part);
            Some(([target, demand, ("rung", part.claim?.rung.name())], 1.0))
        });
        let help = "1 for the present rung of each demand on the staleness ladder";
        family(&mut encoder, ("demand_rung", help, None), rungs)?;

        let rungs = readings
            .iter()
            .filter_map(|reading| Some(([by(reading), ("rung", reading.decision()?.rung.name())], 1.0)));
        let help = "1 for the present rung of the target: the lowest of a demand that can say anything";
        family(&mut encoder, ("rung", help, None), rungs)?;

        let rules = readings.iter().flat_map(|reading| {
            let applied = reading.decision().map_or(&[][..], |decision| &decision.applied);
            let changed = |rule: &Rule| applied.iter().any(|applied| applied.rule == *rule);
            // By the list of rules: a series must not come twice, or the whole scrape is refused.
            Rule::ALL.into_iter().filter(changed).map(|rule| ([by(reading), ("rule", rule.name())], 1.0))
        });
        family(
            &mut encoder,
            ("rule_applied", "1 for each rule that changed the present answer", None),
            rules,
        )?;

        let about = readings.iter().map(|reading| {
            let Target { scaled_object, policy, .. } = &*reading.target;
            let mode = match policy.guard.mode {
                Mode::Shadow => "shadow",
                Mode::Active => "active",
            };
            let owner = [("namespace", &*scaled_object.namespace), ("scaled_object", &*scaled_object.name)];
            ([by(reading), owner[0], owner[1], ("mode", mode)], 1.0)
        });
        family(&mut encoder, ("target_info", "1 for each configured target", None), about)
    }
}

/// The label that every sample has.
fn by(reading: &Reading) -> (&str, &str) {
    ("target", &reading.target.name)
}

/// The labels that every sample of a demand has.
fn by_demand(part: Part<'_>) -> [(&str, &str); 2] {
    [by(part.of), ("demand", &part.demand.name)]
}

fn family<L: EncodeLabelSet>(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help, unit): (&str, &str, Option<&Unit>),
    samples: impl Iterator<Item = (L, f64)>,
) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?;
    for (labels, number) in samples {
        ConstGauge::new(number).encode(metric.encode_family(&labels)?)?;
    }
    Ok(())
}
