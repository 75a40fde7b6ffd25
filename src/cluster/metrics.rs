//! What is counted of reading the cluster.
//!
//! Labels are configured ScaledObjects, their namespaces and the kinds of [`super::Error`]: closed sets, both.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use crate::engine::ScaledObject;
use crate::plan::lead_time::Learned;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Owner {
    namespace: String,
    scaled_object: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Failed {
    namespace: String,
    scaled_object: String,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Declared {
    namespace: String,
}

/// Gauges and counters; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    lead_time: Family<Owner, Gauge>,
    errors: Family<Failed, Counter>,
    surges: Family<Declared, Gauge>,
    left_out: Family<Declared, Gauge>,
    lease_held: Gauge,
}

impl Metrics {
    /// Makes them visible in `registry`, which brings the prefix.
    pub fn register(&self, registry: &mut Registry) {
        registry.register_with_unit(
            "learned_lead_time",
            "How long pods were seen to take from being made to being ready, 0.95 quantile, rounded up",
            Unit::Seconds,
            self.lead_time.clone(),
        );
        registry.register(
            "cluster_errors",
            "What could not be read of the cluster, by why",
            self.errors.clone(),
        );
        registry.register(
            "surge_events",
            "Surges declared as SurgeEvents that are heeded",
            self.surges.clone(),
        );
        registry.register(
            "surge_events_left_out",
            "Surges declared as SurgeEvents that are not heeded for a target or more, because there are too many",
            self.left_out.clone(),
        );
        registry.register(
            "lease_held",
            "1 while this replica writes the status of SurgeEvents and Kubernetes Events",
            self.lease_held.clone(),
        );
    }

    pub(super) fn learned(&self, owner: &ScaledObject, learned: &Learned) {
        let labels = Owner { namespace: owner.namespace.clone(), scaled_object: owner.name.clone() };
        let seconds = i64::try_from(learned.lead_time.as_secs()).unwrap_or(i64::MAX);
        self.lead_time.get_or_create(&labels).set(seconds);
    }

    pub(super) fn heeded(&self, namespace: &str, surges: usize, left_out: usize) {
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let labels = Declared { namespace: namespace.to_owned() };
        self.surges.get_or_create(&labels).set(count(surges));
        self.left_out.get_or_create(&labels).set(count(left_out));
    }

    pub(super) fn holds_lease(&self, holds: bool) {
        self.lease_held.set(i64::from(holds));
    }

    pub(super) fn failed(&self, owner: &ScaledObject, reason: &'static str) {
        let labels = Failed { namespace: owner.namespace.clone(), scaled_object: owner.name.clone(), reason };
        self.errors.get_or_create(&labels).inc();
    }
}
