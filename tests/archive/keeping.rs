//! What is kept comes back, months are rolled up, what is old goes.

use tidetable::engine::{Archive as _, Demand, Kept, Target};

use super::*;

#[tokio::test]
async fn a_day_is_kept_once_and_recalled_with_its_holes() {
    let folder = tempfile::tempdir().unwrap();
    let (archive, target) = (open(folder.path()), target("1m"));
    let step = target.demands[0].step;
    let date = day("2026-11-01");
    assert_eq!(
        archive.keep(&target, &target.demands[0], &measured(step, date)).await.unwrap(),
        Kept::Written
    );

    // A second writer, with other numbers, finds it there.
    let mut other = measured(step, date);
    other.put(other.first(), Load::ZERO);
    assert_eq!(
        open(folder.path()).keep(&target, &target.demands[0], &other).await.unwrap(),
        Kept::AlreadyThere
    );

    let recalled = recall(&archive, &target, &date.slots(step)).await;
    assert_eq!((recalled.days, recalled.samples.len(), recalled.passed_over.len()), (1, 1440, 0));
    assert_true(&recalled, step);
    let part =
        recall(&archive, &target, &(date.slots(step).start.plus(10)..date.slots(step).start.plus(20))).await;
    assert_eq!(part.samples, recalled.samples[10..20]);
}

#[tokio::test]
async fn what_is_no_day_or_was_not_measured_is_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (archive, target) = (open(folder.path()), target("1m"));
    let step = target.demands[0].step;
    let whole = measured(step, day("2026-11-01"));
    let part = whole.until(whole.end().plus(-1));
    assert!(
        archive
            .keep(&target, &target.demands[0], &part)
            .await
            .unwrap_err()
            .to_string()
            .contains("one UTC day")
    );
    let mut coarse = Series::empty(Step::try_new(Duration::from_secs(3600)).unwrap(), Slot(0));
    (0..24).for_each(|slot| coarse.mask(Slot(slot)));
    assert!(archive.keep(&target, &target.demands[0], &coarse).await.is_err());
    let mut unmeasured = Series::empty(step, whole.first());
    whole.grid().slots().for_each(|slot| unmeasured.mask(slot));
    assert_eq!(archive.keep(&target, &target.demands[0], &unmeasured).await.unwrap(), Kept::Unmeasured);
    assert!(files(folder.path()).is_empty());
}

#[tokio::test]
async fn another_query_or_step_is_another_history() {
    let folder = tempfile::tempdir().unwrap();
    let (archive, minutes) = (open(folder.path()), target("1m"));
    let asked = Target {
        demands: vec![Demand { query: "sum(rate(orders_total[2m]))".into(), ..minutes.demands[0].clone() }],
        ..minutes.clone()
    };
    let hours = target("1h");
    let date = day("2026-11-01");
    for target in [&minutes, &asked, &hours] {
        let day = measured(target.demands[0].step, date);
        assert_eq!(archive.keep(target, &target.demands[0], &day).await.unwrap(), Kept::Written);
    }
    assert_eq!(files(folder.path()).len(), 3);
    let recalled = recall(&archive, &hours, &date.slots(hours.demands[0].step)).await;
    assert_eq!((recalled.days, recalled.samples.len()), (1, 24));
}

