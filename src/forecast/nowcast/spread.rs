//! How far off the nowcast may be: conformal quantiles of its own past misses, by regime and level.
//!
//! A miss is scored as `(y − f) / (f + e)`, e being one per cent of the peak. Scores are pooled by how steep the coming
//! minutes are, for a ramp is less sure than a plateau, and by how busy they are; idle minutes form a pool of their own:
//! pooled with the day, a night of zeros makes the day look safe (coverage of 0.9 fell to 0.77 where nights are closed).
//! Split conformal prediction after Vovk, Gammerman & Shafer (2005).

use super::busy::{BUSYNESS, Busy};
use super::moment::Steepness;
use super::regimes::{REGIMES, Regimes, STEEPEST};
use super::sorted::{LEVELS, Pools, Scores, Sorted};

/// Each factor of ten in rareness beyond the last level adds this share of what the last level adds: too few scores are
/// that rare for a quantile of their own.
const TAIL_PER_DECADE: f64 = 1.0 / 3.0;

/// Pools at a lead.
const POOLS: usize = REGIMES * BUSYNESS;

/// A quantile beyond which a pool has so many scores is half its own; the rest is that of all busy minutes. A pool of a thousand has
/// one beyond its 0.999 quantile, by which no headroom can be told.
const RARE: f64 = 5.0;

/// From this level on. From 0.97 on was better on recorded traffic, but one bell in 290 was met a quarter of a minute late.
const RARE_FROM: f64 = 0.993;

/// A pool with fewer scores is not asked.
const ENOUGH: usize = 150;

/// A past miss.
#[derive(Debug, Clone, Copy)]
pub(super) struct Miss {
    pub(super) point: f64,
    pub(super) load: f64,
    pub(super) steepness: Steepness,
    /// How much it counts: newer misses count more.
    pub(super) weight: f64,
}

/// Score quantiles at one lead.
#[derive(Debug, Clone)]
pub(super) struct Spread {
    busy: Busy,
    regimes: Regimes,
    scores: [[Scores; BUSYNESS]; REGIMES],
}

impl Spread {
    /// The spread of past misses, pooled by how `busy` and how steep their minutes were.
    pub(super) fn of(misses: impl Iterator<Item = Miss> + Clone, busy: Busy) -> Self {
        let busy_ones = misses.clone().filter(|miss| miss.point >= busy.idle_below);
        let regimes = Regimes::of(busy_ones.map(|miss| miss.steepness));
        let pooled = misses.enumerate().map(|(nth, miss)| {
            let regime = regimes.regime(miss.steepness);
            let score = (miss.load - miss.point) / (miss.point + busy.idle_below);
            (regime * BUSYNESS + busy.pool(miss.point, nth), score, miss.weight)
        });
        let sorted = Sorted::of(pooled);
        let asked = |of: &dyn Fn(usize) -> bool| Pools::of(POOLS, of);
        let speaks = |own: usize| {
            [
                asked(&|pool| pool == own),
                asked(&|pool| pool / BUSYNESS == own / BUSYNESS),
                asked(&|pool| pool % BUSYNESS == own % BUSYNESS),
            ]
            .into_iter()
            .find(|pools| sorted.count(*pools) >= ENOUGH)
            .unwrap_or_else(|| asked(&|_| true))
        };
        let any_busy = asked(&|pool| pool % BUSYNESS > 0);
        let [scores @ .., of_busy] = sorted.scores(std::array::from_fn::<_, { POOLS + 1 }, _>(|pool| {
            if pool < POOLS { speaks(pool) } else { any_busy }
        }));
        let counts =
            |regime: usize, level: usize| sorted.count(asked(&|pool| pool == regime * BUSYNESS + level));
        let scores: [Scores; POOLS] = scores;
        let scores = std::array::from_fn(|regime| {
            std::array::from_fn(|level| {
                let pool = regime * BUSYNESS + level;
                let spoken_by = sorted.count(speaks(pool));
                if level == 0 {
                    scores[pool]
                } else {
                    steadied(scores[pool], spoken_by, of_busy, regime == STEEPEST)
                }
            })
        });
        Self { busy, regimes, scores: rising(scores, counts) }
    }

    /// The load that is not exceeded with probability `level` when the point is `point`.
    ///
    /// A larger newest value never gives a smaller load: a steeper regime says no less than a calmer one, and [`Busy::reach`] sees to
    /// the rest.
    pub(super) fn reach(&self, point: f64, steepness: Steepness, level: f64) -> f64 {
        let pools = &self.scores[self.regimes.regime(steepness)];
        let place = Place::of(level);
        self.busy.reach(point, pools.each_ref().map(|scores| place.read(scores))).max(0.0)
    }
}

