//! From history and windows to lifts, and to a history without them.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use chrono::TimeDelta;
use chrono_tz::Tz;

use super::company::{Member, beside, together};
use super::fitted::FittedEffects;
use super::lift::{Lift, OCCURRENCES, Seen};
use super::occasion::{Occasion, Sight};
use super::reach::Standing;
use super::routine::{Spot, routine};
use super::standings::BEFORE;
use super::usual::Usual;
use crate::calendar::{Outlook, Window};
use crate::forecast::{Cause, Error, Fitted, Forecaster, HORIZON, Known};
use crate::series::Series;
use crate::time::{LocalClock, Slot, Step};
use crate::units::{Load, Quantile};

/// A window is cut into at most so many bins, none shorter than a step.
const BINS: i64 = 64;

/// Overlapping windows are told apart by the lifts found so far, this often, after each was looked at where it is alone.
const ROUNDS: usize = 4;

/// Share of the mean load that is added before loads are divided.
const OFFSET_SHARE: f64 = 0.03;

/// How long a window that is over is remembered: as far back as a base may look when it forecasts.
const REMEMBERED: TimeDelta = TimeDelta::days(70);

/// Which slots of a window are learned from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    /// Those that no other window touches.
    Alone,
    /// Those in which it stands out from the others, as far as they are known.
    Beside,
}