#[tokio::test]
async fn a_finished_month_becomes_one_object_and_its_days_go() {
    let folder = tempfile::tempdir().unwrap();
    let (archive, target) = (open(folder.path()), target("15m"));
    let step = target.demands[0].step;
    for date in from_day("2026-09-20", 50) {
        archive.keep(&target, &target.demands[0], &measured(step, date)).await.unwrap();
    }
    let now = "2026-11-09T01:00:00Z".parse().unwrap();
    let tidied = archive.tidy(&target, &target.demands[0], now).await.unwrap();
    assert_eq!((tidied.rolled_up, tidied.expired), (1, 0));
    // Eleven days of September, for it is not whole, eight of November, and October.
    let names = files(folder.path());
    assert_eq!(names.len(), 11 + 8 + 1, "{names:?}");
    assert!(names.iter().any(|name| name.ends_with("/month-2026-10.parquet")), "{names:?}");

    let recalled = recall(&archive, &target, &span(step, "2026-09-01", 100)).await;
    assert_eq!((recalled.days, recalled.samples.len()), (50, 50 * 96));
    assert_true(&recalled, step);
    let october = day("2026-10-15");
    let again = archive.keep(&target, &target.demands[0], &measured(step, october)).await.unwrap();
    assert_eq!(again, Kept::AlreadyThere, "its month has it");
    assert_eq!(
        archive.days(&target, &target.demands[0], span(step, "2026-09-01", 100)).await.unwrap().len(),
        50
    );
    assert_eq!(archive.tidy(&target, &target.demands[0], now).await.unwrap().rolled_up, 0);
    let two = recall(&archive, &target, &span(step, "2026-10-30", 2)).await;
    assert_eq!((two.days, two.samples.len()), (2, 2 * 96), "of the month only what was asked for");
}

#[tokio::test]
async fn a_step_that_does_not_divide_a_day_and_a_folder_with_odd_signs_make_no_difference() {
    let folder = tempfile::tempdir().unwrap();
    for (name, seconds) in [("tide table #1 100%", 420), ("märz/a=b?c", 50_000), ("d", 86_400)] {
        let (archive, mut target) = (open(&folder.path().join(name)), target("1d"));
        // A configuration says only what divides a day; the archive keeps what it is given.
        let step = Step::try_new(Duration::from_secs(seconds)).unwrap();
        target.demands[0].step = step;
        for date in from_day("2026-10-01", 33) {
            assert_eq!(
                archive.keep(&target, &target.demands[0], &measured(step, date)).await.unwrap(),
                Kept::Written
            );
        }
        let slots = span(step, "2026-10-01", 33);
        let from_days = recall(&archive, &target, &slots).await;
        assert_eq!(from_days.samples.len(), usize::try_from(slots.end.since(slots.start)).unwrap());
        assert_true(&from_days, step);
        let tidied =
            archive.tidy(&target, &target.demands[0], "2026-11-03T00:00:00Z".parse().unwrap()).await.unwrap();
        assert_eq!(tidied.rolled_up, 1);
        assert_eq!(recall(&archive, &target, &slots).await, from_days);
        assert_eq!(files(&folder.path().join(name)).len(), 3);
    }
}

#[tokio::test]
async fn days_beside_their_month_are_not_counted_twice_and_go_the_next_time() {
    let folder = tempfile::tempdir().unwrap();
    let (archive, target) = (open(folder.path()), target("1h"));
    let step = target.demands[0].step;
    for date in from_day("2026-10-01", 31) {
        archive.keep(&target, &target.demands[0], &measured(step, date)).await.unwrap();
    }
    let held = folder.path().join("held");
    std::fs::create_dir(&held).unwrap();
    for name in ["day-2026-10-07.parquet", "day-2026-10-08.parquet"] {
        std::fs::copy(file(folder.path(), name), held.join(name)).unwrap();
    }
    let now = "2026-11-02T00:00:00Z".parse().unwrap();
    archive.tidy(&target, &target.demands[0], now).await.unwrap();
    let home = file(folder.path(), "month-2026-10.parquet").parent().unwrap().to_owned();
    // As a process stopped between the two halves would have left it.
    for name in ["day-2026-10-07.parquet", "day-2026-10-08.parquet"] {
        std::fs::rename(held.join(name), home.join(name)).unwrap();
    }
    let recalled = recall(&archive, &target, &span(step, "2026-10-01", 31)).await;
    assert_eq!((recalled.days, recalled.samples.len()), (31, 31 * 24));
    assert_true(&recalled, step);
    archive.tidy(&target, &target.demands[0], now).await.unwrap();
    assert_eq!(files(&home), ["month-2026-10.parquet"]);
}