/// The scores of a busy pool, drawn towards those `of_busy` minutes of any kind the fewer lie beyond them; only up where it is
/// `steep`, for of a bell its own few misses know more than all the level minutes.
fn steadied(own: Scores, count: usize, of_busy: Scores, steep: bool) -> Scores {
    let mut steadied = own;
    for (at, level) in LEVELS.into_iter().enumerate().filter(|(_, level)| *level >= RARE_FROM) {
        let beyond = count as f64 * (1.0 - level);
        let [own, all] = [own, of_busy].map(|scores| f64::from(scores[at]));
        let all = if steep { all.max(own) } else { all };
        #[expect(clippy::cast_possible_truncation, reason = "a mean of what were f32")]
        let mean = ((own * beyond + all * RARE) / (beyond + RARE)) as f32;
        // A rarer level is drawn farther, and must not end below one that is not.
        steadied[at] = mean.max(steadied[at - 1]);
    }
    steadied
}

/// The same scores, so that none of a steeper regime is below one of a calmer: where they are the wrong way round, both become
/// their mean, each counted by how many misses it rests on. The larger of the two would be right of neither.
///
/// Isotonic regression by pooling adjacent violators (Ayer, Brunk, Ewing, Reid & Silverman, 1955).
fn rising(
    mut scores: [[Scores; BUSYNESS]; REGIMES],
    count: impl Fn(usize, usize) -> usize,
) -> [[Scores; BUSYNESS]; REGIMES] {
    (0..BUSYNESS).for_each(|busyness| {
        let counts: [f64; REGIMES] = std::array::from_fn(|regime| 1.0 + count(regime, busyness) as f64);
        (0..LEVELS.len()).for_each(|level| {
            let column = std::array::from_fn(|regime| f64::from(scores[regime][busyness][level]));
            for (regime, score) in isotonic(column, counts).into_iter().enumerate() {
                #[expect(clippy::cast_possible_truncation, reason = "a mean of what was an f32")]
                let score = score as f32;
                scores[regime][busyness][level] = score;
            }
        });
    });
    scores
}

/// The values nearest to these, each counted so much, that never fall.
fn isotonic(mut values: [f64; REGIMES], counts: [f64; REGIMES]) -> [f64; REGIMES] {
    for end in 1..REGIMES {
        // The block that ends here takes in those before it for as long as their mean is above its own.
        let (mut start, mut sum, mut count) = (end, values[end] * counts[end], counts[end]);
        while start > 0 && values[start - 1] > sum / count {
            start -= 1;
            (sum, count) = (sum + values[start] * counts[start], count + counts[start]);
        }
        values[start..=end].fill(sum / count);
    }
    values
}

/// Where a level lies among the kept ones.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// So far from the one before it to this one, on the line in the logarithm of rareness.
    Levels { after: usize, share: f64 },
    /// So many decades beyond the last.
    Beyond { decades: f64 },
}

impl Place {
    fn of(level: f64) -> Self {
        let last = LEVELS.len() - 1;
        if level >= LEVELS[last] {
            return Self::Beyond { decades: ((1.0 - LEVELS[last]) / (1.0 - level)).log10() };
        }
        let after = LEVELS.partition_point(|kept| *kept < level).clamp(1, last);
        let rareness = |level: f64| -(1.0 - level).ln();
        let (low, high) = (rareness(LEVELS[after - 1]), rareness(LEVELS[after]));
        Self::Levels { after, share: ((rareness(level) - low) / (high - low)).clamp(0.0, 1.0) }
    }

