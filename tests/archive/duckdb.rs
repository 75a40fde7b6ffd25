//! The folder as an analyst meets it: one SELECT in `DuckDB`, with nothing of ours in between.

use std::process::Command;

use tidetable::engine::Archive as _;

use super::*;

/// A line per target, history and kind of row, and a sum that no two sets of numbers share by accident.
const SELECT: &str = r"
import sys, duckdb
rows = duckdb.sql(f'''
    SELECT target, count(DISTINCT demand), step_seconds, count(*), count(load), count(DISTINCT slot_end),
           epoch_us(min(slot_end)), epoch_us(max(slot_end)), sum(load * (epoch_us(slot_end) // 1000000 % 1009))
    FROM read_parquet('{sys.argv[1]}/**/*.parquet', hive_partitioning = true)
    GROUP BY ALL ORDER BY step_seconds
''')
for row in rows.fetchall():
    print(*row)
print(duckdb.sql(f'''
    SELECT typeof(slot_end), typeof(load), typeof(step_seconds)
    FROM read_parquet('{sys.argv[1]}/**/*.parquet') LIMIT 1
''').fetchall()[0])
print(duckdb.sql(f'''
    SELECT count(*) FROM parquet_metadata('{sys.argv[1]}/**/*.parquet')
    WHERE path_in_schema IN ('slot_end', 'load') AND (stats_min_value IS NULL OR compression <> 'ZSTD')
''').fetchall()[0][0], 'columns without statistics')
";

#[tokio::test]
async fn duckdb_reads_the_folder_with_one_select() {
    let packages = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/python");
    assert!(
        packages.join("duckdb").is_dir(),
        "DuckDB is not in {}; run tests/run.sh, which fetches it",
        packages.display()
    );
    let folder = tempfile::tempdir().unwrap();
    let archive = open(folder.path());
    let mut expected = Vec::new();
    for target in [target("1m"), target("15m")] {
        let step = target.demands[0].step;
        for date in from_day("2026-09-25", 45) {
            archive.keep(&target, &target.demands[0], &measured(step, date)).await.unwrap();
        }
        let tidied =
            archive.tidy(&target, &target.demands[0], "2026-11-10T00:00:00Z".parse().unwrap()).await.unwrap();
        assert_eq!(tidied.rolled_up, 1);
        let slots = span(step, "2026-09-25", 45);
        let all = (slots.start.0..slots.end.0).map(Slot);
        let loads: Vec<f64> = all
            .clone()
            .filter_map(|slot| Some(truth(slot)?.get() * (step.end(slot).timestamp() % 1009) as f64))
            .collect();
        let count = slots.end.since(slots.start);
        let ends = [slots.start, slots.end.plus(-1)].map(|slot| step.end(slot).timestamp_micros());
        let sum: f64 = loads.iter().sum();
        let seconds = step.seconds();
        expected.push((
            format!("payments-api 1 {seconds} {count} {} {count} {} {}", loads.len(), ends[0], ends[1]),
            sum,
        ));
    }
    // What was set aside and what a killed writer left are not in the way.
    let home = file(folder.path(), "month-2026-10.parquet").parent().unwrap().to_owned();
    std::fs::write(home.join("_day-2026-10-01.parquet.corrupt-0123456789abcdef"), "spoiled").unwrap();
    std::fs::write(home.join("day-2026-11-20.parquet#1"), "half").unwrap();

    let mut python = Command::new("python3");
    python.args(["-c", SELECT]).arg(folder.path()).env("PYTHONPATH", &packages);
    let output = python.output().expect("python3; run tests/run.sh, which installs it");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 4, "{said}");
    for (line, (columns, sum)) in lines[..2].iter().zip(&expected) {
        let (found, found_sum) = line.rsplit_once(' ').unwrap();
        assert_eq!(found, columns);
        let found_sum: f64 = found_sum.parse().unwrap();
        assert!((found_sum / sum - 1.0).abs() < 1e-12, "{found_sum} {sum}");
    }
    assert_eq!(lines[2], "('TIMESTAMP WITH TIME ZONE', 'DOUBLE', 'INTEGER')");
    assert_eq!(lines[3], "0 columns without statistics");
}
