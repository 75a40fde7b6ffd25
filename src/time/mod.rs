//! Time as the core sees it: an instant is an argument, a slot is a place on an epoch-aligned grid, a season is a
//! matter of the customers' wall clock.
//!
//! Nothing here reads a clock. The only clock of the product is the engine's `Clock` port.

mod grid;
mod local;

pub use grid::{Error, Grid, Slot, Step};
pub use local::LocalClock;

/// An instant in UTC. Stored and computed in UTC; shown and repeated in the target's zone.
pub type Timestamp = chrono::DateTime<chrono::Utc>;

/// Whole seconds since the epoch, the resolution in which grids are laid.
pub fn epoch_seconds(at: Timestamp) -> i64 {
    at.timestamp()
}

/// The instant `seconds` after the epoch; years beyond what a calendar can hold become the nearest end of it.
pub fn from_epoch_seconds(seconds: i64) -> Timestamp {
    chrono::DateTime::from_timestamp(seconds, 0).unwrap_or(if seconds < 0 {
        Timestamp::MIN_UTC
    } else {
        Timestamp::MAX_UTC
    })
}

/// The last whole multiple of `seconds` since the epoch that is not after `at`.
///
/// Replicas ask and answer on such instants, so that two of them ask for the same thing.
pub fn aligned_before(at: Timestamp, seconds: i64) -> Timestamp {
    let seconds = seconds.max(1);
    from_epoch_seconds(epoch_seconds(at).div_euclid(seconds) * seconds)
}
