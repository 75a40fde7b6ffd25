//! `tidetable calendar show`: the dates of one calendar, computed from its rules.

use std::path::PathBuf;

use chrono::{Datelike, Months, NaiveDate, SecondsFormat};

use super::super::clock::WallClock;
use super::super::flag::date;
use super::sheet::{Format, Sheet};
use super::{Printed, Refusal, library, unknown};
use crate::calendar::{BusinessDays, Calendar, Exchange};
use crate::engine::Clock;
use crate::time::Timestamp;

/// Arguments of `tidetable calendar show`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The calendar; `tidetable calendar list` names them
    name: String,
    /// The first date; today when left out
    #[arg(long, value_name = "DATE", value_parser = date)]
    from: Option<NaiveDate>,
    /// The date before which to stop; a year later when left out
    #[arg(long, value_name = "DATE", value_parser = date)]
    to: Option<NaiveDate>,
    /// How rows are printed
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
    /// A configuration whose calendars are to be known too
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Printed {
    let library = library(args.config.as_ref())?;
    let Some(calendar) = library.calendar(&args.name) else {
        let names = library.calendars().map(|calendar| &*calendar.name);
        return Err(Refusal::Usage(unknown("calendar", &args.name, names)));
    };
    let from = args.from.unwrap_or_else(|| WallClock.now().with_timezone(&calendar.zone).date_naive());
    let to = args.to.unwrap_or_else(|| from.checked_add_months(Months::new(12)).unwrap_or(NaiveDate::MAX));
    let legal = crate::calendar::YEARS;
    if from >= to || !legal.contains(&from.year()) || !legal.contains(&to.year()) {
        let problem = format!(
            "no date from {from} to before {to}; give --from before --to, both between {} and {}",
            legal.start(),
            legal.end()
        );
        return Err(Refusal::Usage(problem));
    }
    let last = to.pred_opt().unwrap_or(to);
    let mut sheet = match (&calendar.exchange, &calendar.days) {
        (Some(exchange), _) => sessions(exchange, from, last),
        (None, Some(days)) if calendar.recurrences.is_empty() => closures(days, from, last),
        _ => occurrences(calendar, from, last),
    };
    sheet.note = calendar.valid_until.filter(|until| *until < last).map(|until| {
        format!("looked up until {until} only; later dates follow from its rules and lack what was announced since")
    });
    Ok((sheet, args.format))
}

/// The columns are those of exchange tables elsewhere.
fn sessions(exchange: &Exchange, first: NaiveDate, last: NaiveDate) -> Sheet {
    let rows = exchange.sessions(first, last).map(|session| {
        let pause = |at: Option<Timestamp>| at.map_or_else(String::new, utc);
        vec![
            session.date.to_string(),
            utc(session.open),
            utc(session.close),
            u8::from(session.early_close).to_string(),
            pause(session.pause.map(|(start, _)| start)),
            pause(session.pause.map(|(_, end)| end)),
        ]
    });
    let columns = vec!["date", "open_utc", "close_utc", "early_close", "break_start_utc", "break_end_utc"];
    Sheet { columns, rows: rows.collect(), note: None }
}

fn closures(days: &BusinessDays, first: NaiveDate, last: NaiveDate) -> Sheet {
    let rows = days.closures(first, last);
    let rows = rows.map(|(date, name)| vec![date.to_string(), date.weekday().to_string(), name.to_string()]);
    Sheet { columns: vec!["date", "weekday", "name"], rows: rows.collect(), note: None }
}

fn occurrences(calendar: &Calendar, first: NaiveDate, last: NaiveDate) -> Sheet {
    let mut rows: Vec<_> = calendar
        .recurrences
        .iter()
        .flat_map(|recurrence| {
            let occurrences = recurrence.occurrences(first, last).into_iter();
            occurrences.map(move |one| (one.at, recurrence, one))
        })
        .collect();
    rows.sort_by_key(|(at, _, _)| *at);
    let rows = rows.into_iter().map(|(at, recurrence, one)| {
        vec![
            one.date.to_string(),
            one.nominal.to_string(),
            one.last.to_string(),
            utc(at),
            recurrence.name.to_string(),
            recurrence.leg.as_deref().unwrap_or_default().to_owned(),
        ]
    });
    let columns = vec!["date", "nominal_date", "last_date", "at_utc", "name", "leg"];
    Sheet { columns, rows: rows.collect(), note: None }
}

fn utc(at: Timestamp) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}
