//! Quantiles from the forecaster's own past errors, conformal style.
//!
//! An error is scored as `(y − f) / √((f + c)·m)`, y the load, f the point forecast, m the mean level and c an offset:
//! between counting noise, which grows with the root of the level, and a wrong shape, which grows with the level itself.
//! Scores are pooled by lead and by how busy the forecast slot is; idle slots form a pool of their own, for a night of
//! zeros says nothing about noon. Split conformal prediction after Vovk, Gammerman & Shafer (2005): with n scores the
//! quantile τ is the ⌈τ(n+1)⌉-th smallest.

use crate::units::Quantile;

/// The levels a pool keeps; what lies between is read on the line.
const LEVELS: [f64; 17] =
    [0.01, 0.05, 0.1, 0.25, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.925, 0.95, 0.97, 0.98, 0.99, 0.995, 0.999];

/// Pools by how busy a slot is: idle, and thirds of the rest.
const POOLS: usize = 4;

/// A pool with fewer scores borrows those of every pool.
const ENOUGH: usize = 60;

/// One past error.
#[derive(Debug, Clone, Copy)]
pub(super) struct Miss {
    pub(super) point: f64,
    pub(super) load: f64,
}

/// The scale of the scores.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    /// Mean level of the history.
    pub(super) mean: f64,
    /// Added to a load before it is compared or divided.
    pub(super) offset: f64,
}

impl Scale {
    fn of(&self, point: f64) -> f64 {
        ((point + self.offset) * self.mean).sqrt()
    }
}

/// Score quantiles at one lead.
#[derive(Debug, Clone)]
pub(super) struct Spread {
    scale: Scale,
    /// Where the busy pools begin: at the offset, and at two thirds points of the busy forecasts.
    borders: [f64; POOLS - 1],
    scores: [[f64; LEVELS.len()]; POOLS],
}

impl Spread {
    /// The spread of past errors.
    pub(super) fn of(misses: &[Miss], scale: Scale) -> Self {
        let mut busy: Vec<f64> =
            misses.iter().map(|miss| miss.point).filter(|point| *point >= scale.offset).collect();
        busy.sort_unstable_by(f64::total_cmp);
        let third = |thirds: usize| busy.get(busy.len() * thirds / 3).copied().unwrap_or(f64::MAX);
        let borders = [scale.offset, third(1), third(2)];

        let mut pools: [Vec<f64>; POOLS] = Default::default();
        let mut all = Vec::with_capacity(misses.len());
        for miss in misses {
            let score = (miss.load - miss.point) / scale.of(miss.point);
            pools[pool(&borders, miss.point)].push(score);
            all.push(score);
        }
        all.sort_unstable_by(f64::total_cmp);
        let scores = pools.map(|mut pool| {
            pool.sort_unstable_by(f64::total_cmp);
            let from = if pool.len() < ENOUGH { &all } else { &pool };
            LEVELS.map(|level| conformal(from, level))
        });
        Self { scale, borders, scores }
    }

    /// The load that is not exceeded with probability `quantile` when the point forecast is `point`.
    ///
    /// A larger point never gives a smaller load: where a busier pool is the narrower one, what the calmer pool says at
    /// its upper border stands until the busier one has caught up. Without that, a larger measurement could take pods
    /// away.
    pub(super) fn reach(&self, point: f64, quantile: Quantile) -> f64 {
        let own = pool(&self.borders, point);
        let calmer = (0..own).map(|calmer| (calmer, self.borders[calmer]));
        calmer
            .chain([(own, point)])
            .map(|(pool, at)| at + self.score(pool, quantile) * self.scale.of(at))
            .fold(f64::NEG_INFINITY, f64::max)
    }

    fn score(&self, pool: usize, quantile: Quantile) -> f64 {
        let level = quantile.get().clamp(LEVELS[0], LEVELS[LEVELS.len() - 1]);
        let after = LEVELS.partition_point(|kept| *kept < level).clamp(1, LEVELS.len() - 1);
        let (low, high) = (LEVELS[after - 1], LEVELS[after]);
        let share = (level - low) / (high - low);
        let scores = &self.scores[pool];
        scores[after - 1] + (scores[after] - scores[after - 1]) * share
    }
}

fn pool(borders: &[f64; POOLS - 1], point: f64) -> usize {
    borders.iter().filter(|border| point >= **border).count()
}

/// The ⌈τ(n+1)⌉-th smallest of sorted scores, the largest when there are too few; 0 when there are none.
fn conformal(sorted: &[f64], level: f64) -> f64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "0 < level < 1, so 0 <= rank <= n+1"
    )]
    let rank = (level * (sorted.len() + 1) as f64).ceil() as usize;
    let index = rank.saturating_sub(1).min(sorted.len().saturating_sub(1));
    sorted.get(index).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conformal_quantile_counts_the_point_to_come() {
        let sorted: Vec<f64> = (1..=99).map(f64::from).collect();
        assert!((conformal(&sorted, 0.95) - 95.0).abs() < 1e-12);
        assert!((conformal(&sorted, 0.5) - 50.0).abs() < 1e-12);
        assert!((conformal(&sorted, 0.999) - 99.0).abs() < 1e-12);
        assert!(conformal(&[], 0.9).abs() < 1e-12);
    }

    #[test]
    fn a_night_of_zeros_does_not_narrow_the_day() {
        let idle = (0..500).map(|_| Miss { point: 0.0, load: 0.0 });
        let busy = (0..500).map(|k| Miss { point: 100.0, load: 50.0 + f64::from(k % 100) });
        let spread = Spread::of(&idle.chain(busy).collect::<Vec<_>>(), Scale { mean: 50.0, offset: 1.5 });
        assert!(spread.reach(0.0, Quantile::P95).abs() < 1e-9);
        assert!((spread.reach(100.0, Quantile::P95) - 145.0).abs() < 1.5);
    }

    #[test]
    fn a_larger_point_never_reaches_less() {
        // Calm slots are far less sure than busy ones.
        let calm = (0..300_i32).map(|k| Miss { point: 20.0, load: f64::from(k % 90) });
        let busy = (0..300_i32).map(|k| Miss { point: f64::from(40 + k), load: f64::from(40 + k) });
        let spread = Spread::of(&calm.chain(busy).collect::<Vec<_>>(), Scale { mean: 60.0, offset: 1.8 });
        let reached: Vec<f64> = (0..400).map(|point| spread.reach(f64::from(point), Quantile::P95)).collect();
        assert!(reached.is_sorted());
        assert!((reached[350] - 350.0).abs() < 1.0, "{}", reached[350]);
    }

    #[test]
    fn a_higher_quantile_is_never_lower() {
        let misses: Vec<Miss> = (0..400_i32)
            .map(|k| Miss { point: f64::from(k % 37), load: f64::from((k * 7919) % 61) })
            .collect();
        let spread = Spread::of(&misses, Scale { mean: 18.0, offset: 0.5 });
        for point in [0.0, 3.0, 20.0, 36.0, 500.0] {
            let mut last = f64::NEG_INFINITY;
            for percent in 1..100 {
                let reached = spread.reach(point, Quantile::try_new(f64::from(percent) / 100.0).unwrap());
                assert!(reached >= last);
                last = reached;
            }
        }
    }
}
