//! `tidetable forecast`: quantiles of demand from a file alone, as `serve` would have made them.
//!
//! With `--origins` there is one forecast per origin, each from points that had ended by then; fits are made on the
//! serving cadence and every forecast uses the newest points. Points after an origin cannot change its forecast.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use chrono::SecondsFormat;
use chrono_tz::Tz;
use rayon::prelude::*;

use crate::calendar::Almanac;
use crate::config::{Library, read_events};
use crate::forecast::{
    Error, Explanation, Fitted, Forecast, Forecaster, HORIZON, Known, REFIT_EVERY, forecaster,
};
use crate::series::{Resample, Series, resample};
use crate::source::recorded::{self, ReadOptions};
use crate::time::{Slot, Step, Timestamp};
use crate::units::Quantile;

use super::WRONG_USAGE;
use super::calendar::unknown;
use super::flag::{Stamp, duration, quantile, step, timezone};
use super::output::{OutputFile, read_on, say};

/// Arguments of `tidetable forecast`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Recorded load: CSV `timestamp,value`, plain or gzip; stamps RFC 3339 or Unix seconds
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// Whose wall clock daily and weekly seasons follow (IANA name)
    #[arg(long, value_name = "ZONE", default_value = "UTC", value_parser = timezone)]
    timezone: Tz,
    /// Business calendars to take into account, comma separated
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    calendars: Vec<String>,
    /// Events, past and coming: a list as in the configuration (.yaml), an iCalendar (.ics), or a table with columns such as
    /// name,at,timezone,expected,upper,hold (.csv); times without a zone are in that of --timezone
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,
    /// Spacing of the forecast; that of the input when left out
    #[arg(long, value_name = "DURATION", value_parser = step)]
    step: Option<Step>,
    /// How finer input becomes a step
    #[arg(long, value_enum, default_value = "sum")]
    resample: Fold,
    /// How far ahead, at most 48h
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = horizon)]
    horizon: Duration,
    /// Quantiles to print, comma separated
    #[arg(long, value_name = "LEVEL", value_delimiter = ',', default_value = "0.5,0.9,0.95,0.99", value_parser = quantile)]
    quantiles: Vec<Quantile>,
    /// CSV with a column `origin`: one forecast from each; from the end of the input when left out
    #[arg(long, value_name = "FILE")]
    origins: Option<PathBuf>,
    /// What a stamp of the input stands for: the start of its bin, or the end as Prometheus stamps it
    #[arg(long, value_enum, default_value = "start")]
    stamp: Stamp,
    /// Spacing of the input, where its rows do not tell: one row, or fewer rows than holes
    #[arg(long, value_name = "DURATION", value_parser = step)]
    input_step: Option<Step>,
    /// Say on standard error what stands behind the forecast from the newest origin: what was learned from and left out, how
    /// much each candidate is believed and who is not asked
    #[arg(long)]
    explain: bool,
    /// Where to write `origin,timestamp,q50,…`; standard output when left out
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Fold {
    /// Counts add up
    Sum,
    /// Rates average
    Mean,
    /// The largest stands for the step
    Max,
}

fn horizon(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("a horizon of nothing has no forecast; 24h is the usual choice".into()),
        long if long > HORIZON => Err("a forecast reaches at most 48h ahead; 24h is the usual choice".into()),
        horizon => Ok(horizon),
    }
}

/// Forecasts, and writes the rows.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let almanac = match almanac(args) {
        Ok(almanac) => almanac,
        Err(problem) => return Ok(refuse(&problem)),
    };
    let mut levels = args.quantiles.clone();
    levels.sort_by(|a, b| a.get().total_cmp(&b.get()));
    levels.dedup();
    let inputs = [Some(&args.input), args.origins.as_ref(), args.events.as_ref()];
    if let Some(file) = &args.output
        && let Some(input) = inputs.into_iter().flatten().find(|input| same_file(input, file))
    {
        let input = input.display();
        return Ok(refuse(&format!("--output would overwrite {input}, which is read; name another file")));
    }
    let output = args.output.as_deref().map(output).transpose()?;

    let options = ReadOptions { stamp: args.stamp.into(), raw_step: args.input_step };
    let recording = recorded::read_series(&args.input, &options)?;
    if let Some(moved) = recording.moved() {
        say(&format!("tidetable: {}: {moved}", args.input.display()));
    }
    // Before resampling: a coarse slot that the input breaks off in has not ended, and is the first to forecast.
    let end = recording.raw_step.start(recording.series.end());
    let series = match to_step(recording.series, args) {
        Ok(series) => series,
        Err(problem) => return Ok(refuse(&problem)),
    };

    let origins = match &args.origins {
        Some(file) => recorded::read_origins(file)?,
        None => vec![end],
    };
    let (forecasts, explanation) = forecast_all(&series, args, &almanac, &levels, &origins)?;
    let text = rows(args, &levels, &origins, &forecasts);
    if let (Some(output), Some(path)) = (output, &args.output) {
        output.write(text.as_bytes()).map_err(|cause| cannot_write(path, &cause))?;
    } else {
        let mut out = std::io::stdout().lock();
        let written = read_on(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
        written.context("cannot write to standard output")?;
    }
    if args.explain {
        say(explanation.to_string().trim_end());
    }
    Ok(ExitCode::SUCCESS)
}