    /// The score quantile there.
    fn read(self, scores: &Scores) -> f64 {
        match self {
            Self::Levels { after, share } => {
                let (from, to) = (f64::from(scores[after - 1]), f64::from(scores[after]));
                from + (to - from) * share
            }
            Self::Beyond { decades } => {
                let last = f64::from(scores[LEVELS.len() - 1]);
                last + last.max(0.0) * TAIL_PER_DECADE * decades
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALM: Steepness = Steepness { usual: 0.0, seen: 0.0 };
    const STEEP_RAMP: Steepness = Steepness { usual: 0.9, seen: 0.0 };

    fn miss(point: f64, load: f64, steepness: Steepness) -> Miss {
        Miss { point, load, steepness, weight: 1.0 }
    }

    fn spread(misses: impl Iterator<Item = Miss>, idle: f64) -> Spread {
        let misses: Vec<Miss> = misses.collect();
        let busy = Busy::of(misses.iter().map(|miss| miss.load), idle);
        Spread::of(misses.into_iter(), busy)
    }

    #[test]
    fn a_night_of_zeros_and_a_calm_day_do_not_narrow_a_ramp() {
        let night = (0..900).map(|_| miss(0.0, 0.0, CALM));
        let day = (0..400).map(|k| miss(100.0, 95.0 + f64::from(k % 10), CALM));
        let ramp = (0..400).map(|k| miss(100.0, 50.0 + f64::from(k % 100), STEEP_RAMP));
        let spread = spread(night.chain(day).chain(ramp), 1.0);
        assert!(spread.reach(0.0, CALM, 0.95).abs() < 1e-6);
        assert!((spread.reach(100.0, CALM, 0.95) - 104.0).abs() < 1.1);
        assert!((spread.reach(100.0, STEEP_RAMP, 0.95) - 145.0).abs() < 2.1);
    }

    #[test]
    fn beyond_the_last_level_each_decade_adds_a_third() {
        let misses: Vec<Miss> = (0..4000).map(|k| miss(99.0, 99.0 + f64::from(k % 100), CALM)).collect();
        let spread = spread(misses.into_iter(), 1.0);
        let reach = |level| spread.reach(99.0, CALM, level) - 99.0;
        assert!((reach(0.999) - 99.0).abs() < 0.1);
        assert!((reach(0.9999) - 132.0).abs() < 0.1 && (reach(0.99999) - 165.0).abs() < 0.1);
    }

    #[test]
    fn a_pool_with_few_rare_misses_hears_what_all_busy_minutes_have_missed_by() {
        // A ramp that was met four hundred times, without a surprise, beside a day of four thousand minutes with some.
        let ramp = (0..400).map(|k| miss(100.0, 100.0 + f64::from(k % 10), STEEP_RAMP));
        let day = (0..4000).map(|k| miss(100.0, if k % 100 == 0 { 160.0 } else { 104.0 }, CALM));
        let spread = spread(ramp.chain(day), 1.0);
        let reach = |level: f64| spread.reach(100.0, STEEP_RAMP, level);
        assert!((reach(0.95) - 109.0).abs() < 0.1, "{}: twenty lie beyond, and speak", reach(0.95));
        assert!((140.0..160.0).contains(&reach(0.999)), "{}: less than one does", reach(0.999));
        assert!((900..1000).map(|level| reach(f64::from(level) / 1000.0)).is_sorted());
    }

    #[test]
    fn regimes_that_are_the_wrong_way_round_say_their_mean() {
        // After a spike demand falls back: what looks steep was missed by less than what looks calm.
        let calm = (0..300).map(|k| miss(100.0, 100.0 + f64::from(k % 100), CALM));
        let steep = (0..300).map(|k| miss(100.0, 80.0 + f64::from(k % 100), STEEP_RAMP));
        let spread = spread(calm.chain(steep), 1.0);
        let [calm, steep] = [CALM, STEEP_RAMP].map(|steepness| spread.reach(100.0, steepness, 0.9));
        assert!((calm - steep).abs() < 1e-6, "{calm} {steep}");
        assert!((calm - 180.0).abs() < 2.0, "{calm}: between 190 and 170");
    }

    #[test]
    fn a_larger_point_a_newer_rise_and_a_higher_level_never_reach_less() {
        let misses: Vec<Miss> = (0..6000_u32)
            .map(|k| {
                let point = f64::from(k * 7919 % 613);
                let spread = if point < 200.0 { 90.0 } else { 10.0 };
                let steepness = Steepness { usual: 0.0, seen: f64::from(k % 13) / 10.0 };
                miss(point, point + spread * f64::from(k * 104_729 % 101) / 101.0, steepness)
            })
            .collect();
        let spread = spread(misses.into_iter(), 6.0);
        let reached = |point: i32, seen: i32, level: i32| {
            let steepness = Steepness { usual: 0.0, seen: f64::from(seen) / 10.0 };
            spread.reach(f64::from(point), steepness, f64::from(level) / 1000.0)
        };
        assert!((0..650).map(|point| reached(point, 0, 950)).is_sorted());
        assert!((0..15).map(|seen| reached(300, seen, 950)).is_sorted());
        assert!((500..1000).map(|level| reached(300, 3, level)).is_sorted());
    }
}
