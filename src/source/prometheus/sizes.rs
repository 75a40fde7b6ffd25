//! How many points a range query may ask for, as far as servers have taught us.
//!
//! A server that finds a chunk too heavy would find the next one too heavy as well, and the one after it; so what worked is
//! remembered for a while, query by query: one heavy query must not make every other one pay. What was learned is
//! forgotten after [`REMEMBER`], for servers recover and grow.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Points per range query and series. Prometheus refuses above 11,000; a round number below it leaves room for servers
/// that count the ends differently.
pub(super) const MOST_POINTS: i64 = 10_000;

/// A server that finds an hour at 1 min too heavy needs a lighter query.
pub(super) const FEWEST_POINTS: i64 = 60;

const REMEMBER: Duration = Duration::from_secs(600);

/// As many queries are remembered; beyond that what is known is learned anew.
const MOST_QUERIES: usize = 4096;

#[derive(Default)]
pub(super) struct Sizes(Mutex<HashMap<String, Learned>>);

#[derive(Clone, Copy)]
struct Learned {
    /// No more points than this worked.
    bearable: Option<i64>,
    at: Instant,
}

impl Sizes {
    /// How many points to ask for of a query with one series.
    pub(super) fn of_one(&self, query: &str) -> i64 {
        self.learned(query).and_then(|learned| learned.bearable).unwrap_or(MOST_POINTS)
    }

    /// Takes down that so many points worked, and more did not.
    pub(super) fn bears(&self, query: &str, points: i64) {
        self.learn(query, |learned| learned.bearable = Some(points));
    }

    fn learned(&self, query: &str) -> Option<Learned> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(query).copied().filter(|learned| learned.at.elapsed() < REMEMBER)
    }

    fn learn(&self, query: &str, change: impl FnOnce(&mut Learned)) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST_QUERIES {
            all.retain(|_, learned| learned.at.elapsed() < REMEMBER);
        }
        if all.len() >= MOST_QUERIES {
            all.clear();
        }
        let new = || Learned { bearable: None, at: Instant::now() };
        let learned = all.entry(query.to_owned()).or_insert_with(new);
        if learned.at.elapsed() >= REMEMBER {
            *learned = new();
        }
        change(learned);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_worked_is_remembered_for_a_while_and_for_its_query_alone() {
        let sizes = Sizes::default();
        assert_eq!(sizes.of_one("heavy"), MOST_POINTS);
        sizes.bears("heavy", 312);
        assert_eq!((sizes.of_one("heavy"), sizes.of_one("light")), (312, MOST_POINTS));
        tokio::time::advance(REMEMBER).await;
        assert_eq!(sizes.of_one("heavy"), MOST_POINTS);
    }
}
