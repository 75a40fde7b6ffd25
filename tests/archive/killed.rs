//! `kill -9` at any moment: every object that is there is whole, and every day that was reported as kept is there.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;
use std::time::Instant;

use rand::{RngExt, SeedableRng};
use tidetable::engine::Archive as _;

use super::*;

/// Names the folder to the process that is going to be killed.
const FOLDER: &str = "TIDETABLE_TEST_WRITER";

const KILLS: usize = 100;
const FIRST: &str = "2024-01-01";
const DAYS: usize = 3000;
/// Small enough that a process gets through a month before it is killed, so that roll-ups are hit, too.
const STEP: &str = "5m";

fn open_for_ever(folder: &Path) -> Archive {
    Archive::try_new(folder, days(4000)).unwrap()
}

/// Not a test by itself: the process that [`a_writer_killed_at_any_moment_loses_nothing_it_reported`] kills. It keeps one
/// day after another, reports each, and rolls months up.
#[tokio::test]
async fn writer() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let (archive, target) = (open_for_ever(Path::new(&folder)), target(STEP));
    let step = target.demands[0].step;
    println!("\nbegin");
    let there = archive.days(&target, &target.demands[0], span(step, FIRST, DAYS)).await.unwrap();
    for (count, date) in from_day(FIRST, DAYS).filter(|date| !there.contains(date)).enumerate() {
        // At once, because the one before was perhaps killed at it, and in between.
        if count % 7 == 0 {
            let tidied = archive.tidy(&target, &target.demands[0], date.end()).await.unwrap();
            assert_eq!(tidied.passed_over, [""; 0]);
        }
        archive.keep(&target, &target.demands[0], &measured(step, date)).await.unwrap();
        println!("kept {date}");
    }
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a process is killed at a moment of the real clock")]
async fn a_writer_killed_at_any_moment_loses_nothing_it_reported() {
    let folder = tempfile::tempdir().unwrap();
    let target = target(STEP);
    let step = target.demands[0].step;
    let mut chance = rand_pcg::Pcg32::seed_from_u64(9);
    let mut reported = std::collections::BTreeSet::new();
    let mut leftovers = 0;
    for _ in 0..KILLS {
        let mut writer = this_test("killed::writer");
        let mut writer = writer.env(FOLDER, folder.path()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(writer.stdout.take().unwrap());
        let mut line = String::new();
        while line.trim() != "begin" {
            line.clear();
            assert!(lines.read_line(&mut line).unwrap() > 0, "the writer ended before it began");
        }
        // So much of its work, and then a moment in the middle of something, however busy the machine is.
        let mut before = String::new();
        for _ in 0..chance.random_range(0..16) {
            assert!(lines.read_line(&mut before).unwrap() > 0, "the writer ended by itself");
        }
        let until = Instant::now() + Duration::from_micros(chance.random_range(0..12_000));
        while Instant::now() < until {
            std::thread::yield_now();
        }
        // SIGKILL, to this process alone.
        writer.kill().unwrap();
        writer.wait().unwrap();
        let mut rest = before;
        lines.read_to_string(&mut rest).unwrap();
        // The last line may be half a line.
        let whole = rest.rsplit_once('\n').map_or("", |(whole, _)| whole);
        reported.extend(whole.lines().filter_map(|line| line.strip_prefix("kept ")).map(day));
        leftovers = files(folder.path()).iter().filter(|name| name.contains('#')).count();
        let there = open_for_ever(folder.path())
            .days(&target, &target.demands[0], span(step, FIRST, DAYS))
            .await
            .unwrap();
        assert!(reported.is_subset(&there), "lost: {:?}", reported.difference(&there).collect::<Vec<_>>());
    }
    let archive = open_for_ever(folder.path());
    let recalled = recall(&archive, &target, &span(step, FIRST, DAYS)).await;
    assert_eq!(recalled.passed_over, [""; 0]);
    assert!(recalled.days >= reported.len());
    assert_true(&recalled, step);
    let count = |part: &str| files(folder.path()).iter().filter(|name| name.contains(part)).count();
    let months = count("/month-");
    println!("{KILLS} kills, {} days reported, {months} months, {leftovers} leftovers", reported.len());
    assert!((KILLS..DAYS).contains(&reported.len()) && months > 0, "it was not killed at work");

    // What was begun is finished: every whole month is one object, and the leftovers are swept a day later.
    let tomorrow = std::time::SystemTime::now() + days(1);
    archive.tidy(&target, &target.demands[0], tomorrow.into()).await.unwrap();
    let last = from_day(FIRST, recalled.days).last().unwrap();
    let whole =
        from_day(FIRST, recalled.days + 1).filter(|day| day.date().to_string().ends_with("-01")).count() - 1;
    let since = last.next().date().to_string()[8..].parse::<usize>().unwrap() - 1;
    assert_eq!((count("/month-"), count("/day-"), count("#")), (whole, since, 0));
    assert_eq!(recall(&archive, &target, &span(step, FIRST, DAYS)).await, recalled);
}
