//! What is known of a target when it is judged: all that was read, and why the rest was not.

use std::time::Duration;

use serde_json::Value;

use crate::cluster::Lacking;
use crate::time::Timestamp;
use crate::units::{Load, Replicas};

/// Something that was to be read, or why it could not be, in words for an operator.
pub(super) type Known<T> = Result<T, String>;

/// A target, as cluster and source show it.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    /// When they were gathered.
    pub(super) now: Timestamp,
    /// What stands in the cluster.
    pub(super) cluster: Known<InCluster>,
    /// What was measured, for each demand in the target's order.
    pub(super) demands: Vec<Measured>,
    /// When the server's certificate ends; `None` without TLS.
    pub(super) certificate: Option<Known<Timestamp>>,
}

/// What of a target stands in the cluster.
#[derive(Debug, Clone)]
pub(super) struct InCluster {
    /// The ScaledObject's spec.
    pub(super) scaled: Value,
    /// The HPA's spec.
    pub(super) hpa: Known<Value>,
    /// How many replicas the HPA counts.
    pub(super) running: Known<i32>,
    /// Rights that tidetable lacks there.
    pub(super) rights: Known<Lacking>,
    /// How many declared surges are not heeded; `None` where none can be declared.
    pub(super) left_out: Known<Option<usize>>,
    /// How many of ourselves are ready behind the Service that the trigger names; `None` where it names none.
    pub(super) ours: Option<Known<usize>>,
}

/// What was measured of a demand.
#[derive(Debug, Clone)]
pub(super) struct Measured {
    /// The newest load, where there is one.
    pub(super) observed: Known<Option<Load>>,
    /// Since when there are measurements, where there are any.
    pub(super) since: Known<Option<Timestamp>>,
    /// What is needed in the coming days, step by step; or why there is no forecast.
    pub(super) ahead: Known<Vec<(Timestamp, Replicas)>>,
    /// The range of the query's first rate, and how far its scrapes are apart, where both can be told.
    pub(super) rate: Option<Rate>,
}

/// A rate in a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rate {
    /// What it is taken over.
    pub(super) range: Duration,
    /// How far scrapes are apart.
    pub(super) scrapes: Duration,
}
