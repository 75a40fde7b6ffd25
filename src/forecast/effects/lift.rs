//! How one name lifts demand: what was declared of it, and what was seen of it, minute by minute from its instant.
//!
//! ```text
//! rᵢ(b) = ln (Σ y + c) / (Σ u + c)      occurrence i, bin b of the offset from its instant; u: the usual demand there
//! m(b)   = Σ wᵢ rᵢ(b) / Σ wᵢ            wᵢ = 0.95^(occurrences since)
//! μ(t)   = (K p(t) + W(b) m(b)) / (K + W(b))      p: declared, W = Σ wᵢ
//! K      = s² / s_p², within 1/20 … 1/5           s: the spread from one occurrence to the next, s_p: that of p
//! ```
//!
//! K is so from three occurrences on; until then a declaration counts for half of one.
//!
//! The spread begins as declared and gives way to what was seen of it: how far whole occurrences stood apart (aᵢ, the
//! slope of rᵢ on m) and how far their shapes did. Before the first occurrence it is exactly what was declared; what was
//! neither declared nor seen changes nothing.

use std::ops::Range;

use chrono::TimeDelta;

use super::reach::Reach;
use crate::calendar::Window;
use crate::forecast::median::median;
use crate::time::Timestamp;

/// What an occurrence counts for each one that came after it. What a pay day does to demand changes over years, and how busy the
/// day around one was is known to a tenth: the more of them are believed alike, the better.
const RECENCY: f64 = 0.95;

/// Older ones are forgotten.
pub(super) const OCCURRENCES: usize = 16;

/// A declaration counts for so many occurrences at first,
const DECLARED: f64 = 0.5;

/// and for so many, at least and at most, once it is known how well occurrences agree: after six the error of one that is
/// off by a factor of two is below 4 %.
const DECLARED_LATER: [f64; 2] = [0.05, 0.2];

/// From so many on, how well occurrences agree is known.
const AGREED: u32 = 3;

/// How far an effect of which no spread was declared may be off, as a part of its logarithm, until it was seen twice.
const UNDECLARED_SPREAD: f64 = 0.35;

/// A bin's ratio counts at most so many median deviations from the middle one, so that one odd occurrence is not the rule.
const ODD: f64 = 3.0;

/// Ratios this close to the middle one are never odd.
const ALIKE: f64 = 0.15;

/// The spread of the shape at a bin is read from so many bins to either side too,
const NEIGHBOURS: usize = 2;

/// and is drawn to that of all bins as by so many more occurrences.
const SHRINKAGE: f64 = 4.0;

/// One name's effect.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Lift {
    /// Width of a bin of the offset.
    bin_seconds: i64,
    /// Offset of the first bin, in bins.
    first: i64,
    bins: Vec<Bin>,
    /// Spread of whole occurrences, as a part of the logarithm.
    amplitude: f64,
}

/// What was seen at one offset.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Bin {
    log: f64,
    weight: f64,
    seen: u32,
    /// Spread of the shape there.
    shape: f64,
}

/// One occurrence: the logarithm of its multiple by bin, where it was measured.
pub(super) type Seen = Vec<Option<f64>>;

impl Lift {
    /// Of an effect that was never seen.
    pub(super) fn unseen(bin_seconds: i64, first: i64, bins: usize) -> Self {
        Self { bin_seconds, first, bins: vec![Bin::default(); bins], amplitude: 0.0 }
    }

    /// The bin of an instant so many seconds after the occurrence's own.
    pub(super) fn bin(&self, offset_seconds: i64) -> Option<usize> {
        let bin = offset_seconds.div_euclid(self.bin_seconds) - self.first;
        usize::try_from(bin).ok().filter(|bin| *bin < self.bins.len())
    }

    /// Where one bin gives way to the next between two instants, for an occurrence at `at`.
    pub(super) fn borders(
        &self,
        at: Timestamp,
        between: Range<Timestamp>,
    ) -> impl Iterator<Item = Timestamp> {
        let width = self.bin_seconds;
        let bin = |instant: Timestamp| (instant - at).num_seconds().div_euclid(width);
        (bin(between.start) + 1..=bin(between.end)).map(move |bin| at + TimeDelta::seconds(bin * width))
    }

    pub(super) fn bin_seconds(&self) -> i64 {
        self.bin_seconds
    }

    /// How many bins there are.
    pub(super) fn len(&self) -> usize {
        self.bins.len()
    }

