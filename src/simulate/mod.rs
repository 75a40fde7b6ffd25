//! Kubernetes as far as replicas are concerned, and payment traffic to try it on; pure and seeded.
//!
//! [`Hpa`] walks replicas as the real controller does, [`Keda`] stands between it and a scaler, [`Pods`] become ready
//! after a start-up time, [`Traffic`] or a recording as [`FineLoad`] is what they must bear, [`Reactive`] is what most
//! people run today, [`mod@foresight`] what nobody can run, and a [`Tally`] says what each way of scaling cost. Nothing
//! here reads a clock, waits or draws chance without a seed: the same arguments give the same day, in any order of asking.

pub mod backtest;
mod chance;
pub mod foresight;
pub mod hpa;
pub mod keda;
mod load;
mod pods;
mod reactive;
pub mod tally;
pub mod traffic;

pub use hpa::Hpa;
pub use keda::Keda;
pub use load::{FINE_SECONDS, FineLoad, MOST_VARIATION, VARIATION_AT_PEAK, Within};
pub use pods::{Pods, StartUp};
pub use reactive::Reactive;
pub use tally::Tally;
pub use traffic::Traffic;
