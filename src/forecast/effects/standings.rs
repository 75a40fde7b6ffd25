//! Where the windows stand that matter to a question, by what was measured of them.

use std::ops::Range;

use chrono::TimeDelta;

use super::company::beside;
use super::fitted::FittedEffects;
use super::in_force::{Growing, Part};
use super::occasion::{Occasion, Sight};
use super::reach::{Reach, Standing};
use super::spans::spans;
use crate::forecast::recent::REACH_SECONDS;
use crate::forecast::{HORIZON, Known, Observation};
use crate::series::Series;
use crate::time::{Slot, Timestamp};

/// A window's level is compared with what was usual over this long before it, and believed for less and less after.
pub(super) const BEFORE: TimeDelta = TimeDelta::hours(1);
const LEVEL_HALF_LIFE_SECONDS: f64 = 7_200.0;

/// An instant touches what a millisecond from there on does.
const INSTANT: TimeDelta = TimeDelta::milliseconds(1);

/// The windows that matter to a question.
pub(super) struct Standings<'a> {
    pub(super) windows: Vec<Stands<'a>>,
    /// What has settled and will be looked at, cut into spans in which the same is expected.
    pub(super) settled: Vec<Range<Slot>>,
}

/// A window and where it stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stands<'a> {
    pub(super) occasion: &'a Occasion,
    /// What is expected of it once it is there in full.
    full: Reach,
    /// By all that is known.
    pub(super) now: Standing,
    /// By what has settled.
    pub(super) settled: Standing,
}

