//! Settled load on disk, for longer than a metrics source keeps it: Parquet through the `object_store` crate.
//!
//! ```text
//! /var/lib/tidetable/
//!   target=payments-api/
//!     demand=q9b1c4f0a52d6e871/               one history: a hash of the step and the query
//!       month-2026-10.parquet                 a finished month, every day of it
//!       day-2026-11-01.parquet                a UTC day, created once
//!       day-2026-11-02.parquet
//!       _day-2026-11-03.parquet.corrupt-5d…   set aside, never deleted
//! ```
//!
//! # Format, version 1
//!
//! | column | type | meaning |
//! |---|---|---|
//! | `slot_end` | `TIMESTAMP(µs, UTC)` | the instant at which the slot ended and was evaluated; midnight belongs to the day it ends |
//! | `load` | `DOUBLE`, nullable | the load; null is a hole, never zero |
//! | `step_seconds` | `INT32` | the length of the slot |
//!
//! `target` and `demand` are in the path, as pandas, `DuckDB` and Spark understand it:
//!
//! ```sql
//! SELECT target, slot_end, load FROM read_parquet('/var/lib/tidetable/**/*.parquet', hive_partitioning = true);
//! ```
//!
//! An object has a row for every slot of its span, in order. Its metadata hold `tidetable.format_version`, `.target`,
//! `.query`, `.step_seconds`, `.unit`, `.timezone` and `.checksum`. A changed query or step is another history in another
//! folder. A renamed target takes its history along when its folder is renamed. A newer format is left alone and said so.
//!
//! # What holds
//!
//! * **An object is whole or not there.** It is written under another name, flushed to the disk and then linked to its own;
//!   what a killed process leaves behind ends in `#1` and is no object. It is swept up later.
//! * **An object never changes.** The first complete writer wins, so replicas may share the folder.
//! * **A day goes only after its month is there** and was read back. Where both are found the month counts, alone.
//! * **A month is rolled up when it has all its days.** One with a day missing stays as days, so that a name says what is
//!   in it and what was missed can still be imported.
//! * **What is corrupt is set aside** under a name of its own, and the rest is read.
//! * **Time takes nothing away by mistake.** Retention counts from the newest day there is, or from the clock if that is
//!   earlier: a clock gone wrong does not empty the archive, nor does a stamp from the future.
//! * **No thread of the runtime is blocked,** every call ends in time, and no object larger than any
//!   of ours could be is read.
//!
//! It refuses to change, to merge and to interpolate: the first writer's numbers stand, and holes stay holes.

mod error;
mod layout;
mod object;
mod store;
mod tidy;

pub use error::Error;
pub use store::Archive;
