//! The most of several slots: at which level each of them must be read, for the largest not to be exceeded.
//!
//! A quantile that each slot keeps is not one that the most of them keeps: with six chances to be missed, what was called 0.9
//! held in 0.80 to 0.85 of the busy half hours of four recorded loads at five minutes (0.89 to 0.91 at the level learned
//! here), and what was called 0.95 in 0.91 to 0.93 (0.95 to 0.96). By how much the level must be raised depends on how alike
//! neighbours miss, so it is learned: past windows are forecast anew, and
//!
//! ```text
//! λ(τ, w) = the level at which the most of w slots held as often as single slots held at τ
//! ```
//!
//! is never below τ. Both sides are counted over the same windows, so that what the forecast has learned of them cancels out.
//! The minutes have a nowcast that is calibrated at the end of a window, so this looks at coarser grids only.

use std::time::Duration;

use super::between::Between;
use super::near::Lead;
use super::recent::{Base, Past as _, Present, Replayed, Time};
use super::usual::OFFSET;
use crate::time::Slot;
use crate::units::Quantile;

/// The levels at which windows are forecast; what lies between is read on the line.
const LEVELS: [f64; 10] = [0.5, 0.7, 0.8, 0.9, 0.95, 0.975, 0.985, 0.99, 0.995, 0.999];

/// How many slots a window has. One of another length is taken for the next longer, or for the last.
const WINDOWS: [i64; 5] = [1, 2, 3, 6, 12];

/// No window is longer: pods that take more than an hour to start are not what this is for.
const LONGEST: Duration = Duration::from_secs(3_600);

/// The grids on which it is learned are coarser than this.
const MINUTE: i64 = 60;

/// So many windows are forecast anew, or up to twice as many: each costs as much as a tick for every slot of it.
const FORECAST: usize = 600;

/// Fewer windows than this tell nothing.
const ENOUGH: f64 = 100.0;

type AtLevels = [f64; LEVELS.len()];

/// How often the most of a window held, by its length and at each of [`LEVELS`].
#[derive(Debug, Clone, Default)]
pub(super) struct Most {
    held: Box<[AtLevels]>,
}

impl Most {
    /// Learns from the windows that begin with some of the origins `seen`.
    pub(super) fn learn(
        base: &Base,
        past: &Replayed,
        leads: &[Lead],
        seen: &[Present],
        time: impl Fn(Slot) -> Time,
    ) -> Self {
        let known = base.step.slots_in(LONGEST);
        let lengths: Vec<i64> = WINDOWS.into_iter().filter(|length| *length <= known).collect();
        let (Some(longest), true) = (lengths.last(), base.step.seconds() > MINUTE && lengths.len() > 1)
        else {
            return Self::default();
        };
        let levels = LEVELS.map(|level| Quantile::try_new(level).unwrap_or(Quantile::MEDIAN));
        let slot = |present: &Present, lead: i64| {
            let target = present.origin.plus(lead - 1);
            let (load, said) = (past.load(target)?, base.said(target)?);
            let reading = base.read(past, present, (target, said), time(target));
            let between = Between::of(leads, lead);
            let near = between.around(between.mix(|lead| lead.forecast(&reading).point), &reading);
            Some(Window { slots: 1, load, point: near.point, reaches: levels.map(|level| near.reach(level)) })
        };
        // Where nothing is expected nothing can be told.
        let shut = |origin: Slot| base.shut(origin) && base.shut(origin.plus(longest - 1));
        let open: Vec<&Present> = seen.iter().filter(|present| !shut(present.origin)).collect();
        let mut tallies = vec![Tally::default(); lengths.len()];
        for present in open.iter().step_by((open.len() / FORECAST).max(1)) {
            let mut window = Window::default();
            for slot in (1..=*longest).map_while(|lead| slot(present, lead)) {
                tallies[0].take(&slot);
                window.grow(&slot);
                let length = lengths[1..].iter().position(|length| *length == window.slots);
                if let Some(length) = length {
                    tallies[length + 1].take(&window);
                }
            }
        }
        if tallies.iter().any(|tally| tally.windows < ENOUGH) {
            return Self::default();
        }
        Self { held: tallies.iter().map(Tally::shares).collect() }
    }

    /// The level at which each of `slots` slots must be read for the most of them to stay below what is read with probability
    /// `quantile`; that itself where nothing is known.
    pub(super) fn level(&self, slots: i64, quantile: Quantile) -> Quantile {
        let mut by_length = WINDOWS.iter().zip(&self.held);
        let held = by_length.find(|(length, _)| **length >= slots).map(|(_, held)| held);
        let (Some(single), Some(most)) = (self.held.first(), held.or(self.held.last())) else {
            return quantile;
        };
        let share = line(quantile.get(), &LEVELS, single);
        let level = line(share, most, &LEVELS);
        Quantile::try_new(level.max(quantile.get())).unwrap_or(quantile)
    }
}

/// What was seen of windows of one length.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    windows: f64,
    held: AtLevels,
}

impl Tally {
    /// Counts a window, if anything was expected in it.
    fn take(&mut self, window: &Window) {
        if window.point <= OFFSET {
            return;
        }
        self.windows += 1.0;
        for (held, reach) in self.held.iter_mut().zip(window.reaches) {
            *held += f64::from(u8::from(window.load <= reach));
        }
    }

    fn shares(&self) -> AtLevels {
        self.held.map(|held| held / self.windows)
    }
}

/// The most of some slots in a row.
#[derive(Debug, Clone, Copy, Default)]
struct Window {
    slots: i64,
    load: f64,
    point: f64,
    reaches: AtLevels,
}

