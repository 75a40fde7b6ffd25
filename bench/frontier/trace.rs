//! The recordings of a kit.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use chrono_tz::Tz;
use tidetable::calendar::Almanac;
use tidetable::series::Series;
use tidetable::time::{Step, Timestamp};
use tidetable::units::Load;

use crate::market;

/// Coarser bins say nothing of minutes.
const COARSEST: Duration = Duration::from_secs(1800);

/// One recording.
pub(crate) struct Trace {
    pub(crate) name: String,
    /// The wall clock, and the days of its market.
    pub(crate) almanac: Almanac,
    pub(crate) recorded: Series,
    pub(crate) test_start: Timestamp,
    pub(crate) test_days: i64,
}

/// Every trace of the kit that is fine enough, in the order of its file.
pub(crate) fn all(kit: &Path) -> anyhow::Result<Vec<Trace>> {
    let path = kit.join("traces.json");
    let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let list: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text)?;
    let mut traces = Vec::new();
    for (name, facts) in list {
        let text = |key: &str| facts[key].as_str().with_context(|| format!("{name} has no {key}"));
        let zone: Tz = text("tz")?.parse().context("a time zone")?;
        let recorded = recorded(&kit.join("../traces").join(text("file")?))?;
        let midnight = format!("{}T00:00:00Z", text("test_start")?);
        let test_start: Timestamp = midnight.parse().context("a date")?;
        let test_days = facts["test_days"].as_i64().context("test_days")?;
        if recorded.step().duration() <= COARSEST {
            let calendar = market::calendar(&name, facts["country"].as_str());
            let almanac = Almanac::none(zone).with_calendars(calendar);
            traces.push(Trace { name, almanac, recorded, test_start, test_days });
        }
    }
    Ok(traces)
}

/// `timestamp,value` rows stamped with the start of their bins; the step is the least distance between two.
fn recorded(path: &Path) -> anyhow::Result<Series> {
    let file = std::fs::File::open(path).with_context(|| format!("opening {}", path.display()))?;
    let reader: Box<dyn Read> = if path.extension().is_some_and(|extension| extension == "gz") {
        Box::new(flate2::read::GzDecoder::new(file))
    } else {
        Box::new(file)
    };
    let mut rows: Vec<(Timestamp, f64)> = Vec::new();
    for row in csv::Reader::from_reader(reader).deserialize() {
        let (at, value): (String, Option<f64>) = row?;
        if let Some(value) = value {
            rows.push((at.parse()?, value));
        }
    }
    let apart = rows.windows(2).map(|two| two[1].0 - two[0].0).min();
    let Some(Ok(apart)) = apart.map(|apart| apart.to_std()) else { bail!("{} is empty", path.display()) };
    let step = Step::try_new(apart)?;
    let points: Vec<_> =
        rows.iter().map(|(at, value)| (step.last_ended(*at).next(), Load::saturating(*value))).collect();
    Series::from_points(step, &points).context("no rows")
}
