//! Scores of past misses, put in order once for all the pools that they are asked by.
//!
//! Split conformal prediction after Vovk, Gammerman & Shafer (2005), with weights that fade with age. There are ten thousands of
//! scores at each lead and a dozen pools of them, alone and together, and putting them in order is most of what a nowcast takes to
//! learn: so a score, its pool and its weight are one word, the words are sorted once, and a pool is those that are its own.

/// The levels a pool keeps.
pub(super) const LEVELS: [f64; 20] = [
    0.01, 0.1, 0.3, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.925, 0.95, 0.97, 0.98, 0.985, 0.99, 0.993, 0.995,
    0.998, 0.999,
];

/// Score quantiles.
pub(super) type Scores = [f32; LEVELS.len()];

/// As many pools as can be told apart.
const POOLS: usize = 1 << POOL_BITS;
const POOL_BITS: u32 = 4;

/// Scores that are summed up together.
const RUN: usize = 64;

/// Pools that are asked together, a bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pools(u16);

impl Pools {
    /// Those of the first `count` that are `asked`.
    pub(super) fn of(count: usize, asked: impl Fn(usize) -> bool) -> Self {
        Self((0..count.min(POOLS)).filter(|pool| asked(*pool)).fold(0, |bits, pool| bits | 1 << pool))
    }

    fn hold(self, pool: usize) -> bool {
        self.0 & 1 << pool != 0
    }

    /// Their part of the `weights` of all pools.
    fn weigh(self, weights: &[f64; POOLS]) -> f64 {
        let own = weights.iter().enumerate().filter(|(pool, _)| self.hold(*pool));
        own.map(|(_, weight)| weight).sum()
    }
}

/// A miss: its score in seven digits, its pool, and its weight in five, in order of the score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Scored(u64);

/// The sign of an `f32`.
const SIGN: u32 = 1 << 31;

impl Scored {
    #[expect(clippy::cast_possible_truncation, reason = "seven digits of a share are more than enough")]
    fn new(pool: usize, score: f64, weight: f64) -> Self {
        let bits = (score as f32).to_bits();
        // A negative number is smaller the larger its bits are.
        let ordered = if bits & SIGN == 0 { bits | SIGN } else { !bits };
        let pool = (pool % POOLS) as u64;
        let weight = (weight as f32).to_bits() >> POOL_BITS;
        Self(u64::from(ordered) << 32 | pool << (32 - POOL_BITS) | u64::from(weight))
    }

    fn score(self) -> f32 {
        let ordered = (self.0 >> 32) as u32;
        f32::from_bits(if ordered & SIGN == 0 { !ordered } else { ordered & !SIGN })
    }

    fn pool(self) -> usize {
        (self.0 >> (32 - POOL_BITS)) as usize % POOLS
    }

    #[expect(clippy::cast_possible_truncation, reason = "the lower half, without the pool")]
    fn weight(self) -> f64 {
        f64::from(f32::from_bits((self.0 as u32) << POOL_BITS))
    }
}

/// Scores in order.
pub(super) struct Sorted {
    all: Vec<Scored>,
    sums: [Sum; POOLS],
}

/// What is in a pool.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    count: usize,
    weight: f64,
    /// The largest weight.
    newest: f64,
}

impl Sum {
    /// Both.
    fn and(self, other: &Self) -> Self {
        Self {
            count: self.count + other.count,
            weight: self.weight + other.weight,
            newest: self.newest.max(other.newest),
        }
    }
}

/// The words in order of their scores: a radix sort, from the lowest eleven bits of a score to its highest, in half the time of a
/// sort that compares.
fn in_order(mut words: Vec<Scored>) -> Vec<Scored> {
    const DIGITS: usize = 1 << 11;
    const SHIFTS: [u32; 3] = [32, 43, 54];
    #[expect(clippy::cast_possible_truncation, reason = "eleven bits")]
    let digit = |word: &Scored, shift: u32| (word.0 >> shift) as usize % DIGITS;
    let mut places = vec![[0; DIGITS]; SHIFTS.len()];
    for word in &words {
        for (places, shift) in places.iter_mut().zip(SHIFTS) {
            places[digit(word, shift)] += 1;
        }
    }
    let mut next = vec![Scored(0); words.len()];
    for (places, shift) in places.iter_mut().zip(SHIFTS) {
        let mut before = 0;
        for place in &mut *places {
            before += std::mem::replace(place, before);
        }
        for word in &words {
            let place = &mut places[digit(word, shift)];
            next[*place] = *word;
            *place += 1;
        }
        std::mem::swap(&mut words, &mut next);
    }
    words
}

impl Sorted {
    /// Those of `(pool, score, weight)`.
    pub(super) fn of(scores: impl Iterator<Item = (usize, f64, f64)>) -> Self {
        let all = scores.map(|(pool, score, weight)| Scored::new(pool, score, weight));
        let mut words = Vec::with_capacity(all.size_hint().1.unwrap_or(0));
        words.extend(all);
        let all = in_order(words);
        let mut sums = [Sum::default(); POOLS];
        for scored in &all {
            let weight = scored.weight();
            let sum = &mut sums[scored.pool()];
            *sum = sum.and(&Sum { count: 1, weight, newest: weight });
        }
        Self { all, sums }
    }

    /// How many there are in some pools.
    pub(super) fn count(&self, pools: Pools) -> usize {
        self.sum(pools).count
    }

    fn sum(&self, pools: Pools) -> Sum {
        let asked = self.sums.iter().enumerate().filter(|(pool, _)| pools.hold(*pool));
        asked.fold(Sum::default(), |sum, (_, own)| sum.and(own))
    }

