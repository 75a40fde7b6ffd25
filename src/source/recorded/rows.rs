//! Rows of a CSV file: bytes, perhaps compressed, to columns found by name and stamps read fast.

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read};
use std::path::Path;

use chrono::{DateTime, NaiveDate};
use csv::{ByteRecord, ReaderBuilder};
use flate2::read::MultiGzDecoder;

use super::Error;
use crate::time::{Timestamp, from_epoch_seconds};

/// Stamps lie between these years; outside, it is milliseconds, a spreadsheet's day number or a slip.
const FIRST_YEAR: i32 = 1900;
const LAST_YEAR: i32 = 2199;

/// The two bytes that every gzip member begins with (RFC 1952, section 2.3.1).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// What some programs put before UTF-8 text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A longer line is a file of another kind, and would be read into memory whole.
const MOST_LINE_BYTES: u64 = 1 << 20;

/// Large enough that system calls do not show.
const BUFFER_BYTES: usize = 1 << 16;

/// Forecast origins: the column `origin` of a CSV file, in the order of the file; other columns are not looked at.
///
/// # Errors
/// [`Error`] when the file cannot be read, has no such column, no rows, or a cell that is no instant.
pub fn read_origins(path: &Path) -> Result<Vec<Timestamp>, Error> {
    let (name, file) = open(path)?;
    read_origins_from(&name, file)
}

/// As [`read_origins`], from anything that can be read; `name` stands in messages.
///
/// # Errors
/// As [`read_origins`].
pub fn read_origins_from(name: &str, reader: impl Read) -> Result<Vec<Timestamp>, Error> {
    let mut rows = Rows::open(name, reader)?;
    let column = rows.column("origin", "origin")?;
    let mut origins = Vec::new();
    while rows.advance()? {
        origins.push(from_epoch_seconds(rows.stamp(column)?));
    }
    if origins.is_empty() { Err(Error::Empty { file: name.to_owned() }) } else { Ok(origins) }
}

/// A file and its name for messages.
pub(super) fn open(path: &Path) -> Result<(String, File), Error> {
    let name = path.display().to_string();
    match File::open(path) {
        Ok(file) => Ok((name, file)),
        Err(cause) => Err(Error::Unreadable { file: name, cause }),
    }
}

/// The text of a file, decompressed if need be.
pub(super) fn unpacked<'a>(name: &str, mut reader: impl Read + 'a) -> Result<Box<dyn BufRead + 'a>, Error> {
    let mut beginning = Vec::new();
    if let Err(cause) = reader.by_ref().take(2).read_to_end(&mut beginning) {
        return Err(Error::Unreadable { file: name.to_owned(), cause });
    }
    let compressed = beginning == GZIP_MAGIC;
    let whole = Cursor::new(beginning).chain(reader);
    Ok(if compressed {
        Box::new(BufReader::with_capacity(BUFFER_BYTES, MultiGzDecoder::new(BufReader::new(whole))))
    } else {
        Box::new(BufReader::with_capacity(BUFFER_BYTES, whole))
    })
}

/// A cursor over the rows of a CSV file.
///
/// Lines are split here and not by the csv crate, whose line numbers are one short in files with Windows line ends; a
/// message that names the wrong line costs more than these few lines. It still takes apart what is quoted.
pub(super) struct Rows<'a> {
    file: String,
    reader: Box<dyn BufRead + 'a>,
    /// The text of the line at the cursor, without its end.
    text: Vec<u8>,
    line: u64,
    header: ByteRecord,
    row: ByteRecord,
}

impl<'a> Rows<'a> {
    pub(super) fn open(name: &str, reader: impl Read + 'a) -> Result<Self, Error> {
        Self::over(name, unpacked(name, reader)?)
    }

    /// The rows of a text.
    pub(super) fn over(name: &str, reader: Box<dyn BufRead + 'a>) -> Result<Self, Error> {
        let file = name.to_owned();
        let (header, row) = (ByteRecord::new(), ByteRecord::new());
        let mut rows = Self { file, reader, text: Vec::new(), line: 0, header, row };
        if rows.read_line()? {
            if let Some(text) = rows.text.strip_prefix(BYTE_ORDER_MARK) {
                rows.text = text.to_vec();
            }
            rows.split()?;
            rows.header = rows.row.clone();
            Ok(rows)
        } else {
            Err(Error::Blank { file: rows.file })
        }
    }

    /// The name of the file, for messages.
    pub(super) fn name(&self) -> &str {
        &self.file
    }

    /// Where a column stands.
    pub(super) fn column(&self, name: &'static str, expected: &'static str) -> Result<usize, Error> {
        let place = self.header.iter().position(|cell| cell.trim_ascii() == name.as_bytes());
        place.ok_or_else(|| {
            let found: Vec<_> = self.header.iter().map(String::from_utf8_lossy).collect();
            Error::Header {
                file: self.file.clone(),
                column: name,
                found: shortened(&found.join(",")),
                expected,
            }
        })
    }

