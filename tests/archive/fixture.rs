//! Version 1 of the format, as it was written once: bytes that every later version must read.
//!
//! The bytes are committed and never written again. When the format changes, this stays and a version 2 comes beside it.

use tidetable::engine::Archive as _;

use super::*;

#[tokio::test]
async fn version_1_is_read() {
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/archive/v1");
    let target = target("30m");
    let step = target.demands[0].step;
    if std::env::var_os("WRITE_ARCHIVE_V1").is_some() && !committed.exists() {
        let archive = open(&committed);
        for date in from_day("2026-02-01", 30) {
            archive.keep(&target, &target.demands[0], &measured(step, date)).await.unwrap();
        }
        archive.tidy(&target, &target.demands[0], "2026-03-03T00:00:00Z".parse().unwrap()).await.unwrap();
    }
    // A copy: reading may set aside.
    let folder = tempfile::tempdir().unwrap();
    let names = files(&committed);
    assert_eq!(
        names,
        ["day-2026-03-01.parquet", "day-2026-03-02.parquet", "month-2026-02.parquet"]
            .map(|name| format!("target=payments-api/demand=q2da2cf0b2d054edd/{name}"))
    );
    for name in names {
        let copy = folder.path().join(&name);
        std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
        std::fs::copy(committed.join(&name), copy).unwrap();
    }
    let recalled = recall(&open(folder.path()), &target, &span(step, "2026-02-01", 30)).await;
    assert_eq!(recalled.passed_over, [""; 0]);
    assert_eq!((recalled.days, recalled.samples.len()), (30, 30 * 48));
    assert_true(&recalled, step);
    // Two numbers that do not depend on the rule above.
    let sum: f64 = recalled.samples.iter().filter_map(|sample| Some(sample.load?.get())).sum();
    let holes = recalled.samples.iter().filter(|sample| sample.load.is_none()).count();
    assert_eq!((sum.to_bits(), holes), (4_698_451_172_165_046_817, 15));
}
