//! The horizontal pod autoscaler as KEDA drives it, after Kubernetes' `pkg/controller/podautoscaler` at 1.36.
//!
//! ```text
//! readings → proposal per metric (tolerance) → largest → stabilised over a window → limited by policies → spec.replicas
//! ```
//!
//! One file per arrow. What the controller does is copied with its oddities, because a scaler has to live with them:
//! in band it proposes *status* replicas, the older rules may scale up on an old recommendation, and a failing metric
//! forbids scaling down but not up. Only what decides replicas is here: conditions, events and resource metrics are not.

mod limits;
mod metric;
mod recommendations;
mod scale_events;
mod spec;
mod sync;

pub use limits::Limited;
pub use metric::{Metric, Reading, Target, quantized};
pub use spec::{Behavior, Policy, PolicyKind, Rules, SelectPolicy, Spec, Tolerance};
pub use sync::{Hpa, Outcome, Scale};
