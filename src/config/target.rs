//! A target's keys, checked into the [`Target`] that the engine works for, and back.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use super::checker::Checker;
use super::complaint::KeyPath;
use super::models::values;
use super::nearest::{listed, nearest};
use super::{defaults, duration, raw};
use crate::decision::Policy;
use crate::engine::{Demand, Label, ScaledObject, Target};
use crate::guard;
use crate::plan;
use crate::time::Step;
use crate::units::{LoadPerReplica, Quantile, Replicas};

/// A target's name is the name of its metric, a path segment of at most 63 characters to which KEDA adds `s12-`
/// (contract, section 1.4).
const LONGEST_NAME: usize = 59;

/// A plan reaches 48 h; a pod that takes longer than a quarter of a day to be ready is beyond forecasting.
const LEAD_TIMES: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(6 * 3600);

/// Ingestion that lags by more than an hour is an outage.
const SETTLE_LAGS: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(3600);

/// Three years cover the yearly sales; less than an hour teaches nothing.
const HISTORIES: RangeInclusive<Duration> = Duration::from_secs(3600)..=Duration::from_secs(1100 * 86_400);

/// Eight bytes each: 40 MB of one target's history is where memory is no longer an afterthought.
const MOST_SLOTS: i64 = 5_000_000;

/// The HPA's window follows; beyond an hour the hold would cost more pods than it saves.
const HOLDS: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(3600);

/// Two answers at least, and three of the largest steps at most.
const STALE_AFTERS: RangeInclusive<Duration> = Duration::from_secs(30)..=Duration::from_secs(3 * 86_400);

/// Below the median a plan is short more often than not, which is no plan.
const QUANTILES: RangeInclusive<f64> = 0.5..=0.999;

pub(super) fn check(
    name: &str,
    raw: &raw::Target,
    path: &KeyPath,
    sources: &[&str],
    checker: &mut Checker<'_>,
) -> Option<Target> {
    let legal = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    if name.is_empty() || name.len() > LONGEST_NAME || !name.bytes().all(legal) {
        let message =
            format!("a target's name becomes a metric name: 1 to {LONGEST_NAME} of a-z, 0-9 and \"-\"");
        checker.complain(path, message);
    }

    let scaled_object =
        raw.scaled_object.as_deref().and_then(|text| scaled_object(text, &path.key("scaledObject"), checker));
    let demand = raw.demand.as_ref().and_then(|raw| demand(raw, name, &path.key("demand"), sources, checker));
    let step = demand.as_ref().map_or(defaults::STEP, |demand| demand.step);
    let capacity = raw.capacity.as_ref().and_then(|capacity| capacity.per_replica).and_then(|per_replica| {
        checker.accept(&path.key("capacity").key("perReplica"), LoadPerReplica::try_new(per_replica))
    });
    let replicas = raw.replicas.as_ref().and_then(|raw| replicas(raw, &path.key("replicas"), checker));
    let lead_time = lead_time(raw.lead_time.as_deref(), &path.key("leadTime"), checker);
    let timezone =
        raw.timezone.as_deref().and_then(|text| values::timezone(text, &path.key("timezone"), checker));
    let quantile = match &raw.objective {
        Some(raw) => quantile(raw, &path.key("objective"), checker),
        None => Some(defaults::QUANTILE),
    };
    let mode = raw.mode.map_or(defaults::MODE, |mode| match mode {
        raw::Mode::Shadow => guard::Mode::Shadow,
        raw::Mode::Active => guard::Mode::Active,
    });
    let hold = raw.scale_down_hold.as_deref();
    let scale_down_hold =
        checker.duration(&path.key("scaleDownHold"), hold, defaults::SCALE_DOWN_HOLD, &HOLDS);
    let stale_after = raw.stale_after.as_deref();
    let stale_after =
        checker.duration(&path.key("staleAfter"), stale_after, defaults::stale_after(step), &STALE_AFTERS);

    let (min, max) = replicas?;
    let plan = plan::Options { capacity: capacity?, lead_time: lead_time?, quantile: quantile? };
    let guard =
        guard::Options { min, max, scale_down_hold: scale_down_hold?, stale_after: stale_after?, mode };
    Some(Target {
        name: Arc::from(name),
        scaled_object: scaled_object?,
        demand: demand?,
        timezone: timezone?,
        policy: Policy { plan, guard },
    })
}

fn scaled_object(text: &str, path: &KeyPath, checker: &mut Checker<'_>) -> Option<ScaledObject> {
    match text.split_once('/') {
        Some((namespace, name)) if is_namespace_name(namespace) && is_object_name(name) => {
            Some(ScaledObject { namespace: namespace.to_owned(), name: name.to_owned() })
        }
        _ => {
            checker.complain(path, format!("{text:?} is not namespace/name, such as payments/payments-api"));
            None
        }
    }
}

/// Whether Kubernetes takes `text` for the name of a namespace: a DNS label.
fn is_namespace_name(text: &str) -> bool {
    text.len() <= 63 && !text.contains('.') && is_object_name(text)
}

