//! Calendars and events over any forecaster: what is written down about demand, learned from what was seen of it.
//!
//! ```text
//! almanac ─▶ windows ─┬─ the week holds them ─▶ left alone ([`routine`])
//!                     └─ it does not ─▶ what would have been usual there ([`usual`]) ─▶ lift by name ([`lift`])
//! history ÷ lifts ─▶ base ─▶ forecast × lifts ([`fitted`])          overlapping windows: [`company`], [`in_force`]
//! measured ─▶ by parts of each window ([`spans`]) ─▶ where it stands among those of its name ([`standings`])
//! ```
//!
//! A pay day must not teach the base that every second Friday is busy, and must be there when the next one comes. So each
//! window that the week does not hold by itself is divided out of what the base learns from, by the lift that its name has
//! been seen to have, and the lift of what is coming is multiplied into what the base says. What was declared of a name
//! stands in for what was not seen yet.
//!
//! Why is a window divided out and not masked? A mask hides the busiest hours of a day from a base that compares levels
//! by the mean of what is left, so a week with three matches a day would look calm.
//!
//! This module never decides how many pods that is, and an almanac without windows makes it the base itself.

mod company;
mod fitted;
mod in_force;
mod learning;
mod lift;
mod occasion;
mod reach;
mod routine;
mod spans;
mod standings;
mod usual;

use crate::calendar::Almanac;
use crate::forecast::{Error, Fitted, Forecaster, HORIZON, REFIT_EVERY};
use crate::series::Series;
use crate::time::Slot;

/// A base forecaster with the calendars and events of its target.
#[derive(Debug, Clone)]
pub struct WithEffects<F> {
    /// Who forecasts demand without effects.
    pub base: F,
    /// What is written down.
    pub almanac: Almanac,
}

impl<F: Forecaster> Forecaster for WithEffects<F> {
    fn fit(&self, history: &Series, origin: Slot) -> Result<Box<dyn Fitted>, Error> {
        let step = history.step();
        let end = origin.plus(step.slots_in(HORIZON) + 2 * step.slots_in(REFIT_EVERY) + 1);
        let outlook = self.almanac.over(step.start(history.first())..step.end(end));
        if outlook.windows().is_empty() {
            return self.base.fit(history, origin);
        }
        learning::fit(&self.base, self.almanac.timezone(), &outlook, history, origin)
    }
}
