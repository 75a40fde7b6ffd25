//! Whose traffic it is, and what goes wrong.

use std::sync::Arc;
use std::time::Duration;

use chrono::{Days, NaiveDate, NaiveTime, TimeZone};
use chrono_tz::Tz;

use super::{Surge, Year};
use crate::time::Timestamp;

/// All that a [`super::Traffic`] depends on.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// The same seed gives the same payments.
    pub seed: u64,
    /// The customers' wall clock.
    pub zone: Tz,
    /// The day that is played, by that clock. Growth is measured from here, so that it is as busy in any year.
    pub day: NaiveDate,
    /// Payments per second on the plateau of a working day, on `day`.
    pub level: f64,
    /// Growth per day, as a fraction.
    pub growth_per_day: f64,
    /// A peak that no history knows.
    pub burst: Option<Burst>,
    /// When the collector was down.
    pub outages: Vec<Outage>,
    /// Holidays and effects in place of the pay days, sales and opening bells of the plain week.
    pub year: Option<Arc<Year>>,
}

/// A peak at one instant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Burst {
    /// When it begins.
    pub at: Timestamp,
    /// Its form.
    pub surge: Surge,
}

/// A time without scrapes: what was counted is counted, but nobody looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outage {
    /// The first instant at which nothing is scraped.
    pub from: Timestamp,
    /// The first instant at which it is again.
    pub until: Timestamp,
}

impl Outage {
    /// Whether nothing is scraped at `at`.
    pub fn covers(&self, at: Timestamp) -> bool {
        self.from <= at && at < self.until
    }
}

impl Options {
    /// A platform of some 2,000 payments a second around `day`, with two collector outages: 25 minutes in a night nine
    /// days before, and 10 minutes in the afternoon of the day itself, from 14:40.
    pub fn new(seed: u64, zone: Tz, day: NaiveDate) -> Self {
        let outage = |day: NaiveDate, hour: u32, minute: u32, minutes: u64| {
            let from = instant(zone, day, hour, minute);
            Outage { from, until: from + Duration::from_secs(minutes * 60) }
        };
        Self {
            seed,
            zone,
            day,
            level: 2000.0,
            growth_per_day: 0.003,
            burst: None,
            outages: vec![outage(day - Days::new(9), 3, 10, 25), outage(day, 14, 40, 10)],
            year: None,
        }
    }

    /// The same with a peak at `hour`:`minute` of the day that no history knows.
    #[must_use]
    pub fn with_burst(mut self, hour: u32, minute: u32) -> Self {
        let at = instant(self.zone, self.day, hour, minute);
        self.burst = Some(Burst { at, surge: Surge::UNANNOUNCED });
        self
    }

    /// The same in a year whose truth is known.
    #[must_use]
    pub fn in_year(self, year: Year) -> Self {
        Self { year: Some(Arc::new(year)), ..self }
    }

    /// The instant at which the wall clock shows `hour`:`minute` on the day that is played.
    pub fn instant(&self, hour: u32, minute: u32) -> Timestamp {
        instant(self.zone, self.day, hour, minute)
    }

    /// The midnight on which the day ends: 23, 24 or 25 hours after the one on which it begins.
    pub fn day_ends(&self) -> Timestamp {
        instant(self.zone, self.day.succ_opt().unwrap_or(self.day), 0, 0)
    }
}

/// The instant at which the wall clock of `zone` shows `hour`:`minute` on `day`: the first pass where there are two, and
/// an hour later by the clock where there is none.
pub(super) fn instant(zone: Tz, day: NaiveDate, hour: u32, minute: u32) -> Timestamp {
    let wall = day.and_time(NaiveTime::from_hms_opt(hour, minute, 0).unwrap_or_default());
    let an_hour = Duration::from_secs(3600);
    [wall, wall + an_hour]
        .iter()
        .find_map(|wall| zone.from_local_datetime(wall).earliest())
        .map_or_else(|| wall.and_utc(), |found| found.to_utc())
}