    /// How often it was seen at most, and the logarithm of its multiple where that stood out most; `None` when it was not.
    pub(super) fn strongest(&self) -> Option<(u32, f64)> {
        let seen = self.bins.iter().map(|bin| bin.seen).max().filter(|seen| *seen > 0)?;
        let logs = self.bins.iter().filter(|bin| bin.seen > 0).map(|bin| bin.log);
        Some((seen, logs.max_by(|a, b| a.abs().total_cmp(&b.abs()))?))
    }

    /// Learns anew from occurrences, the newest first.
    pub(super) fn learn(&mut self, occurrences: &[Seen]) {
        let weights: Vec<f64> = std::iter::successors(Some(1.0), |weight| Some(weight * RECENCY))
            .take(occurrences.len())
            .collect();
        for (index, bin) in self.bins.iter_mut().enumerate() {
            let ratios: Vec<(f64, f64)> = occurrences
                .iter()
                .zip(&weights)
                .filter_map(|(seen, weight)| Some((seen[index]?, *weight)))
                .collect();
            *bin = Bin::of(&ratios);
        }
        self.learn_spread(occurrences, &weights);
    }

    /// How far whole occurrences stood apart, and how far the minutes of each lay from the rest of it.
    fn learn_spread(&mut self, occurrences: &[Seen], weights: &[f64]) {
        let (mut amplitude, mut total) = (0.0, 0.0);
        let mut squares = vec![(0.0, 0.0); self.bins.len()];
        for (seen, weight) in occurrences.iter().zip(weights) {
            let pairs = || self.bins.iter().zip(seen).map(|(bin, seen)| seen.map(|seen| (bin.log, seen)));
            let Some(slope) = slope(pairs().flatten()) else { continue };
            amplitude += weight * (slope - 1.0).powi(2);
            total += weight;
            for (square, pair) in squares.iter_mut().zip(pairs()) {
                if let Some((log, seen)) = pair {
                    square.0 += weight * (seen - slope * log).powi(2);
                    square.1 += weight;
                }
            }
        }
        let count = occurrences.len() as f64;
        let unbiased = if total > 0.0 && count > 1.0 { count / (count - 1.0) } else { 0.0 };
        self.amplitude = (unbiased * amplitude / total.max(f64::MIN_POSITIVE)).sqrt();
        let pooled = pool(&squares);
        for (index, bin) in self.bins.iter_mut().enumerate() {
            let near = index.saturating_sub(NEIGHBOURS)..(index + NEIGHBOURS + 1).min(squares.len());
            let (square, weight) = sum(&squares[near]);
            let shrunk = (square + SHRINKAGE * pooled) / (weight + SHRINKAGE);
            bin.shape = (unbiased * shrunk).sqrt();
        }
    }

    /// What is to be expected of `window` between two instants, or at one when they are the same.
    pub(super) fn reach(&self, window: &Window, from: Timestamp, until: Timestamp) -> Reach {
        let middle = from + (until - from) / 2;
        let seen = self.bin((middle - window.at).num_seconds()).map(|bin| self.bins[bin]).unwrap_or_default();
        let share = (window.share(from) + 4.0 * window.share(middle) + window.share(until)) / 6.0;
        let declared = window.uplift.as_ref().map(|uplift| Reach::declared(uplift, share));
        if seen.seen == 0 {
            return declared.unwrap_or_default();
        }
        let prior = declared.unwrap_or_default();
        let weight = self.declared_weight(&seen, &prior);
        let log = (weight * prior.log + seen.weight * seen.log) / (weight + seen.weight);
        let count = f64::from(seen.seen);
        let apart = (self.amplitude * log).powi(2) * (1.0 + 1.0 / seen.weight);
        let spread = |declared: f64| ((declared.powi(2) + (count - 1.0) * apart) / count).sqrt();
        let usual_spread = UNDECLARED_SPREAD * log.abs();
        let (up, down) = declared.map_or((usual_spread, usual_spread), |prior| (prior.up, prior.down));
        Reach { log, up: spread(up), down: spread(down), shape: seen.shape, plus: 0.0 }
    }

    /// K: for how many occurrences a declaration counts.
    fn declared_weight(&self, seen: &Bin, prior: &Reach) -> f64 {
        let unsure = (0.5 * (prior.up + prior.down)).powi(2);
        if seen.seen < AGREED || unsure <= 0.0 {
            return DECLARED;
        }
        let apart = (self.amplitude * seen.log).powi(2) + seen.shape.powi(2);
        let [least, most] = DECLARED_LATER;
        (apart / unsure).clamp(least, most)
    }
}

