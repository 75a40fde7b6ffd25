//! A fitted base that is shown the newest points without those in doubt.

use std::ops::Range;

use super::Hygiene;
use crate::forecast::{EventFloor, Explanation, Fitted, Forecast, Known, Peak, Refusal, Unfit};
use crate::time::{Slot, Step, Timestamp};
use crate::units::{Load, Quantile};

/// How far back a model looks when it forecasts: two days for the newest measurement, and a day before that.
const LOOKS_BACK_SECONDS: i64 = 3 * 86_400;

/// What is held against two other weeks cannot be found in less than three, and says so: nothing left out must not read as
/// nothing odd.
const NEEDED_HOURS: usize = 3 * 7 * 24;
const NEEDY: [&str; 2] = ["surge_search", "shift_search"];

/// A fitted base, what it was learned from, and what it is not shown.
#[derive(Debug)]
pub(super) struct FittedHygiene {
    base: Box<dyn Fitted>,
    step: Step,
    report: Hygiene,
    /// Slots that are not shown; in no order, and they may overlap.
    hidden: Vec<Range<Slot>>,
}

impl FittedHygiene {
    pub(super) fn new(
        base: Box<dyn Fitted>,
        step: Step,
        report: Hygiene,
        hidden: impl Iterator<Item = Range<Slot>>,
    ) -> Self {
        Self { base, step, report, hidden: hidden.collect() }
    }

    /// Asks the base with what it may see of `known`. Nothing is copied while nothing is hidden.
    fn shown<T>(&self, known: &Known<'_>, ask: impl FnOnce(&Known<'_>) -> T) -> T {
        let from = known.origin.plus(-(LOOKS_BACK_SECONDS / self.step.seconds()).max(1));
        let until =
            known.origin.max(known.live.map_or(known.origin, |live| self.step.slot_of(live.at).next()));
        let near = |span: &&Range<Slot>| span.start < until && from < span.end;
        if !self.hidden.iter().any(|span| near(&span)) {
            return ask(known);
        }
        let mut settled = known.settled.between(from, known.origin);
        for span in self.hidden.iter().filter(near) {
            settled.mask_all(span);
        }
        let hides = |slot: Slot| self.hidden.iter().any(|span| span.contains(&slot));
        let live = known.live.filter(|live| !hides(self.step.slot_of(live.at)));
        ask(&Known { settled: &settled, origin: known.origin, live })
    }
}

impl Fitted for FittedHygiene {
    fn inner(&self) -> Option<&dyn Fitted> {
        Some(&*self.base)
    }

    fn forecast(&self, known: &Known<'_>, targets: Range<Slot>, levels: &[Quantile]) -> Option<Forecast> {
        self.shown(known, |known| self.base.forecast(known, targets, levels))
    }

    fn event_floors(&self, known: &Known<'_>, targets: Range<Slot>) -> Vec<EventFloor> {
        self.shown(known, |known| self.base.event_floors(known, targets))
    }

    fn peak(
        &self,
        known: &Known<'_>,
        until: Timestamp,
        levels: &[Quantile],
        loads: &mut [Load],
    ) -> Option<Peak> {
        self.shown(known, |known| self.base.peak(known, until, levels, loads))
    }

    fn hygiene(&self) -> Option<&Hygiene> {
        Some(&self.report)
    }

    fn explanation(&self) -> Explanation {
        let mut explanation = Explanation { hygiene: Some(self.report.clone()), ..self.base.explanation() };
        let slots = i64::try_from(self.report.measured).unwrap_or(i64::MAX);
        let measured_hours = usize::try_from(slots.saturating_mul(self.step.seconds()) / 3_600).unwrap_or(0);
        if measured_hours < NEEDED_HOURS {
            let why = Unfit::TooShort { measured_hours, needed_hours: NEEDED_HOURS };
            explanation.refusals.extend(NEEDY.map(|candidate| Refusal { candidate, why }));
        }
        explanation
    }
}
