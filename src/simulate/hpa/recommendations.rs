//! The stabilization windows: what was proposed lately still counts.
//!
//! Remembered is the raw proposal, not what became of it. An entry exactly one window old no longer counts: the real
//! controller never meets one, because its entries are always some milliseconds older than its ticks.

use std::collections::VecDeque;
use std::time::Duration;

use super::Spec;
use crate::time::Timestamp;
use crate::units::Replicas;

/// Proposals with the time of their making, oldest first.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Recommendations(VecDeque<(Timestamp, Replicas)>);

impl Recommendations {
    /// An HPA that has never recommended anything begins with what it finds, so that its first look takes nothing away.
    pub(super) fn begin_with(&mut self, now: Timestamp, found: Replicas) {
        if self.0.is_empty() {
            self.0.push_back((now, found));
        }
    }

    /// The proposal as the windows leave it. Remembers the proposal itself.
    pub(super) fn stabilize(
        &mut self,
        now: Timestamp,
        current: Replicas,
        proposed: Replicas,
        spec: &Spec,
    ) -> Replicas {
        let (up_window, down_window) = match &spec.behavior {
            None => (Duration::ZERO, spec.downscale_window),
            Some(behavior) => (
                behavior.up.window.unwrap_or_default(),
                behavior.down.window.unwrap_or(spec.downscale_window),
            ),
        };
        let [up_from, down_from] = [up_window, down_window].map(|window| now - window);
        let within = |from: Timestamp| {
            // They are in the order of their making.
            self.0.iter().rev().take_while(move |(made, _)| *made > from).map(|(_, replicas)| *replicas)
        };
        let least = within(up_from).fold(proposed, Replicas::min);
        let most = within(down_from).fold(proposed, Replicas::max);
        let stabilized = match spec.behavior {
            // The older rule takes the largest recommendation, even where that is above the current replicas.
            None => most,
            // The newer one only bounds around the current replicas, and so never turns a step around.
            Some(_) => current.max(least).min(most),
        };
        let outdated = up_from.min(down_from);
        while self.0.front().is_some_and(|(made, _)| *made <= outdated) {
            self.0.pop_front();
        }
        self.0.push_back((now, proposed));
        stabilized
    }
}
