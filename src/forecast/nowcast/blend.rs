//! How much each candidate is believed: non-negative weights of least squares.
//!
//! With three candidates every set of positive weights can be tried, which is exact and needs no iteration (Lawson &
//! Hanson, Solving Least Squares Problems, 1974, chapter 23, solve the general case).

use super::moment::CANDIDATES;

/// How strongly weights are drawn towards equal ones, as a share of the candidates' mean square.
const RIDGE: f64 = 1e-4;

/// The normal equations, summed up lesson by lesson.
#[derive(Debug, Clone, Default)]
pub(super) struct Lessons {
    squares: [[f64; CANDIDATES]; CANDIDATES],
    products: [f64; CANDIDATES],
}

impl Lessons {
    /// Adds a past minute: what the candidates said and what came. The square of its miss counts with `weight`.
    pub(super) fn add(&mut self, candidates: [f64; CANDIDATES], load: f64, weight: f64) {
        for row in 0..CANDIDATES {
            for column in 0..CANDIDATES {
                self.squares[row][column] += weight * candidates[row] * candidates[column];
            }
            self.products[row] += weight * candidates[row] * load;
        }
    }

    /// The weights with the least squared error. Equal ones where nothing was learned.
    pub(super) fn weights(&self) -> [f64; CANDIDATES] {
        let equal = 1.0 / CANDIDATES as f64;
        let ridge = RIDGE * (0..CANDIDATES).map(|k| self.squares[k][k]).sum::<f64>() * equal;
        let mut squares = self.squares;
        let mut products = self.products;
        for k in 0..CANDIDATES {
            squares[k][k] += ridge;
            products[k] += ridge * equal;
        }
        let mut best = (f64::INFINITY, [equal; CANDIDATES]);
        for set in 1_u32..1 << CANDIDATES {
            let Some(weights) = solve(&squares, &products, set) else { continue };
            let quadratic: f64 = (0..CANDIDATES).map(|row| weights[row] * dot(&squares[row], &weights)).sum();
            let loss = quadratic - 2.0 * dot(&products, &weights);
            if weights.iter().all(|weight| *weight >= 0.0) && loss < best.0 {
                best = (loss, weights);
            }
        }
        best.1
    }
}

/// The sum of products.
pub(super) fn dot(left: &[f64; CANDIDATES], right: &[f64; CANDIDATES]) -> f64 {
    left.iter().zip(right).map(|(left, right)| left * right).sum()
}

/// Solves the equations of the candidates in `set`, the others being 0, by elimination with pivots on the diagonal, which
/// a positive definite matrix allows. `None` where it is singular.
fn solve(
    squares: &[[f64; CANDIDATES]; CANDIDATES],
    products: &[f64; CANDIDATES],
    set: u32,
) -> Option<[f64; CANDIDATES]> {
    let within = |k: usize| set & (1 << k) != 0;
    let mut rows = [[0.0; CANDIDATES + 1]; CANDIDATES];
    for (k, row) in rows.iter_mut().enumerate() {
        if within(k) {
            for (column, cell) in row.iter_mut().take(CANDIDATES).enumerate() {
                *cell = if within(column) { squares[k][column] } else { 0.0 };
            }
            row[CANDIDATES] = products[k];
        } else {
            row[k] = 1.0;
        }
    }
    for pivot in 0..CANDIDATES {
        let row = rows[pivot];
        if row[pivot] <= f64::EPSILON * squares[pivot][pivot] {
            return None;
        }
        for (other, target) in rows.iter_mut().enumerate() {
            if other != pivot {
                let share = target[pivot] / row[pivot];
                for (cell, from) in target.iter_mut().zip(row) {
                    *cell -= share * from;
                }
            }
        }
    }
    let weights: [f64; CANDIDATES] = std::array::from_fn(|k| rows[k][CANDIDATES] / rows[k][k]);
    weights.iter().all(|weight| weight.is_finite()).then_some(weights)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learned(rows: &[([f64; 3], f64)]) -> [f64; 3] {
        let mut lessons = Lessons::default();
        for (candidates, load) in rows {
            lessons.add(*candidates, *load, 1.0);
        }
        lessons.weights()
    }

    #[test]
    fn the_candidate_that_was_right_is_believed() {
        let rows: Vec<_> = (0..50)
            .map(|k| {
                let k = f64::from(k);
                ([k, 40.0 + (k * 7.3).sin() * 30.0, 25.0 + (k * 1.7).cos() * 20.0], k)
            })
            .collect();
        let weights = learned(&rows);
        assert!((weights[0] - 1.0).abs() < 0.01 && weights[1] < 0.01 && weights[2] < 0.01, "{weights:?}");
    }

    #[test]
    fn nobody_is_believed_less_than_not_at_all() {
        // The best unrestricted answer is 2·first − second.
        let rows: Vec<_> = (1..40)
            .map(|k| {
                let (k, other) = (f64::from(k), f64::from((k * 37) % 11));
                ([k, other, 0.0], 2.0 * k - other)
            })
            .collect();
        let weights = learned(&rows);
        assert!(weights.iter().all(|weight| *weight >= 0.0), "{weights:?}");
        assert!(weights[1].abs() < 1e-12 && weights[0] > 1.0);
    }

    #[test]
    fn without_lessons_and_in_silence_all_are_believed_alike() {
        for weights in [learned(&[]), learned(&[([0.0; 3], 0.0)])] {
            assert!(weights.iter().all(|weight| (weight - 1.0 / 3.0).abs() < 1e-12));
        }
    }
}
