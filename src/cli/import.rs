//! `tidetable import`: history into the archive, day by day.
//!
//! Only whole settled UTC days are kept, and those that are there already are left, so it can be stopped and run again: it
//! goes on with what is missing. A running `serve` may share the archive meanwhile.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use indicatif::ProgressBar;

use super::check::refuse;
use super::clock::WallClock;
use super::flag::Stamp;
use super::output::say;
use super::wiring;
use super::{WRONG_USAGE, demand};
use crate::config::{self, Config};
use crate::engine::{self, Archive as _, Clock, Day, Demand, Kept, MetricSource, Target, Tidied};
use crate::history::Archive;
use crate::series::Series;
use crate::source::recorded::{self, ReadOptions};
use crate::time::{Slot, Timestamp};

/// Arguments of `tidetable import`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The configuration, with `history.archive` and the target
    #[arg(long, value_name = "FILE", env = "TIDETABLE_CONFIG")]
    config: PathBuf,
    /// Whose history it is
    #[arg(long, value_name = "NAME")]
    target: String,
    /// Of which of its demands, where it has several
    #[arg(long, value_name = "NAME")]
    demand: Option<String>,
    /// Where it comes from: a file, or the demand's own metrics source
    #[arg(long, value_enum)]
    from: From,
    /// Recorded load at the demand's step: CSV `timestamp,value`, plain or gzip; stamps RFC 3339 or Unix seconds
    #[arg(long, value_name = "FILE", required_if_eq("from", "csv"))]
    input: Option<PathBuf>,
    /// What a stamp of the input stands for: the start of its bin, or the end as Prometheus stamps it
    #[arg(long, value_enum, default_value = "start")]
    stamp: Stamp,
    /// The first day, as an instant or so long ago; the demand's `history` ago when left out
    #[arg(long, value_name = "DURATION|INSTANT", value_parser = moment)]
    since: Option<Moment>,
    /// Not from here on, as an instant or so long ago; until now when left out
    #[arg(long, value_name = "DURATION|INSTANT", value_parser = moment)]
    until: Option<Moment>,
}

#[derive(Debug, Clone, Copy, PartialEq, clap::ValueEnum)]
enum From {
    /// A CSV file, `--input`
    Csv,
    /// The source and query of the demand
    Prometheus,
}

/// A moment on the command line.
#[derive(Debug, Clone, Copy)]
enum Moment {
    Ago(Duration),
    At(Timestamp),
}

fn moment(text: &str) -> Result<Moment, String> {
    if let Ok(at) = chrono::DateTime::parse_from_rfc3339(text) {
        return Ok(Moment::At(at.to_utc()));
    }
    humantime::parse_duration(text)
        .map(Moment::Ago)
        .map_err(|_| "write a duration such as 400d, or an instant such as 2026-01-31T00:00:00Z".to_owned())
}

impl Moment {
    fn before(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::Ago(ago) => chrono::Duration::from_std(ago)
                .ok()
                .and_then(|ago| now.checked_sub_signed(ago))
                .unwrap_or(Timestamp::UNIX_EPOCH),
        }
    }
}

/// What has become of the days.
#[derive(Debug, Default)]
struct Tally {
    written: usize,
    there: usize,
    unmeasured: usize,
}

/// Imports, and says in one line what it did.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let config = match config::load(&args.config) {
        Ok(config) => config,
        Err(error) => return Ok(ExitCode::from(refuse(error, &mut std::io::stderr().lock())?)),
    };
    let wrong = |message: String| {
        eprintln!("tidetable: {message}");
        Ok(ExitCode::from(WRONG_USAGE))
    };
    let file = args.config.display();
    let Some(target) = config.targets.iter().find(|target| *target.name == *args.target) else {
        let names = config::listed(config.targets.iter().map(|target| &*target.name));
        return wrong(format!("{file} has no target {:?}; targets are: {names}", args.target));
    };
    let demand = match demand::named(target, args.demand.as_deref()) {
        Ok(demand) => demand,
        Err(message) => return wrong(message),
    };
    let Some(history) = &config.history else {
        return wrong(format!(
            "{file} names no archive to import into; add history: {{ archive: file:///var/lib/tidetable }}"
        ));
    };
    if args.from == From::Prometheus && args.input.is_some() {
        return wrong("--input is for --from csv; with --from prometheus leave it out".to_owned());
    }
    let now = WallClock.now();
    if let [Some(since), Some(until)] = [args.since, args.until].map(|said| Some(said?.before(now)))
        && since >= until
    {
        return wrong(format!("--since {since} is not before --until {until}; choose an earlier --since"));
    }
    let recorded = match (args.from, &args.input) {
        (From::Csv, Some(input)) => Some(read(args, input, (target, demand))?),
        _ => None,
    };
    let archive = Archive::try_new(&history.archive, history.retention)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.context("cannot start the runtime")?;
    runtime.block_on(import(args, &config, (target, demand), &archive, recorded))?;
    Ok(ExitCode::SUCCESS)
}

/// Whose history is imported.
type Whose<'a> = (&'a Target, &'a Demand);