impl Window {
    fn grow(&mut self, slot: &Self) {
        self.slots += slot.slots;
        self.load = self.load.max(slot.load);
        self.point = self.point.max(slot.point);
        for (most, reach) in self.reaches.iter_mut().zip(slot.reaches) {
            *most = most.max(reach);
        }
    }
}

/// `to` at `at`, on the line between the two of `from` beside it; both never decrease and lead from 0 to 1. Where several of
/// `from` are `at`, the first.
fn line(at: f64, from: &AtLevels, to: &AtLevels) -> f64 {
    let after = from.partition_point(|from| *from < at);
    let corner = |side: &AtLevels, index: usize, end: f64| side.get(index).copied().unwrap_or(end);
    let (low, below) = match after.checked_sub(1) {
        Some(before) => (from[before], to[before]),
        None => (0.0, 0.0),
    };
    let (high, above) = (corner(from, after, 1.0), corner(to, after, 1.0));
    if high > low { below + (above - below) * (at - low) / (high - low) } else { above }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono_tz::Tz;
    use rand::{RngExt as _, SeedableRng as _};
    use rand_pcg::Pcg32;

    use super::*;
    use crate::calendar::Almanac;
    use crate::forecast::{Forecaster as _, Known, Tide};
    use crate::series::Series;
    use crate::time::Step;
    use crate::units::Load;

    const TEN_MINUTES: i64 = 144;

    /// `days` of a day's hump, with scatter that knows nothing of its neighbours.
    fn scattered(days: i64, step: Duration) -> Series {
        let step = Step::try_new(step).unwrap();
        let mut chance = Pcg32::seed_from_u64(7);
        let mut series = Series::empty(step, Slot(0));
        for slot in (0..days * 86_400 / step.seconds()).map(Slot) {
            let of_day = (slot.0 * step.seconds()).rem_euclid(86_400) as f64 / 86_400.0;
            let usual = 200.0 - 150.0 * (std::f64::consts::TAU * of_day).cos();
            let scatter: f64 = (0..6).map(|_| chance.random_range(-0.1..0.1)).sum();
            series.put(slot, Load::saturating(usual * (1.0 + scatter)));
        }
        series
    }

    fn quantile(level: f64) -> Quantile {
        Quantile::try_new(level).unwrap()
    }

    /// How often the most of six slots stayed below what was read of them: each at `quantile`, and at the level of the most.
    fn kept(series: &Series, quantile: Quantile) -> [f64; 2] {
        const SLOTS: i64 = 6;
        let (mut kept, mut windows) = ([0.0; 2], 0.0);
        for day in (50..64).step_by(3) {
            let fit = Slot(day * TEN_MINUTES);
            let fitted = Tide::new(Almanac::none(Tz::UTC)).fit(series, fit).unwrap();
            let levels = [quantile, fitted.level_of_most(6, quantile)];
            for origin in (0..2 * TEN_MINUTES - SLOTS).step_by(3).map(|later| fit.plus(later)) {
                let known = Known { settled: series, origin, live: None };
                let window = origin..origin.plus(SLOTS);
                let came = (window.start.0..window.end.0).filter_map(|slot| series.load(Slot(slot)));
                let came = came.fold(0.0, f64::max);
                let forecast = fitted.forecast(&known, window, &levels).unwrap();
                for (level, kept) in kept.iter_mut().enumerate() {
                    let read = forecast.rows().map(|row| row.loads[level]).fold(0.0, f64::max);
                    *kept += f64::from(u8::from(came <= read));
                }
                windows += 1.0;
            }
        }
        kept.map(|kept| kept / windows)
    }

    #[test]
    fn the_most_of_six_slots_is_kept_as_often_as_is_asked_for() {
        let series = scattered(64, Duration::from_secs(600));
        for level in [0.8, 0.9] {
            let [each, most] = kept(&series, quantile(level));
            // Every second of 470 windows has slots of its own: two standard errors.
            let off = 2.0 * (level * (1.0 - level) / 235.0).sqrt();
            assert!((most - level).abs() < off, "{level}: {most}");
            assert!(each < level - off, "{level}: {each} when each slot is read at it");
        }
    }

    #[test]
    fn a_longer_window_or_a_surer_level_is_never_read_lower() {
        let series = scattered(40, Duration::from_secs(600));
        let fitted = Tide::new(Almanac::none(Tz::UTC)).fit(&series, Slot(40 * TEN_MINUTES)).unwrap();
        for slots in 0..40 {
            let mut former = 0.0;
            for level in [0.01, 0.3, 0.5, 0.8, 0.9, 0.95, 0.99, 0.999, 0.9999] {
                let read = fitted.level_of_most(slots, quantile(level)).get();
                assert!(read >= level && read >= former, "{slots} slots at {level}: {read} after {former}");
                assert!(
                    slots > 1 || (read - level).abs() < 1e-12,
                    "a single slot is read as it is: {read} for {level}"
                );
                former = read;
            }
        }
    }

    #[test]
    fn minutes_and_hours_and_a_young_service_are_read_as_they_are() {
        for (days, step) in [(40, 60), (40, 3_600), (3, 600)] {
            let series = scattered(days, Duration::from_secs(step));
            let origin = series
                .step()
                .slot_of(series.step().start(Slot(0)) + Duration::from_secs(86_400 * days.unsigned_abs()));
            let fitted = Tide::new(Almanac::none(Tz::UTC)).fit(&series, origin).unwrap();
            assert_eq!(fitted.level_of_most(6, Quantile::P95), Quantile::P95, "{days} days at {step} s");
        }
    }
}
