//! A fitted forecaster: what is kept of a fit, and the forecast from the newest points.

use std::ops::Range;

use super::between::{Between, Near};
use super::lattice::{Lattice, Wall};
use super::most::Most;
use super::near::{self, Lead};
use super::recent::{Base, Newest, Past, Present, Said, deviation, moved};
use super::rest::{Closed, Rest};
use super::shape::Shape;
use super::spread::Spread;
use super::{Components, Explanation, Fitted, Forecast, HORIZON, Known, Observation};
use crate::calendar::DayKind;
use crate::time::{Slot, Step};
use crate::units::{Load, Quantile};

/// What the fit says of one cell to come, in means.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cell {
    pub(super) point: f64,
    /// Of the error that is to be expected.
    pub(super) size: f64,
    /// The usual week at today's level.
    pub(super) usual: f64,
    pub(super) closed: Option<Closed>,
}

/// What is kept of a cell, in seven digits.
#[derive(Debug, Clone, Copy)]
struct Kept {
    point: f32,
    size: f32,
    usual: f32,
}

impl Kept {
    #[expect(clippy::cast_possible_truncation, reason = "no forecast is right to seven digits")]
    fn of(cell: &Cell) -> Self {
        Self { point: cell.point as f32, size: cell.size as f32, usual: cell.usual as f32 }
    }
}

/// Demand of this share of the usual in the last two hours of a day says that it is not closed.
const OPEN_ABOVE: f64 = 0.2;

/// What is kept of a fit.
#[derive(Debug)]
pub(super) struct FittedTide {
    step: Step,
    /// From the first slot that the fit did not see to the first of which it says nothing.
    covered: Range<Slot>,
    wall: Wall,
    /// What a load of 1 stands for.
    scale: f64,
    /// The busiest cell that was learned from.
    busiest: f64,
    first_cell: usize,
    cells: Box<[Kept]>,
    /// Those that are expected to be closed; ascending.
    closed: Box<[(usize, Closed)]>,
    spread: Spread,
    base: Base,
    /// Cells within the reach of the newest points that do not count as ordinary; ascending.
    odd: Vec<usize>,
    /// Rows from that of the origin's eve on that are days of rest.
    resting: Vec<usize>,
    /// Cells within that reach that were expected to be closed; ascending.
    shut: Vec<usize>,
    leads: Box<[Lead]>,
    most: Most,
    shape: Shape,
    explanation: Explanation,
}

impl FittedTide {
    pub(super) fn new(
        covered: Range<Slot>,
        lattice: &Lattice,
        rest: &Rest,
        (cells, spread): (&[Cell], Spread),
        (base, leads, most): (&Base, Vec<Lead>, Most),
        shape: Shape,
    ) -> Self {
        let base = base.around(covered.start);
        let day = lattice.wall.day;
        let near = lattice.wall.cell(base.first)..lattice.origin;
        let resting = near.start / day..lattice.len() / day;
        Self {
            step: base.step,
            wall: lattice.wall.clone(),
            scale: lattice.scale,
            busiest: (0..lattice.origin).filter_map(|cell| lattice.load(cell)).fold(0.0, f64::max),
            first_cell: lattice.origin,
            // The rest of the last day is not spoken of; where the end lies in the second pass of the autumn hour, the first
            // pass reaches up to an hour beyond its cell.
            cells: cells
                .iter()
                .take(lattice.wall.cell(covered.end) + 1 + lattice.wall.hours(1) - lattice.origin)
                .map(Kept::of)
                .collect(),
            closed: (lattice.origin..)
                .zip(cells)
                .filter_map(|(index, cell)| Some((index, cell.closed?)))
                .collect(),
            covered,
            spread,
            shut: near.clone().filter(|cell| rest.closed(lattice, *cell).is_some()).collect(),
            odd: near.filter(|cell| lattice.known[*cell] && !lattice.used[*cell]).collect(),
            resting: resting
                .filter(|row| matches!(lattice.kinds[*row], DayKind::Holiday | DayKind::HalfDay))
                .collect(),
            base,
            leads: leads.into(),
            most,
            shape,
            explanation: Explanation::default(),
        }
    }

    /// The same with what stands behind it.
    pub(super) fn explained(self, explanation: Explanation) -> Self {
        Self { explanation, ..self }
    }

