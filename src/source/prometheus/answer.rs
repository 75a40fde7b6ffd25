//! From the bytes of an answer to numbers on instants. Strangers write these bytes: nothing in here panics on them.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::Error;
use super::error::excerpt;
use crate::engine::Sample;
use crate::time::{Slot, Step, Timestamp, from_epoch_seconds};
use crate::units::Load;

/// What is asked, for messages and for the check of what comes back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question<'a> {
    /// The address as it may be shown.
    pub(super) url: &'a str,
    /// The query.
    pub(super) query: &'a str,
    /// Spacing of the grid.
    pub(super) step: Step,
    /// Which instants.
    pub(super) when: When,
}

/// Which instants are asked for.
#[derive(Debug, Clone, Copy)]
pub(super) enum When {
    /// The ends of the slots from `from` to before `until`.
    Range { from: Slot, until: Slot },
    /// One instant.
    Instant(Timestamp),
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Answer {
    /// One sample for each instant asked for, in order.
    pub(super) samples: Vec<Sample>,
    /// What the server warns of; the measurements may be partial.
    pub(super) warnings: BTreeSet<String>,
    /// How many loads were below zero, and therefore missing.
    pub(super) negative: usize,
}

/// Reads an answer that came with a 200.
pub(super) fn read(body: &[u8], question: &Question<'_>) -> Result<Answer, Error> {
    let head: Head = parse(body, question)?;
    if head.status != "success" {
        let query = excerpt(question.query);
        return Err(Error::Reported { url: question.url.to_owned(), query, found: head.complaint() });
    }
    let mut warnings: BTreeSet<String> = head.warnings.iter().flatten().map(|text| excerpt(text)).collect();
    if head.is_partial == Some(true) {
        warnings.insert("the answer is partial (isPartial)".to_owned());
    }
    let kind = head.data.map_or_else(String::new, |data| data.result_type);
    let points = match (kind.as_str(), question.when) {
        ("matrix", When::Range { .. }) | ("vector", When::Instant(_)) => {
            let body: Body<Vec<OneSeries>> = parse(body, question)?;
            the_only_series(body.data.result, question)?
        }
        ("scalar", When::Instant(_)) => vec![parse::<Body<Point>>(body, question)?.data.result],
        _ => return Err(wrong_kind(&kind, question)),
    };
    let mut answer = Answer { warnings, ..Answer::default() };
    match question.when {
        When::Range { from, until } => answer.place_on_grid(&points, from, until, question)?,
        When::Instant(at) => answer.place_at(&points, at, question)?,
    }
    Ok(answer)
}

/// What an answer that did not come with a 200 says, on one line.
pub(super) fn complaint(body: &[u8]) -> String {
    match serde_json::from_slice::<Head>(body) {
        Ok(head) => head.complaint(),
        Err(_) => match excerpt(&String::from_utf8_lossy(body)) {
            text if text.is_empty() => "no explanation".to_owned(),
            text => text,
        },
    }
}

impl Answer {
    /// Adds what a later chunk answered.
    pub(super) fn append(&mut self, later: Self) {
        self.samples.extend(later.samples);
        self.warnings.extend(later.warnings);
        self.negative += later.negative;
    }

    fn place_on_grid(
        &mut self,
        points: &[Point],
        from: Slot,
        until: Slot,
        question: &Question<'_>,
    ) -> Result<(), Error> {
        let step = question.step;
        self.samples =
            (from.0..until.0).map(|slot| Sample { at: step.end(Slot(slot)), load: None }).collect();
        for point in points {
            let at = point.at();
            let slot = step.last_ended(at);
            if step.end(slot) != at {
                return Err(Error::OffGrid { url: question.url.to_owned(), at, step });
            }
            let load = self.load(point, question)?;
            // Beyond the ends: more than was asked for, and harmless.
            let index = usize::try_from(slot.since(from)).ok();
            if let Some(sample) = index.and_then(|index| self.samples.get_mut(index)) {
                sample.load = load;
            }
        }
        Ok(())
    }

