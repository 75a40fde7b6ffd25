//! What is seen of the Kubernetes cluster: which ScaledObject scales what, how long its pods take to start, how its HPA
//! would take an answer, and what was declared in [`SurgeEvent`]s.
//!
//! ```text
//! SurgeEvent ◀──▶ watch ──▶ sight ──▶ what is declared             status, Events ◀── herald, if the Lease is ours
//! ScaledObject ──▶ what it scales ──▶ /scale ──▶ its pods' selector ──▶ watch ──▶ starts ──▶ lead time
//!   (scaled)                                                  (pods)      (follow)     (plan::lead_time)
//! ```
//!
//! All of it is optional. Outside a cluster, without rights or while the API server is away, every target goes on with what
//! its configuration says, and [`Error`] says what is lacking and what to do. Nothing in here can change a replica count: all
//! that is written are a Lease, the status of `SurgeEvent`s and Kubernetes Events, and that only where a Lease is named.
//!
//! jiff, in which kube hands us its times, does not leave this module.

mod error;
mod follow;
mod heeded;
mod herald;
mod hpa;
mod lease;
mod metrics;
mod pods;
mod rights;
mod scale_up;
mod scaled;
mod scaling;
mod sight;
mod status;
mod surge;

pub use error::Error;
pub use follow::{connect, follow, watch_over};
pub use heeded::left_out;
pub use herald::{Candidacy, herald};
pub use metrics::Metrics;
pub use rights::{Account, Lacking, Right, lacking};
pub use scaled::{Scale, Scaled};
pub use scaling::ready_behind;
pub use sight::Sight;
pub use status::{Condition, Phase, SurgeEventStatus, TargetStatus};
pub use surge::{Hold, Surge, SurgeEvent, SurgeEventSpec, SurgeUplift, Unreadable};
