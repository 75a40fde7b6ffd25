//! `tidetable calendar list`: every calendar, and how far it was looked up.

use std::path::PathBuf;

use super::sheet::{Format, Sheet};
use super::{Printed, library};
use crate::calendar::Calendar;

/// Arguments of `tidetable calendar list`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A configuration whose calendars are to be named too
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How rows are printed
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

pub(super) fn run(args: &Args) -> Printed {
    let library = library(args.config.as_ref())?;
    let row = |calendar: &Calendar| {
        let until = calendar.valid_until.map_or_else(String::new, |date| date.to_string());
        [&*calendar.name, kind(calendar), &until, calendar.zone.name(), &*calendar.title]
            .map(str::to_owned)
            .into()
    };
    let sheet = Sheet {
        columns: vec!["name", "kind", "valid_until", "timezone", "title"],
        rows: library.calendars().map(|calendar| row(calendar)).collect(),
        note: Some(format!("time zones as of tzdata {}", chrono_tz::IANA_TZDB_VERSION)),
    };
    Ok((sheet, args.format))
}

fn kind(calendar: &Calendar) -> &'static str {
    match (&calendar.exchange, &calendar.days) {
        (Some(_), _) => "exchange",
        (None, Some(_)) if calendar.recurrences.is_empty() => "business days",
        _ => "recurring",
    }
}
