//! The ordinary week by the wall clock, as a multiple of a working day's plateau.

/// Days since 1970-01-01 and seconds into that day, both by the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wall {
    pub(super) day: i64,
    pub(super) second: i64,
}

impl Wall {
    /// From wall-clock seconds, as if the wall clock were UTC.
    pub(super) fn from_seconds(seconds: i64) -> Self {
        Self { day: seconds.div_euclid(86_400), second: seconds.rem_euclid(86_400) }
    }

    /// 0 is Monday. The first of January 1970 was a Thursday.
    pub(super) fn weekday(self) -> i64 {
        (self.day + 3).rem_euclid(7)
    }

    /// Seconds since `hour`:`minute` on the same day; negative before.
    pub(super) fn since(self, hour: i64, minute: i64) -> i64 {
        self.second - hour * 3600 - minute * 60
    }
}

/// Demand of an ordinary week: near 1 in the middle of a working day, near 0.2 at night.
pub(super) fn ordinary(wall: Wall) -> f64 {
    ordinary_but(wall, &[])
}

/// The same, with Sundays on `holidays`, which are days since 1970-01-01 in ascending order.
pub(super) fn ordinary_but(wall: Wall, holidays: &[i64]) -> f64 {
    let kind = |day: i64| {
        if holidays.binary_search(&day).is_ok() { 6 } else { Wall { day, second: 0 }.weekday() }
    };
    let hour = wall.second as f64 / 3600.0;
    let today = day(kind(wall.day), hour);
    // The first three hours cross over from yesterday's kind of day, so that midnight is not a step.
    if hour >= 3.0 {
        return today;
    }
    let yesterday = day(kind(wall.day - 1), hour);
    let crossed = hour / 3.0;
    yesterday + (today - yesterday) * crossed * crossed * (3.0 - 2.0 * crossed)
}

/// Demand of one weekday at `hour`, as if every day were that one.
fn day(weekday: i64, hour: f64) -> f64 {
    // Mondays to Thursdays are alike; people spend on Fridays.
    let vigour = [1.0, 0.98, 1.0, 1.02, 1.08, 0.85, 0.75][usize::try_from(weekday).unwrap_or_default()];
    let shape = if weekday < 5 {
        let office = logistic((hour - 7.2) / 0.6) - logistic((hour - 17.8) / 0.7);
        0.75 * office + 0.12 * hump(hour, 12.6, 0.8) + 0.55 * hump(hour, 20.0, 1.5)
    } else {
        0.55 * hump(hour, 14.0, 3.2) + 0.40 * hump(hour, 20.3, 1.8)
    };
    0.2 + vigour * shape
}

fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// A bell around `centre`, on the circle of 24 hours.
fn hump(hour: f64, centre: f64, width: f64) -> f64 {
    let away = (hour - centre + 12.0).rem_euclid(24.0) - 12.0;
    (-0.5 * (away / width).powi(2)).exp()
}

/// Whether `day`, counted since 1970-01-01, is a pay day: the 15th and the last of the month, and the Friday before
/// where that is a weekend.
pub(super) fn is_pay_day(wall: Wall) -> bool {
    let weekday = wall.weekday();
    let due = |day: i64| {
        let (this, next) = (day_of_month(day), day_of_month(day + 1));
        this == 15 || next == 1
    };
    match weekday {
        0..=3 => due(wall.day),
        4 => (0..3).any(|ahead| due(wall.day + ahead)),
        _ => false,
    }
}

/// Day of month of a day counted since 1970-01-01, in the Gregorian calendar for ever.
fn day_of_month(day: i64) -> i64 {
    // After Howard Hinnant, "chrono-compatible low-level date algorithms": eras of 400 years beginning in March.
    let day_of_era = (day + 719_468).rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    day_of_year - (153 * month + 2) / 5 + 1
}

#[cfg(test)]
mod tests {
    use chrono::{Datelike, NaiveDate};

    use super::*;

    fn day_number(date: &str) -> i64 {
        let date: NaiveDate = date.parse().unwrap();
        i64::from(date.num_days_from_ce() - NaiveDate::default().num_days_from_ce())
    }

    #[test]
    fn civil_days_agree_with_chrono() {
        for day in -800..40_000 {
            let date = NaiveDate::default() + chrono::TimeDelta::days(day);
            assert_eq!(day_of_month(day), i64::from(date.day()), "{date}");
            let wall = Wall { day, second: 0 };
            assert_eq!(wall.weekday(), i64::from(date.weekday().num_days_from_monday()), "{date}");
        }
    }

    #[test]
    fn pay_days_are_rolled_back_to_friday() {
        let paid = |month: &str| -> Vec<i64> {
            let first = day_number(&format!("{month}-01"));
            (first..first + 31)
                .filter(|day| is_pay_day(Wall { day: *day, second: 0 }))
                .filter(|day| day_of_month(first) + day - first <= 31)
                .map(day_of_month)
                .collect()
        };
        // 15 August 2026 is a Saturday, 31 August a Monday; 15 November is a Sunday, 30 November a Monday.
        assert_eq!(paid("2026-08"), [14, 31]);
        assert_eq!(paid("2026-11"), [13, 30]);
        // 31 October 2026 is a Saturday.
        assert_eq!(paid("2026-10"), [15, 30]);
        // A leap day that is a Thursday.
        assert_eq!(paid("2024-02"), [15, 29]);
    }

    #[test]
    fn the_week_has_no_steps_and_keeps_to_its_scale() {
        let monday = day_number("2026-11-23");
        let at = |second| ordinary(Wall::from_seconds(monday * 86_400 + second));
        for second in 0..7 * 86_400 {
            let (now, next) = (at(second), at(second + 1));
            assert!((0.15..1.4).contains(&now), "{now} at {second}");
            assert!((next - now).abs() < 5e-4, "{now} to {next} at {second}");
        }
        let hour = |day: i64, hour: i64| at(day * 86_400 + hour * 3600);
        assert!(hour(2, 11) > 3.0 * hour(2, 4), "days are busier than nights");
        assert!(hour(2, 20) > 0.6, "evenings are busy");
        assert!(hour(5, 9) < 0.7 * hour(2, 9), "weekends begin late");
    }
}