    /// Goes to the next row that is not blank; `false` when there is none.
    pub(super) fn advance(&mut self) -> Result<bool, Error> {
        while self.read_line()? {
            if self.text.trim_ascii().is_empty() {
                continue;
            }
            self.split()?;
            if self.row.len() != self.header.len() {
                let (found, expected) = (self.row.len(), self.header.len());
                return Err(self.broken(format!("has {found} cells and the header has {expected}")));
            }
            return Ok(true);
        }
        Ok(false)
    }

    /// The line of the row.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// A cell of the row, without the spaces around it.
    pub(super) fn cell(&self, column: usize) -> &[u8] {
        self.row.get(column).unwrap_or_default().trim_ascii()
    }

    /// A cell of the row, for a message.
    pub(super) fn shown(&self, column: usize) -> String {
        shortened(&String::from_utf8_lossy(self.cell(column)))
    }

    /// A cell of the row as an instant, in seconds since the epoch.
    pub(super) fn stamp(&self, column: usize) -> Result<i64, Error> {
        epoch_seconds(self.cell(column)).map_err(|problem| Error::Stamp {
            file: self.file.clone(),
            line: self.line,
            found: self.shown(column),
            problem,
        })
    }

    /// Reads the next line into `text`; `false` at the end of the file.
    fn read_line(&mut self) -> Result<bool, Error> {
        self.text.clear();
        let read = self.reader.by_ref().take(MOST_LINE_BYTES).read_until(b'\n', &mut self.text);
        let bytes = match read {
            Ok(bytes) => bytes,
            Err(cause) => return Err(Error::Unreadable { file: self.file.clone(), cause }),
        };
        self.line += 1;
        if self.text.last() == Some(&b'\n') {
            self.text.pop();
        } else if bytes as u64 == MOST_LINE_BYTES {
            return Err(self.broken(format!("has more than {MOST_LINE_BYTES} bytes")));
        }
        if self.text.last() == Some(&b'\r') {
            self.text.pop();
        }
        Ok(bytes > 0)
    }

    /// Takes `text` apart into `row`.
    fn split(&mut self) -> Result<(), Error> {
        if self.text.contains(&b'"') {
            let mut quoted =
                ReaderBuilder::new().has_headers(false).flexible(true).from_reader(self.text.as_slice());
            if !matches!(quoted.read_byte_record(&mut self.row), Ok(true)) {
                return Err(self.broken("is no row of a CSV file".to_owned()));
            }
        } else {
            self.row.clear();
            self.text.split(|byte| *byte == b',').for_each(|cell| self.row.push_field(cell));
        }
        Ok(())
    }

    fn broken(&self, problem: String) -> Error {
        Error::Row { file: self.file.clone(), line: self.line, problem }
    }
}

/// An instant in seconds since the epoch, or what is wrong with it.
fn epoch_seconds(cell: &[u8]) -> Result<i64, &'static str> {
    const FRACTION: &str = "and a slot begins on a whole second; round the stamps";
    const NEITHER: &str = "which is no instant; write 2026-11-27T09:30:00Z, or Unix seconds";
    const NO_OFFSET: &str = "which says no offset from UTC; write 2026-11-27T09:30:00Z";
    const NOT_PLAUSIBLE: &str = "which is not between 1900 and 2199; if it is milliseconds, divide by 1000";

    let text = std::str::from_utf8(cell).map_err(|_| NEITHER)?;
    let seconds = if let Some(seconds) = utc_to_the_second(cell) {
        seconds
    } else if let Ok(seconds) = text.parse::<i64>() {
        seconds
    } else if let Ok(seconds) = text.parse::<f64>() {
        if !seconds.is_finite() {
            return Err(NEITHER);
        }
        if seconds.fract() != 0.0 {
            return Err(FRACTION);
        }
        #[expect(clippy::cast_possible_truncation, reason = "saturates, and is then not plausible")]
        let seconds = seconds as i64;
        seconds
    } else {
        match DateTime::parse_from_rfc3339(text) {
            Ok(at) if at.timestamp_subsec_nanos() == 0 => at.timestamp(),
            Ok(_) => return Err(FRACTION),
            // The date is well and there is something after it: then it is the offset that is missing.
            Err(_) if text.get(..10).is_some_and(|date| date.parse::<NaiveDate>().is_ok()) => {
                return Err(NO_OFFSET);
            }
            Err(_) => return Err(NEITHER),
        }
    };
    let year_end =
        |year| NaiveDate::from_yo_opt(year, 1).map(|day| day.and_time(chrono::NaiveTime::MIN).and_utc());
    let plausible = year_end(FIRST_YEAR).is_some_and(|from| seconds >= from.timestamp())
        && year_end(LAST_YEAR + 1).is_some_and(|until| seconds < until.timestamp());
    if plausible { Ok(seconds) } else { Err(NOT_PLAUSIBLE) }
}

