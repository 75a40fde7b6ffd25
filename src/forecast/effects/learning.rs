//! From history and windows to lifts, and to a history without them.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use chrono::TimeDelta;
use chrono_tz::Tz;

use super::fitted::{BEFORE, FittedEffects};
use super::lift::{Lift, OCCURRENCES, Seen};
use super::occasion::{Occasion, Sight};
use super::reach::Standing;
use super::routine::is_routine;
use super::usual::Usual;
use crate::calendar::Window;
use crate::forecast::{Cause, Error, Fitted, Forecaster, HORIZON, Known};
use crate::series::Series;
use crate::time::{LocalClock, Slot, Step};
use crate::units::{Load, Quantile};

/// A window is cut into at most so many bins, none shorter than a step.
const BINS: i64 = 64;

/// Overlapping windows are told apart by the lifts found so far, this often.
const ROUNDS: usize = 3;

/// Share of the mean load that is added before loads are divided.
const OFFSET_SHARE: f64 = 0.03;

/// How long a window that is over is remembered: as far back as a base may look when it forecasts.
const REMEMBERED: TimeDelta = TimeDelta::days(70);

/// Learns the lifts of `windows`, and `base` from what is left of `history` without them.
///
/// # Errors
/// Those of the base.
pub(super) fn fit(
    base: &dyn Forecaster,
    timezone: Tz,
    windows: &[Window],
    history: &Series,
    origin: Slot,
) -> Result<Box<dyn Fitted>, Error> {
    let step = history.step();
    let clock = LocalClock::over(
        timezone,
        step.start(history.first()) - TimeDelta::days(60),
        step.end(origin) + TimeDelta::days(60),
    );
    let mut lessons = Lessons::new(windows, history, origin, &clock);
    for _ in 0..ROUNDS {
        lessons.learn();
    }
    lessons.stand();
    let cleaned = lessons.cleaned();
    let base = base.fit(&cleaned, origin)?;
    let usual = lessons.usual_ahead(base.as_ref(), &cleaned);
    let Lessons { mut occasions, lifts, causes, offset, .. } = lessons;
    let remembered = step.start(origin) - REMEMBERED;
    occasions.retain(|occasion| occasion.window.until > remembered);
    Ok(Box::new(FittedEffects { step, base, occasions, lifts, causes: causes.into(), usual, offset }))
}

/// What is learned from.
struct Lessons<'a> {
    history: &'a Series,
    origin: Slot,
    step: Step,
    offset: f64,
    usual: Usual<'a>,
    /// In the order of the windows, ascending by `from`.
    occasions: Vec<Occasion>,
    causes: Vec<Cause>,
    lifts: Vec<Lift>,
    /// What would have been usual in each window, where it began before the origin and is among the newest of its name.
    past: Vec<Option<Past>>,
}

/// A window that has begun.
struct Past {
    slots: Range<Slot>,
    usual: Vec<Option<f64>>,
    /// Other windows that touch it.
    rivals: Vec<usize>,
}

impl<'a> Lessons<'a> {
    fn new(windows: &[Window], history: &'a Series, origin: Slot, clock: &'a LocalClock) -> Self {
        let step = history.step();
        let offset = OFFSET_SHARE * history.mean(history.first(), origin).unwrap_or(0.0);
        let (causes, names) = names(windows);
        let by_name = |name: u16| windows.iter().zip(&names).filter(move |(_, other)| **other == name);
        let routine: Vec<bool> = (0..causes.len())
            .map(|name| {
                let name = u16::try_from(name).unwrap_or(u16::MAX);
                let of_name: Vec<_> = by_name(name)
                    .map(|(window, _)| (step.last_ended(window.at).next(), slots(step, window)))
                    .collect();
                is_routine(history, origin, clock, &of_name)
            })
            .collect();
        let lifts = (0..causes.len())
            .map(|name| {
                let name = u16::try_from(name).unwrap_or(u16::MAX);
                unseen(step, by_name(name).map(|(window, _)| window))
            })
            .collect();
        let occasions: Vec<Occasion> = windows
            .iter()
            .zip(&names)
            .map(|(window, name)| Occasion {
                window: window.clone(),
                name: *name,
                routine: routine[usize::from(*name)],
                standing: None,
            })
            .collect();
        let covering = occasions.iter().filter(|occasion| !occasion.routine);
        let usual = Usual::new(
            history,
            origin,
            clock,
            covering.map(|occasion| slots(step, &occasion.window)),
            offset,
        );
        let past = (0..occasions.len()).map(|_| None).collect();
        let mut lessons = Self { history, origin, step, offset, usual, occasions, causes, lifts, past };
        lessons.look_back();
        lessons
    }