async fn import(
    args: &Args,
    config: &Config,
    whose: Whose<'_>,
    archive: &Archive,
    recorded: Option<Series>,
) -> anyhow::Result<()> {
    let (now, (target, demand)) = (WallClock.now(), whose);
    let step = demand.step;
    let settled_end = step.last_ended(now - demand.settle_lag).next();
    let until = args.until.map_or(settled_end, |until| step.last_ended(until.before(now)).next());
    let until = until.min(settled_end);

    let since = args.since.map(|since| first_slot_from(demand, since.before(now)));
    let (tally, slots) = if let Some(series) = recorded {
        let slots = since.map_or(series.first(), |since| since.max(series.first()))..until.min(series.end());
        (from_series(whose, archive, &series, slots.clone()).await?, slots)
    } else {
        let by_default = || first_slot_from(demand, Moment::Ago(demand.history).before(now));
        let slots = since.unwrap_or_else(by_default)..until;
        (from_source(config, whose, archive, slots.clone()).await?, slots)
    };
    let tidied =
        archive.tidy(target, demand, now).await.context("the days are kept, but could not be tidied up")?;
    for why in &tidied.passed_over {
        eprintln!("tidetable: {why}");
    }
    println!("{}", summary(whose, &tally, &slots, &tidied));
    Ok(())
}

fn summary((target, demand): Whose<'_>, tally: &Tally, slots: &Range<Slot>, tidied: &Tidied) -> String {
    let step = demand.step;
    let count = |count: usize, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
    let mut parts = vec![format!("{} written", count(tally.written, "day"))];
    if tally.there > 0 {
        parts.push(format!("{} there already", tally.there));
    }
    if tally.unmeasured > 0 {
        parts.push(format!("{} without a measurement", tally.unmeasured));
    }
    let whole = Day::whole_within(step, slots.clone()).count();
    let touched = days_touched(demand, slots);
    if touched > whole {
        parts.push(format!("{} not whole and left out", touched - whole));
    }
    let mut parts = vec![parts.join(", ")];
    if tidied.rolled_up > 0 {
        parts.push(format!("{} rolled up", count(tidied.rolled_up, "month")));
    }
    if tidied.expired > 0 {
        parts.push(format!("{} older than history.retention removed", count(tidied.expired, "object")));
    }
    let of = if target.demands.len() > 1 { format!(", {}", demand.name) } else { String::new() };
    format!("{}{of}: {}", target.name, parts.join("; "))
}

/// How many days have a slot among `slots`.
fn days_touched(demand: &Demand, slots: &Range<Slot>) -> usize {
    if slots.is_empty() {
        return 0;
    }
    let step = demand.step;
    let (first, last) = (Day::of(step, slots.start), Day::of(step, slots.end.plus(-1)));
    usize::try_from((last.start() - first.start()).num_days() + 1).unwrap_or(0)
}

/// The first slot that begins at `since` or later.
fn first_slot_from(demand: &Demand, since: Timestamp) -> Slot {
    demand.step.slot_of(since).next()
}

/// The series of a file, on the demand's grid.
fn read(args: &Args, input: &std::path::Path, (target, demand): Whose<'_>) -> anyhow::Result<Series> {
    let recording = recorded::read_series(input, &ReadOptions { stamp: args.stamp.into(), raw_step: None })?;
    let step = demand.step;
    anyhow::ensure!(
        recording.raw_step == step,
        "{}: its rows are {} apart and the step of {} is {step}; write the file at that step, or give the demand the \
         step of the file",
        input.display(),
        recording.raw_step,
        target.name,
    );
    if let Some(moved) = recording.moved() {
        say(&format!("tidetable: {}: {moved}", input.display()));
    }
    Ok(recording.series)
}

async fn from_series(
    whose: Whose<'_>,
    archive: &Archive,
    series: &Series,
    slots: Range<Slot>,
) -> anyhow::Result<Tally> {
    let (mut tally, missing, progress) = begin(whose, archive, slots).await?;
    for day in missing {
        let cut = day.cut(series).context("a whole day of the file lies in the file")?;
        keep(whose, archive, &cut, &mut tally).await?;
        progress.inc(1);
    }
    progress.finish_and_clear();
    Ok(tally)
}

async fn from_source(
    config: &Config,
    whose: Whose<'_>,
    archive: &Archive,
    slots: Range<Slot>,
) -> anyhow::Result<Tally> {
    let (_, demand) = whose;
    let name = demand.source.as_str();
    let source = wiring::source(name, &config.sources[name])?;
    let (mut tally, missing, progress) = begin(whose, archive, slots).await?;
    for day in missing {
        let slots = day.slots(demand.step);
        let read = source.range(demand, slots.start, slots.end).await.with_context(|| {
            format!("{day} could not be read; run the same command again, it goes on where it stopped")
        })?;
        // An archived day stays as it is for ever.
        if let Some(why) = read.degraded {
            bail!(
                "{day} may be incomplete, says the source ({why}); see to it and run the same command again"
            );
        }
        let series = engine::series(demand.step, slots, &read.measured);
        keep(whose, archive, &series, &mut tally).await?;
        progress.inc(1);
    }
    progress.finish_and_clear();
    Ok(tally)
}

/// The days that are not there yet, oldest first, and the count of those that are.
async fn begin(
    (target, demand): Whose<'_>,
    archive: &Archive,
    slots: Range<Slot>,
) -> anyhow::Result<(Tally, Vec<Day>, ProgressBar)> {
    let there: BTreeSet<Day> = archive.days(target, demand, slots.clone()).await?;
    let days: Vec<Day> = Day::whole_within(demand.step, slots).collect();
    let missing: Vec<Day> = days.into_iter().filter(|day| !there.contains(day)).collect();
    let progress = super::progress::bar(missing.len(), "days");
    Ok((Tally { there: there.len(), ..Tally::default() }, missing, progress))
}

async fn keep(
    (target, demand): Whose<'_>,
    archive: &Archive,
    day: &Series,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    match archive.keep(target, demand, day).await? {
        Kept::Written => tally.written += 1,
        // Another process was faster.
        Kept::AlreadyThere => tally.there += 1,
        Kept::Unmeasured => tally.unmeasured += 1,
    }
    Ok(())
}
