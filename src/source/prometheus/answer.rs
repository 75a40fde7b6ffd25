//! From the bytes of an answer to numbers on instants. Strangers write these bytes: nothing in here panics on them.
//!
//! [`read`] wants one series, [`read_table`] one for each content of a label. Both are as strict about everything else.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::Error;
use super::error::excerpt;
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

impl When {
    /// How many instants that are.
    pub(super) fn count(self) -> i64 {
        match self {
            Self::Range { from, until } => until.since(from).max(0),
            Self::Instant(_) => 1,
        }
    }
}

/// The loads of one series, one for each instant asked for, in order.
pub(super) type Loads = Vec<Option<Load>>;

/// What makes an answer doubtful, though it is one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Doubts {
    /// What the server warns of; the measurements may be partial.
    pub(super) warnings: BTreeSet<String>,
    /// How many loads were below zero, and therefore missing.
    pub(super) negative: usize,
    /// How many were NaN or an infinity, and therefore missing.
    pub(super) not_finite: usize,
}

/// What came back of a query that gives one series.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Answer {
    /// Its loads.
    pub(super) loads: Loads,
    /// What is doubtful about them.
    pub(super) doubts: Doubts,
}

/// What came back of a query that gives a series for each content of a label.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Table {
    /// By the label's content: the loads, or why that content has none.
    pub(super) columns: HashMap<String, Result<Loads, Error>>,
    /// How many instants were asked for.
    pub(super) instants: usize,
    /// What is doubtful about all of them.
    pub(super) doubts: Doubts,
}

/// Reads an answer of one series that came with a 200.
pub(super) fn read(body: &[u8], question: &Question<'_>) -> Result<Answer, Error> {
    let (all, mut doubts) = series(body, question)?;
    if all.len() > 1 {
        let (query, count) = (excerpt(question.query), all.len());
        let differing = differing_labels(&all.iter().collect::<Vec<_>>());
        return Err(Error::ManySeries { query, count, differing });
    }
    let mut loads = vec![None; usize::try_from(question.when.count()).unwrap_or_default()];
    for series in &all {
        series.place(&mut loads, question, &mut doubts)?;
    }
    Ok(Answer { loads, doubts })
}

/// Reads an answer of many series that came with a 200, and tells them apart by `label`.
pub(super) fn read_table(body: &[u8], question: &Question<'_>, label: &str) -> Result<Table, Error> {
    let (all, mut doubts) = series(body, question)?;
    let mut by_content: BTreeMap<&str, Vec<&OneSeries<'_>>> = BTreeMap::new();
    for series in &all {
        if let Some(content) = series.metric.get(label) {
            by_content.entry(content).or_default().push(series);
        }
    }
    if by_content.is_empty() && !all.is_empty() {
        let (query, count) = (excerpt(question.query), all.len());
        return Err(Error::NoLabel { query, count, label: label.to_owned() });
    }
    let instants = usize::try_from(question.when.count()).unwrap_or_default();
    let mut columns = HashMap::with_capacity(by_content.len());
    for (content, same) in by_content {
        let column = if let [series] = same.as_slice() {
            let mut loads = vec![None; instants];
            series.place(&mut loads, question, &mut doubts)?;
            Ok(loads)
        } else {
            Err(Error::Ambiguous {
                query: excerpt(question.query),
                count: same.len(),
                label: label.to_owned(),
                differing: differing_labels(&same),
            })
        };
        columns.insert(content.to_owned(), column);
    }
    Ok(Table { columns, instants, doubts })
}

/// The series of an answer, whatever kind of answer it is.
fn series<'a>(body: &'a [u8], question: &Question<'_>) -> Result<(Vec<OneSeries<'a>>, Doubts), Error> {
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
    let all = match (kind.as_str(), question.when) {
        ("matrix", When::Range { .. }) | ("vector", When::Instant(_)) => {
            parse::<Body<Vec<OneSeries<'_>>>>(body, question)?.data.result
        }
        ("scalar", When::Instant(_)) => {
            let point = parse::<Body<Point<'_>>>(body, question)?.data.result;
            vec![OneSeries { value: Some(point), ..OneSeries::default() }]
        }
        _ => return Err(wrong_kind(&kind, question)),
    };
    if all.iter().any(|series| series.histogram.is_some() || series.histograms.is_some()) {
        return Err(Error::Histogram { query: excerpt(question.query) });
    }
    Ok((all, Doubts { warnings, ..Doubts::default() }))
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

impl Doubts {
    /// Adds those of a later chunk.
    pub(super) fn append(&mut self, later: &Self) {
        self.warnings.extend(later.warnings.iter().cloned());
        self.negative += later.negative;
        self.not_finite += later.not_finite;
    }

    /// What the server warns of, as one phrase, if it does.
    pub(super) fn phrase(&self) -> Option<String> {
        let warnings: Vec<&str> = self.warnings.iter().map(String::as_str).collect();
        (!warnings.is_empty()).then(|| warnings.join("; "))
    }

    /// Why an instant has no load, and what to look at.
    pub(super) fn no_load(&self) -> &'static str {
        match (self.not_finite, self.negative) {
            (0, 0) => "the query finds nothing: look whether its metric is scraped and spelled like this",
            (0, _) => "the query gives less than zero: look whether a counter lacks its rate(...)",
            _ => "the query gives NaN or an infinity, which is no load: look whether it divides by 0",
        }
    }
}

