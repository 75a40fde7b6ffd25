//! Quantiles of scores, pooled by how busy a slot is: the conformal part of every spread.
//!
//! Split conformal prediction after Vovk, Gammerman & Shafer (2005), with weights that fade with age after Barber, Candès,
//! Ramdas & Tibshirani (2023): the quantile τ of n scores with weights wᵢ is the smallest score whose weight and that of all
//! smaller ones reaches `τ (Σ wᵢ + 1)`. The 1 is the point to come.

use super::usual::OFFSET;
use crate::units::Quantile;

/// The levels a table keeps; what lies between is read on the line.
const LEVELS: [f64; 19] = [
    0.01, 0.05, 0.1, 0.25, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.925, 0.95, 0.97, 0.98, 0.985, 0.99, 0.995,
    0.999,
];

/// A pool with less weight than this takes in scores of all pools.
const ENOUGH: f64 = 40.0;

/// One score.
#[derive(Debug, Clone, Copy)]
pub(super) struct Score {
    /// What pools are told apart by: a level, or a time of day.
    pub(super) key: f64,
    pub(super) error: f64,
    /// Between 0 and 1 for each row that it stands for.
    pub(super) weight: f64,
}

/// With less weight than this, scores are padded with [`PRIOR`].
const PADDED_BELOW: f64 = 100.0;

/// The weight of the padding when nothing else is there.
const PADDING: f64 = 60.0;

/// The size of an error, in roots of means, before any was seen.
pub(super) const PRIOR_SIZE: f64 = 0.3;

/// Scores before any were seen, in sizes.
const PRIOR: [f64; 11] = [-1.2, -0.8, -0.5, -0.25, -0.1, 0.0, 0.25, 0.6, 1.0, 2.0, 4.0];

/// What is missing to [`PADDED_BELOW`], 0 to 1.
fn missing(weight: f64) -> f64 {
    (1.0 - weight / PADDED_BELOW).max(0.0)
}

/// The mean size of scores, shrunk to that of ignorance where they are few.
pub(super) fn average(scores: &[Score]) -> f64 {
    let weight: f64 = scores.iter().map(|score| score.weight).sum();
    let sum: f64 = scores.iter().map(|score| score.error.abs() * score.weight).sum();
    let padding = PADDING * missing(weight);
    if weight + padding > 0.0 { (sum + padding * PRIOR_SIZE) / (weight + padding) } else { 0.0 }
}

/// The scores, and where they are few what is thought without any: with a short past a forecast is less sure than that
/// past says. `unit` is what a size of 1 is in these scores.
pub(super) fn padded(mut scores: Vec<Score>, unit: f64) -> Vec<Score> {
    let weight: f64 = scores.iter().map(|score| score.weight).sum();
    let padding = PADDING * missing(weight) / PRIOR.len() as f64;
    if padding > 0.0 {
        scores.extend(PRIOR.map(|score| Score { key: f64::MAX, error: score * unit, weight: padding }));
    }
    scores
}

/// A score and its weight.
type Weighed = (f64, f64);

/// Score quantiles at [`LEVELS`], in seven digits: there are some forty tables for each lead, and they are a quarter of what
/// is kept of a fit.
type Table = [f32; LEVELS.len()];

/// Tables by key.
#[derive(Debug, Clone)]
pub(super) struct Pools {
    /// Where each table but the first begins.
    borders: Box<[f64]>,
    tables: Box<[Table]>,
}

