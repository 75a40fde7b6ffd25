//! How large an error is to be expected, told from the signs of a coming miss.
//!
//! ```text
//! ln (|e| + ε) = signs · coefficients          ε: a tenth of the mean error, so that a lucky hit is not infinitely small
//! ```
//!
//! A ridge, which is a straight line in the logarithm and knows no end: shown an hour of zeros on a day that nobody said was
//! closed, it would expect errors hundreds of times any that ever came. So a size is never beyond [`BEYOND`] times the
//! largest or the smallest that it would have given to what it learned from.

use super::linear::{Rows, dot, ridge};
use super::pools::{Score, average};

/// λ.
const STRENGTH: f64 = 0.05;

/// How many times farther than ever a size may go.
const BEYOND: f64 = 2.0;

/// Bound of the logarithm of a size around that of the mean error.
const CLIP: f64 = 6.0;

/// How much a row of nothing counts beside a busy one: a closed night is most of the rows of an exchange, and tells nothing of
/// its day.
const CLOSED_WEIGHT: f64 = 0.02;

/// Sine and cosine of one, two and three turns a day at `share` of it, by the sums of angles.
pub(super) fn turns(share: f64) -> [(f64, f64); 3] {
    let (s1, c1) = (std::f64::consts::TAU * share).sin_cos();
    let (s2, c2) = (2.0 * s1 * c1, c1 * c1 - s1 * s1);
    [(s1, c1), (s2, c2), (s1 * c2 + c1 * s2, c1 * c2 - s1 * s2)]
}

/// The size of an error by its signs, of which the first is 1 and the second how closed it is, 0 to 1.
#[derive(Debug, Clone)]
pub(super) struct Scale<const SIGNS: usize> {
    coefficients: [f64; SIGNS],
    /// Of the logarithm.
    least: f64,
    most: f64,
}

impl<const SIGNS: usize> Scale<SIGNS> {
    /// Every size is 1.
    pub(super) fn unknown() -> Self {
        Self { coefficients: [0.0; SIGNS], least: 0.0, most: 0.0 }
    }

    /// Learns from past errors, and from their signs in the same order.
    pub(super) fn learn(mut signs: Rows, errors: &[Score]) -> Self {
        let average = average(errors);
        let epsilon = (0.1 * average).max(1e-6);
        for (row, score) in errors.iter().enumerate() {
            signs.set_target(row, (score.error.abs() + epsilon).ln());
        }
        let open = |row: usize| CLOSED_WEIGHT + 1.0 - signs.features(row)[1];
        let weights: Vec<f64> =
            errors.iter().enumerate().map(|(row, score)| score.weight * open(row)).collect();
        let usual = (average + epsilon).ln();
        let mut prior = [0.0; SIGNS];
        prior[0] = usual;
        let mut coefficients = prior;
        coefficients.copy_from_slice(&ridge(&signs, &weights, STRENGTH, &prior));
        let logs = (0..errors.len()).map(|row| dot(signs.features(row), &coefficients));
        let (least, most) = logs.fold((usual, usual), |(least, most), log| (least.min(log), most.max(log)));
        let beyond = BEYOND.ln();
        Self {
            coefficients,
            least: (least - beyond).max(usual - CLIP),
            most: (most + beyond).min(usual + CLIP),
        }
    }

    /// The size of the error to be expected.
    pub(super) fn size(&self, signs: &[f64; SIGNS]) -> f64 {
        dot(signs, &self.coefficients).clamp(self.least, self.most).exp()
    }
}