    /// The forecast of a slot as the fit left it, and its cell.
    fn cell(&self, slot: Slot) -> Option<(usize, Cell)> {
        let own = self.wall.cell(slot);
        // After an origin in the first pass of the autumn hour, the second begins with cells before its own.
        let index = if slot < self.covered.start { own } else { own.max(self.first_cell) };
        let cell = self.cells.get(index.checked_sub(self.first_cell)?)?;
        let share = self.shape.at(self.wall.slot_of_day(slot));
        let closed = self.closed.binary_search_by_key(&index, |(closed, _)| *closed).ok();
        let cell = Cell {
            point: f64::from(cell.point) * share,
            size: f64::from(cell.size),
            usual: f64::from(cell.usual) * share,
            closed: closed.map(|place| self.closed[place].1),
        };
        Some((index, cell))
    }

    /// The day's forecast of a slot that the base does not reach.
    fn beyond(&self, slot: Slot) -> Option<f64> {
        self.cell(slot).filter(|_| slot >= self.covered.start).map(|(_, cell)| cell.point)
    }

    /// Whether the slot is expected to be closed, or was.
    fn shut(&self, slot: Slot) -> bool {
        match self.cell(slot) {
            Some((_, cell)) => cell.closed.is_some(),
            None => self.shut.binary_search(&self.wall.cell(slot)).is_ok(),
        }
    }

    fn rests(&self, slot: Slot) -> bool {
        !self.resting.is_empty() && self.resting.contains(&(self.wall.cell(slot) / self.wall.day))
    }

    /// Whether the slot counts as ordinary, seen from a day that rests or from one that does not: on a holiday the newest
    /// hours tell much, on the day after it they mislead.
    fn counts(&self, slot: Slot, from_rest: bool) -> bool {
        (from_rest || !self.rests(slot))
            && (self.odd.is_empty() || self.odd.binary_search(&self.wall.cell(slot)).is_err() || from_rest)
    }

    /// [`FittedTide::counts`] of all `slots`; `None` where it is not the same of each, or a clock changes among them.
    fn all_count(&self, slots: &Range<Slot>, from_rest: bool) -> Option<bool> {
        if from_rest || self.odd.is_empty() && self.resting.is_empty() {
            return Some(true);
        }
        let cells = self.wall.cells(slots)?;
        let place = |cell: usize| self.odd.partition_point(|odd| *odd < cell);
        let one_day = cells.start / self.wall.day == (cells.end - 1) / self.wall.day;
        match (one_day, place(cells.end) - place(cells.start)) {
            (true, _) if self.rests(slots.start) => Some(false),
            (true, 0) => Some(true),
            (_, odd) => (odd == cells.len()).then_some(false),
        }
    }
}

/// What all targets of one forecast share.
struct Seen<'a, P: Past> {
    past: P,
    present: Option<Present>,
    /// A live measurement: its slot, and how unusual it is against what the settled points had forecast for it.
    live: Option<(Slot, f64)>,
    /// The newest slot of which anything is known.
    newest: Slot,
    fitted: &'a FittedTide,
}

impl Fitted for FittedTide {
    fn explanation(&self) -> Explanation {
        self.explanation.clone()
    }

    fn most_seen(&self) -> Option<Load> {
        Some(Load::saturating(self.scale * self.busiest))
    }

    fn level_of_most(&self, slots: i64, quantile: Quantile) -> Quantile {
        self.most.level(slots, quantile)
    }

    fn outline(&self, slot: Slot) -> Option<f64> {
        self.cell(slot).filter(|_| self.covered.contains(&slot)).map(|(_, cell)| self.scale * cell.point)
    }

