//! From the wall clock to an instant, also on the two days of the year on which the wall clock is no clock.
//!
//! A time that was skipped stands for the first instant after the gap. A time that occurs twice stands for its first
//! occurrence where something starts and for its second where something ends, so that the extra hour is always inside and
//! never provisioned too late or left too early. Either way one local time is one instant, so an occurrence fires once.

use chrono::{MappedLocalTime, NaiveDateTime, TimeDelta, TimeZone};
use chrono_tz::Tz;

use crate::time::Timestamp;

/// Which side of a span a local time is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edge {
    /// Something begins: of two passes the first counts.
    Start,
    /// Something is over: of two passes the second counts.
    End,
}

/// No zone has ever skipped more than a day at once (Samoa, 30 December 2011).
const LONGEST_GAP_MINUTES: i64 = 25 * 60;

/// The instant at which the wall clock of `zone` shows `local`; see the module for gaps and folds.
///
/// It never decreases when `local` increases and `edge` stays.
pub fn instant(local: NaiveDateTime, zone: Tz, edge: Edge) -> Timestamp {
    match zone.from_local_datetime(&local) {
        MappedLocalTime::Single(at) => at.to_utc(),
        MappedLocalTime::Ambiguous(first, second) => match edge {
            Edge::Start => first.min(second).to_utc(),
            Edge::End => first.max(second).to_utc(),
        },
        MappedLocalTime::None => after_the_gap(local, zone),
    }
}

/// The first instant whose local time is after `local`, which the wall clock of `zone` skipped.
fn after_the_gap(local: NaiveDateTime, zone: Tz) -> Timestamp {
    // The clock before the gap is one that showed a time of the day before; with its offset `local` falls after the change.
    let before = local - TimeDelta::minutes(LONGEST_GAP_MINUTES);
    let (mut low, mut high) = (zone.from_utc_datetime(&before), zone.from_utc_datetime(&before));
    while low.naive_local() > before {
        low -= TimeDelta::days(1);
    }
    while high.naive_local() < local {
        high += TimeDelta::days(1);
    }
    // The wall clock crosses `local` once in between, by a jump: halve until the jump is found.
    while high - low > TimeDelta::seconds(1) {
        let middle = low + (high - low) / 2;
        let middle = zone.from_utc_datetime(&whole_second(middle.naive_utc()));
        if middle.naive_local() < local { low = middle } else { high = middle }
    }
    high.to_utc()
}

fn whole_second(at: NaiveDateTime) -> NaiveDateTime {
    at - TimeDelta::nanoseconds(i64::from(at.and_utc().timestamp_subsec_nanos()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(local: &str, zone: Tz, edge: Edge, expected: &str) {
        let found = instant(local.parse().unwrap(), zone, edge);
        assert_eq!(found, expected.parse::<Timestamp>().unwrap(), "{local} in {zone}, {edge:?}");
    }

    #[test]
    fn a_skipped_time_is_the_first_instant_after_the_gap() {
        for edge in [Edge::Start, Edge::End] {
            check("2026-03-08T02:00:00", Tz::America__New_York, edge, "2026-03-08T07:00:00Z");
            check("2026-03-08T02:30:00", Tz::America__New_York, edge, "2026-03-08T07:00:00Z");
            check("2026-03-08T02:59:59", Tz::America__New_York, edge, "2026-03-08T07:00:00Z");
            check("2026-03-08T03:00:00", Tz::America__New_York, edge, "2026-03-08T07:00:00Z");
            // Lord Howe Island moves by half an hour, Samoa once moved by a day.
            check("2026-10-04T02:10:00", Tz::Australia__Lord_Howe, edge, "2026-10-03T15:30:00Z");
            check("2011-12-30T12:00:00", Tz::Pacific__Apia, edge, "2011-12-30T10:00:00Z");
        }
    }

    #[test]
    fn a_time_that_occurs_twice_starts_early_and_ends_late() {
        check("2026-11-01T01:30:00", Tz::America__New_York, Edge::Start, "2026-11-01T05:30:00Z");
        check("2026-11-01T01:30:00", Tz::America__New_York, Edge::End, "2026-11-01T06:30:00Z");
        check("2026-11-01T02:00:00", Tz::America__New_York, Edge::Start, "2026-11-01T07:00:00Z");
    }
}
