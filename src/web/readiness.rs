//! Whether this replica should be asked: every target has had its first decision, or the start-up grace is over.
//!
//! A pod that is not ready leaves its Service, and with it goes `GetMetricSpec`, without which KEDA's fallback never acts.
//! So not-ready must be rare and short: it ends with the grace, whatever is missing, and it never comes back.

use std::fmt::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::view::trouble;
use crate::engine::{Board, NoDecision};
use crate::time::Timestamp;

/// How many targets are listed; those that wait come first.
const MOST_LISTED: usize = 100;

/// The memory of a replica's start.
#[derive(Debug)]
pub(super) struct Readiness {
    started: Timestamp,
    grace: Duration,
    has_been: AtomicBool,
}

/// An answer to a probe.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Whether to be asked.
    pub(super) ready: bool,
    /// The reason, and a line per target.
    pub(super) detail: String,
}

impl Readiness {
    /// A replica that started at `started` and is ready when `grace` has passed, come what may.
    pub(super) fn new(started: Timestamp, grace: Duration) -> Self {
        Self { started, grace, has_been: AtomicBool::new(false) }
    }

    /// The verdict at `now`.
    pub(super) fn at(&self, now: Timestamp, board: &Board) -> Verdict {
        let table = board.table();
        let mut targets: Vec<_> = table
            .targets()
            .map(|target| {
                let published = table.published(&target.name).unwrap_or_default();
                (&target.name, published.at(now).map(|_| ()), trouble(&published))
            })
            .collect();
        targets.sort_by_key(|(_, decided, _)| *decided != Err(NoDecision::Never));
        let all = targets.len();
        let waiting = targets.iter().filter(|(_, decided, _)| *decided == Err(NoDecision::Never)).count();
        let grace_is_over = (now - self.started).to_std().is_ok_and(|passed| passed >= self.grace);

        let ready = waiting == 0 || grace_is_over || self.has_been.load(Ordering::Relaxed);
        if ready {
            self.has_been.store(true, Ordering::Relaxed);
        }
        let mut detail = match (ready, waiting) {
            (true, 0) => format!("ready: each of {all} targets has been decided\n"),
            (true, _) => format!(
                "ready: the start-up grace of {} s is over; {waiting} of {all} targets wait for their first decision\n",
                self.grace.as_secs()
            ),
            (false, _) => {
                format!("not ready: {waiting} of {all} targets wait for their first decision\n")
            }
        };
        if let Some(notice) = board.notice() {
            let _ = writeln!(detail, "{notice}");
        }
        for (name, decided, trouble) in targets.iter().take(MOST_LISTED) {
            // Writing to a string cannot fail.
            let _ = match decided {
                Ok(()) => writeln!(detail, "{name}: ready{trouble}"),
                Err(NoDecision::Never) => {
                    writeln!(detail, "{name}: not ready, {}{trouble}", NoDecision::Never)
                }
                Err(expired) => writeln!(detail, "{name}: ready, but {expired}{trouble}"),
            };
        }
        if all > MOST_LISTED {
            let _ = writeln!(detail, "and {} more", all - MOST_LISTED);
        }
        Verdict { ready, detail }
    }
}
