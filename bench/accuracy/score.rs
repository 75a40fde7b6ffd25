//! Scores of forecasts, defined as in the kit's own scorer.
//!
//! y is what came, q the forecast quantile τ, S = Σ y over all scored bins; a bin that is a hole is not scored.
//!
//! ```text
//! pinball(τ) = 2 Σ max(τ (y − q), (τ − 1)(y − q)) / S          wql = mean of it over the four τ          wape = pinball(½)
//! bias = Σ (q50 − y) / S                                       coverage(τ) = share of bins with y ≤ q
//! unmet(τ) = Σ max(y − q, 0) / S                               over(τ) = Σ max(q − y, 0) / S
//! ```
//!
//! One number is ours: coverage over *busy* bins, those of which the median or what came is at least a hundredth of the
//! largest load that came. Where a service is closed, 0 ≤ 0 counts as covered, and flatters.

use tidetable::series::Series;

use crate::forecasts::{LEVELS, Rolled};
use crate::kit::Trace;

/// Of the largest load: less is idle.
const IDLE_SHARE: f64 = 0.01;

/// The scores of one trace on one track; numbers by level are in the order of [`LEVELS`].
#[derive(Debug, Clone, Default)]
pub(crate) struct Score {
    pub(crate) bins: usize,
    pub(crate) wape: f64,
    pub(crate) bias: f64,
    pub(crate) mase_week: f64,
    pub(crate) wape_peak5: f64,
    pub(crate) pinball: [f64; LEVELS.len()],
    pub(crate) wql: f64,
    pub(crate) coverage: [f64; LEVELS.len()],
    pub(crate) busy_coverage: [f64; LEVELS.len()],
    pub(crate) unmet: [f64; LEVELS.len()],
    pub(crate) over: [f64; LEVELS.len()],
    pub(crate) crossing: f64,
}

/// What came in a bin, and what had been forecast.
type Bin = (f64, [f64; LEVELS.len()]);

pub(crate) fn score(trace: &Trace, series: &Series, forecasts: &[Rolled]) -> Score {
    let rows = forecasts.iter().flat_map(|rolled| &rolled.rows);
    let bins: Vec<Bin> =
        rows.filter_map(|(slot, quantiles)| Some((series.load(*slot)?, *quantiles))).collect();
    let count = bins.len() as f64;
    let total: f64 = bins.iter().map(|(load, _)| load).sum();
    let of = |part: &dyn Fn(&Bin) -> f64| bins.iter().map(part).sum::<f64>();
    let missed = of(&|(load, quantiles)| (load - quantiles[0]).abs());
    let mut score = Score {
        bins: bins.len(),
        wape: missed / total,
        bias: of(&|(load, quantiles)| quantiles[0] - load) / total,
        mase_week: missed / count / weekly_change(trace, series),
        wape_peak5: wape_of_peaks(&bins),
        crossing: of(&|(_, quantiles)| {
            f64::from(u8::from(quantiles.windows(2).any(|pair| pair[1] - pair[0] < -1e-6)))
        }) / count,
        ..Score::default()
    };
    let largest = bins.iter().map(|(load, _)| *load).fold(0.0, f64::max);
    let busy = |(load, quantiles): &Bin| load.max(quantiles[0]) >= IDLE_SHARE * largest;
    let busy_count = bins.iter().filter(|bin| busy(bin)).count() as f64;
    for (at, level) in LEVELS.into_iter().enumerate() {
        let above = |(load, quantiles): &Bin| load - quantiles[at];
        let covered = |bin: &Bin| f64::from(u8::from(above(bin) <= 0.0));
        let pinball = |bin: &Bin| (level * above(bin)).max((level - 1.0) * above(bin));
        score.pinball[at] = 2.0 * of(&pinball) / total;
        score.coverage[at] = of(&covered) / count;
        score.busy_coverage[at] = bins.iter().filter(|bin| busy(bin)).map(covered).sum::<f64>() / busy_count;
        score.unmet[at] = of(&|bin| above(bin).max(0.0)) / total;
        score.over[at] = of(&|bin| (-above(bin)).max(0.0)) / total;
    }
    score.wql = score.pinball.iter().sum::<f64>() / LEVELS.len() as f64;
    score
}

/// The mean change from one week to the next before the test: the scale of MASE.
fn weekly_change(trace: &Trace, series: &Series) -> f64 {
    let step = series.step();
    let week = 7 * 86_400 / step.seconds();
    let before = step.last_ended(trace.test_start()).next();
    let changes = series.points().take_while(|(slot, _)| *slot < before);
    let changes =
        changes.filter_map(|(slot, load)| Some((load.get() - series.load(slot.plus(-week))?).abs()));
    let (sum, count) = changes.fold((0.0, 0.0), |(sum, count), change| (sum + change, count + 1.0));
    sum / count
}

/// WAPE over the bins at or above the 0.95 quantile of what came, read on the line between order statistics.
fn wape_of_peaks(bins: &[Bin]) -> f64 {
    let mut loads: Vec<f64> = bins.iter().map(|(load, _)| *load).collect();
    loads.sort_unstable_by(f64::total_cmp);
    let place = 0.95 * loads.len().saturating_sub(1) as f64;
    let below = (0..loads.len()).take_while(|at| *at as f64 <= place).last().unwrap_or(0);
    let next = loads.get(below + 1).or(loads.get(below)).copied().unwrap_or(0.0);
    let border = loads.get(below).map_or(0.0, |low| low + (next - low) * (place - below as f64));
    let peaks = || bins.iter().filter(|(load, _)| *load >= border);
    let missed: f64 = peaks().map(|(load, quantiles)| (load - quantiles[0]).abs()).sum();
    missed / peaks().map(|(load, _)| load).sum::<f64>()
}