impl Bin {
    /// The weighted mean of `(ratio, weight)`, odd ones moved to where they are not.
    fn of(ratios: &[(f64, f64)]) -> Self {
        let mut list: Vec<f64> = ratios.iter().map(|(ratio, _)| *ratio).collect();
        let Some(middle) = median(&mut list) else { return Self::default() };
        let mut apart: Vec<f64> = list.iter().map(|ratio| (ratio - middle).abs()).collect();
        let deviation = median(&mut apart).unwrap_or(0.0);
        let bound = (ODD * deviation).max(ALIKE);
        let weight: f64 = ratios.iter().map(|(_, weight)| weight).sum();
        let sum: f64 =
            ratios.iter().map(|(ratio, weight)| weight * ratio.clamp(middle - bound, middle + bound)).sum();
        let seen = u32::try_from(ratios.len()).unwrap_or(u32::MAX);
        Self { log: sum / weight, weight, seen, shape: 0.0 }
    }
}

/// The slope of the second on the first through the origin; 1 where the first is all zero, `None` without pairs.
fn slope(pairs: impl Iterator<Item = (f64, f64)>) -> Option<f64> {
    let (mut product, mut square, mut count) = (0.0, 0.0, 0);
    for (log, seen) in pairs {
        (product, square, count) = (product + log * seen, square + log * log, count + 1);
    }
    let slope = if square > 1e-9 { product / square } else { 1.0 };
    (count > 0).then_some(slope)
}

fn sum(squares: &[(f64, f64)]) -> (f64, f64) {
    squares.iter().fold((0.0, 0.0), |sum, square| (sum.0 + square.0, sum.1 + square.1))
}

fn pool(squares: &[(f64, f64)]) -> f64 {
    let (square, weight) = sum(squares);
    if weight > 0.0 { square / weight } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar::{Envelope, Uplift, WindowSource};

    fn launch(uplift: Option<(f64, f64, f64)>) -> Window {
        let envelope = Envelope { hold: TimeDelta::minutes(60), ..Envelope::default() };
        let at = "2026-11-27T11:00:00Z".parse().unwrap();
        let window = Window::around("launch".into(), WindowSource::Event, at, &envelope);
        let uplift = uplift.map(|(lower, expected, upper)| Uplift::try_new(lower, expected, upper).unwrap());
        Window { uplift, ..window }
    }

    /// The multiples that are lower, expected and upper in the middle of the window, after `seen`, the newest first.
    fn multiples(window: &Window, seen: &[f64]) -> [f64; 3] {
        let mut lift = Lift::unseen(300, 0, 12);
        let occurrences: Vec<Seen> = seen.iter().map(|multiple| vec![Some(multiple.ln()); 12]).collect();
        lift.learn(&occurrences);
        let at = window.at + TimeDelta::minutes(30);
        let reach = lift.reach(window, at, at);
        [-1.644_853_626_951, 0.0, 1.644_853_626_951].map(|z| reach.log_at(z).exp())
    }

    #[test]
    fn before_the_first_occurrence_it_is_what_was_declared() {
        let found = multiples(&launch(Some((2.0, 6.0, 12.0))), &[]);
        for (found, declared) in found.into_iter().zip([2.0, 6.0, 12.0]) {
            assert!((found - declared).abs() < 1e-9, "{found} for {declared}");
        }
    }

    #[test]
    fn what_was_neither_declared_nor_seen_changes_nothing() {
        assert!(multiples(&launch(None), &[]).iter().all(|multiple| (multiple - 1.0).abs() < 1e-12));
    }

    #[test]
    fn six_occurrences_outweigh_a_declaration_that_is_off_by_two() {
        let seen = [3.1, 2.9, 3.0, 3.05, 2.95, 3.0];
        for declared in [(4.0, 6.0, 9.0), (1.2, 1.5, 2.0)] {
            let [lower, expected, upper] = multiples(&launch(Some(declared)), &seen);
            assert!((expected / 3.0 - 1.0).abs() < 0.15, "{expected} after {declared:?}");
            assert!(lower < 3.0 && 3.0 < upper, "{lower} to {upper}");
        }
    }

    #[test]
    fn the_spread_narrows_as_occurrences_agree() {
        let window = launch(Some((1.0, 3.0, 9.0)));
        let width = |count: usize| {
            let [lower, _, upper] = multiples(&window, &vec![3.0; count]);
            upper / lower
        };
        let widths: Vec<f64> = [0, 2, 4, 8, 16].into_iter().map(width).collect();
        assert!(widths.is_sorted_by(|a, b| a > b), "{widths:?}");
        assert!(widths[4] < 1.8, "{widths:?}");
    }

    #[test]
    fn one_odd_occurrence_is_not_the_rule() {
        let [_, expected, _] = multiples(&launch(None), &[40.0, 3.0, 3.1, 2.9, 3.0, 3.0]);
        assert!((2.2..3.6).contains(&expected), "{expected}");
    }
}
