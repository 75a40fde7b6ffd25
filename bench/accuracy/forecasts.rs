//! Forecasts of a trace from every origin of both tracks, each by the model that would have been in force.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use chrono::SecondsFormat;
use rayon::prelude::*;
use tidetable::calendar::Almanac;
use tidetable::forecast::{Fitted, Known, REFIT_EVERY, forecaster};
use tidetable::series::Series;
use tidetable::time::{Slot, Step, Timestamp};
use tidetable::units::Quantile;

use crate::kit::{Trace, Track};

/// The quantiles that are scored.
pub(crate) const LEVELS: [f64; 4] = [0.5, 0.9, 0.95, 0.99];

/// What was forecast from one origin.
pub(crate) struct Rolled {
    pub(crate) origin: Timestamp,
    pub(crate) rows: Vec<(Slot, [f64; LEVELS.len()])>,
}

/// One question: forecast this track from this origin.
type Asked = (usize, Track, Timestamp);

/// The forecasts of both tracks, each in the order of its origins. Origins that share a fit are worked on together, on all
/// cores.
pub(crate) fn rolling(
    trace: &Trace,
    series: &Series,
    almanac: &Almanac,
) -> anyhow::Result<[Vec<Rolled>; Track::BOTH.len()]> {
    let step = series.step();
    let forecaster = forecaster(almanac, &Arc::default());
    let origins = Track::BOTH.into_iter().enumerate().flat_map(|(place, track)| {
        trace.origins(track, step).into_iter().map(move |origin| (place, track, origin))
    });
    let mut asked: Vec<Asked> = origins.collect();
    asked.sort_by_key(|(_, _, origin)| *origin);
    let fitted_at = |(_, _, origin): &Asked| {
        let every = step.slots_in(REFIT_EVERY);
        Slot(first_unknown(step, *origin).0.div_euclid(every) * every)
    };
    let groups: Vec<&[Asked]> = asked.chunk_by(|a, b| fitted_at(a) == fitted_at(b)).collect();
    let answered: Vec<anyhow::Result<Vec<(usize, Rolled)>>> = groups
        .par_iter()
        .map(|group| {
            let newest = first_unknown(step, group[0].2);
            let model = forecaster
                .fit(series, fitted_at(&group[0]))
                .or_else(|_| forecaster.fit(series, newest))
                .with_context(|| format!("fitting {} at {}", trace.name, group[0].2))?;
            group
                .iter()
                .map(|(place, track, origin)| Ok((*place, forecast(&*model, series, *track, *origin)?)))
                .collect()
        })
        .collect();
    let mut rolled = [Vec::new(), Vec::new()];
    for group in answered {
        for (place, own) in group.with_context(|| trace.name.clone())? {
            rolled[place].push(own);
        }
    }
    Ok(rolled)
}

fn forecast(model: &dyn Fitted, series: &Series, track: Track, origin: Timestamp) -> anyhow::Result<Rolled> {
    let step = series.step();
    let first = first_unknown(step, origin);
    let targets = first..first.plus(step.slots_in(track.horizon(step)));
    let levels = LEVELS.map(|level| Quantile::try_new(level).expect("between 0 and 1"));
    let known = Known { settled: series, origin: first, live: None };
    let forecast = model
        .forecast(&known, targets, &levels)
        .with_context(|| format!("nothing was measured in the 48 h before {origin}"))?;
    let loads = |loads: &[f64]| std::array::from_fn(|level| loads[level]);
    Ok(Rolled { origin, rows: forecast.rows().map(|row| (row.slot, loads(row.loads))).collect() })
}

/// The first slot that is not known at `origin`: what ended by then is.
fn first_unknown(step: Step, origin: Timestamp) -> Slot {
    step.last_ended(origin).next()
}

/// Writes `origin,timestamp,q50,…`, stamped with the starts of bins, as the kit wants it.
pub(crate) fn write(file: &Path, step: Step, forecasts: &[Rolled]) -> anyhow::Result<()> {
    let rfc3339 = |at: Timestamp| at.to_rfc3339_opts(SecondsFormat::Secs, true);
    let mut text = "origin,timestamp,q50,q90,q95,q99\n".to_owned();
    for Rolled { origin, rows } in forecasts {
        let origin = rfc3339(*origin);
        for (slot, [q50, q90, q95, q99]) in rows {
            let stamp = rfc3339(step.start(*slot));
            let _ = writeln!(text, "{origin},{stamp},{q50},{q90},{q95},{q99}");
        }
    }
    std::fs::write(file, text).with_context(|| format!("writing {}", file.display()))
}
