//! What is seen of the Kubernetes cluster: which ScaledObject scales what, how long its pods take to start, and what was
//! declared in [`SurgeEvent`]s.
//!
//! ```text
//! ScaledObject ──▶ what it scales ──▶ /scale ──▶ its pods' selector ──▶ watch ──▶ starts ──▶ lead time
//!   (scaled)                                                  (pods)      (follow)     (plan::lead_time)
//! ```
//!
//! All of it is optional. Outside a cluster, without rights or while the API server is away, every target goes on with what
//! its configuration says, and [`Error`] says what is lacking and what to do. Nothing in here writes to the cluster.
//!
//! jiff, in which kube hands us its times, does not leave this module.

mod error;
mod follow;
mod metrics;
mod pods;
mod scaled;
mod scaling;
mod sight;
mod surge;

pub use error::Error;
pub use follow::{connect, follow, watch_over};
pub use metrics::Metrics;
pub use scaled::{Scale, Scaled};
pub use scaling::ready_behind;
pub use sight::Sight;
pub use surge::{Hold, Surge, SurgeEvent, SurgeEventSpec, SurgeUplift, Unreadable};
