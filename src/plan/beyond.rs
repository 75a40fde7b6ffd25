//! What a model says of the slots beyond the window, for as long as that need not be asked anew.
//!
//! For each answer a forecaster looks at the whole day before; beyond the window that would be done every quarter minute for
//! the sake of climbs, which are slow. So it is asked once in a minute of the clock, and every replica asks in the same one.

use std::ops::Range;
use std::sync::Arc;

use crate::forecast::{Fitted, Known};
use crate::time::{Slot, Timestamp, epoch_seconds};
use crate::units::Quantile;

/// What was said stands within one of these, counted from the epoch.
const MINUTE_SECONDS: i64 = 60;

/// The demand of a run of slots at one quantile, as it was said within a minute.
#[derive(Debug, Clone, PartialEq)]
pub struct Beyond {
    minute: i64,
    origin: Slot,
    quantile: Quantile,
    first: Slot,
    loads: Arc<[f64]>,
}

impl Beyond {
    /// Each of `slots` with its demand at `quantile`, from what `said` holds if that still stands, else from the model.
    /// `None` when the model cannot speak of all of them.
    pub(super) fn ask(
        said: &mut Option<Self>,
        now: Timestamp,
        model: &dyn Fitted,
        known: &Known<'_>,
        quantile: Quantile,
        slots: Range<Slot>,
    ) -> Option<impl DoubleEndedIterator<Item = (Slot, f64)>> {
        let minute = epoch_seconds(now).div_euclid(MINUTE_SECONDS);
        let stands = |it: &Self| {
            (it.minute, it.origin, it.quantile) == (minute, known.origin, quantile) && it.covers(&slots)
        };
        if !said.as_ref().is_some_and(stands) {
            // The window moves on within the minute.
            let longer = slots.start..slots.end.next();
            let forecast = model
                .forecast(known, longer, &[quantile])
                .or_else(|| model.forecast(known, slots.clone(), &[quantile]))?;
            let loads = forecast.rows().map(|row| row.loads[0]).collect();
            *said = Some(Self { minute, origin: known.origin, quantile, first: slots.start, loads });
        }
        let it = said.as_ref()?;
        let (first, loads) = (slots.start.since(it.first), Arc::clone(&it.loads));
        let load = move |slot: i64| {
            let place = usize::try_from(first + slot).ok()?;
            Some((slots.start.plus(slot), *loads.get(place)?))
        };
        Some((0..slots.end.since(slots.start)).filter_map(load))
    }

    fn covers(&self, slots: &Range<Slot>) -> bool {
        let end = self.first.plus(i64::try_from(self.loads.len()).unwrap_or(i64::MAX));
        self.first <= slots.start && slots.end <= end
    }
}
