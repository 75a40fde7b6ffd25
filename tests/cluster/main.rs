//! The cluster adapter against an API server that plays by a script, over real HTTP on the loopback interface.
//!
//! What the script can do is what API servers do to watches: bookmarks, 410 Gone, 429, a restart. No cluster is needed.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]
#![expect(clippy::disallowed_methods, reason = "a test that waits for a socket waits in real time")]

mod api;
mod band;
mod binary;
mod learning;
mod online;
#[path = "../prometheus/server.rs"]
#[expect(dead_code, reason = "its own tests freeze and stop it")]
mod prometheus;
mod rolling;
#[path = "../stage/mod.rs"]
mod stage;
mod surges;
mod telling;
mod watches;

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidetable::cluster::{Metrics, Sight, follow};
use tidetable::engine::{Board, ClusterView as _, LeadTime, Memory, ScaledObject, Target};
use tidetable::plan::lead_time::Start;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use api::Api;
use stage::{HandClock, nine, seconds};

/// The longest that anything here may take, on a machine that others compile on.
const PATIENCE: Duration = Duration::from_secs(60);

fn owner() -> ScaledObject {
    ScaledObject { namespace: "payments".into(), name: "api".into() }
}

/// A target whose lead time is to be learned.
fn target() -> Arc<Target> {
    Arc::new(Target { lead_time: LeadTime::Learned, ..Target::clone(&stage::target("api")) })
}

/// What outlives a follower, in memory.
#[derive(Debug, Default)]
struct Kept(Mutex<Vec<Start>>);

impl Memory for Kept {
    type Error = Infallible;

    async fn recall(&self, _: &ScaledObject) -> Result<Vec<Start>, Infallible> {
        Ok(self.0.lock().unwrap().clone())
    }

    async fn keep(&self, _: &ScaledObject, starts: &[Start]) -> Result<(), Infallible> {
        *self.0.lock().unwrap() = starts.to_vec();
        Ok(())
    }
}

/// A follower of `api`, ended with this value.
struct Following {
    sight: Arc<Sight>,
    _task: AbortOnDropHandle<()>,
}

impl Following {
    fn of(api: &Api, memory: &Arc<Kept>) -> Self {
        let board = Arc::new(Board::default());
        board.replace([target()]);
        let sight = Arc::new(Sight::new(Metrics::default()));
        let task = follow(
            api.client(),
            board,
            Arc::clone(&sight),
            Some(Arc::clone(memory)),
            HandClock::at(nine()),
            CancellationToken::new(),
        );
        Self { sight, _task: AbortOnDropHandle::new(tokio::spawn(task)) }
    }

    fn lead_time(&self) -> Option<u64> {
        self.sight.lead_time(&owner()).map(|lead_time| lead_time.as_secs())
    }

    /// Waits until the lead time is so many seconds.
    async fn learns(&self, expected: u64) {
        until(&format!("a lead time of {expected} s"), || self.lead_time() == Some(expected)).await;
    }
}

/// Waits until something holds.
async fn until(what: &str, holds: impl Fn() -> bool) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    assert!(waited.await.is_ok(), "not within {PATIENCE:?}: {what}");
}
