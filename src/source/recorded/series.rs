//! Rows to a [`Series`]: the step found, the grid checked, the holes kept.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use super::rows::{self, Rows};
use super::{Error, range};
use crate::series::Series;
use crate::time::{Slot, Step, from_epoch_seconds};
use crate::units::Load;

/// The most slots that are kept: 95 years of minutes, or a year and a half of seconds, in half a gigabyte. A file that spans
/// more has a slip in a stamp.
const MOST_SLOTS: i64 = 50_000_000;

/// Which end of its slot a stamp names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stamp {
    /// The slot begins there, as in most files.
    #[default]
    Start,
    /// The slot ends there, as Prometheus stamps it.
    End,
}

/// How a file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReadOptions {
    /// Which end of its slot a stamp names.
    pub stamp: Stamp,
    /// The spacing of the rows; when it is not said, what most neighbours differ by.
    pub raw_step: Option<Step>,
}

/// What a file holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    /// The load on the grid of `raw_step`, from the first row to the last, holes included.
    pub series: Series,
    /// The spacing of the rows.
    pub raw_step: Step,
    /// So many seconds after the grid all stamps lie, or before it: each counts for the slot whose border is nearest.
    pub off_grid: i64,
}

impl Recording {
    /// What was made of stamps beside the grid, where there were any.
    pub fn moved(&self) -> Option<String> {
        let (off, step) = (self.off_grid.abs(), self.raw_step);
        let side = if self.off_grid < 0 { "before" } else { "after" };
        (off > 0).then(|| {
            format!("all stamps lie {off} s {side} the {step} grid, and count for the slots nearest to them")
        })
    }
}

/// Reads the columns `timestamp` and `value` of a CSV file, or the answer of a Prometheus range query, plain or gzipped.
/// Prometheus stamps the ends of slots, whatever `options` say.
///
/// # Errors
/// [`Error`] with the line and a remedy; nothing is repaired.
pub fn read_series(path: &Path, options: &ReadOptions) -> Result<Recording, Error> {
    let (name, file) = rows::open(path)?;
    read_series_from(&name, file, options)
}

/// As [`read_series`], from anything that can be read; `name` stands in messages.
///
/// # Errors
/// As [`read_series`].
pub fn read_series_from(name: &str, reader: impl Read, options: &ReadOptions) -> Result<Recording, Error> {
    let mut text = rows::unpacked(name, reader)?;
    let (points, stamp) = if range::begins(name, &mut text)? {
        (range::read_points(name, text)?, Stamp::End)
    } else {
        (read_points(Rows::over(name, text)?)?, options.stamp)
    };
    let raw_step = match options.raw_step {
        Some(step) => step,
        None => usual_step(name, &points)?,
    };
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return Err(Error::Empty { file: name.to_owned() });
    };
    let slots = (last.at - first.at) / raw_step.seconds() + 1;
    if slots > MOST_SLOTS {
        return Err(Error::TooLong { file: name.to_owned(), slots, step: raw_step, most: MOST_SLOTS });
    }
    let off_grid = off_grid(&points, raw_step);
    let slot = |point: &Point| slot(name, point, off_grid, raw_step, stamp);
    let mut series = Series::empty(raw_step, slot(first)?);
    for point in &points {
        let slot = slot(point)?;
        match point.load {
            Some(load) => series.put(slot, load),
            None => series.mask(slot),
        }
    }
    Ok(Recording { series, raw_step, off_grid })
}

/// A row, checked but not yet on a grid.
pub(super) struct Point {
    /// Seconds since the epoch.
    pub(super) at: i64,
    pub(super) load: Option<Load>,
    pub(super) line: u64,
}

fn read_points(mut rows: Rows<'_>) -> Result<Vec<Point>, Error> {
    const EXPECTED: &str = "timestamp,value";
    let name = rows.name().to_owned();
    let name = name.as_str();
    let (stamps, loads) = (rows.column("timestamp", EXPECTED)?, rows.column("value", EXPECTED)?);
    let mut points: Vec<Point> = Vec::new();
    while rows.advance()? {
        let (at, line) = (rows.stamp(stamps)?, rows.line());
        if let Some(earlier) = points.last().filter(|earlier| earlier.at >= at) {
            return Err(out_of_order(name, earlier, at, line));
        }
        let load = load(rows.cell(loads)).map_err(|problem| Error::Load {
            file: name.to_owned(),
            line,
            found: rows.shown(loads),
            problem,
        })?;
        points.push(Point { at, load, line });
    }
    Ok(points)
}

fn out_of_order(name: &str, earlier: &Point, at: i64, line: u64) -> Error {
    let (file, at, before) = (name.to_owned(), from_epoch_seconds(at), from_epoch_seconds(earlier.at));
    if at == before {
        Error::Repeated { file, line, earlier: earlier.line, at }
    } else {
        Error::Unsorted { file, line, before, at }
    }
}

