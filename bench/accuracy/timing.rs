//! How long things take.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono_tz::Tz;
use tidetable::calendar::Almanac;
use tidetable::forecast::{Known, forecaster};
use tidetable::source::recorded::{ReadOptions, read_series};
use tidetable::units::Quantile;

use crate::forecasts::LEVELS;

/// Fits are repeated, for one alone is at the mercy of whoever else has the core.
const REPEATS: usize = 5;

/// The work and how long it took.
#[expect(clippy::disallowed_methods, reason = "a bench is timed by the wall clock")]
pub(crate) fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let began = Instant::now();
    let done = work();
    (done, began.elapsed())
}

/// Prints `points,fit_ms,forecast_ms` of the recorded load in `file`: one fit to its end and a forecast of the next 24 h with
/// four quantiles; medians of five.
pub(crate) fn print(file: &Path, timezone: Tz) -> anyhow::Result<()> {
    let series = read_series(file, &ReadOptions::default())?.series;
    let forecaster = forecaster(&Almanac::none(timezone), &Arc::default());
    let levels = LEVELS.map(|level| Quantile::try_new(level).expect("between 0 and 1"));
    let (mut fits, mut forecasts) = (Vec::new(), Vec::new());
    for _ in 0..REPEATS {
        let (model, took) = timed(|| forecaster.fit(&series, series.end()));
        fits.push(took);
        let model = model?;
        let known = Known { settled: &series, origin: series.end(), live: None };
        let day = series.end()..series.end().plus(86_400 / series.step().seconds());
        let (forecast, took) = timed(|| model.forecast(&known, day, &levels));
        forecasts.push(took);
        anyhow::ensure!(forecast.is_some(), "there is no forecast of {}", file.display());
    }
    let median = |mut times: Vec<Duration>| {
        times.sort_unstable();
        times[times.len() / 2].as_secs_f64() * 1e3
    };
    println!("points,fit_ms,forecast_ms");
    println!("{},{:.3},{:.3}", series.measured_count(), median(fits), median(forecasts));
    Ok(())
}
