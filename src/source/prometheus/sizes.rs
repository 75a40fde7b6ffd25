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

/// The first chunk of a query with many series, of which nobody knows yet how many there are.
const FIRST_OF_MANY: i64 = 240;

/// What one answer with many series should weigh: enough that the number of queries does not matter, and little enough
/// that reading it delays nobody.
const BYTES_OF_MANY: usize = 8 << 20;

const REMEMBER: Duration = Duration::from_secs(600);

/// As many queries are remembered; beyond that what is known is learned anew.
const MOST_QUERIES: usize = 4096;

#[derive(Default)]
pub(super) struct Sizes(Mutex<HashMap<String, Learned>>);

#[derive(Clone, Copy)]
struct Learned {
    /// No more points than this worked.
    bearable: Option<i64>,
    /// What an instant of all series weighs.
    bytes_per_instant: Option<usize>,
    at: Instant,
}

impl Sizes {
    /// How many points to ask for of a query with one series.
    pub(super) fn of_one(&self, query: &str) -> i64 {
        self.learned(query).and_then(|learned| learned.bearable).unwrap_or(MOST_POINTS)
    }

    /// How many points to ask for of a query with many series, when an answer may have `most_bytes`.
    pub(super) fn of_many(&self, query: &str, most_bytes: usize) -> i64 {
        let learned = self.learned(query);
        let by_bytes = learned.and_then(|learned| learned.bytes_per_instant).map_or(FIRST_OF_MANY, |each| {
            let points = BYTES_OF_MANY.min(most_bytes / 2) / each.max(1);
            i64::try_from(points).unwrap_or(MOST_POINTS).clamp(FEWEST_POINTS, MOST_POINTS)
        });
        by_bytes.min(learned.and_then(|learned| learned.bearable).unwrap_or(MOST_POINTS))
    }

    /// Takes down that so many points worked, and more did not.
    pub(super) fn bears(&self, query: &str, points: i64) {
        self.learn(query, |learned| learned.bearable = Some(points));
    }

    /// Takes down what an answer with many series weighed.
    pub(super) fn weighs(&self, query: &str, points: i64, bytes: usize) {
        let each = bytes / usize::try_from(points.max(1)).unwrap_or(1);
        // A short answer is mostly labels.
        if points >= FEWEST_POINTS {
            self.learn(query, |learned| learned.bytes_per_instant = Some(each));
        }
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
        let new = || Learned { bearable: None, bytes_per_instant: None, at: Instant::now() };
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

    #[tokio::test(start_paused = true)]
    async fn many_series_are_asked_for_by_their_weight() {
        let sizes = Sizes::default();
        assert_eq!(sizes.of_many("q", 64 << 20), FIRST_OF_MANY);
        sizes.weighs("q", 240, 240 * (8 << 10));
        assert_eq!(sizes.of_many("q", 64 << 20), 1024);
        assert_eq!(sizes.of_many("q", 4 << 20), 256, "half of what is allowed");
        sizes.weighs("q", 2, 1 << 20);
        assert_eq!(sizes.of_many("q", 64 << 20), 1024, "two points say nothing");
        sizes.bears("q", 512);
        assert_eq!(sizes.of_many("q", 64 << 20), 512);
    }
}
