//! An evaluation kit: which traces there are, from which origins they are forecast, and what the baselines reached.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use chrono::TimeDelta;
use chrono_tz::Tz;
use tidetable::calendar::Almanac;
use tidetable::config::{Library, read_events};
use tidetable::series::{Resample, Series, resample};
use tidetable::source::recorded::{ReadOptions, read_series};
use tidetable::time::{Step, Timestamp};

use crate::market;

/// How far ahead is forecast, and how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Track {
    /// 24 h, from an origin each 18 h.
    Day,
    /// Half an hour or a bin, from an origin as often.
    Short,
}

impl Track {
    pub(crate) const BOTH: [Self; 2] = [Self::Day, Self::Short];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Short => "short",
        }
    }

    /// The span that is forecast from each origin of a series with this step.
    pub(crate) fn horizon(self, step: Step) -> Duration {
        match self {
            Self::Day => Duration::from_secs(24 * 3_600),
            Self::Short => step.duration().max(Duration::from_secs(1_800)),
        }
    }
}

/// The kit of a folder.
pub(crate) struct Kit {
    pub(crate) traces: Vec<Trace>,
    /// By trace and track: the least wql of all baselines, and whose it is.
    best: BTreeMap<(String, String), Best>,
}

/// The best baseline in hindsight.
#[derive(Debug, Clone)]
pub(crate) struct Best {
    pub(crate) model: String,
    pub(crate) wql: f64,
}

/// One trace of `traces.json`.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct Trace {
    #[serde(skip)]
    pub(crate) name: String,
    file: PathBuf,
    tz: String,
    country: Option<String>,
    step: String,
    test_start: chrono::NaiveDate,
    test_days: i64,
}

impl Kit {
    pub(crate) fn open(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join("traces.json");
        let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let listed: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(&text).with_context(|| format!("parsing {}", path.display()))?;
        let files = std::env::var_os("TRACES_DIR").map_or_else(|| folder.join("../traces"), PathBuf::from);
        let mut traces = Vec::new();
        for (name, facts) in listed {
            let facts: Trace = serde_json::from_value(facts).with_context(|| format!("the trace {name}"))?;
            traces.push(Trace { file: files.join(&facts.file), name, ..facts });
        }
        Ok(Self { traces, best: best(&folder.join("baselines.csv"))? })
    }

    pub(crate) fn best(&self, trace: &str, track: Track) -> Option<Best> {
        self.best.get(&(trace.to_owned(), track.name().to_owned())).cloned()
    }
}

/// The least wql of each trace and track; nothing where the kit has no baselines.
fn best(file: &Path) -> anyhow::Result<BTreeMap<(String, String), Best>> {
    #[derive(serde::Deserialize)]
    struct Row {
        model: String,
        trace: String,
        track: String,
        wql: Option<f64>,
    }
    let mut best: BTreeMap<(String, String), Best> = BTreeMap::new();
    if !file.exists() {
        return Ok(best);
    }
    for row in csv::Reader::from_path(file)?.deserialize() {
        let Row { model, trace, track, wql } = row.with_context(|| format!("reading {}", file.display()))?;
        let Some(wql) = wql else { continue };
        let own = best.entry((trace, track)).or_insert(Best { model: model.clone(), wql });
        if wql < own.wql {
            *own = Best { model, wql };
        }
    }
    Ok(best)
}

impl Trace {
    pub(crate) fn test_start(&self) -> Timestamp {
        self.test_start.and_time(chrono::NaiveTime::MIN).and_utc()
    }

    /// The recorded load at the step that is scored, as sums; a bin of which any part is missing is missing.
    pub(crate) fn load(&self) -> anyhow::Result<Series> {
        let recorded = read_series(&self.file, &ReadOptions::default())?.series;
        let step = match self.step.as_str() {
            minutes if minutes.ends_with("min") => minutes.replace("min", "m"),
            other => other.to_owned(),
        };
        let step = Step::try_new(humantime::parse_duration(&step)?)?;
        resample(&recorded, step, Resample::Sum)
            .with_context(|| format!("{} is not recorded at a part of {step}", self.name))
    }

    /// The wall clock and the bank or market days of the trace, and the events of a file.
    pub(crate) fn almanac(&self, events: Option<&Path>) -> anyhow::Result<Almanac> {
        let zone: Tz = self.tz.parse().with_context(|| format!("the zone {}", self.tz))?;
        let calendar = market::calendar(&self.name, self.country.as_deref());
        let events = match events {
            None => Vec::new(),
            Some(file) => match read_events(file, zone, &Library::shipped())? {
                Ok(events) => events,
                Err(complaints) => bail!("the events are wrong:\n{complaints}"),
            },
        };
        let events = events.into_iter().map(|announced| announced.event);
        Ok(Almanac::none(zone).with_calendars(calendar).with_events(events))
    }

    /// The origins of a track: every bin that ended by then is known, and nothing later.
    pub(crate) fn origins(&self, track: Track, step: Step) -> Vec<Timestamp> {
        let (start, end) = (self.test_start(), self.test_start() + TimeDelta::days(self.test_days));
        let every = |hop: TimeDelta, last: Timestamp| -> Vec<Timestamp> {
            std::iter::successors(Some(start), |at| Some(*at + hop)).take_while(|at| *at <= last).collect()
        };
        let day = every(TimeDelta::hours(18), end - TimeDelta::hours(24));
        match (track, day.last()) {
            (Track::Day, _) | (_, None) => day,
            (Track::Short, Some(last)) => {
                let hop = TimeDelta::seconds(step.seconds().max(1_800));
                every(hop, *last + TimeDelta::hours(23))
            }
        }
    }
}