/// Whether Kubernetes takes `text` for the name of an object: DNS labels with dots between.
pub(crate) fn is_object_name(text: &str) -> bool {
    let label = |label: &str| {
        let legal = label.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        legal && !label.is_empty() && !label.starts_with('-') && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

fn demand(
    raw: &raw::Demands,
    target: &str,
    path: &KeyPath,
    sources: &[&str],
    checker: &mut Checker<'_>,
) -> Option<Demand> {
    let (raw, path) = match raw {
        raw::Demands::One(demand) => (demand.as_ref(), path.clone()),
        raw::Demands::List(demands) => {
            let [demand] = demands.as_slice() else {
                checker.complain(path, "several demands per target are not supported yet; give one");
                return None;
            };
            (demand, path.item(0))
        }
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
    let label = label(raw, target, &path, checker);
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
        source: source?,
        query: query?,
        label,
        step: step?,
        settle_lag: settle_lag?,
        history: history?,
        unit: raw.unit.clone().unwrap_or_else(|| defaults::UNIT.to_owned()),
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
    checker.accept(path, Step::try_new(duration))
}

fn replicas(raw: &raw::Replicas, path: &KeyPath, checker: &mut Checker<'_>) -> Option<(Replicas, Replicas)> {
    if raw.max == Some(0) {
        checker.complain(&path.key("max"), "0 would stop the service; give at least 1");
    }
    let (min, max) = (raw.min?, raw.max?);
    if min > max && max > 0 {
        checker.complain(
            &path.key("min"),
            format!("{min} is above max, which is {max}; lower min or raise max"),
        );
    }
    Some((Replicas(min), Replicas(max)))
}

fn lead_time(text: Option<&str>, path: &KeyPath, checker: &mut Checker<'_>) -> Option<Duration> {
    if text == Some("auto") {
        let message = "lead times are not learned yet; give the time from a pod's creation to its readiness, p95, \
                       such as 90s";
        checker.complain(path, message);
        return None;
    }
    checker.duration(path, text, defaults::LEAD_TIME, &LEAD_TIMES)
}

fn quantile(raw: &raw::Objective, path: &KeyPath, checker: &mut Checker<'_>) -> Option<Quantile> {
    let costs = "give underCost and overCost, or quantile";
    match (raw.quantile, raw.under_cost, raw.over_cost) {
        (Some(level), None, None) => {
            let path = path.key("quantile");
            if QUANTILES.contains(&level) {
                return checker.accept(&path, Quantile::try_new(level));
            }
            let (least, most) = (QUANTILES.start(), QUANTILES.end());
            let message =
                format!("quantile {level} is not between {least} and {most}; 0.95 is the usual choice");
            checker.complain(&path, message);
            None
        }
        (None, Some(under), Some(over)) => {
            for (key, cost) in [("underCost", under), ("overCost", over)] {
                if cost <= 0.0 {
                    checker.complain(&path.key(key), format!("{cost} is not a cost above 0"));
                }
            }
            if under <= 0.0 || over <= 0.0 {
                return None;
            }
            checker.accept(path, Quantile::for_cost_ratio(under / over))
        }
        (None, None, None) => {
            checker.complain_of_absence(path, format!("is empty; {costs}"));
            None
        }
        (Some(_), _, _) => {
            checker.complain(path, format!("says it twice; {costs}, not both"));
            None
        }
        (None, _, _) => {
            checker.complain_of_absence(path, format!("has one cost and needs the other; {costs}"));
            None
        }
    }
}

/// The target as the file would write it, with nothing left out.
pub(super) fn to_raw(target: &Target) -> raw::Target {
    let Target { scaled_object, demand, timezone, policy: Policy { plan, guard }, .. } = target;
    let demand = raw::Demand {
        source: Some(demand.source.clone()),
        query: Some(demand.query.clone()),
        by: demand.label.as_ref().map(|label| label.name.clone()),
        value: demand.label.as_ref().map(|label| label.content.clone()),
        step: Some(duration::text(demand.step.duration())),
        unit: Some(demand.unit.clone()),
        settle_lag: Some(duration::text(demand.settle_lag)),
        history: Some(duration::text(demand.history)),
    };
    raw::Target {
        scaled_object: Some(scaled_object.to_string()),
        demand: Some(raw::Demands::One(Box::new(demand))),
        capacity: Some(raw::Capacity { per_replica: Some(plan.capacity.get()) }),
        replicas: Some(raw::Replicas { min: Some(guard.min.0), max: Some(guard.max.0) }),
        lead_time: Some(duration::text(plan.lead_time)),
        timezone: Some(timezone.name().to_owned()),
        objective: Some(raw::Objective { quantile: Some(plan.quantile.get()), ..raw::Objective::default() }),
        mode: Some(match guard.mode {
            guard::Mode::Shadow => raw::Mode::Shadow,
            guard::Mode::Active => raw::Mode::Active,
        }),
        scale_down_hold: Some(duration::text(guard.scale_down_hold)),
        stale_after: Some(duration::text(guard.stale_after)),
    }
}
