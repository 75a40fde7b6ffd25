//! What was written lately, for policies that allow so much change within a period.
//!
//! Only the controller's own writes are known; what KEDA or a person wrote is not. The list is kept with the controller's
//! thrift: a new event takes the place of the *last* outdated one, and the other outdated ones stay and go on counting
//! for the opposite direction, whose periods may be longer.

use std::time::Duration;

use crate::time::Timestamp;

/// The writes of one direction.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct ScaleEvents(Vec<Event>);

#[derive(Debug, Clone, Copy, PartialEq)]
struct Event {
    written: Timestamp,
    change: u32,
}

impl ScaleEvents {
    /// Takes down a write; `longest` is the longest period among this direction's policies.
    pub(super) fn record(&mut self, written: Timestamp, change: u32, longest: Duration) {
        let event = Event { written, change };
        let outdated = written - longest;
        match self.0.iter().rposition(|old| old.written < outdated) {
            Some(outdated) => self.0[outdated] = event,
            None => self.0.push(event),
        }
    }

    /// Pods changed within `period` before `now`. An event exactly one period old no longer counts.
    pub(super) fn within(&self, now: Timestamp, period: Duration) -> i64 {
        let until = now - period;
        self.0.iter().filter(|event| event.written > until).map(|event| i64::from(event.change)).sum()
    }
}