    fn place_at(&mut self, points: &[Point], at: Timestamp, question: &Question<'_>) -> Result<(), Error> {
        let mut sample = Sample { at, load: None };
        if let Some(point) = points.first() {
            if point.at().timestamp_millis() != at.timestamp_millis() {
                let (url, step) = (question.url.to_owned(), question.step);
                return Err(Error::OffGrid { url, at: point.at(), step });
            }
            sample.load = self.load(point, question)?;
        }
        self.samples = vec![sample];
        Ok(())
    }

    /// The load of a point: `None` for NaN, infinities and what is below zero.
    fn load(&mut self, point: &Point, question: &Question<'_>) -> Result<Option<Load>, Error> {
        let number: f64 = point.1.parse().map_err(|_| Error::NotPrometheus {
            url: question.url.to_owned(),
            problem: "a sample is not a number".to_owned(),
            begins: excerpt(&point.1),
        })?;
        self.negative += usize::from(number.is_finite() && number < 0.0);
        Ok(Load::try_new(number).ok())
    }
}

/// What every answer has.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    status: String,
    error_type: Option<String>,
    error: Option<String>,
    warnings: Option<Vec<String>>,
    /// `VictoriaMetrics`' word for "a storage node did not answer".
    is_partial: Option<bool>,
    data: Option<ResultType>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResultType {
    result_type: String,
}

#[derive(Deserialize)]
struct Body<T> {
    data: Data<T>,
}

#[derive(Deserialize)]
struct Data<T> {
    result: T,
}

#[derive(Deserialize)]
struct OneSeries {
    #[serde(default)]
    metric: BTreeMap<String, String>,
    #[serde(default)]
    values: Vec<Point>,
    value: Option<Point>,
    histogram: Option<IgnoredAny>,
    histograms: Option<IgnoredAny>,
}

/// `[1764235800.000, "42.5"]`: seconds since the epoch, and a number as text.
#[derive(Deserialize)]
struct Point(f64, String);

impl Point {
    /// Its instant, to the millisecond, which is as fine as Prometheus keeps it.
    fn at(&self) -> Timestamp {
        #[expect(clippy::cast_possible_truncation, reason = "saturates; absurd instants fail the grid check")]
        let millis = (self.0 * 1000.0).round() as i64;
        Timestamp::from_timestamp_millis(millis).unwrap_or_else(|| from_epoch_seconds(millis / 1000))
    }
}

impl Head {
    fn complaint(&self) -> String {
        let (kind, text) = (self.error_type.as_deref(), self.error.as_deref().unwrap_or("no explanation"));
        excerpt(&kind.map_or_else(|| text.to_owned(), |kind| format!("{kind}: {text}")))
    }
}

fn parse<T: DeserializeOwned>(body: &[u8], question: &Question<'_>) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|error| {
        let problem = if error.is_eof() { "the body ends too early" } else { "the body is no such JSON" };
        Error::NotPrometheus {
            url: question.url.to_owned(),
            problem: format!("{problem} ({error})"),
            begins: excerpt(&String::from_utf8_lossy(&body[..body.len().min(400)])),
        }
    })
}

fn the_only_series(mut all: Vec<OneSeries>, question: &Question<'_>) -> Result<Vec<Point>, Error> {
    let query = || excerpt(question.query);
    if all.iter().any(|series| series.histogram.is_some() || series.histograms.is_some()) {
        return Err(Error::Histogram { query: query() });
    }
    if all.len() > 1 {
        let differing = differing_labels(&all);
        return Err(Error::ManySeries { query: query(), count: all.len(), differing });
    }
    let only = all.pop();
    Ok(only.map_or_else(Vec::new, |series| series.values.into_iter().chain(series.value).collect()))
}

/// The labels in which series differ: their names, for what a label holds may be nobody's business.
fn differing_labels(all: &[OneSeries]) -> String {
    /// Enough to see what to aggregate away.
    const MOST_LABELS: usize = 5;
    let names: BTreeSet<&String> = all.iter().flat_map(|series| series.metric.keys()).collect();
    let differs = |name: &str| all.iter().any(|series| series.metric.get(name) != all[0].metric.get(name));
    let differing: Vec<String> =
        names.into_iter().filter(|name| differs(name)).map(|name| excerpt(name)).collect();
    let shown = differing[..differing.len().min(MOST_LABELS)].join(", ");
    match differing.len() {
        0 => String::new(),
        count if count > MOST_LABELS => {
            format!(" that differ in the labels {shown} and {} more", count - MOST_LABELS)
        }
        _ => format!(" that differ in {shown}"),
    }
}

