//! `--fail-if`: a condition on the numbers, for a gate that a machine keeps.
//!
//! ```text
//! [POLICY.]METRIC  >|>=|<|<=  NUMBER | [POLICY.]METRIC
//! ```
//!
//! Without a policy, ours is meant. A metric that is not known is a wrong command line; one that a run cannot give, such as
//! a cost without a price, is too, and that is said before anything is replayed.

use std::fmt;

use super::summary::{METRICS, Summary};
use crate::config::{listed, nearest};
use crate::simulate::backtest::Who;

/// A condition that fails a run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Condition {
    left: Measure,
    comparison: Comparison,
    right: Operand,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Measure {
    who: Who,
    metric: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Operand {
    Number(f64),
    Measure(Measure),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Above,
    AtLeast,
    Below,
    AtMost,
}

/// The number that no run gives by itself.
const COST: &str = "cost";

/// Those that only who forecasts has.
const OF_OUR_FORECAST: [&str; 2] = ["wql", "plan_coverage"];

/// Those that only grow while a run goes on.
const GROWING: [&str; 7] = [
    "late_pod_minutes",
    "under_minutes",
    "worst_shortfall",
    "failed",
    "replica_hours",
    COST,
    "scale_changes",
];

/// In an order in which no sign hides another.
const COMPARISONS: [(&str, Comparison); 4] = [
    (">=", Comparison::AtLeast),
    ("<=", Comparison::AtMost),
    (">", Comparison::Above),
    ("<", Comparison::Below),
];

const POLICIES: [Who; 6] =
    [Who::Tidetable, Who::Reactive, Who::ReactiveTuned, Who::Cron, Who::StaticPeak, Who::Foresight];

impl Condition {
    /// Reads a condition, or says how one is written.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let split = |(sign, comparison): &(&str, Comparison)| {
            text.split_once(sign).map(|(left, right)| (left.trim(), *comparison, right.trim()))
        };
        let (left, comparison, right) = COMPARISONS
            .iter()
            .find_map(split)
            .ok_or("write a condition such as 'failed_share > 0.001', with >, >=, < or <=")?;
        let right = match right.parse::<f64>() {
            Ok(number) if number.is_finite() => Operand::Number(number),
            _ => Operand::Measure(Measure::parse(right)?),
        };
        Ok(Self { left: Measure::parse(left)?, comparison, right })
    }

    /// Whether a run that has such a `price` can give its numbers; the error says what is missing.
    pub(super) fn answerable(&self, price: Option<f64>) -> Result<(), String> {
        let right = match self.right {
            Operand::Number(_) => None,
            Operand::Measure(measure) => Some(measure),
        };
        let mut measures = std::iter::once(self.left).chain(right);
        match measures.find(|measure| measure.metric == COST) {
            Some(cost) if price.is_none() => {
                Err(format!("{cost} is not known without a price; give --price"))
            }
            _ => Ok(()),
        }
    }

    /// Whether what holds of a part of a run holds of the whole.
    pub(super) fn lasts(&self) -> bool {
        let more = matches!(self.comparison, Comparison::Above | Comparison::AtLeast);
        more && matches!(self.right, Operand::Number(_)) && GROWING.contains(&self.left.metric)
    }

    /// Whether it holds, with the numbers on both sides.
    pub(super) fn holds(&self, summary: &Summary) -> anyhow::Result<Option<(f64, f64)>> {
        let left = self.left.of(summary)?;
        let right = match self.right {
            Operand::Number(number) => number,
            Operand::Measure(measure) => measure.of(summary)?,
        };
        let holds = match self.comparison {
            Comparison::Above => left > right,
            Comparison::AtLeast => left >= right,
            Comparison::Below => left < right,
            Comparison::AtMost => left <= right,
        };
        Ok(holds.then_some((left, right)))
    }
}

impl Measure {
    fn parse(text: &str) -> Result<Self, String> {
        let (who, metric) = match text.split_once('.') {
            Some((policy, metric)) => {
                let who = POLICIES.into_iter().find(|who| who.name() == policy).ok_or_else(|| {
                    format!(
                        "there is no policy {policy:?}; policies are: {}",
                        listed(POLICIES.map(Who::name))
                    )
                })?;
                (who, metric)
            }
            None => (Who::Tidetable, text),
        };
        let known = METRICS.into_iter().find(|known| *known == metric);
        let metric = known.ok_or_else(|| match nearest(metric, METRICS) {
            Some(meant) => format!("there is no number {metric:?}; did you mean {meant:?}?"),
            None => format!("there is no number {metric:?}; numbers are: {}", listed(METRICS)),
        })?;
        if who != Who::Tidetable && OF_OUR_FORECAST.contains(&metric) {
            return Err(format!("{} makes no forecast; {metric} is a number of tidetable", who.name()));
        }
        Ok(Self { who, metric })
    }

    fn of(self, summary: &Summary) -> anyhow::Result<f64> {
        summary
            .number(self.who, self.metric)
            .ok_or_else(|| anyhow::anyhow!("{self} was not measured in this run"))
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.who.name(), self.metric)
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = COMPARISONS.iter().find(|(_, it)| *it == self.comparison).map_or("", |(sign, _)| sign);
        match self.right {
            Operand::Number(number) => write!(f, "{} {sign} {number}", self.left),
            Operand::Measure(measure) => write!(f, "{} {sign} {measure}", self.left),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_reads_as_it_is_written() {
        for (text, shown) in [
            ("failed_share > 0.001", "tidetable.failed_share > 0.001"),
            (
                "late_pod_minutes>=reactive.late_pod_minutes",
                "tidetable.late_pod_minutes >= reactive.late_pod_minutes",
            ),
            ("cron.replica_hours < 1e3", "cron.replica_hours < 1000"),
        ] {
            assert_eq!(Condition::parse(text).unwrap().to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_condition_is_refused_with_what_was_meant() {
        for (text, remedy) in [
            ("failed_share", "with >, >=, < or <="),
            ("failed_shore > 1", "did you mean \"failed_share\"?"),
            ("keda.failed_share > 1", "policies are: "),
            ("failed_share > NaN", "there is no number"),
            ("cron.wql > 1", "cron makes no forecast"),
        ] {
            let problem = Condition::parse(text).unwrap_err();
            assert!(problem.contains(remedy), "{text}: {problem}");
        }
    }
}
