//! Load from the Prometheus HTTP API, as Prometheus, Thanos, Mimir, Cortex and `VictoriaMetrics` speak it.
//!
//! [`Source`] is the engine's `MetricSource`. Its rules, each against a way in which a wrong number once became a
//! replica count somewhere:
//!
//! * **A hole is missing.** NaN, an infinity, a negative number, an empty answer and an absent instant are all `None`,
//!   never 0. `0/0` is what a ratio gives while nobody pays; a zero there would scale a payments service to its minimum.
//! * **One series for a target.** A query that gives two is refused, not summed: adding quantiles or gauges by accident is
//!   silent. Where a query gives one for each target, a label tells them apart, and the query is asked once for all.
//! * **Doubtful is said to be so.** Warnings and partial answers reach the engine with the measurements.
//! * **Only what was asked for.** An instant off the grid is an error, for a server that shifts time answers another
//!   question. Chunks lie on the grid, end to end, so caches can help and no edge comes twice.
//! * **Every call ends.** Time, body size, tries and calls in flight are bounded. Only what may pass by itself is tried
//!   again: an unreachable server, a broken connection, 429 and 5xx. What is too heavy (422, 503, too many bytes) is asked
//!   for in smaller parts, and the part that worked is remembered.
//! * **No detours.** Redirects are not followed, because they would carry credentials to a host nobody configured.
//!   `HTTP_PROXY` and its kin are ignored: in a pod they are meant for the way out of the cluster, and a metrics source
//!   is not out there. Who needs a proxy gives its address as the source's url.
//! * **Secrets stay in files**, are read on each call (a rotated token works at once, a rotated certificate within
//!   seconds), and are in no message and no log.
//!   Errors name the url without user, password and query string, and series by the names of their labels, never by a
//!   label's content.
//!
//! # Whom it speaks to
//!
//! | server | url | parameters |
//! |---|---|---|
//! | Prometheus | `http://prometheus:9090` | |
//! | Thanos | `http://thanos-query:9090` | `dedup: "true"`, `partial_response: "false"`, `max_source_resolution: 0s`, or peaks vanish in downsampled blocks |
//! | Mimir, Cortex | `http://mimir/prometheus`, with the header `X-Scope-OrgID` | |
//! | `VictoriaMetrics`, one node | `http://victoria:8428` | `nocache: "1"`, or it moves the instants of longer ranges |
//! | `VictoriaMetrics`, cluster | `http://vmselect:8481/select/0/prometheus` | the same |
//! | Google Managed Prometheus | `https://monitoring.googleapis.com/v1/projects/P/location/global/prometheus` | |
//!
//! It refuses to keep measurements longer than it takes to hand them to all who share a query, and to interpret them: that
//! is the history's and the engine's work.

mod answer;
mod batches;
mod client;
mod error;
mod groups;
mod settings;
mod sizes;
mod source;
mod transport;
mod turns;

pub use error::Error;
pub use settings::{Auth, Identity, Method, Settings, Tls};
pub use source::Source;
