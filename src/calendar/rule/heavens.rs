//! Dates that follow the sun and the moon by arithmetic.

use chrono::NaiveDate;

/// A day on which day and night are equal, as Japan keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Equinox {
    /// In March.
    Vernal,
    /// In September.
    Autumnal,
}

impl Equinox {
    /// The date in Japan.
    ///
    /// The approximation that Japanese calendars use, good from 1980 to 2099: the equinox of 1980 in days of its month,
    /// moved by 0.242194 days a year and back by one each leap year. The official date is announced each February for
    /// the year after.
    pub(super) fn date(self, year: i32) -> NaiveDate {
        let (month, in_1980) = match self {
            Self::Vernal => (3, 20.8431),
            Self::Autumnal => (9, 23.2488),
        };
        let years = year - 1980;
        let days = (in_1980 + 0.242_194 * f64::from(years)).floor() - f64::from(years.div_euclid(4));
        // Far outside the years it is good for, the day is still one of the month.
        let day = (1..=30).find(|day| f64::from(*day) >= days).unwrap_or(30);
        NaiveDate::from_ymd_opt(year, month, day).unwrap_or(NaiveDate::MAX)
    }
}

/// Easter Sunday of the western churches (Gregorian; Meeus, Jones and Butcher).
///
/// The letters are theirs: `a` is the year's place in the cycle of the moon, `b` and `c` are century and year in it, `h` is
/// the age of the moon, `l` the way to Sunday, `m` corrects two rare cases.
#[expect(clippy::many_single_char_names, reason = "the algorithm is published in these letters")]
pub(super) fn easter(year: i32) -> NaiveDate {
    let a = year.rem_euclid(19);
    let (b, c) = (year.div_euclid(100), year.rem_euclid(100));
    let (d, e) = (b / 4, b % 4);
    let f = (b + 8) / 25;
    let g = (b - f + 1) / 3;
    let h = (19 * a + b - d - g + 15) % 30;
    let (i, k) = (c / 4, c % 4);
    let l = (32 + 2 * e + 2 * i - h - k) % 7;
    let m = (a + 11 * h + 22 * l) / 451;
    let number = h + l - 7 * m + 114;
    let (month, day) = (number / 31, number % 31 + 1);
    let date = NaiveDate::from_ymd_opt(year, month.unsigned_abs(), day.unsigned_abs());
    date.unwrap_or(NaiveDate::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn easter_is_where_the_churches_have_it() {
        // The earliest and the latest there can be, and the two rare corrections of Gauss's rule.
        for date in ["1818-03-22", "2038-04-25", "1954-04-18", "1981-04-19", "2026-04-05", "2027-03-28"] {
            let date: NaiveDate = date.parse().unwrap();
            assert_eq!(easter(chrono::Datelike::year(&date)), date);
        }
    }
}
