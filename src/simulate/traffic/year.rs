//! A business year whose truth is known: holidays, and effects of known size at known instants.
//!
//! The week of this generator knows no holidays and pays on the 15th and the last. A [`Year`] takes the place of that: what
//! is in it happens, and nothing else. So a forecaster's idea of a pay day can be held against what a pay day really did.
//! Where two effects that add demand overlap the larger one counts; what takes demand away multiplies on top.

use std::sync::Arc;
use std::time::Duration;

use chrono::{Datelike, Days, NaiveDate, Weekday};
use chrono_tz::Tz;

use super::Surge;
use super::options::instant;
use crate::time::{Timestamp, epoch_seconds};

/// The holidays of the Federal Reserve that fall on a working day, December 2025 to January 2027.
/// Source: federalreserve.gov, "Holidays observed"; Independence Day 2026 is a Saturday and is not observed by the Fed, but
/// markets and most employers close on Friday the 3rd.
const HOLIDAYS: [(i32, u32, u32); 13] = [
    (2025, 12, 25),
    (2026, 1, 1),
    (2026, 1, 19),
    (2026, 2, 16),
    (2026, 5, 25),
    (2026, 6, 19),
    (2026, 7, 3),
    (2026, 9, 7),
    (2026, 10, 12),
    (2026, 11, 11),
    (2026, 11, 26),
    (2026, 12, 25),
    (2027, 1, 1),
];

/// On which of the Fridays every second one is a pay day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fortnight {
    /// In phase with Friday, 2 January 2015: 19 June 2026 is one, and banks rest, so it is paid on the 18th.
    Even,
    /// A week beside that: 25 December 2026 is one, which is paid on the 24th.
    Odd,
}

/// Launches: on any day of the week, at eleven.
const LAUNCHES: [(i32, u32, u32); 9] = [
    (2026, 1, 13),
    (2026, 2, 26),
    (2026, 3, 18),
    (2026, 4, 27),
    (2026, 6, 12),
    (2026, 7, 21),
    (2026, 9, 3),
    (2026, 10, 23),
    (2026, 11, 19),
];

/// One effect at each of its instants.
#[derive(Debug, Clone, PartialEq)]
pub struct Effect {
    /// What it is called.
    pub name: Arc<str>,
    /// When it begins, ascending.
    pub at: Vec<Timestamp>,
    /// Its form.
    pub surge: Surge,
}

/// Holidays and effects of a year or more.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Year {
    /// Days that are like Sundays.
    pub holidays: Vec<NaiveDate>,
    /// What moves demand beside.
    pub effects: Vec<Effect>,
}

impl Year {
    /// December 2025 to December 2026 in the United States, by the wall clock of `zone`: pay days on the 15th and the last
    /// and on every second Friday, brought forward from weekends and holidays (from 19 to 18 June, say), the opening bell,
    /// month ends, half days before holidays, and launches.
    pub fn thirteen_months(zone: Tz, fortnight: Fortnight) -> Self {
        let holidays: Vec<NaiveDate> = HOLIDAYS.iter().filter_map(|date| day(*date)).collect();
        let dates: Vec<NaiveDate> =
            day((2025, 12, 1)).into_iter().flat_map(|first| first.iter_days().take(396)).collect();
        let open = |date: &NaiveDate| {
            !matches!(date.weekday(), Weekday::Sat | Weekday::Sun) && !holidays.contains(date)
        };
        let previous = |date: NaiveDate| (0..7).map(|back| date - Days::new(back)).find(open).unwrap_or(date);
        let is_last = |date: &NaiveDate| (*date + Days::new(1)).day() == 1;
        let phase = match fortnight {
            Fortnight::Even => 1,
            Fortnight::Odd => 0,
        };
        let fortnights =
            |date: &NaiveDate| date.weekday() == Weekday::Fri && date.num_days_from_ce() / 7 % 2 == phase;

        let semi_monthly =
            dates.iter().filter(|date| date.day() == 15 || is_last(date)).map(|date| previous(*date));
        let biweekly = dates.iter().filter(|date| fortnights(date)).map(|date| previous(*date));
        let month_ends = dates.iter().filter(|date| date.day() == 1).copied();
        let half_days = holidays.iter().map(|holiday| previous(*holiday - Days::new(1)));
        let launches = LAUNCHES.iter().filter_map(|date| day(*date));
        let trading_days = dates.iter().filter(|date| open(date)).copied();
        let effect = |name: &str, days: &mut dyn Iterator<Item = NaiveDate>, (hour, minute), surge| Effect {
            name: name.into(),
            at: days.map(|date| instant(zone, date, hour, minute)).collect(),
            surge,
        };
        Self {
            effects: vec![
                effect("semi-monthly pay", &mut { semi_monthly }, (7, 0), Surge::PAY_DAY),
                effect("biweekly pay", &mut { biweekly }, (6, 0), BIWEEKLY),
                effect("market open", &mut { trading_days }, (9, 30), Surge::MARKET_OPEN),
                effect("month end", &mut { month_ends }, (0, 0), MONTH_END),
                effect("half day", &mut { half_days }, (13, 0), HALF_DAY),
                effect("launch", &mut { launches }, (11, 0), LAUNCH),
            ],
            holidays,
        }
    }

