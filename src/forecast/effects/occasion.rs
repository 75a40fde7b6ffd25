//! One window of one name, past or to come, and where it stands among those of its name.
//!
//! ```text
//! d(k) = ln (y(k) + c) / (u(k) + c) − μ(k)        D = Σ ω σ² d / Σ ω σ²        z = κ D / σ±        left = √(1 − κ)
//! κ    = Σ ω σ² / Σ ω (σ² + ε²)
//! ```
//!
//! y is what was measured, u what would have been usual, μ and σ the lift expected there and its spread (σ± that on the
//! side of D), ε how far a few minutes are off by themselves, ω a weight that halves with age. Slots in which little of an
//! effect is in force say little of it, since its σ is small there. Neither κ nor a weight depends on what was measured, so
//! a larger measurement never makes an occurrence stand lower.

use chrono::TimeDelta;

use super::lift::Lift;
use super::reach::{Reach, Standing};
use crate::calendar::Window;
use crate::time::Timestamp;

/// ε: how far a few minutes of ordinary demand lie from what was expected of them.
const NOISE: f64 = 0.08;

/// How far an effect that grows may be ahead of its time, as a part of the growth, in the logarithm, that is still to come.
/// A launch that is there in two minutes instead of five is not three times as large.
const HASTE: f64 = 0.5;

/// An effect that is late by so much has not failed.
const GRACE: TimeDelta = TimeDelta::minutes(2);

/// How far an occurrence may be believed to stand out, in standard deviations downward and upward. One that came faster than
/// declared looks larger than it is until it should be there in full; what lies beyond is the base's to follow.
const LOWEST: f64 = -3.0;
const HIGHEST: f64 = 4.0;

/// A weight halves within this part of the window.
const MEMORY: i32 = 8;

/// One window.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Occasion {
    pub(super) window: Window,
    /// Which of the names it bears.
    pub(super) name: u16,
    /// The week itself holds it, so it multiplies nothing.
    pub(super) routine: bool,
    /// Where it stood, when it was over before the fit.
    pub(super) standing: Option<Standing>,
}

/// Measured slots of a window beside what was to be expected there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sight {
    /// When the middle one of them ended.
    pub(super) at: Timestamp,
    /// How many there are.
    pub(super) slots: f64,
    /// ln of measured over usual demand.
    pub(super) log: f64,
    /// The lift that was expected.
    pub(super) expected: Reach,
    /// The logarithm of the lift that was expected once it is there in full.
    pub(super) full: f64,
}

impl Occasion {
    /// Whether it says anything about `from..until`.
    pub(super) fn touches(&self, from: Timestamp, until: Timestamp) -> bool {
        self.window.touches(from, until)
    }

    /// The lift between two instants where `usual` is the demand without it; none where the week itself holds it.
    pub(super) fn reach(&self, lift: &Lift, from: Timestamp, until: Timestamp, usual: Option<f64>) -> Reach {
        if self.routine {
            return Reach::default();
        }
        match usual.and_then(|usual| self.peak(from, until, usual)) {
            Some(declared) => declared,
            None => lift.reach(&self.window, from, until),
        }
    }

    /// What is to be added between two instants where a demand was declared and not a multiple.
    pub(super) fn peak(&self, from: Timestamp, until: Timestamp, usual: f64) -> Option<Reach> {
        let share = self.window.share(from + (until - from) / 2);
        Some(Reach::up_to(self.window.peak?.get(), usual, share))
    }

    /// The lift that is expected when it has grown, as a multiple.
    pub(super) fn full(&self, lift: &Lift) -> Reach {
        lift.reach(&self.window, self.window.full, self.window.full)
    }

    /// Where it stands, by what was seen of it until `newest`.
    ///
    /// Less than expected is believed only once the effect should be there in full: one that is late by some minutes is
    /// not one that has failed.
    pub(super) fn stand(&self, newest: Timestamp, sights: &[Sight]) -> Standing {
        let half_life = ((self.window.until - self.window.from) / MEMORY)
            .clamp(TimeDelta::minutes(10), TimeDelta::hours(3))
            .as_seconds_f64();
        let rising = newest < self.window.full + GRACE;
        // Once it should be there in full, how fast it came says nothing any more.
        let sights = sights.iter().filter(|sight| rising || sight.at >= self.window.full);
        let mut sums = [0.0; 5];
        for Sight { at, slots, log, expected, full } in sights {
            let weight = slots * 0.5_f64.powf((newest - *at).as_seconds_f64() / half_life);
            let informed = weight * (0.5 * (expected.up + expected.down)).powi(2);
            let haste = if rising { HASTE * (full - expected.log) } else { 0.0 };
            let noise = weight * (NOISE * NOISE + expected.shape * expected.shape + haste * haste);
            let parts = [log - expected.log, expected.up, expected.down].map(|part| informed * part);
            let parts = [parts[0], parts[1], parts[2], informed, noise];
            sums.iter_mut().zip(parts).for_each(|(sum, part)| *sum += part);
        }
        let [away, up, down, informed, noise] = sums;
        let spread = if away < 0.0 { down } else { up };
        if informed <= 0.0 || spread <= 0.0 {
            return Standing { rising, ..Standing::UNSEEN };
        }
        let believed = informed / (informed + noise);
        let z = (believed * away / spread).clamp(LOWEST, HIGHEST);
        let newest_of_it = (newest < self.window.until).then_some(newest);
        if rising {
            // What was seen of it says nothing of the part that is still to grow.
            let grown = self.window.share(newest);
            return Standing {
                z: z.max(0.0),
                left: (1.0 - believed * grown).sqrt(),
                rising: true,
                newest: None,
            };
        }
        Standing { z, left: (1.0 - believed).sqrt(), newest: newest_of_it, rising: false }
    }
}
