//! What is usual at a cell of the week, told in a dozen ways from the weeks before it.
//!
//! A cell is looked up on the same weekday of the last weeks, on the last days of the same class (working days, or the
//! weekend) and yesterday. Most look-ups are *level-normalised*: `y(j)/Lc(j)`, where Lc is the mean of the week around j,
//! so that a growing service can use eight weeks of memory. Of all tricks in this engine that one is worth most. Cells of
//! holidays and outages enter nowhere.
//!
//! What is read on the same weekday lies more than four days before its target and so is the same for every origin; it is
//! worked out once. The rest depends on how much is known at the origin, see [`Seen`].

use super::lattice::{Lattice, Prefix};
use super::median::middle;

/// c: added to loads before their ratio is taken, in means. A handful of requests at night is no news.
pub(super) const OFFSET: f64 = 0.03;

/// Weeks looked at, and how many of those that are there are used.
const WEEKS_SEEN: usize = 12;
const WEEKS_USED: usize = 8;

/// Same-class days that are used, and how far back they are looked for.
const CLASS_USED: usize = 14;
const CLASS_SEEN: usize = 30;

/// What the last weeks say of one cell.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Weeks {
    /// Relative to the level: medians of 4 and 8 weeks, mean of 8, exponential mean.
    pub(super) relative: [f64; 4],
    /// As they were: median and mean of 4 weeks, mean of 2, last week.
    pub(super) plain: [f64; 4],
    /// Spread of the relative ones, as a share of their size.
    pub(super) dispersion: f64,
}

/// Everything that is the same for each origin.
#[derive(Debug)]
pub(super) struct Usual<'a> {
    pub(super) lattice: &'a Lattice,
    /// Loads with what is not used replaced by the week before, for levels.
    filled: Prefix,
    /// `y / Lc` of each used cell, with all that is known now.
    relative: Vec<f64>,
    /// By cell from `first` on; in the first week of history there is nothing.
    weeks: Vec<Option<Weeks>>,
    first: usize,
    /// Used loads beside B4 (the median of 4 weeks) of the same cells.
    pub(super) observed: Prefix,
    pub(super) expected: Prefix,
    /// `ln((y + c)/(B4 + c))`, clipped.
    pub(super) residual: Prefix,
    /// What is left of the news of an origin, by lead in cells.
    fades: Vec<[f64; FADING_HOURS.len()]>,
}

/// The times in which news of an origin fades, in hours.
pub(super) const FADING_HOURS: [f64; 5] = [2.0, 4.0, 6.0, 8.0, 12.0];

/// A slot residual is news up to this size.
const RESIDUAL_CLIP: f64 = 1.5;

impl<'a> Usual<'a> {
    /// Reads the weeks for the cells from `first` on. Those before it are read when they are asked for, and what was observed
    /// in them is not held against them.
    pub(super) fn of(lattice: &'a Lattice, first: usize) -> Self {
        let week = lattice.wall.week();
        let mut filled: Vec<Option<f64>> = Vec::with_capacity(lattice.len());
        for cell in 0..lattice.origin {
            let before = cell.checked_sub(week).and_then(|before| filled[before]);
            filled.push(lattice.load(cell).or(before));
        }
        let mut usual = Self {
            lattice,
            filled: Prefix::of(filled.into_iter()),
            relative: Vec::new(),
            weeks: Vec::new(),
            first,
            observed: Prefix::of(std::iter::empty()),
            expected: Prefix::of(std::iter::empty()),
            residual: Prefix::of(std::iter::empty()),
            fades: Vec::new(),
        };
        let farthest = (lattice.len() - lattice.origin).max(lattice.wall.day);
        usual.fades = (0..farthest).map(|lead| faded(lattice.wall.lead_hours(lead))).collect();
        usual.relative = (0..lattice.origin)
            .map(|cell| {
                lattice.load(cell).map_or(f64::NAN, |load| usual.relative_to(cell, load, lattice.origin))
            })
            .collect();
        usual.weeks = (first..lattice.len()).map(|cell| usual.read_weeks(cell)).collect();
        let pair = |cell: usize| {
            let weeks = usual.weeks[cell.checked_sub(first)?]?;
            Some((lattice.load(cell)?, weeks.plain[0]))
        };
        let observed = Prefix::of((0..lattice.origin).map(|cell| Some(pair(cell)?.0)));
        let expected = Prefix::of((0..lattice.origin).map(|cell| Some(pair(cell)?.1)));
        let residual = Prefix::of((0..lattice.origin).map(|cell| {
            let (load, usual) = pair(cell)?;
            Some(((load + OFFSET) / (usual + OFFSET)).ln().clamp(-RESIDUAL_CLIP, RESIDUAL_CLIP))
        }));
        (usual.observed, usual.expected, usual.residual) = (observed, expected, residual);
        usual
    }