fn wrong_kind(kind: &str, question: &Question<'_>) -> Error {
    let (found, remedy) = match kind {
        "matrix" => ("range vector", "wrap it in rate(...) and sum(...)"),
        "string" => ("string", "ask for a number"),
        "" => ("answer without resultType", "check the source's url"),
        other => (other, "ask for a single series or a scalar"),
    };
    Error::Kind { query: excerpt(question.query), found: excerpt(found), remedy }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STEP: Step = Step::MINUTE;

    fn range(slots: i64) -> Question<'static> {
        let when = When::Range { from: Slot(100), until: Slot(100 + slots) };
        Question { url: "http://prometheus", query: "sum(x)", step: STEP, when }
    }

    fn instant() -> Question<'static> {
        let when = When::Instant(from_epoch_seconds(6060));
        Question { url: "http://prometheus", query: "sum(x)", step: STEP, when }
    }

    fn loads(answer: &Answer) -> Vec<Option<f64>> {
        answer.samples.iter().map(|sample| sample.load.map(Load::get)).collect()
    }

    fn matrix(result: &str) -> String {
        format!(r#"{{"status":"success","data":{{"resultType":"matrix","result":{result}}}}}"#)
    }

    fn vector(result: &str) -> String {
        format!(r#"{{"status":"success","data":{{"resultType":"vector","result":{result}}}}}"#)
    }

    fn complaint_about(body: &str, question: &Question<'_>) -> String {
        read(body.as_bytes(), question).unwrap_err().to_string()
    }

    #[test]
    fn what_is_not_a_load_is_missing_and_never_zero() {
        let body = matrix(
            r#"[{"metric":{},"values":[[6060,"1.5"],[6120,"NaN"],[6180,"+Inf"],[6240,"-Inf"],[6300,"-2"],[6420.000,"0"]]}]"#,
        );
        let answer = read(body.as_bytes(), &range(8)).unwrap();
        assert_eq!(loads(&answer), [Some(1.5), None, None, None, None, None, Some(0.0), None]);
        assert_eq!(answer.negative, 1);
        assert_eq!(answer.samples[0].at, from_epoch_seconds(6060));
        assert_eq!(loads(&read(matrix("[]").as_bytes(), &range(2)).unwrap()), [None, None]);
    }

    #[test]
    fn an_instant_is_a_series_or_a_scalar() {
        let one = vector(r#"[{"metric":{"job":"pay"},"value":[6060.0,"7"]}]"#);
        assert_eq!(loads(&read(one.as_bytes(), &instant()).unwrap()), [Some(7.0)]);
        assert_eq!(loads(&read(vector("[]").as_bytes(), &instant()).unwrap()), [None]);
        let scalar = r#"{"status":"success","data":{"resultType":"scalar","result":[6060,"3"]}}"#;
        assert_eq!(loads(&read(scalar.as_bytes(), &instant()).unwrap()), [Some(3.0)]);
    }

    #[test]
    fn instants_that_were_not_asked_for_are_refused() {
        let shifted = matrix(r#"[{"metric":{},"values":[[6075,"1"]]}]"#);
        assert!(complaint_about(&shifted, &range(2)).contains("nocache=1"));
        let fraction = matrix(r#"[{"metric":{},"values":[[6060.5,"1"]]}]"#);
        assert!(complaint_about(&fraction, &range(2)).contains("1m grid"));
        let later = vector(r#"[{"metric":{},"value":[6061,"7"]}]"#);
        assert!(complaint_about(&later, &instant()).contains("not on the"));
        let beyond = matrix(r#"[{"metric":{},"values":[[60,"1"],[6060,"2"],[60000,"3"]]}]"#);
        assert_eq!(loads(&read(beyond.as_bytes(), &range(1)).unwrap()), [Some(2.0)]);
    }

    #[test]
    fn two_series_are_refused_with_the_names_of_the_labels_and_the_remedy() {
        let body = vector(
            r#"[{"metric":{"job":"pay","pod":"4111111111111111"},"value":[6060,"1"]},
                {"metric":{"job":"pay","pod":"b","zone":"x"},"value":[6060,"2"]}]"#,
        );
        assert_eq!(
            complaint_about(&body, &instant()),
            r#"the query "sum(x)" gives 2 series that differ in pod, zone; wrap it in sum(...)"#
        );
        let labels = |content: char| {
            ('a'..='g').map(|name| format!(r#""{name}":"{content}""#)).collect::<Vec<_>>().join(",")
        };
        let body = matrix(&format!(r#"[{{"metric":{{{}}}}},{{"metric":{{{}}}}}]"#, labels('1'), labels('2')));
        assert!(complaint_about(&body, &range(1)).contains("labels a, b, c, d, e and 2 more"));
    }

    #[test]
    fn what_is_no_load_is_named_with_its_remedy() {
        let histogram = matrix(r#"[{"metric":{},"histograms":[[6060,{"count":"3","sum":"1"}]]}]"#);
        assert!(complaint_about(&histogram, &range(1)).contains("histogram_count(rate(...))"));
        let histogram = vector(r#"[{"metric":{},"histogram":[6060,{"count":"3","sum":"1"}]}]"#);
        assert!(complaint_about(&histogram, &instant()).contains("histogram_count(rate(...))"));
        assert!(complaint_about(&matrix("[]"), &instant()).contains("range vector"));
        let text = r#"{"status":"success","data":{"resultType":"string","result":[6060,"hello"]}}"#;
        assert!(complaint_about(text, &instant()).contains("gives a string"));
    }

    #[test]
    fn a_body_that_is_no_answer_says_so() {
        assert!(complaint_about("<html><body>Sign in", &range(1)).contains("<html><body>Sign in"));
        let whole = matrix(r#"[{"metric":{},"values":[[6060,"1"]]}]"#);
        assert!(complaint_about(&whole[..whole.len() - 9], &range(1)).contains("ends too early"));
        assert!(complaint_about("", &range(1)).contains("ends too early"));
        let error = r#"{"status":"error","errorType":"execution","error":"too many samples"}"#;
        assert!(complaint_about(error, &range(1)).contains("execution: too many samples"));
        assert_eq!(complaint(error.as_bytes()), "execution: too many samples");
        assert_eq!(complaint(b" upstream\nfailure "), "upstream failure");
        assert_eq!(complaint(b""), "no explanation");
    }

    #[test]
    fn warnings_are_kept_once() {
        let body = r#"{"status":"success","isPartial":true,"warnings":["a store is down","a store is down"],
                       "data":{"resultType":"vector","result":[]}}"#;
        assert_eq!(read(body.as_bytes(), &instant()).unwrap().warnings.len(), 2);
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(
            noise in prop::collection::vec(any::<u8>(), 0..200),
            slips in prop::collection::vec((0..200_usize, any::<u8>()), 0..4),
            at in any::<f64>(),
        ) {
            let range_of = |at: f64| matrix(&format!(r#"[{{"metric":{{"a":"b"}},"values":[[{at:e},"1"]]}}]"#));
            let instant_of = |at: f64| vector(&format!(r#"[{{"metric":{{"a":"b"}},"value":[{at},"1"]}}]"#));
            for mut body in [noise, range_of(6060.0).into_bytes(), range_of(at).into_bytes(), instant_of(at).into_bytes()] {
                let _ = (read(&body, &range(3)), read(&body, &instant()), complaint(&body));
                for (place, byte) in &slips {
                    if let Some(slip) = body.get_mut(*place) {
                        *slip = *byte;
                    }
                }
                if let Ok(answer) = read(&body, &range(3)) {
                    prop_assert_eq!(answer.samples.len(), 3);
                }
                let _ = (read(&body, &instant()), complaint(&body));
            }
        }
    }
}