    fn forecast(&self, known: &Known<'_>, targets: Range<Slot>, levels: &[Quantile]) -> Option<Forecast> {
        let horizon = self.step.slots_in(HORIZON);
        let live = known.live.filter(|live| self.step.slot_of(live.at) >= known.origin);
        let settled = || {
            (known.origin.0 - horizon..known.origin.0)
                .rev()
                .map(Slot)
                .find(|slot| known.settled.load(*slot).is_some())
        };
        let (newest, newest_at) = match live {
            // A slot that has only begun is not known yet: the one it lies in is still one step ahead.
            Some(live) => (self.step.last_ended(live.at), live.at),
            None => settled().map(|slot| (slot, self.step.end(slot)))?,
        };
        let reachable = targets.start >= known.origin
            && targets.end.since(known.origin) <= horizon
            && targets.start.since(newest) <= horizon
            && known.origin >= self.covered.start
            && targets.end <= self.covered.end;
        if !reachable {
            return None;
        }
        // From a hole nothing is seen: leads count from what was measured last.
        let origin = settled().map_or(known.origin, Slot::next).min(known.origin);
        let from_rest = self.rests(origin);
        let past = Newest {
            settled: known.settled,
            scale: self.scale,
            counts: |slot| self.counts(slot, from_rest),
            all_count: |slots: &Range<Slot>| self.all_count(slots, from_rest),
            beyond: |slot| self.beyond(slot),
        };
        let mut seen = Seen {
            present: self.base.present(&past, origin),
            past,
            live: None,
            newest: origin.plus(-1),
            fitted: self,
        };
        seen.listen(live);
        let awake = seen.awake(origin);
        let mut forecast = Forecast::new(newest_at, self.step, targets.start, levels.len());
        for target in (targets.start.0..targets.end.0).map(Slot) {
            let (index, cell) = self.cell(target)?;
            let closed = cell.closed.filter(|_| !awake);
            let near = seen.near(target, cell);
            let hour = index % self.wall.day * 24 / self.wall.day;
            let day = |level: Quantile| match level {
                Quantile::MEDIAN => cell.point,
                level => self.spread.reach(cell.point, cell.size, hour, level),
            };
            let reach = |level: Quantile| match &near {
                Some((near, share)) if *share >= 1.0 => near.reach(level),
                Some((near, share)) => day(level) + (near.reach(level) - day(level)) * share,
                None => day(level),
            };
            let point = reach(Quantile::MEDIAN);
            let quantiles = levels.iter().map(|level| self.scale * at_rest(*level, closed, point, reach));
            let median = closed.map_or(point, |closed| point * closed.left);
            let (usual, day) = (cell.usual, cell.point - cell.usual);
            let components = [usual, day, median - cell.point].map(|part| self.scale * part);
            forecast.push(
                quantiles,
                Components {
                    profile: components[0],
                    day: components[1],
                    level: components[2],
                    ..Components::default()
                },
            );
        }
        Some(forecast)
    }
}

/// The quantile of a slot that is expected to be `closed`: the usual day's at `1 − (1 − τ)/P(open)`.
fn at_rest(level: Quantile, closed: Option<Closed>, point: f64, reach: impl Fn(Quantile) -> f64) -> f64 {
    let Some(Closed { open, left }) = closed else { return reach(level) };
    let moved = 1.0 - (1.0 - level.get()) / open;
    let quantile = Quantile::try_new(moved).map_or(0.0, reach);
    quantile.max(point * left)
}

impl<P: Past> Seen<'_, P> {
    /// Takes in a live measurement of a slot that has not settled.
    fn listen(&mut self, live: Option<Observation>) {
        let Some(live) = live else { return };
        let slot = self.fitted.step.slot_of(live.at);
        let Some((_, cell)) = self.fitted.cell(slot) else { return };
        let expected = self.near(slot, cell).map_or(cell.point, |(near, _)| near.point);
        self.live = Some((slot, deviation(live.load.get() / self.fitted.scale, expected)));
    }

    /// Whether the last hour of a day that was thought to be closed shows demand.
    fn awake(&self, origin: Slot) -> bool {
        let hour = self.fitted.step.slots_in(std::time::Duration::from_secs(3_600));
        let shut = |slot: Slot| self.fitted.shut(slot);
        let (mut observed, mut expected) = (0.0, 0.0);
        for slot in (origin.0 - hour..origin.0).map(Slot).filter(|slot| shut(*slot)) {
            if let (Some(load), Some(base)) =
                (self.past.load(slot), self.past.expected(&self.fitted.base, slot))
            {
                observed += load;
                expected += base;
            }
        }
        let live = self.live.is_some_and(|(slot, u)| shut(slot) && u > OPEN_ABOVE.ln());
        observed > OPEN_ABOVE * expected || live && expected > 0.0
    }

    /// What the newest points say of `target`, and how much of it is believed beside the day's forecast; `None` beyond their
    /// reach.
    fn near(&self, target: Slot, cell: Cell) -> Option<(Near<'_>, f64)> {
        let fitted = self.fitted;
        let lead = target.since(self.newest).max(1);
        let live = self.live.map(|(slot, u)| ((target.since(slot) + 1).max(1), u));
        let farthest = fitted.leads.last()?.slots;
        if live.map_or(lead, |(lead, _)| lead) > farthest {
            return None;
        }
        let present = self.present.as_ref()?;
        let said = Said { newest: cell.point, former: fitted.base.former(target).unwrap_or(cell.point) };
        let reading = fitted.base.read(&self.past, present, (target, said), fitted.wall.time(target));
        // Settled points that are older than the experts reach say nothing; the live one still does.
        let settled = Between::of(&fitted.leads, lead);
        let expected =
            if lead > farthest { cell.point } else { settled.mix(|lead| lead.forecast(&reading).point) };
        let (between, point) = match live {
            None => (settled, expected),
            Some((lead, u)) => {
                let from_live = Between::of(&fitted.leads, lead);
                (from_live, moved(expected, u * from_live.mix(|lead| lead.echo)))
            }
        };
        let seconds = live.map_or(lead, |(lead, _)| lead) * fitted.step.seconds();
        Some((between.around(point, &reading), near_share(seconds)))
    }
}