/// The form that nearly every stamp has, `YYYY-MM-DDThh:mm:ssZ`, without the cost of the general parser. `None` for any
/// other form and for anything doubtful, which the general parser then judges.
fn utc_to_the_second(cell: &[u8]) -> Option<i64> {
    let cell: &[u8; 20] = cell.try_into().ok()?;
    let punctuation = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':'), (19, b'Z')];
    if punctuation.iter().any(|(place, sign)| cell[*place] != *sign) {
        return None;
    }
    let number = |from: usize, until: usize| {
        cell[from..until].iter().try_fold(0_i64, |number, digit| {
            digit.is_ascii_digit().then(|| number * 10 + i64::from(digit - b'0'))
        })
    };
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    // Days that only some months have, and leap seconds, are the general parser's.
    if !(1..=12).contains(&month) || !(1..=28).contains(&day) && !is_day(year, month, day) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    Some(days_since_epoch(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second)
}

/// Whether a month has such a day.
fn is_day(year: i64, month: i64, day: i64) -> bool {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let longest = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    (1..=longest).contains(&day)
}

/// Days from 1970-01-01 to a date. Years are counted from March, so that the leap day comes last; an era is 400 years, or
/// 146,097 days (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `days_from_civil`).
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

fn shortened(text: &str) -> String {
    /// A stamp or a header of a few columns fits.
    const MOST_CHARS: usize = 80;
    let mut beginning: String = text.chars().take(MOST_CHARS).collect();
    if text.chars().nth(MOST_CHARS).is_some() {
        beginning.push('…');
    }
    beginning
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_stamp_is_rfc_3339_or_unix_seconds() {
        for text in [
            "2026-11-27T09:30:00Z",
            "2026-11-27T09:30:00.000Z",
            "2026-11-27T15:00:00+05:30",
            "2026-11-27 09:30:00Z",
            "1795771800",
            "1795771800.0",
            "1.7957718e9",
        ] {
            assert_eq!(epoch_seconds(text.as_bytes()), Ok(1_795_771_800), "{text}");
        }
        assert_eq!(epoch_seconds(b"2024-02-29T00:00:00Z"), Ok(1_709_164_800));
    }

    #[test]
    fn a_stamp_that_is_doubtful_is_refused_with_a_remedy() {
        for (text, remedy) in [
            ("", "no instant"),
            ("yesterday", "no instant"),
            ("NaN", "no instant"),
            ("2026-11-27T09:30:00", "offset"),
            ("2026-11-27 09:30", "offset"),
            ("2026-02-30T00:00:00Z", "no instant"),
            ("2026-11-27T09:30:00.5Z", "whole second"),
            ("1795771800.5", "whole second"),
            ("1795771800000", "milliseconds"),
            ("9e99", "milliseconds"),
            ("1899-12-31T00:00:00Z", "1900"),
        ] {
            let problem = epoch_seconds(text.as_bytes()).unwrap_err();
            assert!(problem.contains(remedy), "{text}: {problem}");
        }
    }

    #[test]
    fn origins_are_read_in_their_order() {
        let text = "name,origin\na,2026-11-27T09:30:00Z\nb,1795771740\n";
        let origins = read_origins_from("origins.csv", text.as_bytes()).unwrap();
        assert_eq!(
            origins.iter().map(Timestamp::timestamp).collect::<Vec<_>>(),
            [1_795_771_800, 1_795_771_740]
        );
        let message = read_origins_from("origins.csv", &b"timestamp\n1\n"[..]).unwrap_err().to_string();
        assert_eq!(
            message,
            r#"origins.csv: line 1 names no column "origin" but "timestamp"; write the header line `origin`"#
        );
        let message = read_origins_from("origins.csv", &b"origin\n1795771740\nsoon\n"[..]).unwrap_err();
        assert!(message.to_string().starts_with("origins.csv: line 3 has the stamp \"soon\""), "{message}");
        assert!(matches!(read_origins_from("origins.csv", &b"origin\n"[..]), Err(Error::Empty { .. })));
        assert!(matches!(read_origins_from("origins.csv", &b""[..]), Err(Error::Blank { .. })));
    }

    proptest! {
        #[test]
        fn the_fast_path_agrees_with_the_general_parser(seconds in -2_208_988_800_i64..7_258_118_400) {
            let text = from_epoch_seconds(seconds).format("%Y-%m-%dT%H:%M:%SZ").to_string();
            prop_assert_eq!(utc_to_the_second(text.as_bytes()), Some(seconds));
        }

        #[test]
        fn the_fast_path_takes_nothing_that_the_general_parser_refuses(
            year in 0..10_000, month in 0..20, day in 0..40, hour in 0..30, minute in 0..70, second in 0..70,
        ) {
            let text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z");
            if let Some(seconds) = utc_to_the_second(text.as_bytes()) {
                prop_assert_eq!(DateTime::parse_from_rfc3339(&text).map(|at| at.timestamp()), Ok(seconds));
            }
        }
    }
}
