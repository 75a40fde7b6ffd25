//! What the engine counts.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

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

/// Counters of ticks, fetches and fits, and what the newest fits left out.
#[derive(Debug, Clone)]
pub struct Metrics {
    ticks: Counter,
    fetches: Family<FetchLabels, Counter>,
    fits: Family<OutcomeLabels, Counter>,
    fit_masked_slots: Family<MaskedLabels, Gauge>,
    archive_errors: Family<FetchLabels, Counter>,
    tick_duration: Histogram,
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
        }
    }
}

impl Metrics {
    /// Registers everything.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("ticks", "Decisions made", self.ticks.clone());
        registry.register(
            "fetches",
            "Answers and failures of metrics sources; degraded is an answer that the source itself doubts",
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
    }

    pub(super) fn ticked(&self, took: std::time::Duration) {
        self.ticks.inc();
        self.tick_duration.observe(took.as_secs_f64());
    }

    /// Counts a query; `outcome` is `ok`, `degraded` where the source doubts its own answer, or `error`.
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
