//! The day's point forecast: two experts and how much each is believed.
//!
//! * **L**, a log-linear regression toward a prior ([`super::linear::ridge`]): sees everything, multiplies freely.
//! * **N**, a non-negative combination of ready-made forecasts ([`super::linear::nonnegative`]): cannot leave their range.
//!
//! Both minimise the absolute error weighted by level, since what is lost is load and not slots, and both forget: half of L
//! in eight weeks, half of N in three. What their errors would have been is found by replaying the past: each week is
//! forecast with coefficients learned before it. Their shares follow from those errors, and so do the quantiles.

use super::lattice::Lattice;
use super::linear::{Rows, dot};
use super::reading::{CANDIDATES, FEATURES, Present, Reading, prior};
use super::taught::{Kind, Options, Taught};
use super::usual::{OFFSET, Seen, Usual};

/// Origins in the past lie this far apart, in hours: the serving cadence.
pub(super) const ORIGIN_HOURS: usize = 6;

/// What L and N learn from, in days, and when half of it is forgotten.
pub(super) const L_DAYS: u32 = 84;
const L_HALF_DAYS: f64 = 56.0;
const N_DAYS: u32 = 42;
const N_HALF_DAYS: f64 = 21.0;

/// Origins lie no farther back than this, in days, and what is known at the first of them is held against the week before it.
pub(super) const SEEN_DAYS: usize = L_DAYS as usize + 7 * REPLAYED_WEEKS + 8;

/// What explanations call them.
pub(super) const NAMES: [&str; 2] = ["log_ridge", "nonnegative"];

/// λ of both.
const L_STRENGTH: f64 = 0.1;
const N_STRENGTH: f64 = 0.02;

/// Rows to learn from in each window of L. Twice as many gain 0.2 % of the loss.
const ROWS: usize = 6_000;

/// Steps of IRLS from the prior, and from the coefficients of the week before.
const STEPS: usize = 5;
const WARM_STEPS: usize = 4;

/// Weeks of the past that are replayed.
pub(super) const REPLAYED_WEEKS: usize = 9;

/// Weeks that have lessons: those replayed and those that L knew before the first of them.
const LESSON_WEEKS: usize = REPLAYED_WEEKS + L_DAYS as usize / 7;

/// What L has before it learns.
const PRIOR: [f64; FEATURES] = prior();

/// What is replayed was forecast by somebody who knew at least this many days of history, and up to a fortnight where there
/// are more: how a service that began yesterday was missed says nothing of how one that is five weeks old will be.
const KNOWN_DAYS: (usize, usize) = (1, 14);

/// Share of L and N before their errors are known, and the power of the errors.
const BELIEF: [f64; 2] = [3.0, 1.0];
const BELIEF_POWER: i32 = 4;

/// The experts with their coefficients.
#[derive(Debug, Clone)]
pub(super) struct Experts {
    l: Vec<f64>,
    n: Vec<f64>,
    /// Share of L; N has the rest.
    pub(super) share: f64,
}

/// What the experts say of one cell, in means.
#[derive(Debug, Clone, Copy)]
pub(super) struct Opinion {
    pub(super) point: f64,
    pub(super) l: f64,
    pub(super) n: f64,
}

impl Opinion {
    /// How far the experts are apart, in the logarithm.
    pub(super) fn disagreement(&self) -> f64 {
        ((self.l + OFFSET) / (self.n + OFFSET)).ln().abs()
    }
}

/// L's forecast is believed to differ from N8 by this much, in the logarithm.
const L_CLIP: f64 = 4.0;

impl Experts {
    /// The experts without evidence.
    fn new() -> Self {
        Self { l: PRIOR.to_vec(), n: vec![1.0 / CANDIDATES as f64; CANDIDATES], share: 0.75 }
    }

    pub(super) fn opinion(&self, reading: &Reading) -> Opinion {
        let log = dot(&reading.features, &self.l).clamp(-L_CLIP, L_CLIP);
        let l = ((reading.usual + OFFSET) * log.exp() - OFFSET).max(0.0);
        let n = dot(&reading.candidates, &self.n).max(0.0);
        Opinion { point: self.share * l + (1.0 - self.share) * n, l, n }
    }
}

/// The day's model: the experts of now, and those of each past week.
#[derive(Debug)]
pub(super) struct Day {
    pub(super) now: Experts,
    /// `(first origin they may be used at, experts)`, ascending.
    past: Vec<(usize, Experts)>,
}

impl Day {
    /// Learns from all that `usual` holds.
    pub(super) fn learn(usual: &Usual<'_>) -> Self {
        let lattice = usual.lattice;
        let lessons = Lessons::collect(usual);
        let week = lattice.wall.week();
        let replayable = replayable(lattice);
        let mut experts = Experts::new();
        let (mut l, mut n) = lessons.pupils(lattice);
        let mut past = Vec::with_capacity(REPLAYED_WEEKS);
        // Errors of each replayed week, the newest last.
        let mut errors: Vec<[f64; 2]> = Vec::with_capacity(REPLAYED_WEEKS);
        for weeks in (0..=REPLAYED_WEEKS).rev() {
            let Some(origin) = lattice.origin.checked_sub(weeks * week) else { continue };
            if weeks > 0 && origin < replayable {
                continue;
            }
            let (anew, steps) = match (past.is_empty(), weeks) {
                (true, _) => (usize::MAX, STEPS),
                (false, 0) => (usize::MAX, WARM_STEPS),
                (false, _) => (1, WARM_STEPS),
            };
            l.learn(LESSON_WEEKS - weeks, anew, steps);
            n.learn(LESSON_WEEKS - weeks, anew, steps);
            experts =
                Experts { l: l.coefficients().to_vec(), n: n.coefficients().to_vec(), share: share(&errors) };
            if weeks > 0 {
                errors.push(lessons.errors(&experts, origin..origin + week));
                past.push((origin, experts.clone()));
            }
        }
        Self { now: experts, past }
    }

