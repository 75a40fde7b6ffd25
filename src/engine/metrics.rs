//! What the engine counts.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use super::record::{Lead, Outcome};
use crate::forecast::{Doubt, Hygiene};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    target: String,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FetchLabels {
    target: String,
    call: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MaskedLabels {
    target: String,
    demand: String,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LeadLabels {
    target: String,
    demand: String,
    lead: &'static str,
}

/// A sum of loads, or of what forecasts were beside them; it never falls.
type Sum = Counter<f64, AtomicU64>;

/// What came of forecasts.
#[derive(Debug, Clone, Default)]
struct Matured {
    all: Family<LeadLabels, Counter>,
    covered: Family<LeadLabels, Counter>,
    over: Family<LeadLabels, Sum>,
    under: Family<LeadLabels, Sum>,
    pinball: Family<LeadLabels, Sum>,
    observed: Family<LeadLabels, Sum>,
}

/// Counters of ticks, fetches and fits, and what the newest fits left out.
#[derive(Debug, Clone)]
pub struct Metrics {
    ticks: Counter,
    fetches: Family<FetchLabels, Counter>,
    fits: Family<OutcomeLabels, Counter>,
    fit_masked_slots: Family<MaskedLabels, Gauge>,
    archive_errors: Family<FetchLabels, Counter>,
    tick_duration: Histogram,
    matured: Matured,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            ticks: Counter::default(),
            fetches: Family::default(),
            fits: Family::default(),
            fit_masked_slots: Family::default(),
            archive_errors: Family::default(),
            tick_duration: Histogram::new(exponential_buckets(1e-4, 4.0, 10)),
            matured: Matured::default(),
        }
    }
}

impl Metrics {
    /// Registers everything.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("ticks", "Decisions made", self.ticks.clone());
        registry.register(
            "fetches",
            "Answers and failures of metrics sources; degraded is an answer that the source itself doubts, or that holds no load",
            self.fetches.clone(),
        );
        registry.register("fits", "Models fitted", self.fits.clone());
        registry.register(
            "fit_masked_slots",
            "Measured slots that the model in force was not learned from, by reason",
            self.fit_masked_slots.clone(),
        );
        registry.register(
            "archive_errors",
            "What could not be kept, read or tidied in the archive",
            self.archive_errors.clone(),
        );
        registry.register_with_unit(
            "tick_duration",
            "From asking for a measurement to publishing the decision",
            Unit::Seconds,
            self.tick_duration.clone(),
        );
        self.matured.register(registry);
    }

    /// Counts what came of a forecast.
    pub(super) fn matured(&self, target: &str, demand: &str, lead: Lead, outcome: &Outcome) {
        let labels = LeadLabels { target: target.into(), demand: demand.into(), lead: lead.name() };
        let Matured { all, covered, over, under, pinball, observed } = &self.matured;
        all.get_or_create(&labels).inc();
        covered.get_or_create(&labels).inc_by(u64::from(outcome.covered));
        over.get_or_create(&labels).inc_by(outcome.over);
        under.get_or_create(&labels).inc_by(outcome.under);
        pinball.get_or_create(&labels).inc_by(outcome.pinball);
        observed.get_or_create(&labels).inc_by(outcome.observed);
    }

    pub(super) fn ticked(&self, took: std::time::Duration) {
        self.ticks.inc();
        self.tick_duration.observe(took.as_secs_f64());
    }

    /// Counts a query; `outcome` is `ok`, `degraded` where the source doubts its own answer or has no load, or `error`.
    pub(super) fn fetched(&self, target: &str, call: &'static str, outcome: &'static str) {
        self.fetches.get_or_create(&FetchLabels { target: target.into(), call, outcome }).inc();
    }

    pub(super) fn archive_failed(&self, target: &str, call: &'static str) {
        let labels = FetchLabels { target: target.into(), call, outcome: "error" };
        self.archive_errors.get_or_create(&labels).inc();
    }

    /// Shows what the model in force was not learned from.
    pub(super) fn cleaned(&self, target: &str, demand: &str, hygiene: &Hygiene) {
        for doubt in Doubt::ALL {
            let labels = MaskedLabels { target: target.into(), demand: demand.into(), reason: doubt.name() };
            let masked = i64::try_from(hygiene.masked(doubt)).unwrap_or(i64::MAX);
            self.fit_masked_slots.get_or_create(&labels).set(masked);
        }
    }

    pub(super) fn fitted(&self, target: &str, outcome: &'static str) {
        self.fits.get_or_create(&OutcomeLabels { target: target.into(), outcome }).inc();
    }
}

impl Matured {
    fn register(&self, registry: &mut Registry) {
        registry.register(
            "forecasts_matured",
            "Forecasts whose slot has been measured since, by how far ahead they were",
            self.all.clone(),
        );
        registry.register(
            "forecasts_covered",
            "Those of them that were not exceeded at the planned quantile",
            self.covered.clone(),
        );
        registry.register(
            "forecast_over_load",
            "Sum of what the median forecast was above what came, in the unit of the query",
            self.over.clone(),
        );
        registry.register(
            "forecast_under_load",
            "Sum of what the median forecast was below what came, in the unit of the query",
            self.under.clone(),
        );
        registry.register(
            "forecast_pinball_load",
            "Sum of the pinball loss at the planned quantile, in the unit of the query",
            self.pinball.clone(),
        );
        registry.register(
            "forecast_observed_load",
            "Sum of what came in the slots of these forecasts, in the unit of the query",
            self.observed.clone(),
        );
    }
}
