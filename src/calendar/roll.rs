//! From a nominal date to the date on which it takes place.

use chrono::{Datelike, NaiveDate};

use super::days::BusinessDays;

/// What becomes of a nominal date on which business rests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Roll {
    /// It stays.
    #[default]
    AsIs,
    /// It does not take place.
    Skip,
    /// The open day before it.
    Previous,
    /// The open day after it.
    Following,
    /// The open day after it, unless that is in another month: then the one before it.
    ModifiedFollowing,
}

impl Roll {
    /// The date on which `nominal` takes place, if it does. It never decreases when `nominal` increases.
    pub fn apply(self, nominal: NaiveDate, days: &BusinessDays) -> Option<NaiveDate> {
        match self {
            Self::AsIs => Some(nominal),
            Self::Skip => days.is_open(nominal).then_some(nominal),
            Self::Previous => Some(days.previous(nominal)),
            Self::Following => Some(days.following(nominal)),
            Self::ModifiedFollowing => {
                let following = days.following(nominal);
                let same_month = (following.year(), following.month()) == (nominal.year(), nominal.month());
                Some(if same_month { following } else { days.previous(nominal) })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::days::Closures;
    use super::*;

    fn check(roll: Roll, nominal: &str, expected: Option<&str>) {
        let days = BusinessDays::try_new(&Closures::default()).unwrap();
        let found = roll.apply(nominal.parse().unwrap(), &days);
        assert_eq!(found, expected.map(|date| date.parse().unwrap()), "{roll:?} of {nominal}");
    }

    #[test]
    fn a_date_of_rest_moves_as_agreed() {
        // 31 January 2026 is a Saturday.
        check(Roll::AsIs, "2026-01-31", Some("2026-01-31"));
        check(Roll::Skip, "2026-01-31", None);
        check(Roll::Previous, "2026-01-31", Some("2026-01-30"));
        check(Roll::Following, "2026-01-31", Some("2026-02-02"));
        check(Roll::ModifiedFollowing, "2026-01-31", Some("2026-01-30"));
        check(Roll::ModifiedFollowing, "2026-02-01", Some("2026-02-02"));
        check(Roll::Previous, "2026-01-29", Some("2026-01-29"));
    }
}
