//! The answer of a Prometheus range query, saved as it came: JSON with one series.
//!
//! ```json
//! {"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1795771800,"118.5"]]}]}}
//! ```
//!
//! Prometheus evaluates at the end of a slot. What is not finite is a hole, as elsewhere; a sample that is not there, too.

use std::io::BufRead;

use serde::Deserialize;

use super::Error;
use super::series::Point;
use crate::units::Load;

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    error: Option<String>,
    data: Option<Data>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    result_type: String,
    result: Vec<Series>,
}

#[derive(Deserialize)]
struct Series {
    #[serde(default)]
    values: Vec<(f64, String)>,
}

/// Whether `text` begins as JSON does; no CSV header does.
pub(super) fn begins(name: &str, text: &mut impl BufRead) -> Result<bool, Error> {
    let beginning = text.fill_buf().map_err(|cause| Error::Unreadable { file: name.to_owned(), cause })?;
    Ok(beginning.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{'))
}

/// The samples of the only series, in order.
pub(super) fn read_points(name: &str, text: impl BufRead) -> Result<Vec<Point>, Error> {
    let wrong = |problem: String| Error::Range { file: name.to_owned(), problem };
    let answer: Answer = serde_json::from_reader(text)
        .map_err(|error| wrong(format!("is no answer of a Prometheus range query ({error})")))?;
    let Some(data) = answer.data else {
        let said = answer.error.unwrap_or_else(|| "without data".to_owned());
        return Err(wrong(format!("holds an answer that is an error ({said})")));
    };
    if data.result_type != "matrix" {
        return Err(wrong(format!("holds a {:?} and not a matrix", data.result_type)));
    }
    let [series] = data.result.as_slice() else {
        return Err(wrong(format!("holds {} series and not one", data.result.len())));
    };
    let mut points: Vec<Point> = Vec::with_capacity(series.values.len());
    for ((at, load), line) in series.values.iter().zip(1..) {
        let at = whole_seconds(*at)
            .filter(|at| points.last().is_none_or(|before| before.at < *at))
            .ok_or_else(|| wrong(format!("sample {line} is at {at}, which is no later second")))?;
        let load = hole_or_load(load).map_err(|()| {
            wrong(format!("sample {line} is {load:?}, and a load is a number of at least 0"))
        })?;
        points.push(Point { at, load, line });
    }
    Ok(points)
}

/// The second that a stamp lies in: a range query may begin at any millisecond.
fn whole_seconds(at: f64) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "whole and within 2200 years")]
    (at.abs() < 7e10).then_some(at.floor() as i64)
}

/// A load, or `None` for a hole.
fn hole_or_load(text: &str) -> Result<Option<Load>, ()> {
    let number: f64 = text.parse().map_err(|_| ())?;
    if number.is_finite() { Load::try_new(number).map(Some).map_err(|_| ()) } else { Ok(None) }
}

#[cfg(test)]
mod tests {
    use crate::source::recorded::{ReadOptions, read_series_from};
    use crate::time::{Step, from_epoch_seconds};

    fn answer(result_type: &str, result: &str) -> String {
        format!(r#" {{"status":"success","data":{{"resultType":"{result_type}","result":[{result}]}}}}"#)
    }

    #[test]
    fn samples_stand_at_the_ends_of_their_slots_and_what_is_not_finite_is_a_hole() {
        let text = answer(
            "matrix",
            r#"{"metric":{"job":"pay"},"values":[[60,"1.5"],[120,"NaN"],[180.0,"+Inf"],[240,"4"],[360,"5"]]}"#,
        );
        let read = read_series_from("load.json", text.as_bytes(), &ReadOptions::default()).unwrap();
        assert_eq!(read.raw_step, Step::MINUTE);
        assert_eq!(Step::MINUTE.end(read.series.first()), from_epoch_seconds(60));
        let loads: Vec<_> = read.series.grid().slots().map(|slot| read.series.load(slot)).collect();
        assert_eq!(loads, [Some(1.5), None, None, Some(4.0), None, Some(5.0)]);
        let text = answer("matrix", r#"{"values":[[67.123,"1"],[127.123,"2"],[187.123,"3"]]}"#);
        let read = read_series_from("load.json", text.as_bytes(), &ReadOptions::default()).unwrap();
        assert_eq!((read.off_grid, Step::MINUTE.end(read.series.first())), (7, from_epoch_seconds(60)));
    }

    #[test]
    fn what_is_no_such_answer_is_named_with_what_to_save() {
        let series = r#"{"metric":{},"values":[[60,"1"],[120,"2"]]}"#;
        for (text, problem) in [
            (answer("vector", ""), "holds a \"vector\""),
            (answer("matrix", ""), "holds 0 series"),
            (answer("matrix", &format!("{series},{series}")), "holds 2 series"),
            (answer("matrix", r#"{"values":[[60,"1"],[60,"2"]]}"#), "sample 2 is at 60"),
            (answer("matrix", r#"{"values":[[60.5,"1"],[60.9,"2"]]}"#), "sample 2 is at 60.9"),
            (answer("matrix", r#"{"values":[[60,"-1"]]}"#), "sample 1 is \"-1\""),
            (r#"{"status":"error","error":"timed out"}"#.to_owned(), "timed out"),
            ("{}".to_owned(), "without data"),
            ("{".to_owned(), "no answer"),
        ] {
            let message =
                read_series_from("load.json", text.as_bytes(), &ReadOptions::default()).unwrap_err();
            let message = message.to_string();
            assert!(message.starts_with("load.json: ") && message.contains(problem), "{message}");
            assert!(message.contains("query_range"), "{message}");
        }
    }
}
