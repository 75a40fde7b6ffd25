//! 400 days at one minute into the archive and back: what a start waits for, and what a disk needs.
//!
//! Loads have full mantissas, as a sum of rates has: whole numbers would compress far better. Every write is flushed to the
//! disk of the target folder. The peer writes and reads the same slots as bare numbers, a file per day, flushed as well.

#![expect(clippy::disallowed_methods, reason = "a bench reads the real clock")]

use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use tidetable::config;
use tidetable::engine::{Archive as _, Day};
use tidetable::history::Archive;
use tidetable::series::Series;
use tidetable::units::Load;

const DAYS: usize = 400;

const CONFIG: &str = "\
sources: { main: { prometheus: { url: http://127.0.0.1:9 } } }
targets:
  payments-api:
    scaledObject: payments/payments-api
    demand: { source: main, query: 'sum(rate(payment_transactions_total[2m]))' }
    capacity: { perReplica: 120 }
    replicas: { min: 3, max: 200 }
    timezone: America/New_York
";

/// Says how long something took, all together and for one day.
fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let done = work();
    let took = began.elapsed().as_secs_f64() * 1e3;
    println!("{what:<44} {took:>9.1} ms {:>9.3} ms/day", took / DAYS as f64);
    done
}

/// Mean size of the files whose names begin so.
fn mean_size(folder: &Path, prefix: &str) -> (usize, u64) {
    let files = std::fs::read_dir(folder).expect("the folder").filter_map(Result::ok);
    let sizes: Vec<u64> = files
        .filter(|file| file.file_name().to_string_lossy().starts_with(prefix))
        .map(|file| file.metadata().expect("a file").len())
        .collect();
    (sizes.len(), sizes.iter().sum::<u64>() / sizes.len().max(1) as u64)
}

fn main() {
    let target = config::parse("bench.yaml", CONFIG).expect("a configuration").targets.remove(0);
    let step = target.demands[0].step;
    let mut chance = rand_pcg::Pcg32::seed_from_u64(1);
    let first = Day::on("2025-11-01".parse().expect("a date")).expect("a day");
    let days: Vec<Series> = std::iter::successors(Some(first), |day| Some(day.next()))
        .take(DAYS)
        .map(|day| {
            let slots = day.slots(step);
            let mut series = Series::empty(step, slots.start);
            for (minute, slot) in (slots.start.0..slots.end.0).enumerate() {
                let wave = 1.2 - (minute as f64 / 1_440.0 * std::f64::consts::TAU).cos();
                let load = 400.0 * wave * chance.random_range(0.95..1.05);
                series.put(tidetable::time::Slot(slot), Load::saturating(load));
            }
            series
        })
        .collect();
    let scratch = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");

    println!("{DAYS} days at {step}, {} slots", DAYS * 1_440);
    let peer = |day: usize| scratch.path().join(format!("{day}.peer"));
    timed("peer: bare numbers written", || {
        for (index, day) in days.iter().enumerate() {
            let bytes: Vec<u8> = day
                .points()
                .flat_map(|(slot, load)| [slot.0.to_le_bytes(), load.get().to_le_bytes()])
                .flatten()
                .collect();
            let mut file = std::fs::File::create(peer(index)).expect("a file");
            file.write_all(&bytes).and_then(|()| file.sync_all()).expect("room");
        }
    });
    timed("peer: read", || {
        (0..DAYS).map(|day| std::fs::read(peer(day)).expect("a file").len()).sum::<usize>()
    });

    let archive = Archive::try_new(scratch.path(), Duration::from_secs(800 * 86_400)).expect("an archive");
    timed("days kept", || {
        for day in &days {
            runtime.block_on(archive.keep(&target, &target.demands[0], day)).expect("kept");
        }
    });
    timed("kept once more, all there already", || {
        for day in &days {
            runtime.block_on(archive.keep(&target, &target.demands[0], day)).expect("kept");
        }
    });
    let mut folders = std::fs::read_dir(scratch.path().join("target=payments-api")).expect("the folder");
    let folder = folders.find_map(Result::ok).expect("a history").path();
    let (from, until) = (days[0].first(), days[DAYS - 1].end());
    let recall = || {
        runtime
            .block_on(archive.recall(&target, &target.demands[0], from, until))
            .expect("recalled")
            .samples
            .len()
    };
    timed("recalled from days", || assert_eq!(recall(), DAYS * 1_440));
    let (_, day_bytes) = mean_size(&folder, "day-");
    let now = first.start() + Duration::from_secs(86_400 * DAYS as u64);
    timed("rolled up", || runtime.block_on(archive.tidy(&target, &target.demands[0], now)).expect("tidied"));
    timed("recalled from months", || assert_eq!(recall(), DAYS * 1_440));
    let (months, month_bytes) = mean_size(&folder, "month-");
    println!(
        "a day {day_bytes} bytes, a month {month_bytes} bytes ({months} of them); bare numbers: {} a day",
        1_440 * 16
    );
}