/// Which of the two is asked for.
pub(super) type Which = fn(&Stands<'_>) -> Standing;

impl FittedEffects {
    /// Every window that touches what a base looks at or what is asked for up to `end`.
    pub(super) fn standings(&self, known: &Known<'_>, end: Slot) -> Standings<'_> {
        let looked_at = self.looked_at(known);
        let (from, until) = (self.step.start(looked_at.start), self.step.end(end));
        let near: Vec<&Occasion> =
            self.occasions.iter().filter(|occasion| occasion.touches(from, until)).collect();
        let origin = self.step.start(known.origin);
        let runs = |occasion: &&&Occasion| {
            !occasion.routine && occasion.standing.is_none() && occasion.window.from < origin
        };
        let begun = near.iter().filter(runs).map(|occasion| self.step.slot_of(occasion.window.from));
        let oldest = begun.fold(looked_at.start, Slot::min).max(known.settled.first());
        let begins = self.step.start(oldest);
        let cutting = self.moving().filter(|occasion| occasion.touches(begins, until));
        let windows = cutting.map(|occasion| (&occasion.window, self.lift(occasion)));
        let settled = spans(self.step, oldest..known.origin, windows);
        let windows = near.iter().map(|occasion| self.stands(occasion, known, &settled)).collect();
        Standings { windows, settled }
    }

    /// What a base looks at of what has settled: a day before the newest measurement, and some more.
    pub(super) fn looked_at(&self, known: &Known<'_>) -> Range<Slot> {
        let back = |seconds: i64| (seconds + self.step.seconds() - 1) / self.step.seconds();
        let horizon = self.step.slots_in(HORIZON);
        let slots = (known.origin.0 - horizon..known.origin.0).rev().map(Slot);
        let newest = slots.into_iter().find(|slot| known.settled.load(*slot).is_some());
        let end = newest.map_or(known.origin, Slot::next);
        end.plus(-back(REACH_SECONDS + BEFORE.num_seconds())).max(known.settled.first())..known.origin
    }

    /// The windows that the week does not hold by itself.
    fn moving(&self) -> impl Iterator<Item = &Occasion> {
        self.occasions.iter().filter(|occasion| !occasion.routine)
    }

    fn stands<'a>(
        &'a self,
        occasion: &'a Occasion,
        known: &Known<'_>,
        settled: &[Range<Slot>],
    ) -> Stands<'a> {
        let full = occasion.full(self.lift(occasion));
        if let Some(standing) = occasion.standing {
            return Stands { occasion, full, now: standing, settled: standing };
        }
        let origin = self.step.start(known.origin);
        let newest = known.live.map_or(origin, |live| live.at.max(origin));
        if occasion.routine || occasion.window.from >= newest {
            return Stands { occasion, full, now: Standing::UNSEEN, settled: Standing::UNSEEN };
        }
        let sighting = self.sighting(occasion, known, full);
        let first = settled.partition_point(|span| self.step.end(span.end.plus(-1)) <= occasion.window.from);
        let mut sights = Vec::with_capacity(settled.len() - first + 1);
        settled[first..].iter().for_each(|span| sighting.look(known.settled, span, &mut sights));
        let by_settled =
            if occasion.window.from < origin { occasion.stand(origin, &sights) } else { Standing::UNSEEN };
        sights.extend(known.live.and_then(|live| sighting.of_live(live)));
        Stands { occasion, full, now: occasion.stand(newest, &sights), settled: by_settled }
    }

    fn sighting<'a>(&'a self, occasion: &'a Occasion, known: &Known<'_>, full: Reach) -> Sighting<'a> {
        let window = &occasion.window;
        let rivals = self
            .moving()
            .filter(|other| !std::ptr::eq(*other, occasion) && other.touches(window.from, window.until));
        Sighting {
            effects: self,
            occasion,
            rivals: rivals.collect(),
            level: self.level(occasion, known.settled, known.origin),
            full: full.log,
        }
    }

    /// How much busier than usual the time before a window was, where nothing else moved it.
    fn level(&self, occasion: &Occasion, settled: &Series, origin: Slot) -> f64 {
        let before = occasion.window.from - BEFORE..occasion.window.from;
        let others: Vec<&Occasion> =
            self.moving().filter(|other| other.touches(before.start, before.end)).collect();
        let (first, end) = (self.step.slot_of(before.start), self.step.slot_of(before.end));
        let (mut load, mut usual) = (self.offset, self.offset);
        for slot in (first.0..end.0.min(origin.0)).map(Slot) {
            let (from, until) = (self.step.start(slot), self.step.end(slot));
            let free = !others.iter().any(|other| other.touches(from, until));
            if let (Some(measured), Some(expected), true) = (settled.load(slot), self.usual.load(slot), free)
            {
                (load, usual) = (load + measured, usual + expected);
            }
        }
        load / usual
    }

    /// Each effect that touches the time between two instants, as it stands, in place of what was in `parts`.
    pub(super) fn parts(
        &self,
        standings: &Standings<'_>,
        which: Which,
        (from, until): (Timestamp, Timestamp),
        parts: &mut Vec<Part>,
    ) {
        parts.clear();
        let touched = until.max(from + INSTANT);
        let mut usual = None;
        let moves = |occasion: &Occasion| !occasion.routine && occasion.touches(from, touched);
        for stands in standings.windows.iter().filter(|stands| moves(stands.occasion)) {
            let (occasion, standing) = (stands.occasion, which(stands));
            let usual = *usual.get_or_insert_with(|| self.usual_within(from, until));
            let expected = occasion.reach(self.lift(occasion), from, until, Some(usual));
            let (adds, reach) = (expected.log >= 0.0, expected.seen(standing, until));
            let growing =
                standing.rising.then(|| Growing { expected, full: stands.full.seen(standing, until).log });
            parts.push(Part { reach, adds, growing, name: occasion.name });
        }
    }
}

/// Someone who looks for one window in what was measured.
struct Sighting<'a> {
    effects: &'a FittedEffects,
    occasion: &'a Occasion,
    /// The others that touch it.
    rivals: Vec<&'a Occasion>,
    /// How much busier than usual it was before.
    level: f64,
    /// The logarithm of its lift once it is there in full.
    full: f64,
}

