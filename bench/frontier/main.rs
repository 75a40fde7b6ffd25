//! The frontier of lateness against cost: tidetable over quantiles, a reactive HPA over utilisations, perfect foresight as
//! a point, on recorded traffic, through the KEDA, HPA and pods of `simulate`.
//!
//!     cargo bench --bench frontier -- [--kit ../shared/data/eval] [--out target/frontier] [--only NAME]
//!
//! Ours is what `tidetable backtest` runs: the whole decision with guard and surges, asked at every sync, and all that it learns
//! fitted anew each midnight. One fit serves every quantile and both leads, for it knows of neither.
//!
//! The kit names traces, zones, markets and test spans in its `traces.json`; traces coarser than half an hour are left out. Printed
//! are tables for `bench/README.md`; in the output folder are the curves as SVG files, their points as CSV, and `burst.svg`: the
//! worst burst that nobody saw coming.

mod burst;
mod chart;
mod curve;
#[path = "../accuracy/market.rs"]
mod market;
mod ours;
mod panel;
mod points;
mod policies;
mod table;
mod trace;
mod world;

use std::path::PathBuf;

use anyhow::Context;

use self::burst::Burst;
use self::curve::Cell;
use self::world::World;

/// From a pod's creation to its readiness, in seconds.
const LEADS: [u64; 2] = [120, 300];

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let option = |name: &str| {
        arguments.iter().position(|argument| argument == name).and_then(|at| arguments.get(at + 1)).cloned()
    };
    let kit = PathBuf::from(option("--kit").unwrap_or_else(|| "../shared/data/eval".to_owned()));
    let out = PathBuf::from(option("--out").unwrap_or_else(|| "target/frontier".to_owned()));
    let only = option("--only");
    std::fs::create_dir_all(&out).with_context(|| format!("creating {}", out.display()))?;

    let mut cells: Vec<Cell> = Vec::new();
    let mut worst: Option<Burst> = None;
    for trace in trace::all(&kit)? {
        if only.as_ref().is_some_and(|only| !trace.name.contains(only.as_str())) {
            continue;
        }
        let world = World::of(&trace);
        for lead in LEADS {
            let cell = policies::run(&world, lead);
            chart::write(&out, &cell)?;
            cells.push(cell);
            worst = worst.into_iter().chain(Burst::of(&world, lead)).reduce(Burst::worse);
        }
    }
    points::write(&out, &cells)?;
    if let Some(worst) = worst {
        panel::write(&out, &worst)?;
    }
    table::print(&cells);
    Ok(())
}