    /// Finds what would have been usual in the newest windows of each name.
    fn look_back(&mut self) {
        let mut found = vec![0; self.causes.len()];
        for index in (0..self.occasions.len()).rev() {
            let occasion = &self.occasions[index];
            let slots = slots(self.step, &occasion.window);
            let slots = slots.start..slots.end.min(self.origin);
            let count = &mut found[usize::from(occasion.name)];
            let seen = slots.start < slots.end && slots.start >= self.history.first();
            if occasion.routine || !seen || *count >= OCCURRENCES {
                continue;
            }
            let usual = self.usual.of(slots.clone());
            if usual.iter().all(Option::is_none) {
                continue;
            }
            *count += 1;
            let Window { from, until, .. } = occasion.window;
            let rivals = (0..self.occasions.len()).filter(|other| {
                let other_occasion = &self.occasions[*other];
                *other != index && !other_occasion.routine && other_occasion.touches(from, until)
            });
            let rivals = rivals.collect();
            self.past[index] = Some(Past { slots, usual, rivals });
        }
    }

    fn is_over(&self, occasion: &Occasion) -> bool {
        occasion.window.until <= self.step.start(self.origin)
    }

    /// One round: each name's lift, from the slots in which none is expected to be larger.
    fn learn(&mut self) {
        let learned: Vec<Lift> = (0..self.lifts.len())
            .map(|name| {
                let mut lift = self.lifts[name].clone();
                let over = self.past.iter().enumerate().rev().filter(|(index, _)| {
                    let occasion = &self.occasions[*index];
                    usize::from(occasion.name) == name && self.is_over(occasion)
                });
                let seen: Vec<Seen> =
                    over.filter_map(|(index, past)| Some(self.seen(index, past.as_ref()?, &lift))).collect();
                lift.learn(&seen);
                lift
            })
            .collect();
        self.lifts = learned;
    }

    /// What was seen of one occurrence, by bin.
    fn seen(&self, index: usize, past: &Past, lift: &Lift) -> Seen {
        let at = self.occasions[index].window.at;
        let mut sums = vec![(0.0, 0.0); lift.len()];
        for (slot, usual) in self.own_slots(index, past) {
            let Some(load) = self.history.load(slot) else { continue };
            let middle = self.step.start(slot) + TimeDelta::milliseconds(500 * self.step.seconds());
            let Some(bin) = lift.bin((middle - at).num_seconds()) else { continue };
            sums[bin].0 += load + self.offset;
            sums[bin].1 += usual + self.offset;
        }
        sums.into_iter()
            .map(|(load, usual)| (usual > 0.0 && load > 0.0).then(|| (load / usual).ln()))
            .collect()
    }

    /// The slots of a window in which no other is expected to be larger, with what would be usual.
    fn own_slots<'b>(&'b self, index: usize, past: &'b Past) -> impl Iterator<Item = (Slot, f64)> + 'b {
        let log = move |index: usize, slot: Slot| {
            let occasion = &self.occasions[index];
            let (from, until) = (self.step.start(slot), self.step.end(slot));
            if occasion.touches(from, until) {
                self.lifts[usize::from(occasion.name)].reach(&occasion.window, from, until).log
            } else {
                f64::NEG_INFINITY
            }
        };
        let slots = (past.slots.start.0..past.slots.end.0).map(Slot);
        slots.zip(&past.usual).filter_map(move |(slot, usual)| {
            let usual = (*usual)?;
            let strongest = past.rivals.is_empty()
                || past.rivals.iter().all(|rival| log(*rival, slot) <= log(index, slot));
            strongest.then_some((slot, usual))
        })
    }

    /// Where each occurrence that is over stood among those of its name.
    fn stand(&mut self) {
        let standings: Vec<Option<Standing>> = (0..self.occasions.len())
            .map(|index| {
                let occasion = &self.occasions[index];
                let over = self.is_over(occasion).then_some(Standing::UNSEEN);
                self.past[index].as_ref().map_or(over, |past| Some(self.standing(index, past)))
            })
            .collect();
        for (occasion, standing) in self.occasions.iter_mut().zip(standings) {
            occasion.standing = standing;
        }
    }

