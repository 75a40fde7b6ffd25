//! What the newest points add to the profile, and how fast that fades with lead.
//!
//! Three log ratios of demand to profile say how unusual the present is: over a few minutes, an hour and a day. How much
//! of each is believed at which lead is learned from the target's own past: a burst that is gone in ten minutes gets its
//! weight at short leads only, a day that is 8 % above the profile stays 8 % above it tonight.

use crate::series::Series;
use crate::time::{Slot, Step};

use super::Observation;

/// The profile over a run of slots, in the unit of the series.
#[derive(Debug, Clone)]
pub(super) struct Base {
    pub(super) first: Slot,
    pub(super) loads: Vec<f64>,
}

impl Base {
    pub(super) fn at(&self, slot: Slot) -> Option<f64> {
        usize::try_from(slot.since(self.first)).ok().and_then(|index| self.loads.get(index)).copied()
    }

    pub(super) fn end(&self) -> Slot {
        self.first.plus(i64::try_from(self.loads.len()).unwrap_or(i64::MAX))
    }
}

/// The windows over which the present is compared with the profile, in slots.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Windows {
    pub(super) fast: i64,
    pub(super) hour: i64,
    pub(super) day: i64,
}

impl Windows {
    pub(super) fn of(step: Step) -> Self {
        let slots = |seconds: i64| (seconds + step.seconds() - 1) / step.seconds();
        let fast = slots(180);
        let hour = slots(3_600).max(3 * fast);
        Self { fast, hour, day: slots(86_400).max(3 * hour) }
    }
}

/// What is believed of the present moves the profile by at most e⁵, a burst to 148 times the usual.
const CLIP: f64 = 5.0;

/// Bound of a single ratio, only so that it stays finite: clipped tighter, a larger measurement could count for less.
const FINITE: f64 = 700.0;

/// How unusual the present is, each part relative to the slower one, so that a missing one is 0.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Unusual {
    pub(super) parts: [f64; 3],
}

impl Unusual {
    /// Seen from `origin`: slots from there on are not looked at, except for the live measurement.
    ///
    /// `offset` is added to demand and profile before they are divided, so that a handful of requests at night is no
    /// news.
    pub(super) fn at(
        observed: &Series,
        base: &Base,
        origin: Slot,
        live: Option<Observation>,
        offset: f64,
        windows: Windows,
    ) -> Self {
        let mut sums = [Sum::default(); 3];
        let mut newest = origin;
        if let Some((load, usual, slot)) =
            live.and_then(|live| live_pair(observed.step(), base, origin, live))
        {
            newest = slot.next();
            for sum in &mut sums {
                sum.add(load, usual);
            }
        }
        for slot in (origin.0 - windows.day..origin.0).rev().map(Slot) {
            let (Some(load), Some(usual)) = (observed.load(slot), base.at(slot)) else { continue };
            let age = newest.since(slot);
            sums[0].add(load, usual);
            if age <= windows.hour {
                sums[1].add(load, usual);
            }
            if age <= windows.fast {
                sums[2].add(load, usual);
            }
        }
        Self::from_sums(sums, offset)
    }

    /// Day, hour and fast sums into nested log ratios.
    pub(super) fn from_sums([day, hour, fast]: [Sum; 3], offset: f64) -> Self {
        let day = day.log_ratio(offset).unwrap_or(0.0);
        let hour_ratio = hour.log_ratio(offset).unwrap_or(day);
        let fast_ratio = fast.log_ratio(offset).unwrap_or(hour_ratio);
        Self { parts: [day, hour_ratio - day, fast_ratio - hour_ratio] }
    }

    /// The part that `weights` believe in.
    pub(super) fn believed(&self, weights: &[f64; 3]) -> f64 {
        let sum: f64 = self.parts.iter().zip(weights).map(|(part, weight)| part * weight).sum();
        sum.clamp(-CLIP, CLIP)
    }
}

/// Demand and profile, summed over the same slots.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sum {
    pub(super) load: f64,
    pub(super) usual: f64,
    pub(super) slots: f64,
}

impl Sum {
    fn add(&mut self, load: f64, usual: f64) {
        self.load += load;
        self.usual += usual;
        self.slots += 1.0;
    }

    fn log_ratio(&self, offset: f64) -> Option<f64> {
        let offset = offset * self.slots;
        (self.slots > 0.0).then(|| ((self.load + offset) / (self.usual + offset)).ln().clamp(-FINITE, FINITE))
    }
}

/// The live measurement beside the profile at that instant, and the slot it falls into.
///
/// Between two slot ends the profile is read on the line between them: a rate measured at 09:30:15 is compared with what
/// is usual at 09:30:15.
fn live_pair(step: Step, base: &Base, origin: Slot, live: Observation) -> Option<(f64, f64, Slot)> {
    let slot = step.slot_of(live.at);
    if slot < origin {
        return None;
    }
    let (before, within) = (base.at(slot.plus(-1))?, base.at(slot)?);
    let seconds = (live.at - step.start(slot)).num_milliseconds() as f64 / 1e3;
    let share = (seconds / step.seconds() as f64).clamp(0.0, 1.0);
    Some((live.load.get(), before + (within - before) * share, slot))
}

/// The point forecast: the profile moved by what is believed of the present.
pub(super) fn moved(usual: f64, believed: f64, offset: f64) -> f64 {
    ((usual + offset) * believed.exp() - offset).max(0.0)
}

/// Weights tried for each part.
const TRIED: [f64; 7] = [0.0, 0.15, 0.3, 0.5, 0.7, 0.85, 1.0];

/// One past forecast to learn from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lesson {
    pub(super) unusual: Unusual,
    pub(super) usual: f64,
    pub(super) load: f64,
}

/// The weights that would have given the smallest absolute error, part by part, the slowest first.
///
/// Ties go to the smaller weight: without evidence the profile stands.
pub(super) fn learn(lessons: &[Lesson], offset: f64) -> [f64; 3] {
    let loss = |weights: &[f64; 3]| -> f64 {
        lessons
            .iter()
            .map(|lesson| (lesson.load - moved(lesson.usual, lesson.unusual.believed(weights), offset)).abs())
            .sum()
    };
    let mut weights = [0.0; 3];
    let mut least = loss(&weights);
    for _ in 0..2 {
        for part in 0..3 {
            for weight in TRIED {
                let tried = {
                    let mut tried = weights;
                    tried[part] = weight;
                    tried
                };
                let loss = loss(&tried);
                if loss < least * (1.0 - 1e-9) {
                    (least, weights) = (loss, tried);
                }
            }
        }
    }
    weights
}
