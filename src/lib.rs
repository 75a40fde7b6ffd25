//! tidetable: a predictive autoscaler for Kubernetes.
//!
//! Measurements flow in, a decision with its reasons flows out, and everything between is a pure function of
//! `(now, what is known, policy, previous state)`:
//!
//! ```text
//!                engine: one worker per target, a tick every 15 s
//!             ┌──────────────────────────────────────────────────────────────────────────┐
//! Prometheus ▶ source ▶ history ▶ series ▶ forecast ▶ plan ▶ guard ▶ decision ▶ board ▶ keda ▶ HPA
//!             └──────────────────────────────────────────────────────────────────┬───────┘
//!                                                    log, metrics, web: the same struct
//! ```
//!
//! # The house
//!
//! | module | what it is | may use |
//! |---|---|---|
//! | [`units`], [`time`] | loads that cannot be NaN; slots aligned to the epoch; the customers' wall clock | |
//! | [`series`] | load on a grid, in which a hole is a hole | the above |
//! | [`calendar`] | business days, exchange sessions, pay days and planned events, by the wall clock | the above |
//! | [`forecast`] | quantiles of demand up to 48 h ahead | the above |
//! | [`plan`] | the replicas that the coming lead-time window needs | the above |
//! | [`guard`] | the staleness ladder, holds, floors and bounds, each with a name | the above |
//! | [`mod@decision`] | `decide()`: the whole core on one page | the above |
//! | [`simulate`] | the HPA, pods and payment traffic, to try it all on | the core |
//! | [`engine`] | fetch, append, decide, publish; owns the ports | the core |
//! | [`source`], [`history`], [`cluster`], [`keda`], [`web`], [`telemetry`], [`config`] | adapters, each ignorant of the others | core, engine |
//! | [`cli`] | the only place where things are wired together | everything |
//!
//! Arrows point up this table only; `tests/layering.rs` reads our `use` lines and fails on one that points back.
//!
//! # What is not there
//!
//! * The core does not wait, read, write, log or know what time it is: time is an argument, chance is a seed.
//! * No slot after a forecast's origin can change that forecast. Fits end at instants that every replica derives from the
//!   target's name, so replicas answer alike.
//! * The forecast never reads replica counts, or it would learn from its own output.
//! * An RPC never waits for the world: it reads a published snapshot. A tick never waits longer than three seconds.
//! * "Unknown" is never a number: a hole is masked, a missing plan is `None`, a missing answer is a gRPC error.
//!
//! # The law
//!
//! ```text
//! guarded >= min(max, max(min, known reactive need of each demand, event floor, hold))
//! ```
//!
//! A forecast can only add to what the newest measurement, a declared event and a declared hold need. `tests/laws.rs` holds it for any input.
//!
//! # Where to begin
//!
//! Read [`decision::decide`], then [`guard::apply`], then [`forecast::forecaster`], which is the day and the hours
//! ([`forecast::Tide`]), the next minutes ([`forecast::Nowcasting`]) and what is written down ([`forecast::WithEffects`]). To
//! see it move, run `tidetable demo`.

pub mod calendar;
pub mod decision;
pub mod forecast;
pub mod guard;
pub mod plan;
pub mod series;
pub mod simulate;
pub mod time;
pub mod units;

pub mod engine;

pub mod cluster;
pub mod config;
pub mod history;
pub mod keda;
pub mod source;
pub mod telemetry;
pub mod web;

pub mod cli;
