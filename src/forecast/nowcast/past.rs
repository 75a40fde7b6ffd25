//! What is learned at each lead, from the past: what was seen at a minute, what came of it, and what the blend missed by.

use super::blend::{Lessons, dot};
use super::busy::Busy;
use super::moment::{Moment, Seen, Start};
use super::spread::{Miss, Spread};
use super::sums::Sums;
use super::usual::Usual;
use super::{DAY, Lead};
use crate::time::Slot;

/// A miss counts half as much when it is this many days old: traffic drifts, and a tournament is not like the weeks before.
const HALF_LIFE_DAYS: f64 = 10.0;

/// What past moments are made of.
pub(super) struct Past<'a> {
    pub(super) origin: Slot,
    pub(super) sums: &'a Sums,
    pub(super) usual: &'a Usual,
    pub(super) floor: f64,
}

impl Past<'_> {
    /// What was seen when `newest` was the newest minute; `None` where it was not measured.
    pub(super) fn moment(&self, newest: Slot) -> Option<Moment> {
        let seen = |from: i64, until: i64| {
            let slots = newest.plus(-from)..newest.plus(1 - until);
            Some(Seen { load: self.sums.mean(slots.clone())?, usual: self.usual.over(slots)? })
        };
        let now = seen(0, 0)?;
        let day = seen(DAY - 1, 0)?;
        let lately = seen(4, 2);
        let mix = |now: f64, lately: f64| f64::mul_add(0.75, lately, 0.25 * now);
        let few = lately.map_or(now, |lately| Seen {
            load: mix(now.load, lately.load),
            usual: mix(now.usual, lately.usual),
        });
        Some(Moment {
            newest: now,
            few,
            half_hour: seen(29, 2).unwrap_or(day),
            day,
            before: seen(4, 3).map_or(few.load, |seen| seen.load),
            minutes_since: 3.5,
        })
    }

    /// From where each minute to be learned from started.
    pub(super) fn starts(&self, learn_from: Slot) -> Vec<(Slot, Start)> {
        let slots = (learn_from.0..self.origin.0).map(Slot);
        let mut starts = Vec::with_capacity(slots.size_hint().1.unwrap_or(0));
        starts.extend(slots.filter_map(|slot| Some((slot, self.moment(slot)?.start(self.floor)))));
        starts
    }

    /// What came of each minute from `first` on; `None` where it was not measured. The same for each lead.
    pub(super) fn targets(&self, first: Slot) -> Targets {
        let target = |slot: Slot| {
            let days_old = self.origin.since(slot) as f64 / DAY as f64;
            let weight = (-days_old / HALF_LIFE_DAYS).exp2();
            Some(Target { load: self.sums.load(slot)?, usual: self.usual.over(slot..slot.next())?, weight })
        };
        let minutes: Vec<Option<Target>> = (first.0..self.origin.0).map(|slot| target(Slot(slot))).collect();
        let loads = minutes.iter().flatten().map(|target| target.load);
        Targets { first, busy: Busy::of(loads, self.floor), minutes }
    }

    /// Learns at `lead` minutes.
    pub(super) fn learn(&self, lead: i64, starts: &[(Slot, Start)], targets: &Targets) -> Lead {
        let pairs =
            || starts.iter().filter_map(|(newest, start)| Some((start, targets.at(newest.plus(lead))?)));
        let mut lessons = Lessons::default();
        for (start, target) in pairs() {
            let size = start.few + target.usual + self.floor;
            lessons.add(start.candidates(target.usual), target.load, target.weight / (size * size));
        }
        let weights = lessons.weights();
        let misses = pairs().map(|(start, target)| Miss {
            point: dot(&weights, &start.candidates(target.usual)),
            load: target.load,
            steepness: start.steepness(target.usual, lead as f64),
            weight: target.weight,
        });
        Lead { minutes: lead, weights, spread: Spread::of(misses, targets.busy) }
    }
}

/// What came of past minutes.
pub(super) struct Targets {
    first: Slot,
    busy: Busy,
    minutes: Vec<Option<Target>>,
}

/// What came of one.
#[derive(Debug, Clone, Copy)]
struct Target {
    load: f64,
    usual: f64,
    /// How much it counts: newer minutes count more.
    weight: f64,
}

impl Targets {
    fn at(&self, slot: Slot) -> Option<Target> {
        *self.minutes.get(usize::try_from(slot.since(self.first)).ok()?)?
    }
}