/// Up to here the newest points speak alone, in seconds; from there to [`near::FARTHEST_SECONDS`] they fade into the day's
/// forecast, in the logarithm of the lead.
const ALONE_SECONDS: i64 = 2 * 3_600;

fn near_share(lead_seconds: i64) -> f64 {
    let log = |seconds: i64| (seconds as f64 / ALONE_SECONDS as f64).ln();
    1.0 - (log(lead_seconds) / log(near::FARTHEST_SECONDS + 1)).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A fit of nothing on the last evening of October 2026 in New York, an hour before which `odd` cells begin not to be
    /// ordinary and after which a day of rest comes.
    fn fitted(odd: Range<usize>) -> FittedTide {
        let step = Step::MINUTE;
        let origin = step.slot_of("2026-11-01T01:00:30Z".parse().unwrap());
        let covered = origin..origin.plus(3 * 1_440);
        let wall = Wall::over(chrono_tz::America::New_York, step, origin.plus(-1_440)..covered.end);
        let cell = wall.cell(origin);
        FittedTide {
            step,
            scale: 1.0,
            busiest: 0.0,
            first_cell: cell,
            cells: Box::default(),
            closed: Box::default(),
            spread: Spread::of(&[]),
            base: Base::empty(step, origin),
            odd: odd.map(|ahead| cell - wall.hours(1) + ahead).collect(),
            resting: vec![cell / wall.day + 2],
            shut: Vec::new(),
            leads: Box::default(),
            most: Most::default(),
            shape: Shape::default(),
            explanation: Explanation::default(),
            covered,
            wall,
        }
    }

    #[test]
    fn what_is_said_of_all_slots_is_true_of_each_and_nothing_is_said_only_where_they_may_differ() {
        let (mut all, mut none, mut some) = (0, 0, 0);
        for fitted in [fitted(0..0), fitted(5..6), fitted(0..40)] {
            let before = fitted.covered.start.plus(-300);
            for first in (before.0..fitted.covered.end.0 - 300).step_by(7) {
                for count in [1, 4, 60, 300] {
                    let slots = Slot(first)..Slot(first + count);
                    let counts: Vec<bool> =
                        (first..first + count).map(|slot| fitted.counts(Slot(slot), false)).collect();
                    let day = |slot: Slot| fitted.wall.cell(slot) / fitted.wall.day;
                    if let Some(said) = fitted.all_count(&slots, false) {
                        assert!(counts.iter().all(|counts| *counts == said), "{slots:?}: {said}");
                        *if said { &mut all } else { &mut none } += 1;
                    } else {
                        let differ = counts.contains(&true) && counts.contains(&false);
                        let several_days = day(slots.start) != day(slots.end.plus(-1));
                        let clock_changes = fitted.wall.cells(&slots).is_none();
                        assert!(differ || several_days || clock_changes, "{slots:?}");
                        some += 1;
                    }
                    assert_eq!(fitted.all_count(&slots, true), Some(true), "a day of rest counts them all");
                }
            }
        }
        assert!(all > 100 && none > 100 && some > 100, "{all} {none} {some}");
    }
}