    /// The experts that were in force at `origin`; `None` before the first replayed week.
    pub(super) fn at(&self, origin: usize) -> Option<&Experts> {
        let after = self.past.partition_point(|(from, _)| *from <= origin);
        Some(&self.past[after.checked_sub(1)?].1)
    }

    /// The first origin that can be replayed.
    pub(super) fn replayed_from(&self) -> Option<usize> {
        self.past.first().map(|(origin, _)| *origin)
    }
}

/// The first origin with enough behind it for its forecast to be held against today's.
fn replayable(lattice: &Lattice) -> usize {
    let (least, most) = (KNOWN_DAYS.0 * lattice.wall.day, KNOWN_DAYS.1 * lattice.wall.day);
    let begun = lattice.begun();
    let spare = (lattice.origin - begun).saturating_sub(lattice.wall.week());
    begun + (spare / 2).clamp(least, most)
}

/// Share of L after these weekly errors, of which four count.
fn share(errors: &[[f64; 2]]) -> f64 {
    let recent = errors.iter().rev().take(4).fold([0.0; 2], |sum, own| [sum[0] + own[0], sum[1] + own[1]]);
    let (l, n) = (recent[0].max(1e-12), recent[1].max(1e-12));
    let (l, n) = (BELIEF[0], BELIEF[1] * (l / n).powi(BELIEF_POWER));
    l / (l + n)
}

/// Past rows with what came of them.
struct Lessons {
    /// Ascending by origin.
    origins: Vec<usize>,
    readings: Vec<Reading>,
    l: Rows,
    n: Rows,
}

impl Lessons {
    /// From origins every six hours, some cells of the day that followed each: other ones each time, so that every cell of
    /// the week is met at many leads.
    fn collect(usual: &Usual<'_>) -> Self {
        let lattice = usual.lattice;
        let wall = &lattice.wall;
        let hop = wall.hours(ORIGIN_HOURS);
        let per_day = (wall.day / hop).max(1);
        let span = (L_DAYS as usize + 7 * REPLAYED_WEEKS) * per_day;
        let each = (ROWS / (L_DAYS as usize * per_day)).clamp(1, wall.day);
        let mut lessons = Self {
            origins: Vec::with_capacity(span * each),
            readings: Vec::with_capacity(span * each),
            l: Rows::new(FEATURES, span * each),
            n: Rows::new(CANDIDATES, span * each),
        };
        // On the first day there is nothing yet to be moved by what happens.
        let learnable = lattice.begun() + wall.day;
        let behind = lattice.origin.saturating_sub(learnable).min(span * hop) / hop * hop;
        let first = lattice.origin - behind;
        for (turn, origin) in (first..lattice.origin).step_by(hop).enumerate() {
            let present = Present::of(Seen::at(usual, origin));
            for piece in 0..each {
                let lead = (piece * wall.day + (turn * 37 % 101) * wall.day / 101) / each;
                let target = origin + lead.min(wall.day - 1);
                let (Some(load), Some(_)) = (lattice.load(target), usual.weeks(target)) else { continue };
                if target >= lattice.origin {
                    continue;
                }
                let reading = present.read(target);
                lessons.l.push(&reading.features, ((load + OFFSET) / (reading.usual + OFFSET)).ln());
                lessons.n.push(&reading.candidates, load);
                lessons.origins.push(origin);
                lessons.readings.push(reading);
            }
        }
        lessons
    }

    /// L and N, who are to learn from them week by week.
    fn pupils(&self, lattice: &Lattice) -> (Taught<'_>, Taught<'_>) {
        let week = lattice.wall.week();
        let when = |row: usize, half: f64| {
            let age = lattice.origin - 1 - self.readings[row].target;
            let days = 7.0 * (age % week + 1) as f64 / week as f64;
            (LESSON_WEEKS.saturating_sub(1 + age / week), 0.5_f64.powf(days / half))
        };
        let by_level = |row: usize| {
            let (week, weight) = when(row, L_HALF_DAYS);
            (week, weight * (self.readings[row].usual + OFFSET))
        };
        let options = |kind, strength, half: f64, days: u32| Options {
            kind,
            strength,
            keeps: 0.5_f64.powf(7.0 / half),
            weeks: days as usize / 7,
        };
        let l_options = options(Kind::Toward(&PRIOR), L_STRENGTH, L_HALF_DAYS, L_DAYS);
        let n_options = options(Kind::NonNegative, N_STRENGTH, N_HALF_DAYS, N_DAYS);
        let Experts { l, n, .. } = Experts::new();
        let l = Taught::new(&self.l, &l, by_level, l_options);
        let n = Taught::new(&self.n, &n, |row| when(row, N_HALF_DAYS), n_options);
        (l, n)
    }

    /// Summed absolute errors of L and N on the lessons with targets in `cells`.
    fn errors(&self, experts: &Experts, cells: std::ops::Range<usize>) -> [f64; 2] {
        let mut sums = [0.0; 2];
        for (row, reading) in self.readings.iter().enumerate() {
            if cells.contains(&reading.target) && self.origins[row] >= cells.start {
                let opinion = experts.opinion(reading);
                let load = self.n.target(row);
                sums[0] += (opinion.l - load).abs();
                sums[1] += (opinion.n - load).abs();
            }
        }
        sums
    }
}