    /// An effect by its name.
    pub fn effect(&self, name: &str) -> Option<&Effect> {
        self.effects.iter().find(|effect| &*effect.name == name)
    }

    /// How many times the demand there would be without any effect there is at `at`.
    pub fn multiple(&self, at: Timestamp) -> f64 {
        let uplifts = self.effects.iter().map(|effect| effect.uplift_at(at));
        let (most, left) = uplifts
            .fold((0.0_f64, 1.0), |(most, left), uplift| (most.max(uplift), left * (1.0 + uplift.min(0.0))));
        (1.0 + most) * left
    }
}

impl Effect {
    /// What it adds at `at`, as a multiple of the demand without it; negative where it takes away.
    pub fn uplift_at(&self, at: Timestamp) -> f64 {
        let begun = self.at.partition_point(|begin| *begin <= at);
        let newest = begun.checked_sub(1).and_then(|newest| self.at.get(newest));
        newest.map_or(0.0, |begin| self.surge.uplift_at(epoch_seconds(at) - epoch_seconds(*begin)))
    }
}

/// Every second Friday: wages, spent until the afternoon.
const BIWEEKLY: Surge = surge(0.6, 7200, 3600, 5400);
/// The night after a month's last day: interest, fees and statements.
const MONTH_END: Surge = surge(0.8, 1800, 14_400, 1800);
/// The afternoon before a holiday.
const HALF_DAY: Surge = surge(-0.4, 1800, 18_000, 1800);
/// Something new to buy.
const LAUNCH: Surge = surge(3.0, 240, 1800, 1500);

const fn surge(uplift: f64, ramp: u64, hold: u64, fade: u64) -> Surge {
    Surge {
        uplift,
        ramp: Duration::from_secs(ramp),
        hold: Duration::from_secs(hold),
        fade: Duration::from_secs(fade),
    }
}

fn day((year, month, day): (i32, u32, u32)) -> Option<NaiveDate> {
    NaiveDate::from_ymd_opt(year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(name: &str, fortnight: Fortnight) -> Vec<String> {
        let zone = Tz::America__New_York;
        let year = Year::thirteen_months(zone, fortnight);
        let at = &year.effect(name).unwrap().at;
        at.iter().map(|at| at.with_timezone(&zone).date_naive().to_string()).collect()
    }

    #[test]
    fn pay_days_are_brought_forward_from_weekends_and_holidays() {
        for (fortnight, due, paid) in [
            (Fortnight::Even, "2026-06-19", "2026-06-18"),
            (Fortnight::Even, "2026-07-03", "2026-07-02"),
            (Fortnight::Odd, "2026-12-25", "2026-12-24"),
        ] {
            let biweekly = days("biweekly pay", fortnight);
            assert!(biweekly.len() >= 28, "{}", biweekly.len());
            assert!(biweekly.contains(&paid.into()) && !biweekly.contains(&due.into()), "{due}");
        }
        let semi_monthly = days("semi-monthly pay", Fortnight::Even);
        // 15 February is a Sunday before a holiday, 31 May a Sunday, 31 October a Saturday.
        for paid in ["2026-02-13", "2026-05-29", "2026-10-30"] {
            assert!(semi_monthly.contains(&paid.into()), "{paid}");
        }
        assert_eq!(semi_monthly.len(), 26);
    }

    #[test]
    fn the_market_is_closed_on_holidays_and_half_days_come_before_them() {
        assert!(!days("market open", Fortnight::Even).contains(&"2026-11-26".into()));
        let half_days = days("half day", Fortnight::Even);
        assert!(half_days.contains(&"2026-11-25".into()));
        // The day before 1 January 2026; 25 May is a Monday, so the Friday before.
        assert!(half_days.contains(&"2025-12-31".into()) && half_days.contains(&"2026-05-22".into()));
    }

    #[test]
    fn of_two_that_add_the_larger_counts_and_what_takes_away_multiplies_on_top() {
        let year = Year::thirteen_months(Tz::America__New_York, Fortnight::Odd);
        // 15 May 2026: both kinds of pay day; at half past eight the biweekly one is in full force.
        let early = "2026-05-15T12:30:00Z".parse().unwrap();
        assert!((year.multiple(early) - 1.6).abs() < 1e-9);
        let half = "2026-11-25T20:00:00Z".parse().unwrap();
        assert!((year.multiple(half) - 0.6).abs() < 1e-6);
        // 24 December 2026 is a pay day and a half day; an hour after one a fiftieth of the morning's wave is left.
        let both = "2026-12-24T19:00:00Z".parse().unwrap();
        let pay = year.effect("biweekly pay").unwrap().uplift_at(both);
        assert!(pay > 0.02 && (year.multiple(both) - (1.0 + pay) * 0.6).abs() < 1e-9);
    }
}
