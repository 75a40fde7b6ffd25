//! The middle of the house: one tick fetches, appends, decides and publishes; it owns the ports and nothing that
//! implements them.
//!
//! Every target has one worker, the only owner of its state. State goes out as a [`Published`] snapshot, which RPCs and
//! pages read without waiting for anybody.

mod board;
mod complaints;
mod day;
mod feed;
mod fitting;
mod learning;
mod metrics;
mod ports;
mod reading;
mod record;
mod target;
mod worker;

pub use board::{Board, Learned, NoDecision, Published, Table};
pub use day::Day;
pub use feed::{Forecasters, Supply};
pub use fitting::{Cadence, FitPool};
pub use metrics::Metrics;
pub use ports::{
    Archive, Clock, ClusterView, DecisionLog, Declared, History, Kept, Measured, Memory, MetricSource,
    Recalled, Sample, Tidied,
};
pub use reading::{series, without};
pub use target::{Demand, Label, LeadTime, ScaleUpFrom, ScaledObject, Target};
pub use worker::{Ended, START_UP_GRACE, Shared, Worker};