    /// What is left of the news of an origin at a lead of so many cells, by [`FADING_HOURS`].
    pub(super) fn fades(&self, lead: usize) -> [f64; FADING_HOURS.len()] {
        let known = self.fades.get(lead).copied();
        known.unwrap_or_else(|| faded(self.lattice.wall.lead_hours(lead)))
    }

    /// L: the level at `origin`, the mean of the week before it.
    pub(super) fn level(&self, origin: usize) -> f64 {
        self.filled.mean(origin.saturating_sub(self.lattice.wall.week()), origin).unwrap_or(0.0)
    }

    /// A load of `cell` relative to the week around it, as far as that is known at `origin`.
    fn relative_to(&self, cell: usize, load: f64, origin: usize) -> f64 {
        let half = self.lattice.wall.week() / 2;
        let level = self.filled.mean(cell.saturating_sub(half), (cell + half + 1).min(origin)).unwrap_or(0.0);
        if level > 0.0 { load / level } else { 1.0 }
    }

    /// As [`Self::relative_to`], for a cell before `origin` that is used.
    fn relative(&self, cell: usize, origin: usize) -> Option<f64> {
        let load = self.lattice.load(cell).filter(|_| cell < origin)?;
        let whole = cell + self.lattice.wall.week() / 2 < origin;
        Some(if whole { self.relative[cell] } else { self.relative_to(cell, load, origin) })
    }

    /// What the last weeks say of `cell`; `None` in the first week.
    pub(super) fn weeks(&self, cell: usize) -> Option<Weeks> {
        match cell.checked_sub(self.first) {
            Some(place) => *self.weeks.get(place)?,
            None => self.read_weeks(cell),
        }
    }

    fn read_weeks(&self, cell: usize) -> Option<Weeks> {
        let week = self.lattice.wall.week();
        let mut relative = Few::<WEEKS_USED>::default();
        let mut plain = Few::<4>::default();
        let (mut faded, mut weights, mut weight) = (0.0, 0.0, 1.0);
        for weeks in 1..=WEEKS_SEEN {
            let Some(then) = cell.checked_sub(weeks * week) else { break };
            weight *= 0.7;
            let Some(load) = self.lattice.load(then) else { continue };
            let ratio = self.relative[then];
            relative.push(ratio);
            plain.push(load);
            faded += weight * ratio;
            weights += weight;
            if relative.len == WEEKS_USED {
                break;
            }
        }
        if relative.len == 0 {
            return self.read_days(cell);
        }
        let [four, eight] = relative.medians(4);
        let (four, eight) = (four?, eight?);
        Some(Weeks {
            relative: [four, eight, relative.mean()?, faded / weights],
            plain: [plain.median()?, plain.mean()?, plain.first(2).mean()?, plain.items[0]],
            dispersion: relative.dispersion(),
        })
    }

    /// Where no week has the cell: the days before, those that lie beyond the horizon first.
    fn read_days(&self, cell: usize) -> Option<Weeks> {
        let mut relative = Few::<4>::default();
        let mut plain = Few::<4>::default();
        for days in [3, 4, 5, 6, 2, 1] {
            let Some(then) = cell.checked_sub(days * self.lattice.wall.day) else { continue };
            let Some(load) = self.lattice.load(then).filter(|_| then < self.lattice.origin) else { continue };
            if days < 3 && relative.len > 0 {
                break;
            }
            relative.push(self.relative[then]);
            plain.push(load);
        }
        let (ratio, load) = (relative.median()?, plain.median()?);
        Some(Weeks { relative: [ratio; 4], plain: [load; 4], dispersion: relative.dispersion() })
    }
}

fn faded(lead_hours: f64) -> [f64; FADING_HOURS.len()] {
    FADING_HOURS.map(|hours| (-lead_hours / hours).exp())
}

/// What is known at one origin.
#[derive(Debug)]
pub(super) struct Seen<'a> {
    usual: &'a Usual<'a>,
    pub(super) origin: usize,
    /// L at the origin.
    pub(super) level: f64,
}

/// What the last days say of one cell.
#[derive(Debug, Clone, Copy)]
pub(super) struct Days {
    /// Of the same class, times the level: medians of 7 and 14 days, exponential mean.
    pub(super) class: [f64; 3],
    /// Of any class, times the level: median of 7 days, yesterday.
    pub(super) any: [f64; 2],
    /// Spread of the class, as a share of its size.
    pub(super) dispersion: f64,
}

impl<'a> Seen<'a> {
    pub(super) fn at(usual: &'a Usual<'a>, origin: usize) -> Self {
        Self { usual, origin, level: usual.level(origin) }
    }

    pub(super) fn usual(&self) -> &'a Usual<'a> {
        self.usual
    }