impl Pools {
    /// Pools with these borders, ascending.
    pub(super) fn with_borders(scores: &[Score], borders: Vec<f64>) -> Self {
        // Put in order once: what a pool takes out of what is in order is in order.
        let mut all: Vec<(usize, Weighed)> =
            scores.iter().map(|score| (pool(&borders, score.key), (score.error, score.weight))).collect();
        all.sort_unstable_by(|(_, (a, _)), (_, (b, _))| a.total_cmp(b));
        let mut pools: Vec<Vec<Weighed>> = vec![Vec::new(); borders.len() + 1];
        for (pool, score) in &all {
            pools[*pool].push(*score);
        }
        let all: Vec<Weighed> = all.into_iter().map(|(_, score)| score).collect();
        let whole = table(&all);
        let tables = pools
            .iter()
            .map(|pool| {
                let weight: f64 = pool.iter().map(|(_, weight)| weight).sum();
                let own = table(pool);
                let trust = (weight / ENOUGH).min(1.0);
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "seven digits of a score are more than enough"
                )]
                let mix = |level: usize| (whole[level] + trust * (own[level] - whole[level])) as f32;
                std::array::from_fn(mix)
            })
            .collect();
        Self { borders: borders.into(), tables }
    }

    /// `count` pools of equal size among the keys from `busy` on, and one for what lies below, where anything does.
    pub(super) fn by_level(scores: &[Score], busy: f64, count: usize) -> Self {
        let mut keys: Vec<f64> = scores.iter().map(|score| score.key).filter(|key| *key >= busy).collect();
        keys.sort_unstable_by(f64::total_cmp);
        let parts = (1..count).filter_map(|part| keys.get(keys.len() * part / count).copied());
        let idle = (keys.len() < scores.len()).then_some(busy);
        let mut borders: Vec<f64> = idle.into_iter().chain(parts).collect();
        borders.dedup();
        Self::with_borders(scores, borders)
    }

    /// `point + √(point + c) · size · score`, of pools by level.
    ///
    /// A larger point never reaches less: where a busier pool is the narrower one, what the calmer pool says at its upper
    /// border stands until the busier one has caught up. Without that, a larger measurement could take pods away.
    pub(super) fn reach(&self, point: f64, size: f64, quantile: Quantile) -> f64 {
        let own = pool(&self.borders, point);
        let calmer = (0..own).map(|calmer| (calmer, self.borders[calmer]));
        calmer
            .chain([(own, point)])
            .map(|(pool, at)| at + (at + OFFSET).max(0.0).sqrt() * size * score(&self.tables[pool], quantile))
            .fold(f64::NEG_INFINITY, f64::max)
    }
}

/// Pools by hour of the day.
#[derive(Debug, Clone)]
pub(super) struct Hours(Box<[Table]>);

impl Hours {
    /// Pools of scores whose keys are times of day, in hours.
    pub(super) fn of(scores: &[Score]) -> Self {
        Self(Pools::with_borders(scores, hours().collect()).tables)
    }

    /// The hour, from 0 to 23, that a time of day in hours lies in.
    pub(super) fn hour(time: f64) -> usize {
        hours().filter(|hour| time >= *hour).count()
    }

    /// The score quantile of an hour.
    pub(super) fn score(&self, hour: usize, quantile: Quantile) -> f64 {
        score(&self.0[hour.min(self.0.len() - 1)], quantile)
    }
}

/// Where each hour but the first begins.
fn hours() -> impl Iterator<Item = f64> {
    (1..24).map(f64::from)
}

/// The score quantile of a table.
fn score(table: &Table, quantile: Quantile) -> f64 {
    let level = quantile.get().clamp(LEVELS[0], LEVELS[LEVELS.len() - 1]);
    let after = LEVELS.partition_point(|kept| *kept < level).clamp(1, LEVELS.len() - 1);
    let (low, high) = (LEVELS[after - 1], LEVELS[after]);
    let share = (level - low) / (high - low);
    let (from, to) = (f64::from(table[after - 1]), f64::from(table[after]));
    from + (to - from) * share
}

fn pool(borders: &[f64], key: f64) -> usize {
    borders.iter().filter(|border| key >= **border).count()
}

/// The table of scores that are in order; 0 where there are none.
fn table(scores: &[Weighed]) -> [f64; LEVELS.len()] {
    let total: f64 = scores.iter().map(|(_, weight)| weight).sum();
    let mut table = [0.0; LEVELS.len()];
    let (mut at, mut reached) = (0, 0.0);
    for (kept, level) in table.iter_mut().zip(LEVELS) {
        while at < scores.len() && reached < level * (total + 1.0) {
            reached += scores[at].1;
            at += 1;
        }
        *kept = scores.get(at.saturating_sub(1)).map_or(0.0, |(score, _)| *score);
    }
    table
}