    /// What each of these says; all of them in one pass, and what is asked twice is worked out once.
    ///
    /// The weight of a pool is summed up once for all who ask it. Only the run in which somebody reaches a level is looked at score by
    /// score, by him.
    pub(super) fn scores<const ASKED: usize>(&self, asked: [Pools; ASKED]) -> [Scores; ASKED] {
        let mut distinct: Vec<(Pools, Quantiles)> = Vec::with_capacity(ASKED);
        let places = asked.map(|pools| {
            let place = distinct.iter().position(|(known, _)| *known == pools);
            place.unwrap_or_else(|| {
                distinct.push((pools, Quantiles::of(&self.sum(pools))));
                distinct.len() - 1
            })
        });
        let mut weights = [0.0; POOLS];
        for run in self.all.chunks(RUN) {
            let before = weights;
            for scored in run {
                weights[scored.pool()] += scored.weight();
            }
            for (pools, quantiles) in &mut distinct {
                if pools.weigh(&weights) >= quantiles.next {
                    let own = run.iter().filter(|scored| pools.hold(scored.pool()));
                    quantiles.take(pools.weigh(&before), own);
                }
            }
        }
        let largest = |pools: Pools| self.all.iter().rev().find(|scored| pools.hold(scored.pool()));
        let scores = |(pools, quantiles): &(Pools, Quantiles)| {
            quantiles.scores(largest(*pools).map_or(0.0, |scored| scored.score()))
        };
        places.map(|place| scores(&distinct[place]))
    }
}

/// For each level the smallest score that has so much of the weight below it, the point to come counted as one of the
/// newest; the largest where there are too few, 0 where there are none. With equal weights that is the ⌈τ(n+1)⌉-th of n
/// (Tibshirani, Foygel Barber, Candès & Ramdas, at the `NeurIPS` of 2019).
#[derive(Debug, Clone, Copy)]
struct Quantiles {
    all: f64,
    /// What has to lie below for the next level to be reached.
    next: f64,
    /// The levels that have been reached.
    reached: usize,
    /// Of those.
    scores: Scores,
}

impl Quantiles {
    fn of(sum: &Sum) -> Self {
        // A hair of slack, or a sum that should be equal would not be.
        let all = (sum.weight + sum.newest) * (1.0 - 1e-12);
        Self { all, next: LEVELS[0] * all, reached: 0, scores: Scores::default() }
    }

    /// Takes in the next larger scores, that so much lies `below`.
    fn take<'a>(&mut self, mut below: f64, scores: impl Iterator<Item = &'a Scored>) {
        for scored in scores {
            below += scored.weight();
            while below >= self.next {
                self.scores[self.reached] = scored.score();
                self.reached += 1;
                self.next = LEVELS.get(self.reached).map_or(f64::INFINITY, |level| level * self.all);
            }
        }
    }

    /// What each level says: the `largest` those that were not reached.
    fn scores(mut self, largest: f32) -> Scores {
        self.scores[self.reached..].fill(largest);
        self.scores
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_keeps_order_score_pool_and_weight() {
        let scores = [-1e30, -2.5, -1e-9, 0.0, 1e-9, 0.25, 7.0, 1e30];
        let words: Vec<Scored> =
            scores.iter().enumerate().map(|(pool, score)| Scored::new(pool, *score, 0.3)).collect();
        assert!(words.is_sorted());
        assert_eq!(in_order(words.iter().rev().copied().collect()), words);
        for (pool, (word, score)) in words.iter().zip(scores).enumerate() {
            assert_eq!(word.pool(), pool);
            assert!((f64::from(word.score()) - score).abs() <= 1e-6 * score.abs());
            assert!((word.weight() - 0.3).abs() < 1e-5);
        }
    }

    #[test]
    fn the_quantile_of_a_pool_is_one_of_its_own_scores_and_that_of_all_is_one_of_all() {
        let sorted = Sorted::of((0..2000_u32).map(|k| (k as usize % 2, f64::from(k * 7919 % 2000), 1.0)));
        let median = LEVELS.iter().position(|level| level.total_cmp(&0.5).is_eq()).unwrap();
        let [one, both] = [Pools::of(1, |_| true), Pools::of(POOLS, |_| true)];
        let odd = Pools::of(2, |pool| pool == 1);
        let [even, all, odd, again] = sorted.scores([one, both, odd, one]);
        assert!((even[median] - 1000.0).abs() < 3.0 && (odd[median] - 1001.0).abs() < 3.0);
        assert!((all[median] - 1000.0).abs() < 2.0 && (all[LEVELS.len() - 1] - 1998.0).abs() < 2.0);
        assert!(again.iter().zip(even).all(|(again, even)| again.to_bits() == even.to_bits()));
        assert_eq!([one, both].map(|pools| sorted.count(pools)), [1000, 2000]);
    }

    #[test]
    fn where_there_are_too_few_the_largest_speaks_and_without_any_nothing_does() {
        let sorted = Sorted::of([(3, 1.0, 1.0), (3, 2.0, 1.0)].into_iter());
        let [third, fifth] = sorted.scores([3, 5].map(|asked| Pools::of(POOLS, |pool| pool == asked)));
        assert!((third[0] - 1.0).abs() < 1e-6 && third[10..].iter().all(|score| (score - 2.0).abs() < 1e-6));
        assert!(fifth.iter().all(|score| score.abs() < 1e-9));
    }
}
