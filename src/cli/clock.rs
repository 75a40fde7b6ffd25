//! The clocks: the wall, one that runs faster, and one that is set by hand.
//!
//! These are the only readers of real time in the product.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::engine::Clock;
use crate::time::Timestamp;

/// The longest single sleep: a wall clock that jumps ahead is noticed within this.
const LONGEST_SLEEP: Duration = Duration::from_secs(5);

/// The wall clock, for `serve`.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct WallClock;

impl Clock for WallClock {
    #[expect(clippy::disallowed_methods, reason = "this is the wall clock behind the engine's port")]
    fn now(&self) -> Timestamp {
        chrono::Utc::now()
    }

    async fn sleep_until(&self, at: Timestamp) {
        let Some(whole) = left(at, self.now()) else { return };
        let until = Instant::now() + whole;
        while let Some(left) = left(at, self.now())
            && Instant::now() < until
        {
            sleep(left.min(LONGEST_SLEEP)).await;
        }
    }
}

/// A clock that begins at a simulated instant and runs `speed` times as fast as the wall, for the live `demo`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FastClock {
    simulated_start: Timestamp,
    wall_start: Timestamp,
    speed: f64,
}

impl FastClock {
    /// A clock that shows `start` now.
    pub(crate) fn starting_at(start: Timestamp, speed: f64) -> Self {
        Self { simulated_start: start, wall_start: WallClock.now(), speed }
    }
}

impl Clock for FastClock {
    fn now(&self) -> Timestamp {
        let passed = (WallClock.now() - self.wall_start).to_std().unwrap_or_default();
        self.simulated_start + passed.mul_f64(self.speed)
    }

    async fn sleep_until(&self, at: Timestamp) {
        while let Some(left) = left(at, self.now()) {
            sleep(left.div_f64(self.speed).max(Duration::from_millis(1))).await;
        }
    }
}

/// A clock that stands until it is set, for a day walked in lockstep.
#[derive(Debug)]
pub(crate) struct SetClock {
    now: watch::Sender<Timestamp>,
}

impl SetClock {
    /// A clock that stands at `start`.
    pub(crate) fn at(start: Timestamp) -> Self {
        Self { now: watch::Sender::new(start) }
    }

    /// Sets it; sleepers whose time has come wake up.
    pub(crate) fn set(&self, now: Timestamp) {
        self.now.send_replace(now);
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        *self.now.borrow()
    }

    async fn sleep_until(&self, at: Timestamp) {
        // The sender lives as long as `self`, so this cannot fail.
        let _ = self.now.subscribe().wait_for(|now| *now >= at).await;
    }
}

fn left(at: Timestamp, now: Timestamp) -> Option<Duration> {
    (at - now).to_std().ok().filter(|left| !left.is_zero())
}

#[expect(clippy::disallowed_methods, reason = "the one place where the engine's clock waits on real time")]
async fn sleep(duration: Duration) {
    tokio::time::sleep(duration).await;
}
