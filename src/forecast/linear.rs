//! Small linear regressions, solved exactly and in a fixed order.
//!
//! Neither a ridge toward a prior nor a non-negative one is in linfa, and both are a page when the number of columns is below
//! sixty: normal equations, then Cholesky or coordinate descent. Sums run in the order of the rows, so replicas get the same
//! bits. What is learned by least absolute error, and from one week after another, is [`super::taught`].

/// Rows of a regression: `columns` features each, flat.
#[derive(Debug, Clone, Default)]
pub(super) struct Rows {
    columns: usize,
    features: Vec<f64>,
    targets: Vec<f64>,
}

impl Rows {
    pub(super) fn new(columns: usize, capacity: usize) -> Self {
        Self {
            columns,
            features: Vec::with_capacity(columns * capacity),
            targets: Vec::with_capacity(capacity),
        }
    }

    pub(super) fn push(&mut self, features: &[f64], target: f64) {
        debug_assert_eq!(features.len(), self.columns);
        self.features.extend_from_slice(features);
        self.targets.push(target);
    }

    pub(super) fn columns(&self) -> usize {
        self.columns
    }

    pub(super) fn len(&self) -> usize {
        self.targets.len()
    }

    pub(super) fn features(&self, row: usize) -> &[f64] {
        &self.features[row * self.columns..(row + 1) * self.columns]
    }

    pub(super) fn set_target(&mut self, row: usize, target: f64) {
        self.targets[row] = target;
    }

    pub(super) fn target(&self, row: usize) -> f64 {
        self.targets[row]
    }
}

/// `Σ xⱼ βⱼ`, in four sums that do not wait for each other.
pub(super) fn dot(features: &[f64], coefficients: &[f64]) -> f64 {
    let length = features.len().min(coefficients.len());
    let (features, features_left) = features[..length].as_chunks::<4>();
    let (coefficients, coefficients_left) = coefficients[..length].as_chunks::<4>();
    let mut sums = [0.0; 4];
    for (features, coefficients) in features.iter().zip(coefficients) {
        for ((sum, feature), coefficient) in sums.iter_mut().zip(features).zip(coefficients) {
            *sum += feature * coefficient;
        }
    }
    let left = features_left.iter().zip(coefficients_left);
    let left: f64 = left.map(|(feature, coefficient)| feature * coefficient).sum();
    (sums[0] + sums[1]) + (sums[2] + sums[3]) + left
}

/// Sweeps of coordinate descent.
const SWEEPS: usize = 60;

/// Normal equations of weighted least squares: `A = XᵀWX` (lower triangle, row by row) and `b = XᵀWv`.
#[derive(Debug, Clone)]
pub(super) struct Normal {
    columns: usize,
    a: Vec<f64>,
    b: Vec<f64>,
}

impl Normal {
    pub(super) fn new(columns: usize) -> Self {
        Self { columns, a: vec![0.0; columns * columns], b: vec![0.0; columns] }
    }

    pub(super) fn clear(&mut self) {
        self.a.fill(0.0);
        self.b.fill(0.0);
    }

    /// Adds `rows` of `from` with `weights`. Four at a time, for what a cell costs is to be read and written; what is left over
    /// counts as four of which some weigh nothing.
    pub(super) fn add(&mut self, from: &Rows, rows: &[usize], weights: &[f64]) {
        for (rows, own) in rows.chunks(4).zip(weights.chunks(4)) {
            let mut weights = [0.0; 4];
            weights[..own.len()].copy_from_slice(own);
            let row = |some: usize| rows.get(some).copied().unwrap_or(rows[0]);
            self.add_four(from, [row(0), row(1), row(2), row(3)], weights);
        }
    }

    fn add_four(&mut self, from: &Rows, rows: [usize; 4], weights: [f64; 4]) {
        let features = rows.map(|row| from.features(row));
        let targets = rows.map(|row| from.target(row));
        for (row, line) in self.a.chunks_exact_mut(self.columns).enumerate() {
            let [w0, w1, w2, w3]: [f64; 4] = std::array::from_fn(|some| weights[some] * features[some][row]);
            // Of the days of the week all columns but one are 0.
            if w0 == 0.0 && w1 == 0.0 && w2 == 0.0 && w3 == 0.0 {
                continue;
            }
            self.b[row] += (w0 * targets[0] + w1 * targets[1]) + (w2 * targets[2] + w3 * targets[3]);
            let [x0, x1, x2, x3] = features.map(|features| &features[..=row]);
            let cells = line[..=row].iter_mut().zip(x0).zip(x1).zip(x2).zip(x3);
            for ((((cell, x0), x1), x2), x3) in cells {
                *cell += (w0 * x0 + w1 * x1) + (w2 * x2 + w3 * x3);
            }
        }
    }

