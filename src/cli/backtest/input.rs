//! Where recorded load comes from: a file, or what `serve` would learn from, archive first and then the metrics source.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};

use super::args::Args;
use crate::cli::clock::WallClock;
use crate::cli::wiring;
use crate::config::Config;
use crate::engine::{self, Archive as _, Clock, Day, Demand, MetricSource, Target};
use crate::series::Series;
use crate::source::recorded::{self, ReadOptions};
use crate::time::Timestamp;

/// How much is compared at most of what a source has, where `--from` does not say it.
const COMPARED: Duration = Duration::from_secs(28 * 86_400);

/// What was recorded.
#[derive(Debug)]
pub(super) struct Recording {
    /// The load.
    pub(super) series: Series,
    /// Before which the comparison need not begin where `--from` does not say it: more was read to learn from.
    pub(super) compared_from: Option<Timestamp>,
    /// Why it may not be all of it, in the words of whoever has it; none where nobody doubts it.
    pub(super) doubts: Vec<String>,
}

/// The file that a target's load is in, if it is in one. The error is a wrong command line.
pub(super) fn file_of(args: &Args, target: &str, alone: bool) -> Result<Option<PathBuf>, String> {
    let named = args.inputs.iter().find_map(|input| input.strip_prefix(target)?.strip_prefix('='));
    match (named, args.inputs.as_slice()) {
        (Some(file), _) => Ok(Some(PathBuf::from(file))),
        (None, []) => Ok(None),
        (None, [file]) if alone => Ok(Some(PathBuf::from(file))),
        (None, _) => Err(format!("no input is named for {target}; write --input {target}=FILE")),
    }
}

/// Reads a file.
pub(super) fn from_file(args: &Args, file: &Path) -> anyhow::Result<Recording> {
    let options = ReadOptions { stamp: args.stamp.into(), raw_step: args.input_step };
    let read = recorded::read_series(file, &options)?;
    let doubts = read.moved().map(|moved| format!("the input: {moved}"));
    Ok(Recording { series: read.series, compared_from: None, doubts: doubts.into_iter().collect() })
}

/// Reads what the archive has, and the rest from the metrics source.
pub(super) async fn from_source(
    args: &Args,
    config: &Config,
    (target, demand): (&Target, &Demand),
) -> anyhow::Result<Recording> {
    let step = demand.step;
    let to = args.to.unwrap_or_else(|| WallClock.now() - demand.settle_lag);
    let compared_from = args.from.unwrap_or(to - COMPARED);
    let from = compared_from - demand.history;
    let (from, until) = (step.last_ended(from).next(), step.last_ended(to).next());
    let (mut samples, mut doubts) = (Vec::new(), Vec::new());
    if let Some(archive) = wiring::archive(config)? {
        let recalled = archive.recall(target, demand, from, until).await;
        let recalled = recalled.context("the archive cannot be read")?;
        samples = recalled.samples;
        doubts.extend(recalled.passed_over.into_iter().map(|why| format!("the archive: {why}")));
    }
    let archived: BTreeSet<Day> =
        samples.iter().map(|sample| Day::of(step, step.slot_of(sample.at))).collect();
    let source = wiring::source(&demand.source, &config.sources[&demand.source])?;
    for missing in engine::without(step, &(from..until), &archived) {
        let read = source.range(demand, missing.start, missing.end).await.with_context(|| {
            format!("the load of {} could not be read; or give a file (--input)", target.name)
        })?;
        samples.extend(read.measured);
        let doubt = read.degraded.map(|why| format!("the source: {why}"));
        doubts.extend(doubt.filter(|doubt| !doubts.contains(doubt)));
    }
    let series = engine::series(step, from..until, &samples);
    if series.measured_count() == 0 {
        bail!(
            "nothing of {} was measured in that time; choose --from and --to, or give a file (--input)",
            target.name
        );
    }
    Ok(Recording { series: trimmed(series), compared_from: Some(compared_from), doubts })
}

/// Without the holes before the first measured slot: the source has simply not been there for longer.
fn trimmed(mut series: Series) -> Series {
    let first = series.points().next().map(|(slot, _)| slot);
    if let Some(first) = first {
        series.forget_before(first);
    }
    series
}
