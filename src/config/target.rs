//! A target's keys, checked into the [`Target`] that the engine works for, and back.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use super::calendars::Calendars;
use super::checker::Checker;
use super::complaint::KeyPath;
use super::models::{each, reference, values};
use super::{defaults, demand, duration, exclude, raw, scaling};
use crate::calendar::Calendar;
use crate::decision::Policy;
use crate::engine::{LeadTime, ScaledObject, Target};
use crate::guard;
use crate::plan;
use crate::units::{Quantile, Replicas};

/// A target's name is the name of its metric, a path segment of at most 63 characters to which KEDA adds `s12-`
/// (contract, section 1.4).
const LONGEST_NAME: usize = 59;

/// What `leadTime` says when the cluster is to show it.
const AUTO: &str = "auto";

/// A plan reaches 48 h; a pod that takes longer than a quarter of a day to be ready is beyond forecasting.
pub(crate) const LEAD_TIMES: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(6 * 3600);

/// The HPA's window follows; beyond an hour the hold would cost more pods than it saves.
const HOLDS: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(3600);

/// Two answers at least, and three of the largest steps at most.
const STALE_AFTERS: RangeInclusive<Duration> = Duration::from_secs(30)..=Duration::from_secs(3 * 86_400);

/// Below the median a plan is short more often than not, which is no plan.
const QUANTILES: RangeInclusive<f64> = 0.5..=0.999;

/// What a target may refer to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'a> {
    /// The names of the configuration's sources.
    pub(super) sources: &'a [&'a str],
    /// Its calendars and events, unless they were complained of.
    pub(super) calendars: Option<&'a Calendars>,
}

pub(super) fn check(
    name: &str,
    raw: &raw::Target,
    path: &KeyPath,
    context: Context<'_>,
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
    let demands = demand::check(name, raw, path, context.sources, checker);
    let coarsest = demands.iter().flatten().map(|demand| demand.step).max();
    let replicas = raw.replicas.as_ref().and_then(|raw| replicas(raw, &path.key("replicas"), checker));
    let (from, lead_time) = lead_time(raw.lead_time.as_deref(), &path.key("leadTime"), checker);
    let timezone =
        raw.timezone.as_deref().and_then(|text| values::timezone(text, &path.key("timezone"), checker));
    let calendars = calendars(raw.calendars.as_ref(), &path.key("calendars"), context.calendars, checker);
    let exclude = exclude::check(raw.exclude.as_deref(), &path.key("exclude"), checker);
    let quantile = match &raw.objective {
        Some(raw) => quantile(raw, &path.key("objective"), checker),
        None => Some(defaults::QUANTILE),
    };
    let mode = raw.mode.map_or(defaults::MODE, |mode| match mode {
        raw::Mode::Shadow => guard::Mode::Shadow,
        raw::Mode::Active => guard::Mode::Active,
    });
    let growth = scaling::growth(raw.growth.as_ref(), &path.key("growth"), checker);
    let floor = raw.floor.map_or(guard::Floor::default(), |floor| match floor {
        raw::Floor::Reactive => guard::Floor::Reactive,
        raw::Floor::Hold => guard::Floor::Hold,
    });
    let tolerance = scaling::tolerance_of(raw, path, checker);
    let hold = raw.scale_down_hold.as_deref();
    let scale_down_hold =
        checker.duration(&path.key("scaleDownHold"), hold, defaults::SCALE_DOWN_HOLD, &HOLDS);
    let stale_after = raw.stale_after.as_deref();
    let stale_after = checker.duration(
        &path.key("staleAfter"),
        stale_after,
        defaults::stale_after(coarsest.unwrap_or(defaults::STEP)),
        &STALE_AFTERS,
    );

    let (min, max) = replicas?;
    let (scale_up, growth) = growth?;
    let plan = plan::Options { lead_time: lead_time?, quantile: quantile?, growth };
    let guard = guard::Options {
        min,
        max,
        scale_down_hold: scale_down_hold?,
        stale_after: stale_after?,
        mode,
        floor,
        hold: None,
    };
    Some(Target {
        name: Arc::from(name),
        labels: raw.labels.clone().unwrap_or_default(),
        scaled_object: scaled_object?,
        demands: demands?,
        timezone: timezone?,
        almanac: context.calendars?.almanac(name, timezone?, calendars?),
        lead_time: from,
        scale_up,
        exclude: exclude?,
        policy: Policy { plan, guard },
        tolerance: tolerance?,
    })
}

/// The calendars a target names. Where the configuration's own were complained of, a name may be one of theirs.
fn calendars(
    names: Option<&Vec<String>>,
    path: &KeyPath,
    known: Option<&Calendars>,
    checker: &mut Checker<'_>,
) -> Option<Vec<Arc<Calendar>>> {
    let library = &known?.library;
    let known: Vec<String> = library.calendars().map(|calendar| calendar.name.to_string()).collect();
    each(names, path, checker, |name, path, checker| {
        reference(Some(name), &known, "calendar", path, checker).ok()?;
        library.calendar(name).cloned()
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

/// Where it comes from, and what it is; where it is learned, what it is until it has been.
fn lead_time(text: Option<&str>, path: &KeyPath, checker: &mut Checker<'_>) -> (LeadTime, Option<Duration>) {
    match text {
        Some(AUTO) => (LeadTime::Learned, Some(defaults::LEAD_TIME)),
        _ => (LeadTime::Configured, checker.duration(path, text, defaults::LEAD_TIME, &LEAD_TIMES)),
    }
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
    let Target {
        labels,
        scaled_object,
        demands,
        timezone,
        almanac,
        lead_time,
        scale_up,
        exclude,
        policy: Policy { plan, guard },
        tolerance,
        ..
    } = target;
    let (tolerance, hpa_tolerance) = scaling::tolerance_to_raw(tolerance);
    let (demand, capacity) = demand::to_raw(demands);
    let calendars: Vec<_> = almanac.calendars().iter().map(|calendar| calendar.name.to_string()).collect();
    raw::Target {
        scaled_object: Some(scaled_object.to_string()),
        labels: (!labels.is_empty()).then(|| labels.clone()),
        demand: Some(demand),
        capacity,
        replicas: Some(raw::Replicas { min: Some(guard.min.0), max: Some(guard.max.0) }),
        lead_time: Some(match lead_time {
            LeadTime::Configured => duration::text(plan.lead_time),
            LeadTime::Learned => AUTO.to_owned(),
        }),
        timezone: Some(timezone.name().to_owned()),
        calendars: (!calendars.is_empty()).then_some(calendars),
        exclude: (!exclude.is_empty()).then(|| exclude::to_raw(exclude)),
        objective: Some(raw::Objective { quantile: Some(plan.quantile.get()), ..raw::Objective::default() }),
        mode: Some(match guard.mode {
            guard::Mode::Shadow => raw::Mode::Shadow,
            guard::Mode::Active => raw::Mode::Active,
        }),
        growth: scaling::growth_to_raw(*scale_up, &plan.growth),
        floor: Some(match guard.floor {
            guard::Floor::Reactive => raw::Floor::Reactive,
            guard::Floor::Hold => raw::Floor::Hold,
        }),
        tolerance: Some(tolerance),
        hpa_tolerance,
        scale_down_hold: Some(duration::text(guard.scale_down_hold)),
        stale_after: Some(duration::text(guard.stale_after)),
    }
}