impl Sighting<'_> {
    /// Adds what a span that has settled says; where it has a hole, what each of its slots says.
    fn look(&self, settled: &Series, span: &Range<Slot>, sights: &mut Vec<Sight>) {
        let step = self.effects.step;
        let mut one = |slots: Range<Slot>| {
            let loads = mean_of_all(settled, &slots).zip(mean_of_all(&self.effects.usual, &slots));
            let (from, until) = (step.start(slots.start), step.end(slots.end.plus(-1)));
            let sight = loads.and_then(|(load, usual)| self.sight(from, until, load, usual));
            // The middle one of them ended half of the others later than the first.
            let at = step.end(slots.start) + (until - step.end(slots.start)) / 2;
            let count = slots.end.since(slots.start) as f64;
            sights.extend(sight.map(|sight| Sight { at, slots: count, ..sight }));
            loads.is_some()
        };
        if !one(span.clone()) && span.end > span.start.next() {
            (span.start.0..span.end.0).map(Slot).for_each(|slot| {
                one(slot..slot.next());
            });
        }
    }

    /// What is said by the newest measurement.
    fn of_live(&self, live: Observation) -> Option<Sight> {
        let usual = self.effects.usual.load(self.effects.step.slot_of(live.at))?;
        self.sight(live.at, live.at, live.load.get(), usual)
    }

    /// What is said by a slot between two instants, or at one, in which `load` was measured; `None` where it does not touch the
    /// window, or the window cannot be told from others.
    fn sight(&self, from: Timestamp, until: Timestamp, load: f64, usual: f64) -> Option<Sight> {
        let Self { effects, occasion, .. } = *self;
        let touches = |occasion: &Occasion| occasion.touches(from, until.max(from + INSTANT));
        if !touches(occasion) {
            return None;
        }
        let reach = |occasion: &Occasion| effects.lift(occasion).reach(&occasion.window, from, until);
        let own = reach(occasion);
        let rivals = self.rivals.iter().filter(|rival| rival.touches(from, until));
        let others = beside((occasion.name, own.log), rivals.map(|rival| (rival.name, reach(rival).log)))?;
        let faded = 0.5_f64.powf((until - occasion.window.from).as_seconds_f64() / LEVEL_HALF_LIFE_SECONDS);
        let usual = usual * others.exp() * self.level.powf(faded);
        let expected = occasion.peak(from, until, usual).unwrap_or(own);
        let log = ((load + effects.offset) / (usual + effects.offset)).ln();
        Some(Sight { at: until, slots: 1.0, log, expected, full: self.full })
    }
}

