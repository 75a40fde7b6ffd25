//! How good the forecast is, on the traces of an evaluation kit, beside the best baseline of each trace in hindsight.
//!
//!     cargo bench --bench accuracy -- [FOLDER] [--trace NAME] [--events FILE] [--out DIR]
//!     cargo bench --bench accuracy -- --fit FILE [--timezone ZONE]
//!
//! FOLDER (`../shared/data/eval` when left out) holds `traces.json` and, where there are any, `baselines.csv`; the traces lie
//! in `FOLDER/../traces` or where `TRACES_DIR` says. `--trace` keeps those whose name contains NAME, `--events` declares the
//! events of a file, `--out` keeps the forecasts and `results.csv` in the formats of the kit.
//!
//! ```text
//! traces.json ─▶ Trace ─▶ origins ─▶ forecasts (a fit each six hours, as when serving) ─▶ scores ─▶ tables
//! ```
//!
//! `--fit` times one fit of a file and prints milliseconds: our half of `compare.py`.

mod forecasts;
mod kit;
mod market;
mod report;
mod score;
mod timing;

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use self::kit::{Kit, Track};
use self::report::Line;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let mut folder = PathBuf::from("../shared/data/eval");
    let (mut only, mut events, mut out, mut fit) = (None, None, None, None);
    let mut timezone = chrono_tz::UTC;
    while let Some(argument) = arguments.next() {
        let mut operand = || arguments.next().with_context(|| format!("{argument} needs an operand"));
        match argument.as_str() {
            "--trace" => only = Some(operand()?),
            "--events" => events = Some(PathBuf::from(operand()?)),
            "--out" => out = Some(PathBuf::from(operand()?)),
            "--fit" => fit = Some(PathBuf::from(operand()?)),
            "--timezone" => timezone = operand()?.parse()?,
            option if option.starts_with('-') => {
                bail!("there is no option {option}; see the head of main.rs")
            }
            _ => folder = PathBuf::from(argument),
        }
    }
    if let Some(file) = fit {
        return timing::print(&file, timezone);
    }
    let kit = Kit::open(&folder)?;
    let mut lines = Vec::new();
    for trace in kit.traces.iter().filter(|trace| only.as_ref().is_none_or(|only| trace.name.contains(only)))
    {
        let almanac = trace.almanac(events.as_deref())?;
        let series = trace.load()?;
        let (forecasts, took) = timing::timed(|| forecasts::rolling(trace, &series, &almanac));
        for (track, forecasts) in Track::BOTH.into_iter().zip(forecasts?) {
            if let Some(out) = &out {
                let file = forecast_file(out, &trace.name, track)?;
                forecasts::write(&file, series.step(), &forecasts)?;
            }
            let score = score::score(trace, &series, &forecasts);
            let best = kit.best(&trace.name, track);
            lines.push(Line { trace: trace.name.clone(), track, score, best });
        }
        eprintln!("{}: {:.1} s", trace.name, took.as_secs_f64());
    }
    if lines.is_empty() {
        bail!("no trace of {} has {:?} in its name", folder.display(), only.unwrap_or_default());
    }
    print!("{}", report::tables(&lines));
    if let Some(out) = &out {
        report::write_results(&out.join("results.csv"), &lines)?;
    }
    Ok(())
}

/// `OUT/TRACE/tidetable.TRACK.csv`, where the kit's own scorer looks for it.
fn forecast_file(out: &Path, trace: &str, track: Track) -> anyhow::Result<PathBuf> {
    let folder = out.join(trace);
    std::fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    Ok(folder.join(format!("tidetable.{}.csv", track.name())))
}