    /// Adds other equations, each counted `times`.
    pub(super) fn add_times(&mut self, times: f64, other: &Self) {
        let own = self.a.iter_mut().chain(&mut self.b);
        for (own, other) in own.zip(other.a.iter().chain(&other.b)) {
            *own += times * other;
        }
    }

    fn diagonal(&self, column: usize) -> f64 {
        self.a[column * self.columns + column]
    }

    /// Adds `λ Σ sⱼ (βⱼ − priorⱼ)²` with s the second moment of each column, so that no unit matters. A column that is
    /// always 0 is held at its prior.
    pub(super) fn shrink(&mut self, strength: f64, prior: &[f64]) {
        let floor = 1e-9 * (0..self.columns).map(|column| self.diagonal(column)).fold(0.0, f64::max);
        for (column, prior) in prior.iter().enumerate() {
            let penalty = (strength * self.diagonal(column)).max(floor).max(f64::MIN_POSITIVE);
            self.a[column * self.columns + column] += penalty;
            self.b[column] += penalty * prior;
        }
    }

    /// The β of `A β = b` by Cholesky, in place; `None` when A is not positive definite.
    pub(super) fn solve(&mut self) -> Option<Vec<f64>> {
        let n = self.columns;
        for row in 0..n {
            for column in 0..=row {
                let (low, high) = self.a.split_at_mut(row * n);
                let (own, earlier): (&[f64], &[f64]) = if row == column {
                    (&high[..column], &high[..column])
                } else {
                    (&high[..column], &low[column * n..column * n + column])
                };
                let left = high[column] - dot(own, earlier);
                high[column] = if row == column {
                    if left.is_nan() || left <= 0.0 {
                        return None;
                    }
                    left.sqrt()
                } else {
                    left / low[column * n + column]
                };
            }
        }
        let mut solution = self.b.clone();
        for row in 0..n {
            let done = dot(&self.a[row * n..row * n + row], &solution[..row]);
            solution[row] = (solution[row] - done) / self.a[row * n + row];
        }
        for row in (0..n).rev() {
            let done: f64 = (row + 1..n).map(|below| self.a[below * n + row] * solution[below]).sum();
            solution[row] = (solution[row] - done) / self.a[row * n + row];
        }
        solution.iter().all(|coefficient| coefficient.is_finite()).then_some(solution)
    }

    /// Moves `solution` to the β ≥ 0 that minimises `βᵀAβ − 2 bᵀβ`, by coordinate descent.
    pub(super) fn descend(&self, solution: &mut [f64]) {
        for _ in 0..SWEEPS {
            let mut moved = 0.0_f64;
            for column in 0..self.columns {
                let diagonal = self.diagonal(column);
                if diagonal <= 0.0 {
                    continue;
                }
                let mut gradient = self.b[column];
                for (other, coefficient) in solution.iter().enumerate() {
                    let (row, line) = if other <= column { (column, other) } else { (other, column) };
                    gradient -= self.a[row * self.columns + line] * coefficient;
                }
                let next = (solution[column] + gradient / diagonal).max(0.0);
                moved = moved.max((next - solution[column]).abs());
                solution[column] = if next.is_finite() { next } else { 0.0 };
            }
            if moved < 1e-6 {
                break;
            }
        }
    }
}

/// The β that minimises `Σ wᵢ (vᵢ − xᵢβ)² + λ Σ sⱼ (βⱼ − priorⱼ)²` over the rows with a weight, of which there is one for
/// each; λ is `strength`. The prior where nothing has weight.
pub(super) fn ridge(rows: &Rows, weights: &[f64], strength: f64, prior: &[f64]) -> Vec<f64> {
    let used: Vec<usize> = (0..rows.len()).filter(|row| weights[*row] > 0.0).collect();
    if used.is_empty() {
        return prior.to_vec();
    }
    let weights: Vec<f64> = used.iter().map(|row| weights[*row]).collect();
    let mut normal = Normal::new(rows.columns);
    normal.add(rows, &used, &weights);
    normal.shrink(strength, prior);
    normal.solve().unwrap_or_else(|| prior.to_vec())
}
