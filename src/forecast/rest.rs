//! Days on which business rests: what a listed holiday, or a half day, means for this target.
//!
//! A calendar says that a day is a holiday; whether *this* service notices is learned from the last few. Two kinds:
//!
//! * **closed**: past holidays had less than a tenth of the usual volume. The next one is then closed with probability
//!   `1 − P(open)`, `P(open) = (open + ½)/(n + 1)`, and the τ-quantile is the usual day's at `1 − (1 − τ)/P(open)`, or next
//!   to nothing where that is below 0. A hard zero would be the largest risk of all: on a day that is worked after all it is
//!   infinitely wrong. So the verdict is dropped as soon as demand shows up ([`super::fitted`]), and it never enters
//!   calibration.
//! * **open**: the day is like a Sunday to some degree g, which is what would have missed the past holidays least.
//!
//! Half days are judged cell by cell as the closed kind: the market is closed after one o'clock, not before.

use super::lattice::Lattice;
use super::usual::Usual;
use crate::calendar::DayKind;

/// How many past days of a kind are asked.
const ASKED: usize = 6;

/// A day with less than this share of the usual volume was closed.
const CLOSED_BELOW: f64 = 0.1;

/// What the past says of days of rest.
#[derive(Debug, Clone, Default)]
pub(super) struct Rest {
    holiday: Option<Closed>,
    /// g, where holidays are of the open kind.
    sundayness: Option<f64>,
    /// By cell of the day; empty without past half days.
    half_day: Vec<Option<Closed>>,
    /// Whether a holiday and whether a half day was measured as a whole.
    seen: [bool; 2],
}

/// A closing that is expected.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Closed {
    /// P(open).
    pub(super) open: f64,
    /// The share of the usual volume that a closed day had.
    pub(super) left: f64,
}

impl Closed {
    /// From the shares of the usual volume on past days; `None` when most of them were open, or there are none.
    fn from_shares(mut shares: Vec<f64>) -> Option<Self> {
        shares.sort_unstable_by(f64::total_cmp);
        let median = *shares.get(shares.len() / 2)?;
        let open = shares.iter().filter(|share| **share >= CLOSED_BELOW).count();
        let open = (open as f64 + 0.5) / (shares.len() as f64 + 1.0);
        (median < CLOSED_BELOW).then_some(Self { open, left: median })
    }
}

impl Rest {
    pub(super) fn learn(usual: &Usual<'_>) -> Self {
        let lattice = usual.lattice;
        let day = lattice.wall.day;
        let past = |kind: DayKind| {
            let whole = (0..lattice.origin / day).rev().filter(move |row| lattice.kinds[*row] == kind);
            whole.filter(move |row| (row * day..(row + 1) * day).all(|cell| lattice.known[cell])).take(ASKED)
        };
        let share = |from: usize, until: usize| {
            let expected: f64 = (from..until).filter_map(|cell| Some(usual.weeks(cell)?.plain[0])).sum();
            let observed: f64 = lattice.loads[from..until].iter().sum();
            (expected > 0.0).then_some(observed / expected)
        };
        let holidays: Vec<usize> = past(DayKind::Holiday).collect();
        let shares = holidays.iter().filter_map(|row| share(row * day, (row + 1) * day)).collect();
        let holiday = Closed::from_shares(shares);
        let halves: Vec<usize> = past(DayKind::HalfDay).collect();
        let around = lattice.wall.hours(1) / 4;
        let half_day = if halves.is_empty() {
            Vec::new()
        } else {
            (0..day)
                .map(|cell| {
                    let of_day = |row: &usize| {
                        let at = row * day + cell;
                        share(at.saturating_sub(around), (at + around + 1).min((row + 1) * day))
                    };
                    Closed::from_shares(halves.iter().filter_map(of_day).collect())
                })
                .collect()
        };
        let sundayness = (holiday.is_none() && !holidays.is_empty()).then(|| sundayness(usual, &holidays));
        let seen = [!holidays.is_empty(), !halves.is_empty()];
        Self { holiday, sundayness, half_day, seen }
    }

    /// Kinds of days that are coming and of which nothing is known, as explanations name them.
    pub(super) fn unseen(&self, lattice: &Lattice) -> impl Iterator<Item = &'static str> {
        let coming = &lattice.kinds[lattice.origin / lattice.wall.day..];
        let kinds = [(DayKind::Holiday, "holiday"), (DayKind::HalfDay, "half_day")];
        kinds
            .into_iter()
            .zip(self.seen)
            .filter(|((kind, _), seen)| !seen && coming.contains(kind))
            .map(|((_, name), _)| name)
    }

    /// What closing is expected of `cell`.
    pub(super) fn closed(&self, lattice: &Lattice, cell: usize) -> Option<Closed> {
        match lattice.kind(cell) {
            DayKind::Holiday => self.holiday,
            DayKind::HalfDay => *self.half_day.get(cell % lattice.wall.day)?,
            DayKind::Working | DayKind::Weekend => None,
        }
    }

    /// The forecast of `cell`, drawn half way to what past holidays were like when it lies on one of the open kind.
    pub(super) fn drawn(&self, usual: &Usual<'_>, cell: usize, level: f64, point: f64) -> f64 {
        let Some(g) = self.sundayness.filter(|_| usual.lattice.kind(cell) == DayKind::Holiday) else {
            return point;
        };
        match like(usual, cell, g) {
            Some(relative) => 0.5 * point + 0.5 * relative * level,
            None => point,
        }
    }
}

/// The usual load of a cell, relative to the level, if its day were a Sunday, or what ends the weekend
/// instead, to the degree `g`.
fn like(usual: &Usual<'_>, cell: usize, g: f64) -> Option<f64> {
    let wall = &usual.lattice.wall;
    let row = cell / wall.day;
    let since_sunday = (0..7.min(row + 1)).find(|days| wall.rests(row - days))?;
    let sunday = usual.weeks(cell - since_sunday * wall.day)?.relative[1];
    let own = usual.weeks(cell)?.relative[1];
    Some(g * sunday + (1.0 - g) * own)
}

/// The g of 0, ¼, ½, ¾, 1 that would have missed the loads of `holidays` least.
fn sundayness(usual: &Usual<'_>, holidays: &[usize]) -> f64 {
    let day = usual.lattice.wall.day;
    let missed = |g: f64| -> f64 {
        let cells = holidays.iter().flat_map(|row| row * day..(row + 1) * day);
        cells
            .filter_map(|cell| {
                let level = usual.level(cell / day * day);
                Some((usual.lattice.loads[cell] - like(usual, cell, g)? * level).abs())
            })
            .sum()
    };
    let tried = [0.0, 0.25, 0.5, 0.75, 1.0].map(|g| (missed(g), g));
    tried.into_iter().min_by(|a, b| a.0.total_cmp(&b.0)).map_or(0.0, |(_, g)| g)
}