impl OneSeries<'_> {
    /// Puts each point where its instant belongs.
    fn place(
        &self,
        loads: &mut [Option<Load>],
        question: &Question<'_>,
        doubts: &mut Doubts,
    ) -> Result<(), Error> {
        for point in self.values.iter().chain(&self.value) {
            let at = point.at();
            let place = match question.when {
                When::Range { from, .. } => {
                    let slot = question.step.last_ended(at);
                    // Beyond the ends: more than was asked for, and harmless.
                    (question.step.end(slot) == at).then(|| slot.since(from))
                }
                When::Instant(asked) => (at.timestamp_millis() == asked.timestamp_millis()).then_some(0),
            };
            let Some(place) = place else {
                return Err(Error::OffGrid { url: question.url.to_owned(), at, step: question.step });
            };
            let load = point.load(question, doubts)?;
            if let Some(found) = usize::try_from(place).ok().and_then(|place| loads.get_mut(place)) {
                *found = load;
            }
        }
        Ok(())
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

#[derive(Deserialize, Default)]
struct OneSeries<'a> {
    #[serde(default)]
    metric: BTreeMap<String, String>,
    #[serde(default, borrow)]
    values: Vec<Point<'a>>,
    #[serde(borrow)]
    value: Option<Point<'a>>,
    histogram: Option<IgnoredAny>,
    histograms: Option<IgnoredAny>,
}

/// `[1764235800.000, "42.5"]`: seconds since the epoch, and a number as text.
#[derive(Deserialize)]
struct Point<'a>(f64, #[serde(borrow)] Cow<'a, str>);

impl Point<'_> {
    /// Its instant, to the millisecond, which is as fine as Prometheus keeps it.
    fn at(&self) -> Timestamp {
        #[expect(clippy::cast_possible_truncation, reason = "saturates; absurd instants fail the grid check")]
        let millis = (self.0 * 1000.0).round() as i64;
        Timestamp::from_timestamp_millis(millis).unwrap_or_else(|| from_epoch_seconds(millis / 1000))
    }

    /// Its load: `None` for NaN, infinities and what is below zero.
    fn load(&self, question: &Question<'_>, doubts: &mut Doubts) -> Result<Option<Load>, Error> {
        let number: f64 = self.1.parse().map_err(|_| Error::NotPrometheus {
            url: question.url.to_owned(),
            problem: "a sample is not a number".to_owned(),
            begins: excerpt(&self.1),
        })?;
        doubts.negative += usize::from(number.is_finite() && number < 0.0);
        doubts.not_finite += usize::from(!number.is_finite());
        Ok(Load::try_new(number).ok())
    }
}

impl Head {
    fn complaint(&self) -> String {
        let (kind, text) = (self.error_type.as_deref(), self.error.as_deref().unwrap_or("no explanation"));
        excerpt(&kind.map_or_else(|| text.to_owned(), |kind| format!("{kind}: {text}")))
    }
}

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8], question: &Question<'_>) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|error| {
        let problem = if error.is_eof() { "the body ends too early" } else { "the body is no such JSON" };
        Error::NotPrometheus {
            url: question.url.to_owned(),
            problem: format!("{problem} ({error})"),
            begins: excerpt(&String::from_utf8_lossy(&body[..body.len().min(400)])),
        }
    })
}

/// The labels in which series differ: their names, for what a label holds may be nobody's business.
fn differing_labels(all: &[&OneSeries<'_>]) -> String {
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
        answer.loads.iter().map(|load| load.map(Load::get)).collect()
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
        assert_eq!(answer.doubts.negative, 1);
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
        assert!(complaint_about(&shifted, &range(2)).contains("nocache"));
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
    fn a_table_has_a_column_for_each_content_of_the_label() {
        let body = matrix(
            r#"[{"metric":{"app":"api"},"values":[[6060,"1"],[6180,"3"]]},
                {"metric":{"app":"ledger","zone":"a"},"values":[[6060,"4"]]},
                {"metric":{"app":"ledger","zone":"b"},"values":[[6060,"-5"]]},
                {"metric":{"app":"refunds"},"values":[[6120,"-6"]]},
                {"metric":{"job":"no such label"},"values":[[6060,"7"]]}]"#,
        );
        let table = read_table(body.as_bytes(), &range(3), "app").unwrap();
        assert_eq!((table.columns.len(), table.instants, table.doubts.negative), (3, 3, 1));
        let column = |name: &str| table.columns[name].as_ref().unwrap().clone();
        let api: Vec<_> = column("api").iter().map(|load| load.map(Load::get)).collect();
        assert_eq!(api, [Some(1.0), None, Some(3.0)]);
        assert_eq!(column("refunds"), [None, None, None]);
        assert_eq!(
            table.columns["ledger"].as_ref().unwrap_err().to_string(),
            r#"the query "sum(x)" gives 2 series of one app that differ in zone; write sum by (app) (...)"#
        );
        let error = read_table(body.as_bytes(), &range(3), "deployment").unwrap_err().to_string();
        assert!(
            error.contains("none of the 5 series") && error.contains("sum by (deployment) (...)"),
            "{error}"
        );
        let nothing = read_table(matrix("[]").as_bytes(), &range(3), "app").unwrap();
        assert_eq!((nothing.columns.len(), nothing.instants), (0, 3));
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
        assert_eq!(read(body.as_bytes(), &instant()).unwrap().doubts.warnings.len(), 2);
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
                    prop_assert_eq!(answer.loads.len(), 3);
                }
                let _ = (read(&body, &instant()), complaint(&body));
                let _ = (read_table(&body, &instant(), "a"), read_table(&body, &range(3), "a"));
            }
        }
    }
}
