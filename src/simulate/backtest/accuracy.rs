//! How good the forecast was: loss and coverage of the hours, each slot scored once, by the model that was in force when it came;
//! and how many plans held at the moment of which they spoke.

use crate::forecast::{Fitted, Known};
use crate::series::Series;
use crate::time::{Slot, Step, Timestamp};
use crate::units::Quantile;

/// The levels that are scored.
pub const LEVELS: [f64; 4] = [0.5, 0.9, 0.95, 0.99];

/// Sums over scored slots.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Accuracy {
    /// How many slots were scored.
    pub slots: usize,
    loads: f64,
    pinball: [f64; LEVELS.len()],
    covered: [usize; LEVELS.len()],
    /// Forecast slots with their median and 0.95 quantile.
    pub band: Vec<(Slot, f64, f64)>,
}

impl Accuracy {
    /// Weighted quantile loss: twice the pinball loss over the load, mean of the levels. `None` before anything was scored.
    pub fn wql(&self) -> Option<f64> {
        let mean = self.pinball.iter().sum::<f64>() / LEVELS.len() as f64;
        (self.loads > 0.0).then(|| 2.0 * mean / self.loads)
    }

    /// Each level with the share of slots that stayed at or below its quantile; none before anything was scored.
    pub fn coverage(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        let slots = self.slots as f64;
        let levels = if self.slots == 0 { &[] } else { &LEVELS[..] };
        levels.iter().zip(self.covered).map(move |(level, covered)| (*level, covered as f64 / slots))
    }

    /// Scores what `model` says of `targets` from what is known at `known`.
    pub(super) fn score(
        &mut self,
        model: &dyn Fitted,
        known: &Known<'_>,
        targets: std::ops::Range<Slot>,
        recorded: &Series,
    ) {
        let levels: Vec<Quantile> =
            LEVELS.iter().filter_map(|level| Quantile::try_new(*level).ok()).collect();
        let Some(forecast) = model.forecast(known, targets, &levels) else { return };
        for row in forecast.rows() {
            self.band.push((row.slot, row.loads[0], row.loads[2]));
            let Some(load) = recorded.load(row.slot) else { continue };
            self.slots += 1;
            self.loads += load.abs();
            for (index, (level, quantile)) in LEVELS.iter().zip(row.loads).enumerate() {
                let over = load - quantile;
                self.pinball[index] += if over >= 0.0 { level * over } else { (level - 1.0) * over };
                self.covered[index] += usize::from(load <= *quantile);
            }
        }
    }
}

/// What a plan said: demand at some moment, at the quantile it was read at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Foreseen {
    /// The moment spoken of: the end of a minute, or of a slot where slots are longer.
    pub at: Timestamp,
    /// How long that minute or slot is.
    pub span_seconds: i64,
    /// What its mean is not to exceed.
    pub load: f64,
}

/// How many plans held what they said. That is what a quantile promises, and no more: what stands at that moment stands
/// there for the sake of earlier and later plans too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Held {
    held: u32,
    said: u32,
}

impl Held {
    /// Takes in what was said, and what came; nothing is judged by a moment that was not recorded.
    pub(super) fn note(&mut self, foreseen: &Foreseen, came: Option<f64>) {
        if let Some(came) = came {
            self.said += 1;
            self.held += u32::from(came <= foreseen.load);
        }
    }

    /// The share that held; `None` where nothing was said.
    pub fn share(self) -> Option<f64> {
        (self.said > 0).then(|| f64::from(self.held) / f64::from(self.said))
    }
}

/// The slots that begin at `from` or later and before `until`.
pub(super) fn slots_between(step: Step, from: Timestamp, until: Timestamp) -> std::ops::Range<Slot> {
    step.last_ended(from).next()..step.last_ended(until).next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::from_epoch_seconds;

    #[test]
    fn a_plan_holds_when_what_came_at_its_moment_does_not_exceed_it() {
        let mut held = Held::default();
        assert_eq!(held.share(), None);
        let at = from_epoch_seconds(1_000_000);
        let foreseen = Foreseen { at, span_seconds: 60, load: 5.0 };
        for came in [Some(5.0), Some(4.0), Some(5.1), None, Some(0.0)] {
            held.note(&foreseen, came);
        }
        assert_eq!(held.share(), Some(0.75));
    }
}
