//! Regressions by least absolute error that are taught week by week, as the replayed past was.
//!
//! ```text
//! weeks     1   2   3   4   5   6
//! replay    └───┴───┘ forecasts 4: learned from 1 2 3
//!               └───┴───┴───┘ forecasts 5: from 2 3 4, of which only 4 is looked at anew
//! ```
//!
//! The absolute value is reached by iteratively reweighted least squares (IRLS), `|r| ≈ r² / max(|r|, ε)`. What a week says is
//! summed up as normal equations, and a week older is the same equations, fainter: so that to replay nine weeks costs about as
//! much as to learn from them once. The weights that IRLS gave a week are those by the solution of its time, until all weeks
//! are weighed again, which the coefficients in force are learned from.

use super::linear::{Normal, Rows, dot};

/// What the coefficients are held to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind<'a> {
    /// A ridge toward a prior.
    Toward(&'a [f64]),
    /// Never below 0, with a ridge toward equal ones. Columns and targets are loads.
    NonNegative,
}

/// How it is learned.
#[derive(Debug, Clone, Copy)]
pub(super) struct Options<'a> {
    pub(super) kind: Kind<'a>,
    /// λ: the share of each column's second moment that pulls toward the prior.
    pub(super) strength: f64,
    /// How much of its weight a week keeps in the next one.
    pub(super) keeps: f64,
    /// So many weeks are remembered.
    pub(super) weeks: usize,
}

/// A regression and what it has been taught.
pub(super) struct Taught<'a> {
    rows: &'a Rows,
    options: Options<'a>,
    /// The oldest first.
    weeks: Vec<Week>,
    coefficients: Vec<f64>,
}

/// Rows of a week, their weights at its end, and what they say.
struct Week {
    rows: Vec<usize>,
    weights: Vec<f64>,
    says: Normal,
}

impl<'a> Taught<'a> {
    /// A regression of `rows` that has not been taught, whose coefficients are `first`. For each row `when` tells its week and its
    /// weight at the end of that.
    pub(super) fn new(
        rows: &'a Rows,
        first: &[f64],
        when: impl Fn(usize) -> (usize, f64),
        options: Options<'a>,
    ) -> Self {
        let mut weeks: Vec<Week> = Vec::new();
        for row in 0..rows.len() {
            let (week, weight) = when(row);
            while weeks.len() <= week {
                weeks.push(Week { rows: Vec::new(), weights: Vec::new(), says: Normal::new(rows.columns()) });
            }
            if weight > 0.0 {
                weeks[week].rows.push(row);
                weeks[week].weights.push(weight);
            }
        }
        Self { rows, options, weeks, coefficients: first.to_vec() }
    }

    pub(super) fn coefficients(&self) -> &[f64] {
        &self.coefficients
    }

    /// How many rows there are in the weeks that are remembered before the week `until`.
    pub(super) fn remembered(&self, until: usize) -> usize {
        let until = until.min(self.weeks.len());
        self.weeks[until.saturating_sub(self.options.weeks)..until].iter().map(|week| week.rows.len()).sum()
    }

    /// Learns what is known before the week `until`, in so many steps of IRLS. The newest `anew` of those weeks are weighed again;
    /// the others stand as they were weighed last.
    pub(super) fn learn(&mut self, until: usize, anew: usize, steps: usize) {
        let until = until.min(self.weeks.len());
        let from = until.saturating_sub(self.options.weeks);
        let anew = until.saturating_sub(anew).max(from)..until;
        let mut all = Normal::new(self.rows.columns());
        for _ in 0..steps {
            self.weigh(anew.clone());
            all.clear();
            let mut weight = 1.0;
            for week in self.weeks[from..until].iter().rev() {
                all.add_times(weight, &week.says);
                weight *= self.options.keeps;
            }
            match self.options.kind {
                Kind::Toward(prior) => {
                    all.shrink(self.options.strength, prior);
                    match all.solve() {
                        Some(better) => self.coefficients = better,
                        None => break,
                    }
                }
                Kind::NonNegative => {
                    let columns = self.rows.columns();
                    all.shrink(self.options.strength, &vec![1.0 / columns as f64; columns]);
                    all.descend(&mut self.coefficients);
                }
            }
        }
    }