/// The mean of `slots` where all of them are known.
fn mean_of_all(series: &Series, slots: &Range<Slot>) -> Option<f64> {
    let (sum, count) =
        series.loads(slots.clone()).fold((0.0, 0), |(sum, count), (_, load)| (sum + load, count + 1));
    (count > 0 && count == slots.end.since(slots.start)).then(|| sum / count as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar::{Envelope, Uplift, Window, WindowSource};
    use crate::forecast::effects::lift::Lift;
    use crate::forecast::{Fitted, Forecast};
    use crate::time::Step;
    use crate::units::{Load, Quantile};

    /// Has nothing to say.
    #[derive(Debug)]
    struct Silent;

    impl Fitted for Silent {
        fn forecast(&self, _: &Known<'_>, _: Range<Slot>, _: &[Quantile]) -> Option<Forecast> {
            None
        }
    }

    const STEP: Step = Step::MINUTE;

    fn pay_day() -> Window {
        let hours = TimeDelta::hours;
        let envelope = Envelope { lead: hours(6), ramp: hours(6), hold: hours(3), decay: hours(15) };
        let at = "2026-11-27T06:00:00Z".parse().unwrap();
        let window = Window::around("pay day".into(), WindowSource::Calendar, at, &envelope);
        Window { uplift: Uplift::try_new(1.05, 1.5, 2.5).ok(), ..window }
    }

    /// A day wave that nobody moves.
    fn usual(slot: Slot) -> f64 {
        100.0 - 40.0 * (slot.0 as f64 / 1_440.0 * std::f64::consts::TAU).cos()
    }

    fn effects() -> FittedEffects {
        let window = pay_day();
        let slots = STEP.slot_of(window.from - BEFORE).0..STEP.slot_of(window.until).0;
        let mut before = Series::empty(STEP, Slot(slots.start));
        slots.map(Slot).for_each(|slot| before.put(slot, Load::saturating(usual(slot))));
        FittedEffects {
            step: STEP,
            base: Box::new(Silent),
            occasions: vec![Occasion { window, name: 0, routine: false, standing: None }],
            lifts: vec![Lift::unseen(24 * 60, -15, 75)],
            causes: [].into(),
            usual: before,
            offset: 3.0,
        }
    }

    /// What a pay day of `times` the declared size looks like until `end`, with noise.
    fn measured(effects: &FittedEffects, times: f64, end: Slot) -> Series {
        let occasion = &effects.occasions[0];
        let mut series = Series::empty(STEP, effects.usual.first());
        let mut mixed = 88_172_645_463_325_252_u64;
        for slot in (effects.usual.first().0..end.0).map(Slot) {
            mixed = mixed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let noise = 0.95 + 0.1 * (mixed >> 11) as f64 / (1_u64 << 53) as f64;
            let lift = effects.lift(occasion).reach(&occasion.window, STEP.start(slot), STEP.end(slot)).log;
            series.put(slot, Load::saturating(usual(slot) * (times * lift).exp() * noise));
        }
        series
    }

    #[test]
    fn looked_at_by_spans_a_window_stands_where_it_stands_looked_at_slot_by_slot() {
        let effects = effects();
        let occasion = &effects.occasions[0];
        for (times, hours) in [(1.4, 4), (1.4, 9), (0.6, 10), (1.2, 14), (2.0, 20)] {
            let origin = STEP.slot_of(occasion.window.from + TimeDelta::hours(hours)).next();
            let mut settled = measured(&effects, times, origin);
            settled.mask(origin.plus(-100));
            let known = Known { settled: &settled, origin, live: None };
            let [by_spans] = effects.standings(&known, origin).windows[..] else { panic!("one window") };
            let each: Vec<_> = (settled.first().0..origin.0).map(|slot| Slot(slot)..Slot(slot + 1)).collect();
            let by_slots = effects.stands(occasion, &known, &each);
            let [one, other] = [by_spans.now, by_slots.now];
            assert!((one.z - other.z).abs() < 0.02, "{times} after {hours} h: {one:?} {other:?}");
            assert!((one.left - other.left).abs() < 0.01, "{times} after {hours} h: {one:?} {other:?}");
            assert_eq!((one.rising, one.newest), (other.rising, other.newest));
        }
    }

    #[test]
    fn a_window_is_told_from_one_that_was_over_before_the_day_that_a_base_looks_at() {
        let mut effects = effects();
        let hours = TimeDelta::hours;
        let sale = &mut effects.occasions[0].window;
        sale.until += hours(30);
        let at = sale.from + hours(13) + TimeDelta::minutes(7);
        let envelope = Envelope { hold: hours(2), ..Envelope::default() };
        let launch = Window::around("launch".into(), WindowSource::Event, at, &envelope);
        let launch = Window { uplift: Uplift::try_new(2.0, 3.0, 4.0).ok(), ..launch };
        let edges = [launch.from, launch.until].map(|edge| STEP.last_ended(edge).next());
        effects.occasions.push(Occasion { window: launch, name: 1, routine: false, standing: None });
        effects.lifts.push(Lift::unseen(120, 0, 60));
        let origin = STEP.slot_of(effects.occasions[0].window.from + hours(48));
        let settled = measured(&effects, 1.0, origin);
        let standings = effects.standings(&Known { settled: &settled, origin, live: None }, origin);
        for edge in edges {
            assert!(standings.settled.iter().any(|span| span.start == edge), "{edge:?}");
        }
        assert_eq!(standings.windows.len(), 1, "the launch itself is not near any more");
    }

    #[test]
    fn what_a_base_does_not_look_at_is_left_alone() {
        let effects = effects();
        let from = effects.occasions[0].window.from;
        let origin = STEP.slot_of(from + TimeDelta::hours(20));
        let settled = measured(&effects, 1.0, origin);
        // From a hole the day before it is looked at.
        for hole in [0, 300] {
            let mut settled = settled.clone();
            settled.mask_all(&(origin.plus(-hole)..origin));
            let known = Known { settled: &settled, origin, live: None };
            let looked_at = effects.looked_at(&known);
            assert_eq!((looked_at.start, looked_at.end), (settled.first(), origin));
        }
        let mut long = Series::empty(STEP, origin.plus(-9_000));
        (origin.0 - 9_000..origin.0).for_each(|slot| long.put(Slot(slot), Load::saturating(1.0)));
        let known = Known { settled: &long, origin, live: None };
        assert_eq!(effects.looked_at(&known).start, origin.plus(-26 * 60));
    }
}
