//! One calendar: whose days are closed, when it trades, what recurs in it, and until when all that is known to hold.

use std::ops::Range;
use std::sync::Arc;

use chrono::NaiveDate;
use chrono_tz::Tz;

use super::days::BusinessDays;
use super::exchange::Exchange;
use super::recurrence::Recurrence;
use super::window::Window;
use crate::time::Timestamp;

/// A calendar, ready to be asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Calendar {
    /// Its name in a configuration.
    pub name: Arc<str>,
    /// What it is, for people.
    pub title: Arc<str>,
    /// Where its rules and tables come from.
    pub source: Arc<str>,
    /// The last date for which they were looked up; `None` for what needs no looking up.
    pub valid_until: Option<NaiveDate>,
    /// The zone of its dates and times.
    pub zone: Tz,
    /// Its business days, when it has closures of its own: these make holidays of a target's days.
    pub days: Option<Arc<BusinessDays>>,
    /// Its sessions, when it is an exchange.
    pub exchange: Option<Arc<Exchange>>,
    /// What recurs in it.
    pub recurrences: Vec<Recurrence>,
}

impl Calendar {
    /// Whether `at` lies beyond the last date for which it was looked up. Its rules still answer then; its tables are
    /// silent, and whoever uses it should be told.
    pub fn expired(&self, at: Timestamp) -> bool {
        self.valid_until.is_some_and(|last| at.with_timezone(&self.zone).date_naive() > last)
    }

    /// Every window of it that touches `span`.
    pub fn windows<'a>(&'a self, span: &'a Range<Timestamp>) -> impl Iterator<Item = Window> + 'a {
        self.recurrences.iter().flat_map(move |recurrence| recurrence.windows(span))
    }
}
