//! Backtests: that they are honest, what a week looks like, and the command.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod command;
mod fixture;
mod fortnight;
mod golden;
mod honest;
mod source;