/// A cell as a load, `None` for a hole, or what is wrong with it.
fn load(cell: &[u8]) -> Result<Option<Load>, &'static str> {
    if cell.is_empty() {
        return Ok(None);
    }
    let number: f64 = std::str::from_utf8(cell)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or("which is no number; leave the cell empty for a hole")?;
    if !number.is_finite() {
        return Ok(None);
    }
    Load::try_new(number).map(Some).map_err(|_| "and a load is at least 0; leave the cell empty for a hole")
}

/// What most neighbours differ by; the smallest where several are as common.
fn usual_step(name: &str, points: &[Point]) -> Result<Step, Error> {
    let file = || name.to_owned();
    let mut counts: BTreeMap<i64, usize> = BTreeMap::new();
    for pair in points.windows(2) {
        *counts.entry(pair[1].at - pair[0].at).or_default() += 1;
    }
    // `max_by_key` gives the last of equals, so the order is turned.
    let Some((seconds, _)) = counts.into_iter().rev().max_by_key(|(_, count)| *count) else {
        return Err(if points.is_empty() {
            Error::Empty { file: file() }
        } else {
            Error::NoStep { file: file() }
        });
    };
    let found = Duration::from_secs(seconds.unsigned_abs());
    Step::try_new(found).map_err(|_| Error::Step { file: file(), found })
}

/// How far beside the grid most stamps lie, at most half a step: who saves the answer of a query asks for it at any second. None
/// where as many lie at other places.
fn off_grid(points: &[Point], step: Step) -> i64 {
    let mut counts: BTreeMap<i64, usize> = BTreeMap::new();
    for point in points {
        *counts.entry(point.at.rem_euclid(step.seconds())).or_default() += 1;
    }
    let most = counts.iter().max_by_key(|(_, count)| **count).filter(|(_, count)| **count * 2 > points.len());
    most.map_or(0, |(off, _)| if 2 * off > step.seconds() { off - step.seconds() } else { *off })
}

