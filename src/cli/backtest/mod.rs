//! `tidetable backtest`: what would have happened, before anything is switched on.
//!
//! ```text
//! config or flags ─┐
//! file, archive or ├─▶ subject ─▶ simulate::backtest ─▶ summary ─▶ table, JSON, HTML, --fail-if
//! metrics source ──┘
//! ```
//!
//! Targets are worked on side by side. SIGINT and SIGTERM end the work after the fits under way; what is done is written,
//! and marked partial; a gate that nothing has failed by then is not passed. The same input gives the same bytes: nothing of when or where it ran is in them.

mod args;
mod cluster;
mod explain;
mod html;
mod input;
mod subject;
mod summary;
mod table;
mod verdict;

use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use rayon::prelude::*;

pub(crate) use args::Args;
use subject::{Meant, Subject};
use summary::{Summary, Whole};

use super::check::refuse;
use super::output::{OutputFile, read_on, say};
use super::{FAILED, WRONG_USAGE, demand, progress, signals};
use crate::config::{self, Config};
use crate::simulate::backtest::Outcome;

/// Replays, and says what came of it. A gate fails with 1; whatever else goes wrong ends with 2, so that a pipeline can tell
/// a load that was borne badly from one that was not replayed.
pub(crate) fn run(args: &Args) -> ExitCode {
    work(args).unwrap_or_else(|error| {
        say(&format!("tidetable: {error:#}"));
        ExitCode::from(WRONG_USAGE)
    })
}

fn work(args: &Args) -> anyhow::Result<ExitCode> {
    let config = match args.config.as_deref().map(config::load).transpose() {
        Ok(config) => config,
        Err(error) => return Ok(ExitCode::from(refuse(error, &mut std::io::stderr().lock())?)),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.context("cannot start the runtime")?;
    let ended = Arc::new(AtomicBool::new(false));
    let outputs = [&args.report, &args.output];
    let outputs = outputs.map(|path| path.as_deref().map(output).transpose());
    let [report, json] = outputs;
    let (report, json) = (report?, json?);

    for condition in &args.fail_if {
        condition.answerable(args.price).map_err(anyhow::Error::msg)?;
    }
    let subjects = subjects(args, config.as_ref(), &runtime)?;
    let signalled = Arc::clone(&ended);
    runtime.spawn(async move {
        if signals::stopped().await.is_ok() {
            signalled.store(true, Ordering::Relaxed);
        }
    });
    let outcomes = replay_all(args, &subjects, &ended);
    let summaries: Vec<Summary> =
        subjects.iter().zip(&outcomes).map(|(subject, outcome)| Summary::of(subject, outcome)).collect();
    let whole = Whole::of(summaries);

    if let (Some(output), Some(path)) = (json, &args.output) {
        let mut bytes = serde_json::to_vec_pretty(&whole).context("the numbers cannot be written as JSON")?;
        bytes.push(b'\n');
        output.write(&bytes).map_err(|cause| cannot_write(path, &cause))?;
    }
    if let (Some(output), Some(path)) = (report, &args.report) {
        let page = html::page(&subjects, &outcomes, &whole);
        output.write(page.as_bytes()).map_err(|cause| cannot_write(path, &cause))?;
    }
    let text = whole.targets.iter().map(table::table).collect::<Vec<_>>().join("\n");
    let mut out = std::io::stdout().lock();
    let written = read_on(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
    written.context("cannot write to standard output")?;
    Ok(ExitCode::from(judge(args, &whole)))
}

/// The exit code: whether a condition of `--fail-if` holds, or could still have held where not all was replayed.
fn judge(args: &Args, whole: &Whole) -> u8 {
    let mut failed = false;
    for summary in &whole.targets {
        for condition in &args.fail_if {
            match condition.holds(summary) {
                Ok(None) => {}
                // What is so up to here need not be so of the whole.
                Ok(Some(_)) if summary.partial && !condition.lasts() => {}
                Ok(Some((left, right))) => {
                    failed = true;
                    let target = &summary.target;
                    say(&format!("tidetable: {target} fails: {condition} ({left} against {right})"));
                }
                Err(error) => {
                    say(&format!("tidetable: {error:#}"));
                    return WRONG_USAGE;
                }
            }
        }
    }
    if failed {
        return FAILED;
    }
    if whole.partial && !args.fail_if.is_empty() {
        say(
            "tidetable: ended before its end, so no condition of --fail-if is answered; give it more time, or an earlier --to",
        );
        return WRONG_USAGE;
    }
    0
}

/// Each target with its load. Every error is one of the command line or its files.
fn subjects(
    args: &Args,
    config: Option<&Config>,
    runtime: &tokio::runtime::Runtime,
) -> anyhow::Result<Vec<Subject>> {
    let subject = |meant: Meant, input| Subject::new(args, meant, input).map_err(anyhow::Error::msg);
    let Some(config) = config else {
        anyhow::ensure!(args.targets.is_empty(), "--target names one of a configuration; give --config");
        let meant = Meant::by_flags(args).context("give --config, or --capacity and --input")?;
        let (min, max) = (args.quick.min, args.quick.max);
        anyhow::ensure!(min <= max, "--min {min} is above --max {max}; choose a --max of at least {min}");
        let file = input::file_of(args, &meant.target, true).map_err(anyhow::Error::msg)?;
        let file = file.context("--capacity needs --input FILE")?;
        return Ok(vec![subject(meant, input::from_file(args, &file)?)?]);
    };
    let targets = named(args, config)?;
    let alone = targets.len() == 1;
    targets
        .into_iter()
        .map(|target| {
            let demand = demand::named(target, args.demand.as_deref()).map_err(anyhow::Error::msg)?;
            let file = input::file_of(args, &target.name, alone).map_err(anyhow::Error::msg)?;
            let load = match file {
                Some(file) => input::from_file(args, &file)?,
                None => runtime.block_on(input::from_source(args, config, (target, demand)))?,
            };
            subject(Meant::of(target, demand), load)
        })
        .collect()
}

fn named<'a>(args: &Args, config: &'a Config) -> anyhow::Result<Vec<&'a crate::engine::Target>> {
    let names = || config::listed(config.targets.iter().map(|target| &*target.name));
    if args.targets.is_empty() {
        anyhow::ensure!(config.targets.len() == 1, "name a target with --target; targets are: {}", names());
        return Ok(config.targets.iter().collect());
    }
    let find = |name: &String| {
        let found = config.targets.iter().find(|target| *target.name == **name);
        found.with_context(|| format!("there is no target {name:?}; targets are: {}", names()))
    };
    args.targets.iter().map(find).collect()
}