/// Learns the lifts of the windows of `outlook`, and `base` from what is left of `history` without them.
///
/// # Errors
/// Those of the base.
pub(super) fn fit(
    base: &dyn Forecaster,
    timezone: Tz,
    outlook: &Outlook,
    history: &Series,
    origin: Slot,
) -> Result<Box<dyn Fitted>, Error> {
    let step = history.step();
    let clock = LocalClock::over(
        timezone,
        step.start(history.first()) - TimeDelta::days(60),
        step.end(origin) + TimeDelta::days(60),
    );
    let mut lessons = Lessons::new(outlook, history, origin, &clock);
    lessons.learn(Look::Alone);
    for _ in 0..ROUNDS {
        lessons.learn(Look::Beside);
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
    fn new(outlook: &Outlook, history: &'a Series, origin: Slot, clock: &'a LocalClock) -> Self {
        let windows = outlook.windows();
        let step = history.step();
        let offset = OFFSET_SHARE * history.mean(history.first(), origin).unwrap_or(0.0);
        let (causes, names) = names(windows);
        let by_name = |name: u16| windows.iter().zip(&names).filter(move |(_, other)| **other == name);
        let mut is_routine = vec![false; windows.len()];
        for name in 0..causes.len() {
            let of_name: Vec<usize> =
                (0..windows.len()).filter(|index| usize::from(names[*index]) == name).collect();
            let spot = |index: &usize| {
                let window = &windows[*index];
                (step.last_ended(window.at).next(), slots(step, window))
            };
            let spots: Vec<Spot> = of_name.iter().map(spot).collect();
            for (index, held) in of_name.into_iter().zip(routine(history, origin, clock, &spots)) {
                is_routine[index] = held;
            }
        }
        let lifts = (0..causes.len())
            .map(|name| {
                let name = u16::try_from(name).unwrap_or(u16::MAX);
                unseen(step, by_name(name).map(|(window, _)| window))
            })
            .collect();
        let occasions: Vec<Occasion> = windows
            .iter()
            .zip(&names)
            .zip(is_routine)
            .map(|((window, name), routine)| Occasion {
                window: window.clone(),
                name: *name,
                routine,
                standing: None,
            })
            .collect();
        let covering = occasions.iter().filter(|occasion| !occasion.routine);
        let usual = Usual::new(
            history,
            origin,
            clock,
            outlook,
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

    /// One round: each name's lift, beside those of the others as the round before left them.
    fn learn(&mut self, look: Look) {
        let learned: Vec<Lift> = (0..self.lifts.len())
            .map(|name| {
                let mut lift = self.lifts[name].clone();
                let over = self.past.iter().enumerate().rev().filter(|(index, _)| {
                    let occasion = &self.occasions[*index];
                    usize::from(occasion.name) == name && self.is_over(occasion)
                });
                let seen: Vec<Seen> = over
                    .filter_map(|(index, past)| Some(self.seen(index, past.as_ref()?, &lift, look)))
                    .collect();
                lift.learn(&seen);
                lift
            })
            .collect();
        self.lifts = learned;
    }

    /// What was seen of one occurrence, by bin.
    fn seen(&self, index: usize, past: &Past, lift: &Lift, look: Look) -> Seen {
        let at = self.occasions[index].window.at;
        let mut sums = vec![(0.0, 0.0); lift.len()];
        for (slot, usual) in self.own_slots(index, past, look) {
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

    /// The slots of a window in which it can be seen, with what would be usual there with all others but without it.
    fn own_slots<'b>(
        &'b self,
        index: usize,
        past: &'b Past,
        look: Look,
    ) -> impl Iterator<Item = (Slot, f64)> + 'b {
        let slots = (past.slots.start.0..past.slots.end.0).map(Slot);
        slots.zip(&past.usual).filter_map(move |(slot, usual)| {
            let usual = (*usual)?;
            let (from, until) = (self.step.start(slot), self.step.end(slot));
            let touching = |rival: &&usize| self.occasions[**rival].touches(from, until);
            let mut rivals = past.rivals.iter().filter(touching).peekable();
            if rivals.peek().is_none() {
                return Some((slot, usual));
            }
            let member = |index: usize| self.member(&self.occasions[index], slot);
            let rivals = past.rivals.iter().filter(touching).map(|rival| member(*rival));
            let others = (look == Look::Beside).then(|| beside(member(index), rivals)).flatten()?;
            Some((slot, (usual + self.offset) * others.exp() - self.offset))
        })
    }

    /// A window's name and lift in a slot that it touches.
    fn member(&self, occasion: &Occasion, slot: Slot) -> Member {
        let (from, until) = (self.step.start(slot), self.step.end(slot));
        let lift = &self.lifts[usize::from(occasion.name)];
        (occasion.name, lift.reach(&occasion.window, from, until).log)
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
        let over = self.is_over(occasion);
        let newest = if over {
            occasion.window.until.max(occasion.window.full + TimeDelta::hours(1))
        } else {
            self.step.start(self.origin).min(occasion.window.until)
        };
        let full = occasion.full(lift).log;
        let sights = self.own_slots(index, past, Look::Beside).filter_map(|(slot, usual)| {
            let load = self.history.load(slot)?;
            let (from, until) = (self.step.start(slot), self.step.end(slot));
            let expected = occasion.reach(lift, from, until, Some(usual));
            let log = ((load + self.offset) / (usual + self.offset)).ln();
            // All of an occurrence that is over counts alike; of one that is not, the newest counts most.
            let at = if over { newest } else { until };
            Some(Sight { at, slots: 1.0, log, expected, full })
        });
        let sights: Vec<Sight> = sights.collect();
        occasion.stand(newest, &sights)
    }

    /// The history before the origin with all that moved it divided out.
    fn cleaned(&self) -> Series {
        let mut members: HashMap<Slot, Vec<Member>> = HashMap::new();
        for occasion in self.occasions.iter().filter(|occasion| !occasion.routine) {
            let slots = slots(self.step, &occasion.window);
            let first = slots.start.max(self.history.first());
            for slot in (first.0..slots.end.min(self.origin).0).map(Slot) {
                let (from, until) = (self.step.start(slot), self.step.end(slot));
                let lift = &self.lifts[usize::from(occasion.name)];
                let standing = occasion.standing.unwrap_or(Standing::UNSEEN);
                let log = occasion.reach(lift, from, until, None).seen(standing, until).log;
                members.entry(slot).or_default().push((occasion.name, log));
            }
        }
        let mut cleaned = self.history.until(self.origin);
        for (slot, members) in members {
            if let Some(load) = self.history.load(slot) {
                cleaned.put(slot, Load::saturating(load * (-together(&members.into_iter())).exp()));
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
