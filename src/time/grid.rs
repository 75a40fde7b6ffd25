//! Instants on a regular grid, always aligned to the epoch.
//!
//! Slot k of a step covers `(k·step, (k+1)·step]` and is evaluated at its end, as Prometheus stamps a range query.
//! Alignment to the epoch is what makes two replicas, a backtest and a cache agree on what a slot is.

use std::fmt;
use std::time::Duration;

use super::{Timestamp, epoch_seconds, from_epoch_seconds};

/// Why a step was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Steps are whole seconds, from one second to one day.
    #[error("step {0:?} must be whole seconds between 1s and 1d; 1m is the usual choice")]
    Step(Duration),
}

/// The spacing of a grid: whole seconds, from one second to one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Step(i64);

impl Step {
    /// One minute, the default.
    pub const MINUTE: Self = Self(60);

    /// Checks a step from outside.
    ///
    /// # Errors
    /// [`Error::Step`] when it is not whole seconds between 1 s and 1 d.
    pub fn try_new(step: Duration) -> Result<Self, Error> {
        match i64::try_from(step.as_secs()) {
            Ok(seconds @ 1..=86_400) if step.subsec_nanos() == 0 => Ok(Self(seconds)),
            _ => Err(Error::Step(step)),
        }
    }

    /// Its length in seconds.
    pub fn seconds(self) -> i64 {
        self.0
    }

    /// Its length as a duration.
    pub fn duration(self) -> Duration {
        Duration::from_secs(self.0.unsigned_abs())
    }

    /// How many slots cover `span`, rounded up, at least one.
    pub fn slots_in(self, span: Duration) -> i64 {
        let seconds = i64::try_from(span.as_secs()).unwrap_or(i64::MAX / 4);
        seconds.saturating_add(self.0 - 1).div_euclid(self.0).max(1)
    }

    /// The slot that covers `at`: an instant on a border belongs to the slot that ends there.
    pub fn slot_of(self, at: Timestamp) -> Slot {
        let nanos_over = i64::from(at.timestamp_subsec_nanos() > 0);
        Slot((epoch_seconds(at) + nanos_over + self.0 - 1).div_euclid(self.0) - 1)
    }

    /// The newest slot that has ended at `at`.
    pub fn last_ended(self, at: Timestamp) -> Slot {
        Slot(epoch_seconds(at).div_euclid(self.0) - 1)
    }

    /// The instant just after which `slot` begins.
    pub fn start(self, slot: Slot) -> Timestamp {
        from_epoch_seconds(slot.0.saturating_mul(self.0))
    }

    /// The instant at which `slot` ends and is evaluated.
    pub fn end(self, slot: Slot) -> Timestamp {
        from_epoch_seconds(slot.0.saturating_add(1).saturating_mul(self.0))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            s if s % 3600 == 0 => write!(f, "{}h", s / 3600),
            s if s % 60 == 0 => write!(f, "{}m", s / 60),
            s => write!(f, "{s}s"),
        }
    }
}

/// A numbered place on a grid: how many steps after the epoch it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub i64);

impl Slot {
    /// The slot `count` places later (earlier when negative).
    #[must_use]
    pub fn plus(self, count: i64) -> Self {
        Self(self.0.saturating_add(count))
    }

    /// How many places later than `earlier` this one is.
    pub fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The next slot.
    #[must_use]
    pub fn next(self) -> Self {
        self.plus(1)
    }
}

/// A run of slots: `len` of them from `first`, `step` apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    /// Spacing.
    pub step: Step,
    /// The first slot.
    pub first: Slot,
    /// How many slots.
    pub len: usize,
}

impl Grid {
    /// The slot after the last.
    pub fn end(&self) -> Slot {
        self.first.plus(i64::try_from(self.len).unwrap_or(i64::MAX))
    }

    /// Where `slot` stands in this grid, if it does.
    pub fn index(&self, slot: Slot) -> Option<usize> {
        usize::try_from(slot.since(self.first)).ok().filter(|index| *index < self.len)
    }

    /// Every slot in order.
    pub fn slots(&self) -> impl DoubleEndedIterator<Item = Slot> + use<> {
        (self.first.0..self.end().0).map(Slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn an_instant_on_a_border_belongs_to_the_slot_that_ends_there() {
        let step = Step::MINUTE;
        let border = at("2026-11-27T09:30:00Z");
        let slot = step.slot_of(border);
        assert_eq!(step.end(slot), border);
        assert_eq!(step.start(slot), at("2026-11-27T09:29:00Z"));
        assert_eq!(step.slot_of(at("2026-11-27T09:30:00.001Z")), slot.next());
        assert_eq!(step.slot_of(at("2026-11-27T09:30:01Z")), slot.next());
        assert_eq!(step.last_ended(at("2026-11-27T09:30:59Z")), slot);
    }

    #[test]
    fn slots_before_the_epoch_are_numbered_downward() {
        let step = Step::MINUTE;
        let slot = step.slot_of(at("1969-12-31T23:59:30Z"));
        assert_eq!(slot, Slot(-1));
        assert_eq!(step.end(slot), at("1970-01-01T00:00:00Z"));
    }

    #[test]
    fn a_step_is_whole_seconds_up_to_a_day() {
        assert!(Step::try_new(Duration::from_millis(500)).is_err());
        assert!(Step::try_new(Duration::ZERO).is_err());
        assert!(Step::try_new(Duration::from_secs(86_401)).is_err());
        assert_eq!(Step::try_new(Duration::from_secs(300)).unwrap().to_string(), "5m");
    }
}
