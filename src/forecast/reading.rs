//! One row of the day's regressions: what is known at an origin of one cell to come.
//!
//! ```text
//! v = ln (y + c)/(N8 + c)            xⱼ = ln (componentⱼ + c)/(N8 + c)         N8: median of 8 weeks, level-normalised
//! ```
//!
//! and beside the components the level ratios of the last 1 h to 168 h, some of them fading with lead, and how unusual the
//! same time of day has been lately. The last two are damped where N8 is near 0: closed hours do not react.

use super::usual::{OFFSET, Seen};
use crate::calendar::DayKind;

/// Log ratios of components to N8.
const COMPONENTS: usize = 12;
/// Hours before the origin over which demand is compared with B4.
const RATIO_HOURS: [usize; 7] = [1, 3, 6, 12, 24, 72, 168];
/// `(which ratio, which of the fading times)`.
const FADED: [(usize, usize); 4] = [(0, 0), (1, 1), (2, 2), (4, 4)];
/// Those of the two candidates that are moved by the last hours.
const SIX_FADES: usize = 3;
const SWING_FADES: usize = 4;
/// `(days back, hours on both sides)`; 0 days is the mean over the last seven.
const RESIDUALS: [(usize, usize); 6] = [(1, 0), (1, 1), (1, 3), (2, 0), (7, 0), (0, 0)];

const RATIOS_AT: usize = COMPONENTS;
const FADED_AT: usize = RATIOS_AT + RATIO_HOURS.len();
const RESIDUALS_AT: usize = FADED_AT + FADED.len();
const WEEKDAYS_AT: usize = RESIDUALS_AT + RESIDUALS.len();
const HOLIDAY_AT: usize = WEEKDAYS_AT + 7;

/// Columns of the log regression.
pub(super) const FEATURES: usize = HOLIDAY_AT + 2;
/// Columns of the non-negative one.
pub(super) const CANDIDATES: usize = 16;

/// A component is believed to differ from N8 by this much, in the logarithm.
const COMPONENT_CLIP: f64 = 2.0;

/// The coefficients without evidence: a class median, the level-normalised 4 weeks and the exponential mean with N8, moved
/// by what the last day and the last hours say.
pub(super) const fn prior() -> [f64; FEATURES] {
    let mut prior = [0.0; FEATURES];
    prior[5] = 0.25;
    prior[0] = 0.15;
    prior[2] = 0.15;
    prior[RATIOS_AT + 4] = 0.2;
    prior[FADED_AT + 3] = 0.15;
    prior[FADED_AT + 2] = 0.15;
    prior
}

/// What all rows of one origin share.
#[derive(Debug)]
pub(super) struct Present<'a> {
    pub(super) seen: Seen<'a>,
    pub(super) ratios: [f64; RATIO_HOURS.len()],
    /// How far the last day and the last week move what is usual.
    moved: [f64; 2],
}

impl<'a> Present<'a> {
    pub(super) fn of(seen: Seen<'a>) -> Self {
        let wall = &seen.usual().lattice.wall;
        let ratios = RATIO_HOURS.map(|hours| seen.level_ratio(wall.hours(hours)));
        let moved = [(0.7 * ratios[4]).exp(), ratios[6].exp()];
        Self { seen, ratios, moved }
    }

