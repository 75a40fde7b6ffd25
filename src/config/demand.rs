//! A target's demands, checked and back: what is measured, and what a replica bears of it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use super::checker::Checker;
use super::complaint::KeyPath;
use super::nearest::{listed, nearest};
use super::{defaults, duration, raw};
use crate::engine::{Demand, Label};
use crate::time::Step;
use crate::units::LoadPerReplica;

/// A label of a metric, and no longer than the name of a target.
const LONGEST_NAME: usize = 59;

/// Ingestion that lags by more than an hour is an outage.
const SETTLE_LAGS: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(3600);

/// Three years cover the yearly sales; less than an hour teaches nothing.
const HISTORIES: RangeInclusive<Duration> = Duration::from_secs(3600)..=Duration::from_secs(1100 * 86_400);

/// Eight bytes each: 40 MB of one target's history is where memory is no longer an afterthought.
const MOST_SLOTS: i64 = 5_000_000;

/// The demands of the target `name`, whose keys stand at `path`.
pub(super) fn check(
    name: &str,
    target: &raw::Target,
    path: &KeyPath,
    sources: &[&str],
    checker: &mut Checker<'_>,
) -> Option<Vec<Demand>> {
    let capacity_path = path.key("capacity");
    let common = target.capacity.as_ref().and_then(|raw| capacity(raw, &capacity_path, checker));

    let path = path.key("demand");
    let written: Vec<(KeyPath, &raw::Demand)> = match target.demand.as_ref()? {
        raw::Demands::One(demand) => vec![(path, demand)],
        raw::Demands::List(demands) => {
            demands.iter().enumerate().map(|(index, demand)| (path.item(index), demand)).collect()
        }
    };
    if target.capacity.is_none() && written.iter().any(|(_, demand)| demand.capacity.is_none()) {
        checker.complain_of_absence(
            &capacity_path,
            "missing; what a replica bears, such as capacity: { perReplica: 120 }, here or with each demand",
        );
    }
    let called = |place, raw: &raw::Demand| {
        Arc::from(raw.name.clone().unwrap_or_else(|| default_name(place, written.len())))
    };
    let checked: Vec<_> = (1..)
        .zip(&written)
        .map(|(place, (path, raw))| {
            check_one(raw, name, (called(place, raw), common), path, sources, checker)
        })
        .collect();
    complain_of_twins(&written, &checked, checker);
    checked.into_iter().collect()
}

fn capacity(raw: &raw::Capacity, path: &KeyPath, checker: &mut Checker<'_>) -> Option<LoadPerReplica> {
    checker.accept(&path.key("perReplica"), LoadPerReplica::try_new(raw.per_replica?))
}

/// What the demand at a place, counted from 1, of so many is called when the file does not say.
fn default_name(place: usize, count: usize) -> String {
    if count == 1 { "demand".to_owned() } else { format!("demand-{place}") }
}

/// Two demands that nobody could tell apart.
fn complain_of_twins(
    written: &[(KeyPath, &raw::Demand)],
    checked: &[Option<Demand>],
    checker: &mut Checker<'_>,
) {
    let (mut names, mut measured) = (BTreeSet::new(), BTreeMap::new());
    for ((path, _), demand) in written.iter().zip(checked) {
        let Some(demand) = demand else { continue };
        if !names.insert(Arc::clone(&demand.name)) {
            let message =
                format!("another demand of this target is called {:?}; give each its own", demand.name);
            checker.complain(&path.key("name"), message);
        }
        // The archive keeps histories by query and step.
        let twin = measured.insert((demand.measured(), demand.step), Arc::clone(&demand.name));
        if let Some(twin) = twin {
            let message = format!(
                "is the query of {twin:?} too, at the same step; keep one of the two, or tell them apart by a comment \
                 in the query where their sources differ"
            );
            checker.complain(&path.key("query"), message);
        }
    }
}

