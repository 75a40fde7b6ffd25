//! Calendars as they are shipped, against reference tables that others have made, and the laws of calendar time.
//!
//! The rules of `models/` are asked and the tables of `tests/data/calendars` are only compared with: whatever differs
//! and is not listed in `known_oracle_errors.csv` fails.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod days;
mod laws;
mod models;
mod pay;
mod reference;
mod sessions;