/// The calendars and events of the command line, or what is wrong with them.
fn almanac(args: &Args) -> Result<Almanac, String> {
    let library = Library::shipped();
    let calendars = args.calendars.iter().map(|name| {
        let names = library.calendars().map(|calendar| &*calendar.name);
        library.calendar(name).cloned().ok_or_else(|| unknown("calendar", name, names))
    });
    let calendars = calendars.collect::<Result<Vec<_>, String>>()?;
    let events = match &args.events {
        Some(file) => match read_events(file, args.timezone, &library) {
            Ok(Ok(events)) => events,
            Ok(Err(complaints)) => return Err(format!("the events are wrong:\n{complaints}")),
            Err(error) => {
                let file = file.display();
                return Err(format!("{file}: cannot be read ({error}); check the path given to --events"));
            }
        },
        None => Vec::new(),
    };
    let events = events.into_iter().map(|announced| announced.event);
    Ok(Almanac::none(args.timezone).with_calendars(calendars).with_events(events))
}

/// Says what is wrong with the command line.
fn refuse(problem: &str) -> ExitCode {
    say(&format!("tidetable: {problem}"));
    ExitCode::from(WRONG_USAGE)
}

fn same_file(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

fn output(path: &Path) -> anyhow::Result<OutputFile> {
    OutputFile::try_new(path).map_err(|cause| cannot_write(path, &cause))
}

fn cannot_write(path: &Path, cause: &std::io::Error) -> anyhow::Error {
    let path = path.display();
    anyhow::anyhow!(
        "{path}: cannot be written ({cause}); check that its folder is there and may be written to"
    )
}

fn to_step(series: Series, args: &Args) -> Result<Series, String> {
    let Some(step) = args.step else { return Ok(series) };
    let how = match args.resample {
        Fold::Sum => Resample::Sum,
        Fold::Mean => Resample::Mean,
        Fold::Max => Resample::Max,
    };
    resample(&series, step, how).ok_or_else(|| {
        format!(
            "--step {step} is not a whole multiple of the input's own step of {}; choose one that is",
            series.step()
        )
    })
}

/// The forecasts of one fit with the places of their origins, and what stands behind them.
type OfFit = (Vec<(usize, Forecast)>, Explanation);

/// One forecast per origin, in their order, and what stands behind the newest. Origins that share a fit are worked on together.
fn forecast_all(
    series: &Series,
    args: &Args,
    almanac: &Almanac,
    levels: &[Quantile],
    origins: &[Timestamp],
) -> anyhow::Result<(Vec<Forecast>, Explanation)> {
    let step = series.step();
    let forecaster = forecaster(almanac, &Arc::default());
    let mut order: Vec<usize> = (0..origins.len()).collect();
    order.sort_by_key(|index| origins[*index]);
    let fit_origin = |index: &usize| fit_origin(step, first_unknown(step, origins[*index]));
    let groups: Vec<&[usize]> = order.chunk_by(|a, b| fit_origin(a) == fit_origin(b)).collect();

    let progress = super::progress::bar(origins.len(), "origins");
    let done: Vec<anyhow::Result<OfFit>> = groups
        .par_iter()
        .map(|group| {
            let newest = first_unknown(step, origins[group[0]]);
            let model = fit(&*forecaster, series, fit_origin(&group[0]), newest)
                .map_err(|error| too_early(series, origins[group[0]], &error))?;
            let one = |index: &usize| {
                let forecast = forecast_one(model.as_ref(), series, args, levels, origins[*index])?;
                progress.inc(1);
                Ok((*index, forecast))
            };
            let forecasts: anyhow::Result<Vec<_>> = group.iter().map(one).collect();
            Ok((forecasts?, model.explanation()))
        })
        .collect();
    progress.finish_and_clear();

    let mut forecasts = Vec::with_capacity(origins.len());
    let mut newest = Explanation::default();
    for group in done {
        let (of_group, explanation) = group?;
        forecasts.extend(of_group);
        newest = explanation;
    }
    forecasts.sort_by_key(|(index, _)| *index);
    Ok((forecasts.into_iter().map(|(_, forecast)| forecast).collect(), newest))
}

/// The fit that would be in force: the newest on the serving cadence, or, where history is too short for that one but
/// not for the origin itself, one made at the origin.
fn fit(
    forecaster: &dyn Forecaster,
    series: &Series,
    cadence: Slot,
    origin: Slot,
) -> Result<Box<dyn Fitted>, crate::forecast::Error> {
    forecaster.fit(series, cadence).or_else(|_| forecaster.fit(series, origin))
}

fn fit_origin(step: Step, origin: Slot) -> Slot {
    let every = step.slots_in(REFIT_EVERY);
    Slot(origin.0.div_euclid(every) * every)
}

/// The first slot that is not known at `origin`: what ended by then is.
fn first_unknown(step: Step, origin: Timestamp) -> Slot {
    step.last_ended(origin).next()
}

fn forecast_one(
    model: &dyn Fitted,
    series: &Series,
    args: &Args,
    levels: &[Quantile],
    origin: Timestamp,
) -> anyhow::Result<Forecast> {
    let step = series.step();
    let first = first_unknown(step, origin);
    let last = first.plus(step.slots_in(args.horizon));
    let known = Known { settled: series, origin: first, live: None };
    model.forecast(&known, first..last, levels).with_context(|| too_late(series, origin))
}

/// What to say of an origin before which too little was measured.
fn too_early(series: &Series, origin: Timestamp, error: &Error) -> anyhow::Error {
    let Error::TooShort { measured_hours, needed_hours } = error;
    if measured_hours >= needed_hours {
        return anyhow::anyhow!(too_late(series, origin));
    }
    anyhow::anyhow!(
        "no forecast from origin {}: {measured_hours} h of load are measured before it and {needed_hours} h are needed; \
         the input begins at {}: choose a later origin or a longer input",
        rfc3339(origin),
        rfc3339(series.step().start(series.first()))
    )
}

/// What to say of an origin that is too far from what was measured last.
fn too_late(series: &Series, origin: Timestamp) -> String {
    let (at, end) = (rfc3339(origin), series.step().start(series.end()));
    if origin > end {
        let end = rfc3339(end);
        format!(
            "no forecast from origin {at}: the input ends at {end}, and a forecast reaches at most 48h beyond what is \
             known; choose an origin inside the input"
        )
    } else {
        format!(
            "no forecast from origin {at}: nothing was measured in the 48h before it; choose an origin after measured load"
        )
    }
}

fn rows(args: &Args, levels: &[Quantile], origins: &[Timestamp], forecasts: &[Forecast]) -> String {
    let mut text = String::from("origin,timestamp");
    for level in levels {
        let _ = write!(text, ",q{}", column(*level));
    }
    text.push('\n');
    for (origin, forecast) in origins.iter().zip(forecasts) {
        let origin = rfc3339(*origin);
        let step = forecast.step();
        for row in forecast.rows() {
            let stamp = match args.stamp {
                Stamp::Start => step.start(row.slot),
                Stamp::End => step.end(row.slot),
            };
            text += &origin;
            text.push(',');
            text += &rfc3339(stamp);
            for load in row.loads {
                let _ = write!(text, ",{}", significant(*load));
            }
            text.push('\n');
        }
    }
    text
}

/// `0.5` as `50`, `0.975` as `97.5`.
fn column(level: Quantile) -> String {
    let percent = level.get() * 100.0;
    format!("{}", (percent * 1e6).round() / 1e6)
}

fn rfc3339(at: Timestamp) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Seven significant digits: more than any forecast has, without the noise of the binary fraction.
fn significant(load: f64) -> f64 {
    if load <= 0.0 || !load.is_finite() {
        return 0.0;
    }
    let scale = 10_f64.powf(6.0 - load.log10().floor());
    let rounded = (load * scale).round() / scale;
    if rounded.is_finite() { rounded } else { load }
}
