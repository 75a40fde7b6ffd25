//! How the HPA of a target scales, checked and back: how fast it lets replicas climb, and its tolerance.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::checker::Checker;
use super::complaint::KeyPath;
use super::{defaults, raw};
use crate::engine::ScaleUpFrom;
use crate::guard::{Tolerance, tolerance};
use crate::plan::{Growth, ScaleUp, ScaleUpPolicy, Select, Unit};

/// At half of the target and beyond an HPA hardly scales, and an answer that makes up for it is half as large again.
const TOLERANCES: RangeInclusive<f64> = 0.0..=0.5;

/// How fast replicas can climb, and whether the HPA is to be asked for its part of it. `None` only when something was complained of.
pub(super) fn growth(
    raw: Option<&raw::Growth>,
    path: &KeyPath,
    checker: &mut Checker<'_>,
) -> Option<(ScaleUpFrom, Growth)> {
    let Some(raw) = raw else {
        return Some((ScaleUpFrom::Hpa, Growth::default()));
    };
    let pods_per_minute = match raw.pods_per_minute {
        Some(pods) if !pods.is_finite() || pods <= 0.0 => {
            let message =
                format!("{pods} pods a minute would be no growth at all; give a number above 0, such as 30");
            checker.complain(&path.key("podsPerMinute"), message);
            None
        }
        pods => Some(pods),
    };
    let (from, scale_up) = match &raw.scale_up {
        Some(raw) => (ScaleUpFrom::Configured, scale_up(raw)),
        None => (ScaleUpFrom::Hpa, Some(ScaleUp::default())),
    };
    Some((from, Growth { scale_up: scale_up?, pods_per_minute: pods_per_minute? }))
}

/// `None` only when its shape was complained of.
fn scale_up(raw: &raw::ScaleUp) -> Option<ScaleUp> {
    let policy = |raw: &raw::ScaleUpPolicy| {
        let unit = match raw.unit? {
            raw::ScaleUpUnit::Pods => Unit::Pods,
            raw::ScaleUpUnit::Percent => Unit::Percent,
        };
        let period = Duration::from_secs(raw.period_seconds?.into());
        Some(ScaleUpPolicy { unit, amount: raw.value?, period })
    };
    let select = match raw.select_policy {
        None | Some(raw::SelectPolicy::Max) => Select::Max,
        Some(raw::SelectPolicy::Min) => Select::Min,
    };
    Some(ScaleUp::Policies {
        select,
        policies: raw.policies.as_ref()?.iter().map(policy).collect::<Option<_>>()?,
    })
}

/// As the file would write it; `None` where there is nothing to say.
pub(super) fn growth_to_raw(from: ScaleUpFrom, growth: &Growth) -> Option<raw::Growth> {
    let policy = |policy: &ScaleUpPolicy| raw::ScaleUpPolicy {
        unit: Some(match policy.unit {
            Unit::Pods => raw::ScaleUpUnit::Pods,
            Unit::Percent => raw::ScaleUpUnit::Percent,
        }),
        value: Some(policy.amount),
        period_seconds: u32::try_from(policy.period.as_secs()).ok(),
    };
    let scale_up = match &growth.scale_up {
        ScaleUp::Policies { select, policies } if from == ScaleUpFrom::Configured => Some(raw::ScaleUp {
            select_policy: Some(match select {
                Select::Max => raw::SelectPolicy::Max,
                Select::Min => raw::SelectPolicy::Min,
            }),
            policies: Some(policies.iter().map(policy).collect()),
        }),
        // The HPA is asked; and doubling no file can say.
        ScaleUp::Policies { .. } | ScaleUp::Doubling => None,
    };
    let raw = raw::Growth { pods_per_minute: growth.pods_per_minute, scale_up };
    (raw != raw::Growth::default()).then_some(raw)
}

/// The mode, and the HPA's tolerance, of the target at `path`. `None` only when something was complained of.
pub(super) fn tolerance_of(
    raw: &raw::Target,
    path: &KeyPath,
    checker: &mut Checker<'_>,
) -> Option<Tolerance> {
    let mode = match raw.tolerance {
        None | Some(raw::Tolerance::Auto) => tolerance::Mode::Auto,
        Some(raw::Tolerance::Exact) => tolerance::Mode::Exact,
        Some(raw::Tolerance::Deadband) => tolerance::Mode::Deadband,
        Some(raw::Tolerance::Headroom) => tolerance::Mode::Headroom,
    };
    let size = raw.hpa_tolerance.unwrap_or(defaults::HPA_TOLERANCE);
    let path = path.key("hpaTolerance");
    if !TOLERANCES.contains(&size) {
        let (least, most) = (TOLERANCES.start(), TOLERANCES.end());
        let message = format!("{size} is not between {least} and {most}; a controller without flags has 0.1");
        checker.complain(&path, message);
        return None;
    }
    if raw.hpa_tolerance.is_some() && mode == tolerance::Mode::Exact {
        checker
            .complain(&path, "says nothing where tolerance is exact; leave it out, or give tolerance: auto");
        return None;
    }
    Some(Tolerance { mode, up: size, down: size })
}

/// As the file would write them.
pub(super) fn tolerance_to_raw(tolerance: &Tolerance) -> (raw::Tolerance, Option<f64>) {
    match tolerance.mode {
        tolerance::Mode::Auto => (raw::Tolerance::Auto, Some(tolerance.up)),
        tolerance::Mode::Exact => (raw::Tolerance::Exact, None),
        tolerance::Mode::Deadband => (raw::Tolerance::Deadband, Some(tolerance.up)),
        tolerance::Mode::Headroom => (raw::Tolerance::Headroom, Some(tolerance.up)),
    }
}