    /// What the last days say of `target`; what is missing is `otherwise`.
    pub(super) fn days(&self, target: usize, otherwise: f64) -> Days {
        let wall = &self.usual.lattice.wall;
        let day = wall.day;
        let row = target / day;
        let rests = wall.rests(row);
        let mut class = Few::<CLASS_USED>::default();
        let mut any = Few::<7>::default();
        let (mut faded, mut weights, mut weight) = (0.0, 0.0, 1.0);
        let nearest = if target < self.origin { 1 } else { (target - self.origin) / day + 1 };
        for days in nearest..nearest + CLASS_SEEN {
            let Some(then) = target.checked_sub(days * day) else { break };
            let own_class = wall.rests(row - days) == rests;
            if !own_class && any.len == 7 {
                continue;
            }
            let Some(ratio) = self.usual.relative(then, self.origin) else { continue };
            any.push(ratio);
            if own_class {
                weight *= 0.8;
                class.push(ratio);
                faded += weight * ratio;
                weights += weight;
            }
            if class.len == CLASS_USED {
                break;
            }
        }
        let load = |ratio: Option<f64>| ratio.map_or(otherwise, |ratio| ratio * self.level);
        let [week, fortnight] = class.medians(7);
        Days {
            class: [load(week), load(fortnight), load((weights > 0.0).then(|| faded / weights))],
            any: [load(any.median()), load((any.len > 0).then(|| any.items[0]))],
            dispersion: class.dispersion(),
        }
    }

    /// `ln(Σ y / Σ B4)` over the `cells` before the origin; a tenth of the mean is added to both, so that a quiet hour is no
    /// news.
    pub(super) fn level_ratio(&self, cells: usize) -> f64 {
        let from = self.origin.saturating_sub(cells);
        let [observed, count] = self.usual.observed.over(from, self.origin);
        let [expected, _] = self.usual.expected.over(from, self.origin);
        if count < 0.5 {
            return 0.0;
        }
        ((observed + 0.1 * count) / (expected + 0.1 * count)).ln().clamp(-LEVEL_CLIP, LEVEL_CLIP)
    }

    /// The mean residual of the cells within `reach` of the same time of day `days` before `target`, or before the day before
    /// it where that is not known yet.
    pub(super) fn residual(&self, target: usize, days: usize, reach: usize) -> f64 {
        let day = self.usual.lattice.wall.day;
        let nearest = if target < self.origin { 1 } else { (target - self.origin) / day + 1 };
        let Some(then) = target.checked_sub(days.max(nearest) * day) else { return 0.0 };
        self.usual
            .residual
            .mean(then.saturating_sub(reach), (then + reach + 1).min(self.origin))
            .unwrap_or(0.0)
    }
}

/// Bound of a level ratio: ten-fold.
const LEVEL_CLIP: f64 = 2.3;

/// A handful of numbers without a heap.
#[derive(Debug, Clone, Copy)]
pub(super) struct Few<const N: usize> {
    pub(super) items: [f64; N],
    pub(super) len: usize,
}

impl<const N: usize> Default for Few<N> {
    fn default() -> Self {
        Self { items: [0.0; N], len: 0 }
    }
}

impl<const N: usize> Few<N> {
    /// Adds a number while there is room.
    pub(super) fn push(&mut self, item: f64) {
        if self.len < N {
            self.items[self.len] = item;
            self.len += 1;
        }
    }

    /// The first `count` of them.
    fn first(&self, count: usize) -> Self {
        Self { items: self.items, len: self.len.min(count) }
    }

    fn mean(&self) -> Option<f64> {
        (self.len > 0).then(|| self.items[..self.len].iter().sum::<f64>() / self.len as f64)
    }

    /// The middle one, or the mean of the two in the middle.
    fn median(&self) -> Option<f64> {
        self.median_after(0, &mut [0.0; N])
    }

    /// The same, where `sorted` has the first `count` of them in order; afterwards it has all.
    fn median_after(&self, count: usize, sorted: &mut [f64; N]) -> Option<f64> {
        // Each number sinks to its place by comparisons that no branch hangs on: the lists are short, and this is where a fit
        // spends its time.
        for (end, item) in self.items[..self.len].iter().enumerate().skip(count) {
            let mut item = *item;
            for place in &mut sorted[..end] {
                let (low, high) = if item < *place { (item, *place) } else { (*place, item) };
                (*place, item) = (low, high);
            }
            sorted[end] = item;
        }
        middle(&sorted[..self.len])
    }

    /// The medians of the first `count` and of all.
    fn medians(&self, count: usize) -> [Option<f64>; 2] {
        let mut sorted = [0.0; N];
        let first = self.first(count);
        [first.median_after(0, &mut sorted), self.median_after(first.len, &mut sorted)]
    }

    /// Mean distance from the mean, in means.
    fn dispersion(&self) -> f64 {
        let Some(mean) = self.mean() else { return 0.0 };
        let apart =
            self.items[..self.len].iter().map(|item| (item - mean).abs()).sum::<f64>() / self.len as f64;
        apart / (mean + OFFSET)
    }
}