    /// Reads the row of `target`, a cell at or after the origin.
    pub(super) fn read(&self, target: usize) -> Reading {
        let lattice = self.seen.usual().lattice;
        let wall = &lattice.wall;
        let level = self.seen.level;
        let weeks = self.seen.usual().weeks(target);
        let median = weeks.map(|weeks| weeks.relative[1] * level);
        let days = self.seen.days(target, median.unwrap_or(level));
        let usual = median.unwrap_or(days.any[0]);
        let relative = weeks.map_or([usual; 4], |weeks| weeks.relative.map(|ratio| ratio * level));
        let plain = weeks.map_or([usual; 4], |weeks| weeks.plain);

        let components = [
            relative[0],
            relative[2],
            relative[3],
            days.class[0],
            days.any[0],
            days.class[1],
            days.class[2],
            days.any[1],
            plain[0],
            plain[1],
            plain[2],
            plain[3],
        ];
        let mut features = [0.0; FEATURES];
        let log_usual = (usual + OFFSET).ln();
        for (feature, component) in features.iter_mut().zip(components) {
            *feature = ((component + OFFSET).ln() - log_usual).clamp(-COMPONENT_CLIP, COMPONENT_CLIP);
        }
        let open = usual / (usual + 10.0 * OFFSET);
        let lead = target.saturating_sub(self.seen.origin);
        let (lead_hours, fades) = (wall.lead_hours(lead), self.seen.usual().fades(lead));
        for (feature, ratio) in features[RATIOS_AT..].iter_mut().zip(self.ratios) {
            *feature = ratio * open;
        }
        let faded = FADED.map(|(ratio, fade)| self.ratios[ratio] * fades[fade]);
        for (feature, ratio) in features[FADED_AT..].iter_mut().zip(faded) {
            *feature = ratio * open;
        }
        let last: [f64; 7] = std::array::from_fn(|days| self.seen.residual(target, days + 1, 0));
        let residuals = RESIDUALS.map(|(days, reach)| match (days, reach) {
            (0, _) => last.iter().sum::<f64>() / 7.0,
            (days, 0) => last[days - 1],
            (days, reach) => self.seen.residual(target, days, wall.hours(reach)),
        });
        for (feature, residual) in features[RESIDUALS_AT..].iter_mut().zip(residuals) {
            *feature = residual * open;
        }
        let row = target / wall.day;
        features[WEEKDAYS_AT + wall.weekday(row)] = 1.0;
        features[HOLIDAY_AT] = f64::from(u8::from(lattice.kind(target) == DayKind::Holiday));
        features[HOLIDAY_AT + 1] = 1.0;

        let [_, _, six, _, day, _, week] = self.ratios;
        let [by_day, by_week] = self.moved;
        let swing = ((six - 0.5 * week).clamp(-1.0, 1.0) * fades[SWING_FADES]).exp();
        let candidates = [
            relative[0],
            usual,
            relative[2],
            relative[3],
            days.class[0],
            days.class[1],
            days.class[2],
            days.any[1],
            plain[0],
            plain[1],
            usual * swing,
            days.class[1] * swing,
            plain[0] * by_day,
            plain[0] * (six * fades[SIX_FADES]).exp(),
            plain[0] * by_week,
            plain[0] * (0.5 * day + 0.5 * residuals[2]).exp(),
        ];
        Reading {
            target,
            usual,
            features,
            candidates,
            signs: Signs {
                lead_hours,
                yesterday: residuals[1].abs(),
                apart: features[7].abs(),
                six: six.abs(),
                day: day.abs(),
                dispersion: [weeks.map_or(0.0, |weeks| weeks.dispersion), days.dispersion],
            },
        }
    }
}

/// One row.
#[derive(Debug, Clone)]
pub(super) struct Reading {
    /// The cell.
    pub(super) target: usize,
    /// N8, or the nearest thing to it.
    pub(super) usual: f64,
    pub(super) features: [f64; FEATURES],
    pub(super) candidates: [f64; CANDIDATES],
    pub(super) signs: Signs,
}

/// Signs that a forecast will be wide of the mark.
#[derive(Debug, Clone, Copy)]
pub(super) struct Signs {
    pub(super) lead_hours: f64,
    /// Size of yesterday's residual around this time of day.
    pub(super) yesterday: f64,
    /// How far yesterday lies from N8.
    pub(super) apart: f64,
    /// Sizes of the level ratios over 6 h and 24 h.
    pub(super) six: f64,
    pub(super) day: f64,
    /// Of the weeks, of the days.
    pub(super) dispersion: [f64; 2],
}
