//! Metrics, health and the present decisions over HTTP, from published snapshots only.
//!
//! ```text
//! /               a line per target, for a person with curl
//! /api/decisions  every present decision with its reasons, JSON
//! /api/targets/NAME/model  what stands behind the forecasts of a target until the next fit, JSON
//! /metrics        OpenMetrics text
//! /healthz        the process is alive
//! /readyz         every target has had its first decision, or the start-up grace is over
//! ```
//!
//! Nothing here changes anything, decides anything, or waits for a metrics source. The registry is handed in: this
//! module does not know who fills it.

mod listener;
mod model;
mod pages;
mod readiness;
mod server;
mod view;

pub use server::{Error, serve};
