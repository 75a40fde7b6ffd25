//! Why a file could not be read, with its line and a remedy.

use std::time::Duration;

use crate::time::{Step, Timestamp};

/// What is wrong with a file. Lines count from 1, the header included.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be opened or read.
    #[error("{file}: cannot be read ({cause}); check the path and its permissions, and that a .gz is whole")]
    Unreadable {
        /// The file.
        file: String,
        /// What the operating system or the decompressor says.
        cause: std::io::Error,
    },
    /// The first line does not name a column that is needed.
    #[error("{file}: line 1 names no column {column:?} but {found:?}; write the header line `{expected}`")]
    Header {
        /// The file.
        file: String,
        /// The column that is missing.
        column: &'static str,
        /// The first line, shortened.
        found: String,
        /// What it could be.
        expected: &'static str,
    },
    /// A row has more or fewer cells than the header, or cannot be split into cells.
    #[error("{file}: line {line} {problem}; write one cell for each column of the header")]
    Row {
        /// The file.
        file: String,
        /// The line.
        line: u64,
        /// What was found.
        problem: String,
    },
    /// A cell is no instant.
    #[error("{file}: line {line} has the stamp {found:?}, {problem}")]
    Stamp {
        /// The file.
        file: String,
        /// The line.
        line: u64,
        /// The cell, shortened.
        found: String,
        /// What is wrong with it and what to do.
        problem: &'static str,
    },
    /// A cell is no load.
    #[error("{file}: line {line} has the load {found:?}, {problem}")]
    Load {
        /// The file.
        file: String,
        /// The line.
        line: u64,
        /// The cell, shortened.
        found: String,
        /// What is wrong with it and what to do.
        problem: &'static str,
    },
    /// Two rows for one instant.
    #[error(
        "{file}: line {line} repeats {at} of line {earlier}; keep one of the two, or, when it is the hour that a clock \
         change repeats, write the stamps in UTC"
    )]
    Repeated {
        /// The file.
        file: String,
        /// The later line.
        line: u64,
        /// The earlier line.
        earlier: u64,
        /// The instant.
        at: Timestamp,
    },
    /// A row that is earlier than the one before it.
    #[error(
        "{file}: line {line} goes back from {before} to {at}; sort the rows by time, or, when it is the hour that a \
         clock change repeats, write the stamps in UTC"
    )]
    Unsorted {
        /// The file.
        file: String,
        /// The line.
        line: u64,
        /// The instant of the line before.
        before: Timestamp,
        /// The instant of this line.
        at: Timestamp,
    },
    /// JSON that is no answer of a range query with one series.
    #[error("{file}: {problem}; save what /api/v1/query_range answers to a query that gives one series")]
    Range {
        /// The file.
        file: String,
        /// What was found.
        problem: String,
    },
    /// Nothing at all.
    #[error("{file}: is empty; check what wrote it")]
    Blank {
        /// The file.
        file: String,
    },
    /// A header and nothing else.
    #[error("{file}: has a header and no rows; check what wrote it")]
    Empty {
        /// The file.
        file: String,
    },
    /// One row has no neighbour to differ from.
    #[error("{file}: has a single row, which tells no step; give its step (--input-step 1m)")]
    NoStep {
        /// The file.
        file: String,
    },
    /// Neighbours differ by something that is no step.
    #[error("{file}: most rows are {found:?} apart, and a step is 1 s to 1 d; resample the file")]
    Step {
        /// The file.
        file: String,
        /// What most neighbours differ by.
        found: Duration,
    },
    /// A stamp between two slots.
    #[error(
        "{file}: line {line} is at {at}, which is {off} s past the {step} grid; correct the row, \
         or give the input's true step (--input-step)"
    )]
    OffGrid {
        /// The file.
        file: String,
        /// The line.
        line: u64,
        /// The instant.
        at: Timestamp,
        /// Seconds after the last slot border.
        off: i64,
        /// The spacing.
        step: Step,
    },
    /// More slots than are kept.
    #[error(
        "{file}: spans {slots} slots of {step}, and at most {most} are kept; check the first and the last stamp, \
         or resample the file to a coarser step"
    )]
    TooLong {
        /// The file.
        file: String,
        /// How many slots lie between the first row and the last.
        slots: i64,
        /// The spacing.
        step: Step,
        /// How many are kept.
        most: i64,
    },
}
