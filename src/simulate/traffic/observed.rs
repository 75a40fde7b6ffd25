//! What a Prometheus knows of the payments: a counter scraped every quarter minute, except during an outage.
//!
//! A hole is a hole. Within one nothing is interpolated, and after it a window that reaches back across it averages over
//! the samples it has, as `rate()` does.

use super::Traffic;
use super::payments::BUCKET_SECONDS;
use crate::time::{Timestamp, epoch_seconds, from_epoch_seconds};

/// How often the counter is scraped. A query's range should cover four of these.
pub const SCRAPE_SECONDS: i64 = BUCKET_SECONDS;

impl Traffic {
    /// Whether the collector is up at `at`.
    pub fn is_scraped(&self, at: Timestamp) -> bool {
        !self.options.outages.iter().any(|outage| outage.covers(at))
    }

    /// `sum(rate(counter[window]))` evaluated at `at`: payments per second between the oldest and the newest sample
    /// within the window. `None` with fewer than two samples, as in Prometheus.
    pub fn observed(&self, at: Timestamp, window_seconds: i64) -> Option<f64> {
        let until = epoch_seconds(at);
        let from = until - window_seconds;
        let (oldest, newest) =
            ((from + SCRAPE_SECONDS - 1).div_euclid(SCRAPE_SECONDS), until.div_euclid(SCRAPE_SECONDS));
        let is_scraped = |scrape: &i64| self.is_scraped(from_epoch_seconds(scrape * SCRAPE_SECONDS));
        let oldest = (oldest..=newest).find(is_scraped)?;
        let newest = (oldest + 1..=newest).rev().find(is_scraped)?;
        let (from, until) = (oldest * SCRAPE_SECONDS, newest * SCRAPE_SECONDS);
        Some(self.payments_between(from, until) / (until - from) as f64)
    }
}

#[cfg(test)]
mod tests {
    use chrono::{NaiveDate, TimeDelta};
    use chrono_tz::Tz;

    use super::*;
    use crate::simulate::traffic::Options;

    fn traffic() -> Traffic {
        let day: NaiveDate = "2026-11-25".parse().unwrap();
        Traffic::new(Options::new(7, Tz::America__New_York, day))
    }

    #[test]
    fn what_is_seen_is_what_happened() {
        let traffic = traffic();
        let at = traffic.options().instant(11, 0);
        assert_eq!(traffic.observed(at, 120), Some(traffic.mean_rate(at, 120)));
        let unaligned = traffic.observed(at + TimeDelta::seconds(7), 120).unwrap();
        // Oldest sample 113 s before, newest at the full minute.
        assert!((unaligned - traffic.mean_rate(at, 105)).abs() < 1e-9);
    }

    #[test]
    fn an_outage_leaves_a_hole_and_never_a_zero() {
        let traffic = traffic();
        let down = traffic.options().instant(14, 40);
        let seen = |seconds| traffic.observed(down + TimeDelta::seconds(seconds), 120);
        // The last two samples are 30 s and 15 s older than the outage and stay in the window until 90 s into it.
        assert!(seen(0).is_some() && seen(90).is_some());
        assert!((91..=614).all(|seconds| seen(seconds).is_none()));
        assert!((615..900).all(|seconds| seen(seconds).is_some_and(|rate| rate > 500.0)));
        assert_eq!(traffic.options().outages.len(), 2);
    }

    #[test]
    fn eight_weeks_by_the_minute_are_finite_but_for_the_outages() {
        let traffic = traffic();
        let until = traffic.options().instant(0, 0);
        let minutes = 8 * 7 * 24 * 60;
        let seen = (0..minutes).map(|minute| traffic.observed(until - TimeDelta::minutes(minute), 120));
        let (mut holes, mut most, mut least) = (0, 0.0_f64, f64::MAX);
        for load in seen {
            match load {
                Some(rate) => (most, least) = (most.max(rate), least.min(rate)),
                None => holes += 1,
            }
        }
        assert_eq!(holes, 24, "25 minutes, of which the window bridges one");
        assert!(least > 100.0 && most < 20_000.0, "{least} to {most}");
    }
}