    fn standing(&self, index: usize, past: &Past) -> Standing {
        let occasion = &self.occasions[index];
        let lift = &self.lifts[usize::from(occasion.name)];
        let newest = self.step.start(self.origin).min(occasion.window.until);
        // All of an occurrence that is over counts alike; of one that is not, the newest counts most.
        let over = self.is_over(occasion);
        let sights = self.own_slots(index, past).filter_map(|(slot, usual)| {
            let load = self.history.load(slot)?;
            let (from, until) = (self.step.start(slot), self.step.end(slot));
            let expected = occasion.reach(lift, from, until, Some(usual));
            let log = ((load + self.offset) / (usual + self.offset)).ln();
            let age = if over { TimeDelta::zero() } else { newest - until };
            Some(Sight { age, log, expected })
        });
        let newest =
            if over { occasion.window.until.max(occasion.window.full + TimeDelta::hours(1)) } else { newest };
        occasion.stand(newest, sights)
    }

    /// The history before the origin with every lift divided out, the largest where windows overlap.
    fn cleaned(&self) -> Series {
        let mut logs: HashMap<Slot, f64> = HashMap::new();
        for occasion in self.occasions.iter().filter(|occasion| !occasion.routine) {
            let slots = slots(self.step, &occasion.window);
            let first = slots.start.max(self.history.first());
            for slot in (first.0..slots.end.min(self.origin).0).map(Slot) {
                let (from, until) = (self.step.start(slot), self.step.end(slot));
                let lift = &self.lifts[usize::from(occasion.name)];
                let standing = occasion.standing.unwrap_or(Standing::UNSEEN);
                let log = occasion.reach(lift, from, until, None).seen(standing, until).log;
                logs.entry(slot).and_modify(|largest| *largest = largest.max(log)).or_insert(log);
            }
        }
        let mut cleaned = self.history.until(self.origin);
        for (slot, log) in logs {
            if let Some(load) = self.history.load(slot) {
                cleaned.put(slot, Load::saturating(load * (-log).exp()));
            }
        }
        cleaned
    }

    /// What is usual in and before the windows that are not over: as history has it before the origin, as the base has it
    /// after. What was learned of them at the fit is forgotten: they are looked at anew with each point.
    fn usual_ahead(&mut self, base: &dyn Fitted, cleaned: &Series) -> Series {
        let mut usual = Series::empty(self.step, self.origin);
        let known = Known { settled: cleaned, origin: self.origin, live: None };
        let horizon = self.origin.plus(self.step.slots_in(HORIZON));
        let mut ahead = false;
        for index in 0..self.occasions.len() {
            let occasion = &self.occasions[index];
            let slots = slots(self.step, &occasion.window);
            if occasion.routine || self.is_over(occasion) || slots.start >= horizon {
                continue;
            }
            ahead = true;
            let before = self.step.slot_of(occasion.window.from - BEFORE);
            let past = before..slots.end.min(self.origin);
            for (slot, load) in (past.start.0..).map(Slot).zip(self.usual.of(past.clone())) {
                if let Some(load) = load {
                    usual.put(slot, Load::saturating(load));
                }
            }
            self.occasions[index].standing = None;
        }
        if ahead && let Some(forecast) = base.forecast(&known, self.origin..horizon, &[Quantile::MEDIAN]) {
            for row in forecast.rows() {
                usual.put(row.slot, Load::saturating(row.loads[0]));
            }
        }
        usual
    }
}

/// The slots that a window touches.
fn slots(step: Step, window: &Window) -> Range<Slot> {
    step.last_ended(window.from).next()..step.slot_of(window.until).next()
}

/// Each name once, in the order of their first windows, and the name of each window.
fn names(windows: &[Window]) -> (Vec<Cause>, Vec<u16>) {
    let mut causes: Vec<Cause> = Vec::new();
    let mut known: HashMap<Arc<str>, u16> = HashMap::new();
    let names = windows
        .iter()
        .map(|window| {
            *known.entry(Arc::clone(&window.name)).or_insert_with(|| {
                causes.push(Cause { name: Arc::clone(&window.name), source: window.source });
                u16::try_from(causes.len() - 1).unwrap_or(u16::MAX)
            })
        })
        .collect();
    (causes, names)
}

/// A lift with bins for every offset of these windows.
fn unseen<'a>(step: Step, windows: impl Iterator<Item = &'a Window>) -> Lift {
    let (mut before, mut after) = (0, 1);
    for window in windows {
        before = before.max((window.at - window.from).num_seconds() + step.seconds());
        after = after.max((window.until - window.at).num_seconds() + step.seconds());
    }
    let steps = ((before + after) / BINS / step.seconds() + 1).max(1);
    let bin_seconds = steps * step.seconds();
    let first = (-before).div_euclid(bin_seconds);
    let bins = usize::try_from(after.div_euclid(bin_seconds) - first + 1).unwrap_or(1);
    Lift::unseen(bin_seconds, first, bins)
}
