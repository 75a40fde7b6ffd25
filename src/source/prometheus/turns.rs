//! Turns to ask, when the operator bounds the calls per second.
//!
//! A token bucket in the form of its next free instant: who comes takes the next turn and waits for it, so turns go by the
//! order of coming and nobody is passed over. After a quiet second, a second's worth may go at once.

use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// A bucket that holds a second's worth.
const BURST: Duration = Duration::from_secs(1);

pub(super) struct Turns {
    spacing: Duration,
    /// The instant at which the next turn is due that nobody has taken.
    next: Mutex<Option<Instant>>,
}

/// There is no turn before the deadline.
#[derive(Debug, PartialEq)]
pub(super) struct TooLate;

impl Turns {
    pub(super) fn new(per_second: NonZeroU32) -> Self {
        Self { spacing: Duration::from_secs(1) / per_second.get(), next: Mutex::new(None) }
    }

    /// Takes the next turn and waits for it. A turn that would come after the deadline is left to others.
    pub(super) async fn take(&self, deadline: Option<Instant>) -> Result<(), TooLate> {
        let now = Instant::now();
        let turn = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            // What was not used is kept for a second's worth, less the turn that is taken now.
            let earliest = now.checked_sub(BURST.saturating_sub(self.spacing)).unwrap_or(now);
            let turn = next.map_or(earliest, |next| next.max(earliest));
            if deadline.is_some_and(|deadline| turn > deadline) {
                return Err(TooLate);
            }
            *next = Some(turn + self.spacing);
            turn
        };
        tokio::time::sleep_until(turn).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(per_second: u32) -> Turns {
        Turns::new(NonZeroU32::new(per_second).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn a_seconds_worth_goes_at_once_and_the_rest_at_the_pace() {
        let (turns, begin) = (turns(4), Instant::now());
        for _ in 0..4 {
            turns.take(None).await.unwrap();
        }
        assert_eq!(begin.elapsed(), Duration::ZERO);
        for _ in 0..8 {
            turns.take(None).await.unwrap();
        }
        let took = begin.elapsed();
        assert!((1_900..2_100).contains(&took.as_millis()), "{took:?}");
        tokio::time::advance(Duration::from_secs(60)).await;
        let begin = Instant::now();
        for _ in 0..5 {
            turns.take(None).await.unwrap();
        }
        assert!(begin.elapsed() >= Duration::from_millis(240), "a quiet minute is worth one second");
    }

    #[tokio::test(start_paused = true)]
    async fn who_cannot_wait_takes_no_turn_from_those_who_can() {
        let turns = turns(1);
        turns.take(None).await.unwrap();
        let soon = Instant::now() + Duration::from_millis(500);
        for _ in 0..10 {
            assert_eq!(turns.take(Some(soon)).await, Err(TooLate));
        }
        let begin = Instant::now();
        turns.take(None).await.unwrap();
        assert!(begin.elapsed() <= Duration::from_millis(1_010));
    }
}