#[tokio::test]
async fn what_is_wholly_older_than_the_retention_goes_and_a_wrong_clock_takes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let target = target("1h");
    let step = target.demands[0].step;
    let archive = Archive::try_new(folder.path(), days(40)).unwrap();
    for date in from_day("2026-09-25", 60) {
        archive.keep(&target, &target.demands[0], &measured(step, date)).await.unwrap();
    }
    // A former query's history is under the same retention.
    let former = Target {
        demands: vec![Demand { query: "up".into(), ..target.demands[0].clone() }],
        ..target.clone()
    };
    archive.keep(&former, &former.demands[0], &measured(step, day("2026-01-01"))).await.unwrap();
    // The newest day is 23 November: 15 October and later stay, and with it all of October.
    for now in ["2026-11-24T00:00:00Z", "2226-11-24T00:00:00Z"] {
        archive.tidy(&target, &target.demands[0], now.parse().unwrap()).await.unwrap();
        let recalled = recall(&archive, &target, &span(step, "2026-09-01", 100)).await;
        assert_true(&recalled, step);
        let oldest = recalled.samples[0].at - step.duration();
        assert_eq!(oldest.to_rfc3339(), "2026-10-15T00:00:00+00:00", "{now}");
    }
    let former = recall(&archive, &former, &span(step, "2026-01-01", 1)).await;
    assert_eq!(former.days, 0);
    archive.tidy(&target, &target.demands[0], "1970-01-01T00:00:00Z".parse().unwrap()).await.unwrap();
    assert_eq!(
        archive.days(&target, &target.demands[0], span(step, "2026-09-01", 100)).await.unwrap().len(),
        40
    );
}

#[tokio::test]
async fn two_replicas_may_share_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let target = target("1h");
    let step = target.demands[0].step;
    let replica = |folder: PathBuf, target: Target| async move {
        let archive = open(&folder);
        let mut written = 0;
        for date in from_day("2026-07-01", 123) {
            let kept = archive.keep(&target, &target.demands[0], &measured(step, date)).await.unwrap();
            written += usize::from(kept == Kept::Written);
            if date.date().to_string().ends_with("-01") {
                archive.tidy(&target, &target.demands[0], date.start()).await.unwrap();
            }
            let recalled = recall(&archive, &target, &span(step, "2026-07-01", 123)).await;
            assert_eq!(recalled.passed_over, [""; 0]);
            assert_true(&recalled, step);
        }
        written
    };
    let both = (0..2).map(|_| {
        let work = replica(folder.path().to_owned(), target.clone());
        std::thread::spawn(|| tokio::runtime::Runtime::new().unwrap().block_on(work))
    });
    let both: Vec<_> = both.collect();
    let written: usize = both.into_iter().map(|replica| replica.join().unwrap()).sum();
    // A day that a slower replica writes beside its month is one too many, and harmless.
    assert!((123..130).contains(&written), "{written}");
    let archive = open(folder.path());
    archive.tidy(&target, &target.demands[0], "2026-11-01T00:00:00Z".parse().unwrap()).await.unwrap();
    let recalled = recall(&archive, &target, &span(step, "2026-07-01", 123)).await;
    assert_eq!((recalled.days, files(folder.path()).len()), (123, 4));
}

#[tokio::test]
async fn what_a_killed_writer_left_is_no_object_and_is_swept_up() {
    let folder = tempfile::tempdir().unwrap();
    let (archive, target) = (open(folder.path()), target("1h"));
    let date = day("2026-11-01");
    archive.keep(&target, &target.demands[0], &measured(target.demands[0].step, date)).await.unwrap();
    let left = format!("{}#1", file(folder.path(), "day-2026-11-01.parquet").display());
    std::fs::write(&left, "PAR1").unwrap();
    let recalled = recall(&archive, &target, &date.slots(target.demands[0].step)).await;
    assert_eq!((recalled.days, recalled.passed_over.len()), (1, 0));
    // Fresh, it may be another's work under way; old, nobody comes back for it.
    let written: chrono::DateTime<chrono::Utc> = std::fs::metadata(&left).unwrap().modified().unwrap().into();
    archive.tidy(&target, &target.demands[0], written + Duration::from_secs(60)).await.unwrap();
    assert_eq!(files(folder.path()).len(), 2);
    archive.tidy(&target, &target.demands[0], written + Duration::from_secs(7200)).await.unwrap();
    assert_eq!(files(folder.path()).len(), 1);
}
