//! Objects that a disk or a stranger has spoiled.

use tidetable::engine::{Archive as _, Kept};

use super::*;

/// Days of November 2026 in a fresh folder, of which the 3rd is then treated by `spoil`.
async fn spoiled(spoil: impl Fn(&Path)) -> (tempfile::TempDir, Archive, Target) {
    let folder = tempfile::tempdir().unwrap();
    let (archive, target) = (open(folder.path()), target("1h"));
    for date in from_day("2026-11-01", 5) {
        archive.keep(&target, &target.demands[0], &measured(target.demands[0].step, date)).await.unwrap();
    }
    spoil(&file(folder.path(), "day-2026-11-03.parquet"));
    (folder, archive, target)
}

#[tokio::test]
async fn a_corrupt_object_is_set_aside_whole_and_the_rest_is_read() {
    let truncate = |path: &Path| {
        let bytes = std::fs::read(path).unwrap();
        std::fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
    };
    let flip = |path: &Path| {
        let mut bytes = std::fs::read(path).unwrap();
        bytes[200] ^= 0x10;
        std::fs::write(path, bytes).unwrap();
    };
    let replace = |path: &Path| {
        let other = path.with_file_name("day-2026-11-04.parquet");
        std::fs::copy(other, path).unwrap();
    };
    let empty = |path: &Path| std::fs::write(path, "").unwrap();
    let spoils: [&dyn Fn(&Path); 4] = [&truncate, &flip, &replace, &empty];
    for spoil in spoils {
        let (folder, archive, target) = spoiled(spoil).await;
        let step = target.demands[0].step;
        let spoiled_bytes = std::fs::read(file(folder.path(), "day-2026-11-03.parquet")).unwrap();
        let recalled = recall(&archive, &target, &span(step, "2026-11-01", 5)).await;
        assert_eq!((recalled.days, recalled.passed_over.len()), (4, 1));
        assert_true(&recalled, step);
        let said = &recalled.passed_over[0];
        assert!(
            said.contains("day-2026-11-03.parquet is corrupt") && said.contains("set aside as"),
            "{said}"
        );
        let names = files(folder.path());
        let aside = names.iter().find(|name| name.contains("/_day-2026-11-03.parquet.corrupt-")).unwrap();
        assert_eq!(std::fs::read(folder.path().join(aside)).unwrap(), spoiled_bytes);

        // Its place is free again, and what is aside stays.
        let again = measured(step, day("2026-11-03"));
        assert_eq!(archive.keep(&target, &target.demands[0], &again).await.unwrap(), Kept::Written);
        let recalled = recall(&archive, &target, &span(step, "2026-11-01", 5)).await;
        assert_eq!((recalled.days, recalled.passed_over.len()), (5, 0));
        archive.tidy(&target, &target.demands[0], "2126-01-01T00:00:00Z".parse().unwrap()).await.unwrap();
        assert!(folder.path().join(aside).exists());
    }
}

#[tokio::test]
async fn a_corrupt_month_gives_way_to_the_days_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let (archive, target) = (open(folder.path()), target("1h"));
    let step = target.demands[0].step;
    for date in from_day("2026-10-01", 31) {
        archive.keep(&target, &target.demands[0], &measured(step, date)).await.unwrap();
    }
    let month = file(folder.path(), "day-2026-10-01.parquet").with_file_name("month-2026-10.parquet");
    std::fs::write(&month, "PAR1 not at all PAR1").unwrap();
    let now = "2026-11-02T00:00:00Z".parse().unwrap();
    let tidied = archive.tidy(&target, &target.demands[0], now).await.unwrap();
    assert_eq!((tidied.rolled_up, tidied.passed_over.len()), (1, 1), "{tidied:?}");
    let recalled = recall(&archive, &target, &span(step, "2026-10-01", 31)).await;
    assert_eq!((recalled.days, recalled.passed_over.len()), (31, 0));
    assert_true(&recalled, step);
    assert_eq!(files(folder.path()).len(), 2);
}

#[tokio::test]
async fn a_set_aside_that_was_interrupted_is_finished() {
    let (folder, archive, target) = spoiled(|path| std::fs::write(path, "spoiled").unwrap()).await;
    let step = target.demands[0].step;
    let place = file(folder.path(), "day-2026-11-03.parquet");
    recall(&archive, &target, &span(step, "2026-11-01", 5)).await;
    let aside = file(folder.path(), &{
        let names = files(folder.path());
        names.into_iter().find(|name| name.contains(".corrupt-")).unwrap()
    });
    // Renaming is a link and a removal: this is the state between them.
    std::fs::hard_link(&aside, &place).unwrap();
    let recalled = recall(&archive, &target, &span(step, "2026-11-01", 5)).await;
    assert!(recalled.passed_over[0].contains("set aside before"), "{:?}", recalled.passed_over);
    assert!(!place.exists() && aside.exists());
}

#[tokio::test]
async fn strangers_in_the_folder_are_not_looked_at() {
    let (folder, archive, target) = spoiled(|_| {}).await;
    let home = file(folder.path(), "day-2026-11-03.parquet").parent().unwrap().to_owned();
    for name in ["README", "day-2026-11-31.parquet", "notes.parquet", "month-2026-00.parquet"] {
        std::fs::write(home.join(name), "mine").unwrap();
    }
    let step = target.demands[0].step;
    let recalled = recall(&archive, &target, &span(step, "2026-11-01", 5)).await;
    assert_eq!((recalled.days, recalled.passed_over.len()), (5, 0));
    archive.tidy(&target, &target.demands[0], "2026-12-24T00:00:00Z".parse().unwrap()).await.unwrap();
    assert_eq!(files(folder.path()).len(), 9);
}
