//! How busy a minute is, which tells the pools of misses that speak of it.
//!
//! Idle minutes have a pool of their own. The busy ones have a pool at each of a few loads, the *middles*; of a load between two
//! of them both speak, the nearer one more. With borders in place of middles each pool said the same of unlike loads, and what
//! was said jumped where two of them met.
//!
//! ```text
//! score   idle │ first ──╲
//!              │          ╲___ second ───╲__ third ────
//! load         e      m₁        m₂           m₃
//! ```

/// Pools of busy minutes.
const MIDDLES: usize = 3;

/// Where they are, as shares of the busy minutes.
const SHARES: [f64; MIDDLES] = [0.25, 0.675, 0.925];

/// All pools: the idle one, and those at the middles in order.
pub(super) const BUSYNESS: usize = 1 + MIDDLES;

/// The golden section, in parts of 2^64: its multiples fall evenly between 0 and 1, and in step with nothing.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// What tells a busy minute from an idle one, and busier ones from others: the same at each lead.
#[derive(Debug, Clone, Copy)]
pub(super) struct Busy {
    /// e: below it a minute is idle. Added to every level before it is compared.
    pub(super) idle_below: f64,
    middles: [f64; MIDDLES],
}

impl Busy {
    /// That of these loads.
    pub(super) fn of(loads: impl Iterator<Item = f64>, idle_below: f64) -> Self {
        let mut busy: Vec<f64> = loads.filter(|load| *load >= idle_below).collect();
        let middles = SHARES.map(|share| quantile(&mut busy, share).unwrap_or(f64::MAX));
        Self { idle_below, middles }
    }

    /// The pool that the miss of a point counts in. Of a point between two middles every other miss counts in the one or the other,
    /// so that both have their share of them.
    pub(super) fn pool(&self, point: f64, nth: usize) -> usize {
        if point < self.idle_below {
            return 0;
        }
        let after = self.middles.partition_point(|middle| *middle <= point);
        if after == 0 || after == MIDDLES {
            return after.max(1);
        }
        let (from, to) = (self.middles[after - 1], self.middles[after]);
        let turn = ((nth as u64).wrapping_mul(GOLDEN) >> 11) as f64 / (1_u64 << 53) as f64;
        after + usize::from(turn < (point - from) / (to - from))
    }

    /// The most that any point up to this one reaches when it may be missed by `scores`, one of each pool: `f + r·(f + e)`.
    ///
    /// So that a larger newest value never gives a smaller load: where a busier pool is so much surer that what is reached would
    /// fall, what was reached before it stands.
    pub(super) fn reach(&self, point: f64, scores: [f64; BUSYNESS]) -> f64 {
        let e = self.idle_below;
        let reached = |load: f64, score: f64| load + score * (load + e);
        if point < e {
            return reached(point, scores[0]);
        }
        // From e to the first middle, and from the last one on, the score stays: it rises with the load.
        let mut most = reached(e, scores[0]).max(reached(point.min(self.middles[0]), scores[1]));
        for (middles, scores) in self.middles.windows(2).zip(scores[1..].windows(2)) {
            let (from, to) = (middles[0], middles[1].min(point));
            if point < from {
                break;
            }
            // Most minutes of a service that counts in ones are alike, and two middles the same load: there both pools speak.
            if middles[1] <= from {
                most = most.max(reached(from, scores[1]));
                continue;
            }
            let slope = (scores[1] - scores[0]) / (middles[1] - from);
            let at = |load: f64| reached(load, scores[0] + slope * (load - from));
            most = most.max(at(to));
            // f + (r + s·(f − m))·(f + e) is a parabola, and open to below where s is negative.
            let top = 0.5 * (from - e - (1.0 + scores[0]) / slope);
            if slope < 0.0 && from < top && top < to {
                most = most.max(at(top));
            }
        }
        if point > self.middles[MIDDLES - 1] { most.max(reached(point, scores[MIDDLES])) } else { most }
    }
}

