//! What flags of several commands say: durations, steps, zones, dates, quantiles and stamps, each with what to write instead.

use std::time::Duration;

use chrono::NaiveDate;
use chrono_tz::{TZ_VARIANTS, Tz};

use crate::config::nearest;
use crate::source::recorded;
use crate::time::{Step, Timestamp};
use crate::units::Quantile;

/// What a stamp of the input stands for.
#[derive(Debug, Clone, Copy, PartialEq, clap::ValueEnum)]
pub(super) enum Stamp {
    /// Start of the bin
    Start,
    /// End of the bin
    End,
}

impl From<Stamp> for recorded::Stamp {
    fn from(stamp: Stamp) -> Self {
        match stamp {
            Stamp::Start => Self::Start,
            Stamp::End => Self::End,
        }
    }
}

/// A duration.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|_| "write a duration such as 90s, 5m or 1h30m".into())
}

/// The spacing of a grid.
pub(super) fn step(text: &str) -> Result<Step, String> {
    Step::try_new(duration(text)?)
        .map_err(|_| "a step is whole seconds, from 1s to 1d; 5m is a usual choice".into())
}

/// An IANA zone, or the one that was probably meant.
pub(super) fn timezone(text: &str) -> Result<Tz, String> {
    text.parse().map_err(|_| match nearest(text, TZ_VARIANTS.iter().map(|zone| zone.name())) {
        Some(zone) => format!("there is no such time zone; did you mean {zone:?}?"),
        None => "there is no such time zone; give an IANA zone such as America/New_York".into(),
    })
}

/// An instant.
pub(super) fn instant(text: &str) -> Result<Timestamp, String> {
    chrono::DateTime::parse_from_rfc3339(text)
        .map(|at| at.to_utc())
        .map_err(|_| "write an instant such as 2026-01-31T00:00:00Z".to_owned())
}

/// A date.
pub(super) fn date(text: &str) -> Result<NaiveDate, String> {
    text.parse().map_err(|_| "write a date such as 2026-01-31".to_owned())
}

/// A quantile's level.
pub(super) fn quantile(text: &str) -> Result<Quantile, String> {
    let level: f64 = text
        .parse()
        .map_err(|_| format!("{text:?} is not a number between 0 and 1; 0.95 is the usual choice"))?;
    Quantile::try_new(level).map_err(|error| error.to_string())
}