/// The slot that a row is about, where stamps lie so far `beside` the grid.
fn slot(name: &str, point: &Point, beside: i64, step: Step, stamp: Stamp) -> Result<Slot, Error> {
    let on_grid = point.at - beside;
    let off = on_grid.rem_euclid(step.seconds());
    if off != 0 {
        let (file, at) = (name.to_owned(), from_epoch_seconds(point.at));
        return Err(Error::OffGrid { file, line: point.line, at, off, step });
    }
    let number = on_grid / step.seconds();
    Ok(Slot(if stamp == Stamp::Start { number } else { number - 1 }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn read(text: &str, options: &ReadOptions) -> Result<Recording, Error> {
        read_series_from("load.csv", text.as_bytes(), options)
    }

    fn complaint_about(text: &str) -> String {
        read(text, &ReadOptions::default()).unwrap_err().to_string()
    }

    /// Loads from the first slot to the last.
    fn loads(recording: &Recording) -> Vec<Option<f64>> {
        recording.series.grid().slots().map(|slot| recording.series.load(slot)).collect()
    }

    const MINUTES: &str = "timestamp,value\n2026-11-27T09:30:00Z,1\n2026-11-27T09:31:00Z,\n2026-11-27T09:32:00Z,3.5\n2026-11-27T09:34:00Z,0\n";

    #[test]
    fn a_stamp_names_the_start_of_its_slot_unless_it_is_said_to_name_the_end() {
        let half_past = from_epoch_seconds(1_795_771_800);
        let recording = read(MINUTES, &ReadOptions::default()).unwrap();
        assert_eq!(recording.raw_step, Step::MINUTE);
        assert_eq!(Step::MINUTE.start(recording.series.first()), half_past);
        assert_eq!(loads(&recording), [Some(1.0), None, Some(3.5), None, Some(0.0)]);
        let ends = ReadOptions { stamp: Stamp::End, ..ReadOptions::default() };
        assert_eq!(Step::MINUTE.end(read(MINUTES, &ends).unwrap().series.first()), half_past);
    }

    #[test]
    fn holes_are_empty_cells_and_what_is_not_finite_and_rows_that_are_not_there() {
        let text = "timestamp,value\n0,NaN\n60,1\n120,+Inf\n180,-inf\n240, \n360,2\n420,\n";
        let recording = read(text, &ReadOptions::default()).unwrap();
        assert_eq!(loads(&recording), [None, Some(1.0), None, None, None, None, Some(2.0), None]);
    }

    #[test]
    fn columns_are_found_by_name_and_others_are_not_looked_at() {
        let text = "\u{feff}pod, value ,timestamp\r\nx,1,60\r\n\r\n\"y, z\",2,120\r\n";
        assert_eq!(loads(&read(text, &ReadOptions::default()).unwrap()), [Some(1.0), Some(2.0)]);
    }

    #[test]
    fn gzip_is_recognised_by_its_bytes_in_one_piece_or_several() {
        let mut bytes = Vec::new();
        for part in [&MINUTES[..30], &MINUTES[30..]] {
            let mut encoder = flate2::write::GzEncoder::new(&mut bytes, flate2::Compression::default());
            encoder.write_all(part.as_bytes()).unwrap();
            encoder.finish().unwrap();
        }
        let options = ReadOptions::default();
        let recording = read_series_from("load.csv", bytes.as_slice(), &options).unwrap();
        assert_eq!(recording, read(MINUTES, &options).unwrap());
        let half = read_series_from("load.csv.gz", &bytes[..bytes.len() - 6], &options).unwrap_err();
        assert!(half.to_string().contains("that a .gz is whole"), "{half}");
    }

    #[test]
    fn a_file_is_read_from_its_path_and_a_missing_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("load.csv");
        let missing = read_series(&path, &ReadOptions::default()).unwrap_err().to_string();
        assert!(missing.contains("load.csv") && missing.contains("check the path"), "{missing}");
        std::fs::write(&path, MINUTES).unwrap();
        assert_eq!(read_series(&path, &ReadOptions::default()).unwrap().series.measured_count(), 3);
    }

    #[test]
    fn the_step_is_what_most_neighbours_differ_by_unless_it_is_given() {
        let text = "timestamp,value\n0,1\n300,2\n900,3\n1200,4\n1800,5\n";
        assert_eq!(read(text, &ReadOptions::default()).unwrap().raw_step.seconds(), 300);
        let options = ReadOptions { raw_step: Some(Step::MINUTE), ..ReadOptions::default() };
        let recording = read(text, &options).unwrap();
        assert_eq!((recording.raw_step, recording.series.grid().len), (Step::MINUTE, 31));
        let single = "timestamp,value\n60,1\n";
        assert!(complaint_about(single).contains("give its step"));
        assert_eq!(read(single, &options).unwrap().series.grid().len, 1);
    }

    #[test]
    fn stamps_that_all_lie_beside_the_grid_count_for_the_slots_nearest_to_them() {
        for (off, counted) in [(7, 7), (-7, -7), (30, 30), (31, -29)] {
            let rows: Vec<String> = (1..6).map(|minute| format!("{},{minute}", 60 * minute + off)).collect();
            let text = format!("timestamp,value\n{}\n", rows.join("\n"));
            let recording = read(&text, &ReadOptions::default()).unwrap();
            assert_eq!(recording.off_grid, counted);
            assert_eq!(loads(&recording), (1..6).map(|load| Some(f64::from(load))).collect::<Vec<_>>());
            let first = 60 * i64::from(off == 31);
            assert_eq!(Step::MINUTE.start(recording.series.first()), from_epoch_seconds(60 + first));
            let told = recording.moved().unwrap();
            assert!(told.starts_with(&format!("all stamps lie {} s", counted.abs())), "{told}");
        }
        assert_eq!(read(MINUTES, &ReadOptions::default()).unwrap().moved(), None);
        let one = complaint_about("timestamp,value\n7,1\n67,2\n127,3\n180,4\n247,5\n");
        assert!(
            one.contains("line 5 is at 1970-01-01 00:03:00 UTC, which is 53 s past the 1m grid"),
            "{one}"
        );
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line_and_a_remedy() {
        for (rows, line, remedy) in [
            ("0,1\n60,2\n60,3\n", "line 4 repeats 1970-01-01 00:01:00 UTC of line 3", "in UTC"),
            ("0,1\n60,2\n30,3\n", "line 4 goes back from 1970-01-01 00:01:00 UTC", "sort the rows"),
            (
                "0,1\n60,2\n130,3\n180,4\n240,5\n",
                "line 4 is at 1970-01-01 00:02:10 UTC, which is 10 s",
                "--input-step",
            ),
            ("0,1\n60,-2\n", "line 3 has the load \"-2\"", "leave the cell empty"),
            ("0,1\n60,many\n", "line 3 has the load \"many\"", "leave the cell empty"),
            ("0,1\n\n\nsoon,2", "line 5 has the stamp \"soon\"", "Unix seconds"),
            ("0,1\r\n60,2\r\nsoon,2\r\n", "line 4 has the stamp \"soon\"", "Unix seconds"),
            ("0,1\n60,2,3\n", "line 3 has 3 cells and the header has 2", "one cell for each"),
            ("0,1\n172800,2\n345600,3\n", "172800s apart", "resample"),
            ("", "no rows", "check what wrote it"),
            ("0,1\n1,2\n2,3\n7000000000,4\n", "7000000001 slots of 1s", "coarser step"),
        ] {
            let message = complaint_about(&format!("timestamp,value\n{rows}"));
            assert!(message.starts_with("load.csv: "), "{message}");
            assert!(message.contains(line) && message.contains(remedy), "{message}");
        }
        assert_eq!(complaint_about(""), "load.csv: is empty; check what wrote it");
        for text in ["\n", "0,1\n60,2\n", "time,value\n0,1\n", "timestamp,load\n0,1\n"] {
            let message = complaint_about(text);
            assert!(message.contains("write the header line `timestamp,value`"), "{message}");
        }
    }
}