/// The value at a share of the values in order, `None` of none. They are put in another order.
pub(super) fn quantile(values: &mut [f64], share: f64) -> Option<f64> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "0 <= share * count <= count"
    )]
    let rank = (share * values.len() as f64) as usize;
    (rank < values.len()).then(|| *values.select_nth_unstable_by(rank, f64::total_cmp).1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Busy from 1 on, with middles at 250, 675 and 925.
    fn busy() -> Busy {
        Busy::of((0..1000).map(f64::from), 1.0)
    }

    #[test]
    fn a_point_between_two_middles_counts_in_both_by_its_distance() {
        let busy = busy();
        let share = |point: f64, pool: usize| {
            (0..1000).filter(|nth| busy.pool(point, *nth) == pool).count() as f64 / 1000.0
        };
        for (point, pool, expected) in [
            (0.5, 0, 1.0),
            (1.0, 1, 1.0),
            (250.0, 1, 1.0),
            (250.0 + 85.0, 2, 0.2),
            (250.0 + 85.0, 1, 0.8),
            (900.0, 3, 0.9),
            (925.0, 3, 1.0),
            (5_000.0, 3, 1.0),
        ] {
            assert!((share(point, pool) - expected).abs() < 0.01, "{point}: {}", share(point, pool));
        }
    }

    #[test]
    fn what_is_reached_lies_on_the_line_between_the_middles_and_never_falls() {
        let busy = busy();
        let middle = |place: usize| busy.middles[place];
        let scores = [0.0, 0.3, 0.1, 0.2];
        let reached = |load: f64, score: f64| load + score * (load + 1.0);
        for (load, score) in [
            (100.0, 0.3),
            (middle(0), 0.3),
            (0.5 * (middle(0) + middle(1)), 0.2),
            (middle(1), 0.1),
            (2e3, 0.2),
        ] {
            let [ours, expected] = [busy.reach(load, scores), reached(load, score)];
            assert!((ours - expected).abs() < 1e-9, "{load}: {ours} for {expected}");
        }
        // The second pool is sure of what the first is not at all: what is reached would fall by half between their middles.
        let scores = [5.0, 2.0, 0.0, 0.1];
        let all: Vec<f64> = (0..12_000).map(|tenth| busy.reach(f64::from(tenth) / 10.0, scores)).collect();
        assert!(all.is_sorted());
        let most = (0..12_000).map(|tenth| {
            let load = f64::from(tenth) / 10.0;
            let share = ((load - middle(0)) / (middle(1) - middle(0))).clamp(0.0, 1.0);
            if load < middle(1) { reached(load, 2.0 - 2.0 * share) } else { 0.0 }
        });
        let most = most.fold(0.0, f64::max);
        assert!((busy.reach(middle(1), scores) - most).abs() < 0.01, "the top of the parabola stands");
    }

    #[test]
    fn where_loads_are_all_alike_or_none_is_busy_there_is_an_answer() {
        let alike = Busy::of((0..100).map(|_| 7.0), 0.07);
        assert_eq!([6.9, 7.0, 7.1].map(|point| alike.pool(point, 0)), [1, 3, 3]);
        assert!([6.9, 7.0, 7.1].map(|point| alike.reach(point, [0.0, 0.2, 0.1, 0.1])).is_sorted());
        // Two thirds of the minutes have one, the rest ten: two middles at 1, and one at 10.
        let ones = Busy::of((0..300).map(|k| if k % 10 < 7 { 1.0 } else { 10.0 }), 0.1);
        let reached = |point: f64| ones.reach(point, [0.0, 0.5, 0.5, 0.5]);
        for point in [1.0, 4.0, 9.0, 10.0, 12.0] {
            let expected = point + 0.5 * (point + 0.1);
            assert!((reached(point) - expected).abs() < 1e-9, "{point}: {}", reached(point));
        }
        assert!((ones.reach(1.0, [0.0, 0.2, 0.5, 0.5]) - 1.55).abs() < 1e-9, "both speak where both are");
        let none = Busy::of(std::iter::empty(), 1.0);
        assert_eq!([0.5, 2.0].map(|point| none.pool(point, 0)), [0, 1]);
        assert!((none.reach(2.0, [0.0, 1.0, 9.0, 9.0]) - 5.0).abs() < 1e-9);
    }
}
