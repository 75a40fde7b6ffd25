//! What is wrong with a demand: what it is measured by, how much history it has, and what its forecast asks of the HPA.

use std::time::Duration;

use super::facts::{Facts, Measured, Rate};
use super::lint::Finding;
use super::scaling::may_add;
use crate::engine::{Demand, Target};
use crate::time::Timestamp;
use crate::units::Replicas;

/// A rate over fewer scrapes has holes whenever one of them is late.
const SCRAPES_IN_A_RATE: u32 = 4;

pub(super) fn lint(
    target: &Target,
    demand: &Demand,
    measured: &Measured,
    facts: &Facts,
    findings: &mut Vec<Finding>,
) {
    let query = if target.demands.len() == 1 {
        "the query".to_owned()
    } else {
        format!("the query of {}", demand.name)
    };
    match &measured.observed {
        Ok(Some(_)) => {}
        Ok(None) => findings.push(Finding::new(
            format!("{query} gives nothing now: {}", demand.query),
            "try it in the source's own page",
        )),
        Err(why) => findings.push(Finding::unread(why)),
    }
    if let Err(why) = &measured.since {
        findings.push(Finding::unread(why));
    }
    if let Some(Rate { range, scrapes }) = measured.rate
        && range < scrapes * SCRAPES_IN_A_RATE
    {
        let (range, scrapes) = (range.as_secs(), scrapes.as_secs());
        findings.push(Finding::new(
            format!(
                "{query} takes a rate over {range} s of scrapes {scrapes} s apart: each late scrape makes a hole"
            ),
            format!("take it over {} s or more", scrapes * u64::from(SCRAPES_IN_A_RATE)),
        ));
    }
    if let Ok(ahead) = &measured.ahead {
        findings.extend(beyond_max(target, ahead));
        if let Ok(cluster) = &facts.cluster
            && let Ok(hpa) = &cluster.hpa
        {
            findings.extend(too_steep(ahead, |running, span| may_add(hpa, running, span)));
        }
    }
}

fn beyond_max(target: &Target, ahead: &[(Timestamp, Replicas)]) -> Option<Finding> {
    let max = target.policy.guard.max;
    let (at, most) = ahead.iter().max_by_key(|(_, replicas)| replicas.0)?;
    (*most > max).then(|| {
        let at = at.with_timezone(&target.timezone).format("%a %H:%M");
        Finding::new(
            format!("the forecast needs {most} replicas on {at} and replicas.max is {max}"),
            "raise it, in the ScaledObject too",
        )
    })
}

/// The step at which the forecast outruns the HPA the most, where it does.
fn too_steep(ahead: &[(Timestamp, Replicas)], may_add: impl Fn(u32, Duration) -> u64) -> Option<Finding> {
    let outrun = ahead.windows(2).filter_map(|pair| {
        let [(from, few), (until, many)] = pair else { return None };
        let span = (*until - *from).to_std().ok()?;
        let (wanted, allowed) = (u64::from(many.0.saturating_sub(few.0)), may_add(few.0, span));
        (wanted > allowed).then(|| (wanted - allowed, wanted, allowed, until, span))
    });
    let (_, wanted, allowed, at, span) = outrun.max_by_key(|(short, ..)| *short)?;
    let (seconds, at) = (span.as_secs(), at.format("%H:%M UTC"));
    Some(Finding::new(
        format!(
            "the forecast grows by {wanted} replicas in {seconds} s towards {at} and the HPA's policies allow {allowed}"
        ),
        "widen behavior.scaleUp.policies; `tidetable render` writes Percent 900 in 15 s",
    ))
}

/// The first range in a query, and what stands before it: a selector whose samples can be counted.
pub(super) fn first_range(query: &str) -> Option<(&str, Duration)> {
    let open = query.find('[')?;
    let (inside, _) = query[open + 1..].split_once(']')?;
    // A subquery has no scrapes of its own.
    let range = humantime::parse_duration(inside).ok()?;
    let before = query[..open].trim_end();
    let name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let braces = if before.ends_with('}') { before.rfind('{')? } else { before.len() };
    let begin = before[..braces].rfind(|c| !name(c)).map_or(0, |at| at + 1);
    let selector = &before[begin..];
    (!selector.is_empty()).then_some((selector, range))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_range_is_found_with_its_selector() {
        let minutes = |count: u64| Duration::from_secs(60 * count);
        for (query, expected) in [
            ("sum(rate(tx_total[2m]))", Some(("tx_total", minutes(2)))),
            (r#"sum by (a) (rate(tx:b_total{x="y"}[5m]))"#, Some((r#"tx:b_total{x="y"}"#, minutes(5)))),
            ("rate({__name__=\"tx_total\"}[1h])", Some(("{__name__=\"tx_total\"}", minutes(60)))),
            ("queue_length", None),
            ("max_over_time(sum(x)[10m:1m])", None),
        ] {
            assert_eq!(first_range(query), expected, "{query}");
        }
    }
}
