//! Day forecasts that would have been made in the past, made again: what they missed tells how sure the next one is, and what
//! they said is what the newest points are held against.
//!
//! Each is made by the experts of its week ([`Day::at`]), who had learned from what lay before it and from nothing else.

use std::ops::Range;

use super::day::{Day, ORIGIN_HOURS, Opinion};
use super::fitted::Cell;
use super::lattice::Lattice;
use super::reading::{Present, Reading};
use super::recent::{Base, Said, deviation, moved};
use super::shape::Shape;
use super::spread::{Miss, Sized};
use super::usual::{Seen, Usual};
use crate::series::Series;
use crate::time::Slot;

/// Cells of the coming day whose past forecasts are judged at each past origin.
const JUDGED: usize = 32;

/// How much of the replayed past is judged, in days.
const JUDGED_DAYS: usize = 63;

/// A day forecast with what tells how sure it is.
pub(super) fn sized(lattice: &Lattice, reading: &Reading, opinion: &Opinion) -> Sized {
    let wall = &lattice.wall;
    Sized {
        point: opinion.point,
        disagreement: opinion.disagreement(),
        time_of_day: (reading.target % wall.day) as f64 / wall.day as f64,
        weekend: lattice.weekend(reading.target),
        signs: reading.signs,
    }
}

/// Past day forecasts, at other cells of the day from each origin, and what came.
pub(super) fn misses(history: &Series, usual: &Usual<'_>, day: &Day, shape: &Shape) -> Vec<Miss> {
    let lattice = usual.lattice;
    let wall = &lattice.wall;
    let Some(from) = day.replayed_from() else { return Vec::new() };
    let from = from.max(lattice.origin.saturating_sub(JUDGED_DAYS * wall.day));
    let each = JUDGED.min(wall.day);
    let origins = (from..lattice.origin).step_by(wall.hours(ORIGIN_HOURS));
    let mut misses = Vec::with_capacity(origins.len() * each);
    for (turn, origin) in origins.enumerate() {
        let Some(experts) = day.at(origin) else { continue };
        let present = Present::of(Seen::at(usual, origin));
        for piece in 0..each {
            let target = origin + (piece * wall.day + (turn * 37 % 101) * wall.day / 101) / each;
            if target >= lattice.origin || !lattice.used[target] {
                continue;
            }
            // Errors are those of slots, another one of each cell.
            let Some(slot) = lattice.slot(target, turn + piece) else { continue };
            let Some(load) = history.load(slot).map(|load| load / lattice.scale) else { continue };
            let reading = present.read(target);
            let mut forecast = sized(lattice, &reading, &experts.opinion(&reading));
            forecast.point *= shape.at(wall.slot_of_day(slot));
            misses.push(Miss {
                forecast,
                load,
                age_days: (lattice.origin - target) as f64 / wall.day as f64,
            });
        }
    }
    misses
}

/// The day's forecast at the native step: as replayed before the origin, as forecast in `cells` from there on.
pub(super) fn base(
    slots: Range<Slot>,
    present: Slot,
    (usual, day): (&Usual<'_>, &Day),
    (cells, shape): (&[Cell], &Shape),
) -> Base {
    let lattice = usual.lattice;
    let wall = &lattice.wall;
    let hop = wall.hours(ORIGIN_HOURS);
    let every = wall.hours(1);
    let from = day.replayed_from().unwrap_or(lattice.origin);
    let mut newest = vec![0.0; lattice.len()];
    for (cell, forecast) in (lattice.origin..).zip(cells) {
        newest[cell] = forecast.point;
    }
    let mut former = newest.clone();
    let mut made = vec![lattice.origin];
    let mut origin = lattice.origin;
    while origin > from {
        let until = origin;
        origin = origin.saturating_sub(hop).max(from);
        let Some(experts) = day.at(origin) else { break };
        let present = Present::of(Seen::at(usual, origin));
        let point = |target: usize| experts.opinion(&present.read(target)).point;
        for (target, newest) in (origin..until).zip(&mut newest[origin..until]) {
            *newest = point(target);
        }
        // What the next day forecast changed of this one moves slowly through the day: it is read on the line over an hour.
        let end = (until + hop).min(lattice.len());
        let changed = |target: usize| deviation(point(target), newest[target]);
        let mut from = (until, changed(until.min(end - 1)));
        while from.0 < end {
            let to = (from.0 + every).min(end);
            let then = changed(to.min(end - 1));
            for target in from.0..to {
                let share = (target - from.0) as f64 / (to - from.0) as f64;
                former[target] = moved(newest[target], from.1 + (then - from.1) * share);
            }
            from = (to, then);
        }
        made.push(origin);
    }
    made.reverse();
    // In the autumn hour a slot after the origin may share its cell with one long before it, and the other way round.
    let cell = |slot: Slot| {
        let cell = wall.cell(slot);
        if slot < present { cell.min(lattice.origin) } else { cell.max(lattice.origin) }
    };
    let past = (slots.start.0..present.0).map(Slot);
    let first = past.into_iter().find(|slot| cell(*slot) >= from).unwrap_or(present);
    let mut base = Base::empty(wall.step, first);
    for slot in (first.0..slots.end.0).map(Slot) {
        let cell = cell(slot);
        if made.get(base.made.len()).is_some_and(|made| *made <= cell) {
            base.made.push(slot);
        }
        let share = shape.at(wall.slot_of_day(slot));
        base.push(Said { newest: newest[cell] * share, former: former[cell] * share });
    }
    base
}
