//! A disk that is full or cannot be written: keeping fails, nothing earlier is lost, nothing half is seen.

use std::process::Command;

use tidetable::engine::Archive as _;

use super::*;

/// Names the folder to the process that runs out of room.
const FOLDER: &str = "TIDETABLE_TEST_FULL_DISK";

/// The exit code by which the shell says that it could not mount.
const NO_MOUNT: i32 = 77;

/// Not a test by itself: it runs in a process whose disk is small, or whose files are.
#[tokio::test]
async fn writer() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let folder = Path::new(&folder);
    let (archive, target) = (open(folder), target("1m"));
    let step = target.demands[0].step;
    let (mut kept, mut failures) = (Vec::new(), Vec::new());
    for date in from_day("2026-01-01", 100) {
        match archive.keep(&target, &target.demands[0], &measured(step, date)).await {
            Ok(_) => kept.push(date),
            Err(error) => failures.push(error.to_string()),
        }
        if failures.len() == 3 {
            break;
        }
    }
    assert_eq!(failures.len(), 3, "there was room for everything");
    for said in &failures {
        assert!(said.contains("cannot write") && said.contains("day-2026-"), "{said}");
        assert!(said.contains("nothing that was there is lost; make room"), "{said}");
    }
    // A month has no room either: its days stay.
    let tidied = archive.tidy(&target, &target.demands[0], "2026-12-01T00:00:00Z".parse().unwrap()).await;
    if kept.len() >= 31 {
        assert!(tidied.unwrap_err().to_string().contains("cannot write"));
    }
    let names = files(folder);
    assert_eq!(names.len(), kept.len(), "something half is left: {names:?}");
    let recalled = recall(&archive, &target, &span(step, "2026-01-01", 100)).await;
    assert_eq!((recalled.days, recalled.passed_over.len()), (kept.len(), 0));
    assert_true(&recalled, step);
    println!("full after {} days: {}", kept.len(), failures[0]);
}

/// Not a test by itself: it runs where `FOLDER` is mounted read-only, with a day and a spoiled day in it.
#[tokio::test]
async fn reader() {
    let Ok(folder) = std::env::var("TIDETABLE_TEST_READ_ONLY_DISK") else { return };
    let (archive, target) = (open(Path::new(&folder)), target("1m"));
    let step = target.demands[0].step;
    let error = archive
        .keep(&target, &target.demands[0], &measured(step, day("2026-03-03")))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("cannot write") && error.contains("mount it so that it can be written"),
        "{error}"
    );
    let recalled = recall(&archive, &target, &span(step, "2026-03-01", 3)).await;
    assert_eq!((recalled.days, recalled.passed_over.len()), (1, 1));
    assert!(recalled.passed_over[0].contains("it stays where it is"), "{:?}", recalled.passed_over);
    assert_true(&recalled, step);
}

/// Runs one of the above in a mount namespace of its own, after `mount`; whether it could be mounted.
fn mounted(test: &str, variable: &str, folder: &Path, mount: &str) -> bool {
    let run = format!("{mount} || exit {NO_MOUNT}; exec \"$0\" --exact {test} --nocapture");
    let mut unshare = Command::new("unshare");
    // Who is not root may be root in a namespace of users.
    unshare.args(["--map-root-user", "--mount", "sh", "-c", &run]).arg(std::env::current_exe().unwrap());
    let Ok(output) = unshare.env(variable, folder).env("DIR", folder).output() else { return false };
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let refused = output.status.code() == Some(NO_MOUNT) || said.contains("unshare");
    assert!(refused || (output.status.success() && said.contains("1 passed")), "{said}");
    println!("{said}");
    !refused
}

/// The same without a mount: files may not grow beyond a few KiB, which is what a quota does.
fn limited(test: &str, variable: &str, folder: &Path) {
    // The signal that comes with it is ignored, as it is where quotas are met: writing fails instead.
    let run = format!("trap '' XFSZ; ulimit -f 4; exec \"$0\" --exact {test} --nocapture");
    let mut shell = Command::new("sh");
    shell.args(["-c", &run]).arg(std::env::current_exe().unwrap()).env(variable, folder);
    let output = shell.output().unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    println!("{said}");
}

#[test]
fn a_full_disk_is_an_error_that_takes_nothing_away() {
    let folder = tempfile::tempdir().unwrap();
    let small = "mount -t tmpfs -o size=640k none \"$DIR\"";
    if !mounted("disk::writer", FOLDER, folder.path(), small) {
        println!("nothing can be mounted here; only the limit of a file's size is tried");
    }
    limited("disk::writer", FOLDER, folder.path());
}

#[tokio::test]
async fn a_read_only_disk_is_read_and_says_what_it_cannot() {
    let folder = tempfile::tempdir().unwrap();
    let (archive, target) = (open(folder.path()), target("1m"));
    for date in from_day("2026-03-01", 2) {
        archive.keep(&target, &target.demands[0], &measured(target.demands[0].step, date)).await.unwrap();
    }
    std::fs::write(file(folder.path(), "day-2026-03-02.parquet"), "spoiled").unwrap();
    let frozen = "mount --bind \"$DIR\" \"$DIR\" && mount -o remount,bind,ro \"$DIR\"";
    let variable = "TIDETABLE_TEST_READ_ONLY_DISK";
    if !mounted("disk::reader", variable, folder.path(), frozen) {
        println!("nothing can be mounted here; a folder without the right to write is tried");
        let home = file(folder.path(), "day-2026-03-01.parquet").parent().unwrap().to_owned();
        let mut rights = std::fs::metadata(&home).unwrap().permissions();
        rights.set_readonly(true);
        std::fs::set_permissions(&home, rights).unwrap();
        let error = archive
            .keep(&target, &target.demands[0], &measured(target.demands[0].step, day("2026-03-03")))
            .await;
        assert!(error.unwrap_err().to_string().contains("give the folder to the user of this process"));
    }
}