fn replay_all(args: &Args, subjects: &[Subject], ended: &AtomicBool) -> Vec<Outcome> {
    let bar = progress::bar(subjects.iter().map(Subject::work).sum(), "fits");
    let outcomes = subjects
        .par_iter()
        .map(|subject| {
            subject.replay(args, &|_| {
                bar.inc(1);
                if ended.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
        })
        .collect();
    bar.finish_and_clear();
    outcomes
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

#[cfg(test)]
mod tests {
    use super::verdict::Condition;
    use super::*;
    use crate::series::Series;
    use crate::time::{Step, Timestamp};
    use crate::units;

    /// Two days of a flat load.
    fn flat() -> input::Recording {
        let begin: Timestamp = "2026-03-02T00:00:00Z".parse().unwrap();
        let first = Step::MINUTE.last_ended(begin).next();
        let mut series = Series::empty(Step::MINUTE, first);
        for slot in 0..2 * 1440 {
            series.put(first.plus(slot), units::Load::saturating(1000.0));
        }
        input::Recording { series, compared_from: None, doubts: Vec::new() }
    }

    /// The exit code of a run with these conditions that is ended after its first fit, or is not.
    fn exit_code(conditions: &[&str], ended: bool) -> u8 {
        let line = "backtest --capacity 120 --input load.csv --quantiles 0.9 --utilizations 0.8 --refit 1h --to 2026-03-03T04:00:00Z";
        let mut args = Args::of_line(line);
        args.fail_if = conditions.iter().map(|condition| Condition::parse(condition).unwrap()).collect();
        let subject = Subject::new(&args, Meant::by_flags(&args).unwrap(), flat()).unwrap();
        let watch = |_| if ended { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        let outcome = subject.replay(&args, &watch);
        let whole = Whole::of(vec![Summary::of(&subject, &outcome)]);
        assert_eq!(whole.partial, ended);
        judge(&args, &whole)
    }

    #[test]
    fn a_gate_is_not_passed_by_a_run_that_was_ended_before_its_end() {
        assert_eq!(exit_code(&["failed_share > 0.5"], false), 0);
        assert_eq!(exit_code(&["failed_share > 0.5"], true), WRONG_USAGE);
        assert_eq!(
            exit_code(&["failed_share > 0.5", "replica_hours > 0.1"], true),
            FAILED,
            "what holds, holds"
        );
        let so_far = ["replica_hours < 1e9", "failed_share < 0.5"];
        assert_eq!(exit_code(&so_far, true), WRONG_USAGE, "so far is not to the end");
        assert_eq!(exit_code(&so_far, false), FAILED);
        assert_eq!(exit_code(&[], true), 0, "nothing was asked");
    }
}
