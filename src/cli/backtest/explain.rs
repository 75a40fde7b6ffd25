//! A late moment in words: what was asked for one lead time before, why no more, and what came instead.

use chrono_tz::Tz;

use super::summary::Explained;
use crate::simulate::backtest::LateMoment;
use crate::units::Replicas;

/// What there is to say about a moment: causes first, then what the decision had before it; by the wall clock of `zone`.
pub(super) fn why(moment: &LateMoment, explained: Option<&Explained>, max: Replicas, zone: Tz) -> String {
    let Some(decision) = explained else {
        return "The comparison had only just begun: nothing was decided one lead time before.".to_owned();
    };
    let at = decision.at.with_timezone(&zone).format("%H:%M:%S %Z");
    let Some(guarded) = decision.guarded else {
        return format!(
            "One lead time before, at {at}, there was neither a fresh measurement nor a plan, so nothing was answered."
        );
    };
    let observed = match (decision.observed, decision.reactive_need) {
        (Some(load), Some(need)) => format!("the newest measurement, {load:.0}, needed {need}"),
        _ => "nothing had been measured".to_owned(),
    };
    let needed = moment.needed.0;
    if guarded >= needed {
        return format!(
            "One lead time before, at {at}, {guarded} were asked for, which is enough; they were not ready in time. Start-up took longer than \
             the lead time, the cluster could not start so many at once, the HPA went there in steps or found what ran near enough, or so many were asked \
             for too briefly."
        );
    }
    if guarded >= max.0 {
        return format!(
            "One lead time before, at {at}, the maximum of {max} was asked for; {needed} were needed."
        );
    }
    let never = if needed > max.0 { format!(" More than {max} may not stand.") } else { String::new() };
    match (decision.foreseen, decision.foreseen_median, decision.planned) {
        (Some(foreseen), Some(median), Some(planned)) => {
            let over = 100.0 * (f64::from(needed) / f64::from(planned.max(1)) - 1.0);
            format!(
                "One lead time before, at {at}, the plan foresaw at most {foreseen:.0} (median {median:.0}), which is {planned} replicas; {observed}. \
                 Then demand came that needed {needed}, {over:.0} % more than planned.{never}"
            )
        }
        _ => format!(
            "One lead time before, at {at}, there was no plan yet, so {guarded} were asked for: {observed}.{never}"
        ),
    }
}
