//! How wide the day's forecast may be missed, from its own replayed past.
//!
//! Three answers are averaged, for each is honest about something else:
//! * **H**, heteroscedastic: `e = (y − F)/G`, `G = √(F + c)`; a ridge learns `ln |e|` from the signs of a coming miss
//!   (lead, time of day, level, what the last day did, whether the experts agree); `e/s` is pooled by level;
//! * by time of day: `(y − F)/(F + c)` in 24 pools, of the last four weeks;
//! * by level: `(y − F)/√(F + c)` in 6 pools, of the last nine weeks.
//!
//! F the point forecast, y the load, c the offset, all in means (so that the mean m of the usual `√((F + c) m)` is 1).

use super::linear::Rows;
use super::pools::{Hours, PRIOR_SIZE, Pools, Score, padded};
use super::reading::Signs;
use super::scale::{Scale, turns};
use super::usual::OFFSET;
use crate::units::Quantile;

/// Features of the scale model.
const SIGNS: usize = 19;

/// When half of a miss is forgotten, in days, and when all of it, for each of the three.
const HALF_DAYS: f64 = 28.0;
const H_DAYS: f64 = 56.0;
const HOUR_DAYS: f64 = 28.0;
const LEVEL_DAYS: f64 = 63.0;

/// Pools by level in H and in the third.
const H_POOLS: usize = 2;
const LEVEL_POOLS: usize = 6;

/// A point forecast with what tells how sure it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sized {
    pub(super) point: f64,
    pub(super) disagreement: f64,
    /// Share of the day that is over, 0 to 1, by the wall clock.
    pub(super) time_of_day: f64,
    pub(super) weekend: bool,
    pub(super) signs: Signs,
}

impl Sized {
    fn features(&self) -> [f64; SIGNS] {
        let level = (self.point + OFFSET).ln();
        let [(s1, c1), (s2, c2), (s3, c3)] = turns(self.time_of_day);
        let Signs { lead_hours, yesterday, apart, six, day, dispersion } = self.signs;
        let closed = OFFSET / (self.point + OFFSET);
        let weekend = f64::from(u8::from(self.weekend));
        [
            1.0,
            closed,
            lead_hours / 24.0,
            level,
            level * level,
            s1,
            c1,
            s2,
            c2,
            s3,
            c3,
            weekend,
            six,
            day,
            yesterday,
            self.disagreement,
            dispersion[0].min(3.0),
            dispersion[1].min(3.0),
            apart,
        ]
    }
}

/// A forecast of the past and what came.
#[derive(Debug, Clone, Copy)]
pub(super) struct Miss {
    pub(super) forecast: Sized,
    pub(super) load: f64,
    pub(super) age_days: f64,
}

/// G.
fn root(point: f64) -> f64 {
    (point + OFFSET).sqrt()
}

/// What was learned from the misses.
#[derive(Debug, Clone)]
pub(super) struct Spread {
    scale: Scale<SIGNS>,
    h: Pools,
    hours: Hours,
    levels: Pools,
}

impl Spread {
    pub(super) fn of(misses: &[Miss]) -> Self {
        let within = |days: f64| misses.iter().filter(move |miss| miss.age_days <= days);
        let mut rows = Rows::new(SIGNS, misses.len());
        let mut scores = Vec::with_capacity(misses.len());
        for miss in within(H_DAYS) {
            rows.push(&miss.forecast.features(), 0.0);
            scores.push(Score {
                key: miss.forecast.point,
                error: (miss.load - miss.forecast.point) / root(miss.forecast.point),
                weight: 0.5_f64.powf(miss.age_days / HALF_DAYS),
            });
        }
        let mut spread = Self {
            scale: Scale::learn(rows, &scores),
            h: Pools::with_borders(&[], Vec::new()),
            hours: Hours::of(&[]),
            levels: Pools::with_borders(&[], Vec::new()),
        };
        for (score, miss) in scores.iter_mut().zip(within(H_DAYS)) {
            score.error /= spread.size(&miss.forecast);
        }
        spread.h = Pools::by_level(&padded(scores, 1.0), OFFSET, H_POOLS);
        let hours: Vec<Score> = within(HOUR_DAYS)
            .map(|miss| Score {
                key: miss.forecast.time_of_day * 24.0,
                error: (miss.load - miss.forecast.point) / (miss.forecast.point + OFFSET),
                weight: 1.0,
            })
            .collect();
        spread.hours = Hours::of(&padded(hours, PRIOR_SIZE));
        let levels: Vec<Score> = within(LEVEL_DAYS)
            .map(|miss| Score {
                key: miss.forecast.point,
                error: (miss.load - miss.forecast.point) / root(miss.forecast.point),
                weight: 1.0,
            })
            .collect();
        spread.levels = Pools::by_level(&padded(levels, PRIOR_SIZE), OFFSET, LEVEL_POOLS);
        spread
    }

    /// s: the size of the error that is to be expected.
    pub(super) fn size(&self, forecast: &Sized) -> f64 {
        self.scale.size(&forecast.features())
    }

    /// The load that is not exceeded with probability `quantile`, of a point forecast with this size.
    pub(super) fn reach(&self, point: f64, size: f64, hour: usize, quantile: Quantile) -> f64 {
        let h = self.h.reach(point, size, quantile);
        let hours = point + (point + OFFSET) * self.hours.score(hour, quantile);
        let levels = self.levels.reach(point, 1.0, quantile);
        (h + hours + levels) / 3.0
    }
}