fn check_one(
    raw: &raw::Demand,
    target: &str,
    (name, common): (Arc<str>, Option<LoadPerReplica>),
    path: &KeyPath,
    sources: &[&str],
    checker: &mut Checker<'_>,
) -> Option<Demand> {
    let legal = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    if name.is_empty() || name.len() > LONGEST_NAME || !name.bytes().all(legal) {
        let message = format!("a demand's name is a label: 1 to {LONGEST_NAME} of a-z, 0-9 and \"-\"");
        checker.complain(&path.key("name"), message);
    }
    let capacity = match &raw.capacity {
        Some(raw) => capacity(raw, &path.key("capacity"), checker),
        None => common,
    };
    let source = raw.source.clone();
    if let Some(source) = raw.source.as_deref().filter(|source| !sources.contains(source)) {
        let meant = nearest(source, sources.iter().copied());
        let meant = meant.map_or_else(String::new, |meant| format!(" did you mean {meant:?}?"));
        let known = listed(sources.iter().copied());
        let message = format!("there is no source {source:?};{meant} sources are: {known}");
        checker.complain(&path.key("source"), message);
    }
    let query = raw.query.clone();
    if query.as_ref().is_some_and(|query| query.trim().is_empty()) {
        checker.complain(
            &path.key("query"),
            "is empty; write it like sum(rate(payment_transactions_total[2m]))",
        );
    }
    let label = label(raw, target, path, checker);
    let step = step(raw.step.as_deref(), &path.key("step"), checker);
    let lag = defaults::settle_lag(step.unwrap_or(defaults::STEP));
    let settle_lag = checker.duration(&path.key("settleLag"), raw.settle_lag.as_deref(), lag, &SETTLE_LAGS);
    let history = raw.history.as_deref();
    let history = checker.duration(&path.key("history"), history, defaults::HISTORY, &HISTORIES);
    if let (Some(step), Some(history)) = (step, history)
        && step.slots_in(history) > MOST_SLOTS
    {
        let history = duration::text(history);
        let message = format!(
            "{history} at a step of {step} is more than {MOST_SLOTS} slots; raise step or lower history"
        );
        checker.complain(&path.key("history"), message);
    }
    Some(Demand {
        name,
        source: source?,
        query: query?,
        label,
        step: step?,
        settle_lag: settle_lag?,
        history: history?,
        unit: raw.unit.clone().unwrap_or_else(|| defaults::UNIT.to_owned()),
        capacity: capacity?,
    })
}

/// The label that picks the target's series out of a shared query, if it is one.
fn label(raw: &raw::Demand, target: &str, path: &KeyPath, checker: &mut Checker<'_>) -> Option<Label> {
    let Some(name) = raw.by.as_deref() else {
        if raw.value.is_some() {
            checker.complain_of_absence(
                &path.key("value"),
                "says what a label holds and there is no label; give by, such as by: deployment",
            );
        }
        return None;
    };
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if name.is_empty() || name.starts_with(|first: char| first.is_ascii_digit()) || !name.bytes().all(legal) {
        let message = format!("{name:?} is not the name of a label; write it like deployment");
        checker.complain(&path.key("by"), message);
    }
    let content = raw.value.as_deref().unwrap_or(target);
    if content.is_empty() {
        checker.complain(&path.key("value"), "is empty; no series has an empty label");
    }
    Some(Label { name: name.to_owned(), content: content.to_owned() })
}

fn step(text: Option<&str>, path: &KeyPath, checker: &mut Checker<'_>) -> Option<Step> {
    let any = Duration::ZERO..=Duration::MAX;
    let duration = checker.duration(path, text, defaults::STEP.duration(), &any)?;
    let step = checker.accept(path, Step::try_new(duration))?;
    if !tiles(step.seconds()) {
        let near = |mut seconds: i64, by: i64| {
            while !tiles(seconds) || seconds > 60 && seconds % 60 > 0 {
                seconds += by;
            }
            duration::text(Duration::from_secs(seconds.unsigned_abs()))
        };
        let (shorter, longer) = (near(step.seconds(), -1), near(step.seconds(), 1));
        let why = if step < Step::MINUTE {
            "a minute a whole number of times, so the next minutes could not be forecast"
        } else {
            "a day a whole number of times, so no slot would be at the same time each day"
        };
        let message = format!("{step} does not go into {why}; use {shorter} or {longer}");
        checker.complain(path, message);
        return None;
    }
    Some(step)
}

/// Whether slots of so many seconds, from 1 to a day, fill a minute if they are shorter, and else a day.
fn tiles(seconds: i64) -> bool {
    if seconds < 60 { 60 % seconds == 0 } else { 86_400 % seconds == 0 }
}

/// The demands as the file would write them, with nothing left out: a single one with its capacity beside it, several with
/// a capacity each.
pub(super) fn to_raw(demands: &[Demand]) -> (raw::Demands, Option<raw::Capacity>) {
    let capacity = |demand: &Demand| Some(raw::Capacity { per_replica: Some(demand.capacity.get()) });
    let raw = |demand: &Demand| raw::Demand {
        name: Some(demand.name.to_string()),
        source: Some(demand.source.clone()),
        query: Some(demand.query.clone()),
        by: demand.label.as_ref().map(|label| label.name.clone()),
        value: demand.label.as_ref().map(|label| label.content.clone()),
        step: Some(duration::text(demand.step.duration())),
        unit: Some(demand.unit.clone()),
        settle_lag: Some(duration::text(demand.settle_lag)),
        history: Some(duration::text(demand.history)),
        capacity: None,
    };
    match demands {
        [one] => (raw::Demands::One(Box::new(raw(one))), capacity(one)),
        several => {
            let raw = |demand| raw::Demand { capacity: capacity(demand), ..raw(demand) };
            (raw::Demands::List(several.iter().map(raw).collect()), None)
        }
    }
}