    /// Sums up what `weeks` say, by how far the coefficients miss each of their rows.
    fn weigh(&mut self, weeks: std::ops::Range<usize>) {
        let rows = self.rows;
        let miss = |row: usize| (rows.target(row) - dot(rows.features(row), &self.coefficients)).abs();
        let mut misses: Vec<Vec<f64>> = Vec::with_capacity(weeks.len());
        misses.extend(
            self.weeks[weeks.clone()].iter().map(|week| week.rows.iter().map(|row| miss(*row)).collect()),
        );
        let least = self.least(&mut misses.concat());
        for (week, misses) in self.weeks[weeks].iter_mut().zip(&mut misses) {
            for (miss, weight) in misses.iter_mut().zip(&week.weights) {
                *miss = weight / miss.max(least);
            }
            week.says.clear();
            week.says.add(rows, &week.rows, misses);
        }
    }

    /// ε: a miss below half of the usual one is as good as none.
    fn least(&self, misses: &mut [f64]) -> f64 {
        if misses.is_empty() {
            return 1.0;
        }
        let mean = misses.iter().sum::<f64>() / misses.len() as f64;
        let middle = misses.len() / 2;
        let (_, median, _) = misses.select_nth_unstable_by(middle, f64::total_cmp);
        match self.options.kind {
            Kind::Toward(_) => (0.5 * *median).max(1e-9),
            Kind::NonNegative => (0.5 * *median).max(1e-3 * mean).max(f64::MIN_POSITIVE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four weeks of a hundred rows `y = 2·x₁ + x₂`, one in ten of them a hundred times as large.
    fn rows() -> Rows {
        let mut rows = Rows::new(2, 400);
        for row in 0..400_u32 {
            let features = [1.0 + f64::from(row * 7 % 13), 2.0 + f64::from(row * 11 % 17)];
            let target = 2.0 * features[0] + features[1];
            rows.push(&features, if row % 10 == 3 { 100.0 * target } else { target });
        }
        rows
    }

    fn taught<'a>(rows: &'a Rows, kind: Kind<'a>) -> Taught<'a> {
        let options = Options { kind, strength: 1e-4, keeps: 0.8, weeks: 3 };
        Taught::new(rows, &[0.5, 0.5], |row| (row / 100, 1.0), options)
    }

    #[test]
    fn one_in_ten_that_is_a_hundred_times_as_large_moves_nothing() {
        let rows = rows();
        for kind in [Kind::Toward(&[0.0; 2]), Kind::NonNegative] {
            let mut taught = taught(&rows, kind);
            taught.learn(3, 3, 8);
            taught.learn(4, 1, 2);
            let learned = taught.coefficients();
            assert!((learned[0] - 2.0).abs() < 0.05 && (learned[1] - 1.0).abs() < 0.05, "{learned:?}");
        }
    }

    #[test]
    fn week_by_week_comes_to_nearly_the_same_as_all_at_once() {
        let rows = rows();
        let (mut weekly, mut at_once) =
            (taught(&rows, Kind::Toward(&[0.0; 2])), taught(&rows, Kind::Toward(&[0.0; 2])));
        weekly.learn(2, 2, 8);
        weekly.learn(3, 1, 2);
        weekly.learn(4, 1, 2);
        at_once.learn(4, 3, 8);
        for (weekly, at_once) in weekly.coefficients().iter().zip(at_once.coefficients()) {
            assert!((weekly - at_once).abs() < 0.02, "{weekly} for {at_once}");
        }
    }

    #[test]
    fn without_rows_the_prior_stands() {
        let rows = Rows::new(2, 0);
        let mut taught = taught(&rows, Kind::Toward(&[3.0, 4.0]));
        taught.learn(4, 4, 2);
        assert_eq!(taught.remembered(4), 0);
        assert_eq!(taught.coefficients(), [3.0, 4.0]);
    }
}
