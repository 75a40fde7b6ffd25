//! The customers' wall clock: "the same time of day, a week ago", right on both DST days.
//!
//! Seasons repeat by local time, so a week ago is 167, 168 or 169 hours back. A [`LocalClock`] holds the UTC offsets of
//! one zone over one span as a handful of segments, because asking the tz database for each of 100,000 slots costs more
//! than the rest of a fit.

use chrono::{Offset, TimeZone};
use chrono_tz::Tz;

use super::{Timestamp, epoch_seconds, from_epoch_seconds};

/// A zone's UTC offsets over a span.
#[derive(Debug, Clone)]
pub struct LocalClock {
    /// `(first epoch second, offset in seconds)`, ascending; the first segment also stands for all that is before it.
    segments: Vec<(i64, i64)>,
}

/// No zone changes its offset twice within this time, so probing this often finds every change.
const PROBE_SECONDS: i64 = 6 * 3600;

impl LocalClock {
    /// The clock of `zone`, exact for instants between `from` and `until`.
    pub fn over(zone: Tz, from: Timestamp, until: Timestamp) -> Self {
        let (from, until) = (epoch_seconds(from), epoch_seconds(until));
        let mut segments = vec![(from, utc_offset_seconds(zone, from))];
        let mut probe = from;
        while probe < until {
            let next = probe + PROBE_SECONDS;
            let (before, after) = (utc_offset_seconds(zone, probe), utc_offset_seconds(zone, next));
            if before != after {
                segments.push((first_second_with(zone, after, probe, next), after));
            }
            probe = next;
        }
        Self { segments }
    }

    /// Local wall-clock seconds (as if the wall clock were UTC) at `at`.
    pub fn local_seconds(&self, at: Timestamp) -> i64 {
        self.local_seconds_of(epoch_seconds(at))
    }

    /// As [`LocalClock::local_seconds`], from seconds since the epoch: a fit asks for each of 100,000 slots, and to make an
    /// instant of each would cost more than the answer.
    pub fn local_seconds_of(&self, epoch_seconds: i64) -> i64 {
        epoch_seconds + self.offset(epoch_seconds)
    }

    /// The instant at which the wall clock showed the same time `days` calendar days earlier (later when negative).
    ///
    /// `None` when that wall-clock time was skipped by a change to summer time. Where it occurred twice, the pass with
    /// the same offset as `at` is meant, so that the two passes of the autumn hour do not both claim one slot.
    pub fn days_earlier(&self, at: Timestamp, days: i64) -> Option<Timestamp> {
        self.seconds_days_earlier(epoch_seconds(at), days).map(from_epoch_seconds)
    }

    /// As [`LocalClock::days_earlier`], in seconds since the epoch.
    pub fn seconds_days_earlier(&self, epoch_seconds: i64, days: i64) -> Option<i64> {
        let own_offset = self.offset(epoch_seconds);
        let wall = epoch_seconds + own_offset - days * 86_400;
        let same_offset = wall - own_offset;
        let there = self.offset(same_offset);
        if there == own_offset {
            return Some(same_offset);
        }
        let shifted = wall - there;
        (self.offset(shifted) == there).then_some(shifted)
    }

    fn offset(&self, utc: i64) -> i64 {
        let after = self.segments.partition_point(|(first, _)| *first <= utc);
        self.segments[after.saturating_sub(1)].1
    }
}

fn utc_offset_seconds(zone: Tz, utc: i64) -> i64 {
    let at = from_epoch_seconds(utc).naive_utc();
    i64::from(zone.offset_from_utc_datetime(&at).fix().local_minus_utc())
}

/// The first second in `(before, until]` whose offset is `offset`, found by halving.
fn first_second_with(zone: Tz, offset: i64, before: i64, until: i64) -> i64 {
    let (mut low, mut high) = (before, until);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if utc_offset_seconds(zone, middle) == offset { high = middle } else { low = middle }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new_york() -> LocalClock {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        LocalClock::over(Tz::America__New_York, at("2026-01-01T00:00:00Z"), at("2027-01-01T00:00:00Z"))
    }

    fn check(at: &str, days: i64, expected: Option<&str>) {
        let found = new_york().days_earlier(at.parse().unwrap(), days);
        assert_eq!(found, expected.map(|text| text.parse().unwrap()), "{days} days before {at}");
    }

    #[test]
    fn a_week_ago_is_a_week_ago_on_the_wall_clock() {
        // 09:30 in New York: 13:30Z in summer, 14:30Z in winter.
        check("2026-03-11T13:30:00Z", 7, Some("2026-03-04T14:30:00Z"));
        check("2026-11-04T14:30:00Z", 7, Some("2026-10-28T13:30:00Z"));
        check("2026-06-10T13:30:00Z", 7, Some("2026-06-03T13:30:00Z"));
    }

    #[test]
    fn a_wall_clock_time_that_was_skipped_has_no_instant() {
        // 02:30 on 8 March 2026 does not exist in New York.
        check("2026-03-15T06:30:00Z", 7, None);
    }

    #[test]
    fn the_two_passes_of_the_autumn_hour_are_told_apart() {
        // 01:30 happens twice on 1 November 2026; a week later it is standard time, so the second pass is meant,
        check("2026-11-08T06:30:00Z", 7, Some("2026-11-01T06:30:00Z"));
        // and both passes look back at the one 01:30 of the week before.
        check("2026-11-01T05:30:00Z", 7, Some("2026-10-25T05:30:00Z"));
        check("2026-11-01T06:30:00Z", 7, Some("2026-10-25T05:30:00Z"));
    }

    #[test]
    fn segments_agree_with_the_tz_database_at_every_quarter_hour() {
        let clock = new_york();
        let mut utc = epoch_seconds("2026-01-01T00:00:00Z".parse().unwrap());
        while utc < epoch_seconds("2026-12-31T00:00:00Z".parse().unwrap()) {
            assert_eq!(clock.offset(utc), utc_offset_seconds(Tz::America__New_York, utc));
            utc += 900;
        }
    }
}
