//! A fortnight before a pay day and the days after, with a fit every six hours.

use std::ops::{ControlFlow, Range};

use chrono::TimeDelta;
use tidetable::series::Series;
use tidetable::simulate::backtest::{Fit, Outcome};
use tidetable::time::Timestamp;

use super::fixture::{self, at, payments};

/// Payments a second, by the minute.
pub(crate) fn recorded(days: i64) -> Series {
    let begin = at("2026-05-01T04:00:00Z");
    payments("2026-05-15", begin..begin + TimeDelta::days(days))
}

pub(crate) fn replayed(
    recorded: &Series,
    tested: Range<Timestamp>,
    watch: &(dyn Fn(Timestamp) -> ControlFlow<()> + Sync),
) -> Outcome {
    let step = recorded.step();
    let fit = |back: i64| {
        let in_force = tested.start - TimeDelta::hours(1) + TimeDelta::hours(6 * back);
        Fit { origin: step.last_ended(in_force - TimeDelta::minutes(3)).next(), in_force }
    };
    let days = (tested.end - tested.start).num_days() + 1;
    let fits: Vec<Fit> = (0..=4 * days).map(fit).filter(|fit| fit.in_force < tested.end).collect();
    let training = (tested.start - TimeDelta::days(7))..tested.start;
    fixture::replayed(recorded, &training, &tested, &fits, watch)
}

pub(crate) fn to_the_end(_: Timestamp) -> ControlFlow<()> {
    ControlFlow::Continue(())
}
