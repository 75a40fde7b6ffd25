//! Recorded load from a file: what `backtest`, `forecast` and `import` read.
//!
//! The first line names the columns. `timestamp` and `value` are found by name; other columns are not looked at, for
//! exports carry labels and flags that mean nothing here. Gzip is recognised by its first bytes, whatever the file is
//! called, so a pipe may carry it too.
//!
//! ```csv
//! timestamp,value
//! 2026-11-27T09:30:00Z,118.5
//! 1795771860,121
//! 1795771920,
//! ```
//!
//! * A stamp is RFC 3339 with its offset, or whole Unix seconds. A local time without an offset is refused: once a year it
//!   means two instants.
//! * An empty cell, `NaN` and an infinity are holes, and so is a row that is not there.
//! * Rows ascend and do not repeat. A file that breaks this is usually local time written as UTC, and sorting it or
//!   dropping rows in silence would shift an hour of traffic; the message names the line instead.
//! * The raw step is what most neighbours differ by, unless it is given, and every stamp lies on its epoch-aligned grid.
//!
//! The answer of a Prometheus range query is read as well, as JSON, when it holds a single series.
//!
//! It refuses to repair, to resample and to hold more than 50 million slots.

mod error;
mod range;
mod rows;
mod series;

pub use error::Error;
pub use rows::{read_origins, read_origins_from};
pub use series::{ReadOptions, Recording, Stamp, read_series, read_series_from};
