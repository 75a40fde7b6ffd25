//! Calendars that name each other, put together.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono_tz::Tz;

use super::parts::{At, On, Parts};
use crate::calendar::{
    BusinessDays, Calendar, Closures, ClosuresError, Exchange, Moment, Nominal, Profile, Recurrence,
};

/// Why a calendar cannot be put together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Problem {
    /// It refers to itself by way of others.
    #[error("{0:?} refers to itself by way of extends, businessDays or calendar; one of them must go")]
    Circle(String),
    /// Something of it is at the bell of no exchange.
    #[error("has a recurrence at open or close and no hours; give hours, or a time of day")]
    NoHours,
    /// It is closed for good.
    #[error(transparent)]
    Closed(#[from] ClosuresError),
}

/// Definitions by name; of one name, the later lie on top.
#[derive(Debug, Clone, Default)]
pub(super) struct Shelf {
    pub(super) calendars: BTreeMap<String, Vec<Parts>>,
    pub(super) profiles: BTreeMap<String, Arc<Profile>>,
}

/// Names that are being put together, outermost first.
type Open = Vec<(String, usize)>;

impl Shelf {
    /// The calendar of a name that is on the shelf.
    pub(super) fn calendar(&self, name: &str) -> Result<Calendar, Problem> {
        let mut open = Open::new();
        let parts = self.topmost(name, &mut open)?;
        let zone = parts.zone.unwrap_or(Tz::UTC);
        let days = Arc::new(self.days(name, &mut open)?);
        let trades = !parts.hours.is_empty() || !parts.special.is_empty();
        let exchange = trades.then(|| {
            let (hours, special) = (parts.hours.iter().copied(), parts.special.iter().copied());
            Arc::new(Exchange::new(zone, Arc::clone(&days), hours, &parts.early, special))
        });
        let recurrences = parts
            .recurrences
            .iter()
            .map(|recurrence| self.recurrence(name, recurrence, zone, &days, exchange.as_ref(), &mut open));
        let recurrences = recurrences.collect::<Result<_, Problem>>()?;
        let own = |text: Option<Arc<str>>| text.unwrap_or_else(|| Arc::from(""));
        Ok(Calendar {
            name: name.into(),
            title: own(parts.title.clone()),
            source: own(parts.source.clone()),
            valid_until: parts.valid_until,
            zone,
            days: (trades || parts.has_closures()).then_some(days),
            exchange,
            recurrences,
        })
    }

    fn recurrence(
        &self,
        calendar: &str,
        parts: &super::parts::Recurrence,
        zone: Tz,
        days: &Arc<BusinessDays>,
        exchange: Option<&Arc<Exchange>>,
        open: &mut Open,
    ) -> Result<Recurrence, Problem> {
        let days = match &parts.calendar {
            Some(other) => Arc::new(self.days(other, open)?),
            None => Arc::clone(days),
        };
        let bell = || exchange.cloned().ok_or(Problem::NoHours);
        let at = match parts.at {
            At::Time(time) => Moment::Time(time),
            At::Open => Moment::Open(bell()?),
            At::Close => Moment::Close(bell()?),
        };
        let on = match &parts.on {
            On::Rule(rule, years) => Nominal::Rule(rule.clone(), years.clone()),
            On::Dates(dates) => Nominal::Dates(dates.clone()),
            On::Sessions => Nominal::Sessions(bell()?),
        };
        let name = match &parts.name {
            Some(name) => format!("{calendar} {name}").into(),
            None => calendar.into(),
        };
        let profile = self.profiles.get(&parts.profile).expect("the reference was checked");
        let (leg, roll, offset) = (parts.leg.clone(), parts.roll, parts.offset);
        Ok(Recurrence { name, leg, on, days, roll, offset, at, zone, profile: Arc::clone(profile) })
    }

    /// The business days of a calendar: those it shares, and its own closures on top.
    fn days(&self, name: &str, open: &mut Open) -> Result<BusinessDays, Problem> {
        Ok(BusinessDays::try_new(&self.closures(name, open)?)?)
    }

    fn closures(&self, name: &str, open: &mut Open) -> Result<Closures, Problem> {
        let parts = self.topmost(name, open)?;
        let mut closures = match &parts.business_days {
            Some(other) => guarded(name, usize::MAX, open, |open| self.closures(other, open))?,
            None => Closures::default(),
        };
        closures.weekend = parts.weekend.unwrap_or(closures.weekend);
        closures.bridges = parts.bridges.unwrap_or(closures.bridges);
        closures.holidays.extend(parts.holidays);
        closures.closed.extend(parts.closed);
        closures.open.extend(parts.open);
        Ok(closures)
    }

    fn topmost(&self, name: &str, open: &mut Open) -> Result<Parts, Problem> {
        let layers = self.calendars.get(name).expect("the reference was checked").len();
        self.layer(name, layers - 1, open)
    }

    /// One definition with what it extends: of its own name the one below, of another's the topmost.
    fn layer(&self, name: &str, index: usize, open: &mut Open) -> Result<Parts, Problem> {
        let parts = self.calendars[name][index].clone();
        let base = match parts.extends.as_deref() {
            None => return Ok(parts),
            Some(base) if base != name => guarded(name, index, open, |open| self.topmost(base, open))?,
            Some(_) if index > 0 => self.layer(name, index - 1, open)?,
            Some(_) => return Err(Problem::Circle(name.to_owned())),
        };
        Ok(parts.on_top_of(base))
    }
}

/// `inner`, unless it is being put together already.
fn guarded<T>(
    name: &str,
    layer: usize,
    open: &mut Open,
    inner: impl FnOnce(&mut Open) -> Result<T, Problem>,
) -> Result<T, Problem> {
    let key = (name.to_owned(), layer);
    if open.contains(&key) {
        return Err(Problem::Circle(name.to_owned()));
    }
    open.push(key);
    let outcome = inner(open);
    open.pop();
    outcome
}
