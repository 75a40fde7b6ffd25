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

/// Whether it is asked for by all that is known or by what has settled.
pub(super) type Which = fn(&Stands<'_>) -> Standing;

impl FittedEffects {
    /// Every window that touches what a base looks at or what is asked for up to `end`.
    pub(super) fn standings(&self, known: &Known<'_>, end: Slot) -> Standings<'_> {
        let looked_at = self.looked_at(known);
        let [from, origin] = [looked_at.start, known.origin].map(|slot| self.step.start(slot));
        let until = self.step.end(end);
        let near = self.occasions.iter().filter(|occasion| occasion.touches(from, until));
        let near: Vec<&Occasion> = near.collect();
        // What lies ahead cuts nothing: what is said of the past must not depend on how far ahead somebody asks.
        let cutting = near.iter().filter(|occasion| !occasion.routine && occasion.touches(from, origin));
        let windows = cutting.map(|occasion| (&occasion.window, self.lift(occasion)));
        let settled = spans(self.step, looked_at, windows);
        let windows = near.iter().map(|occasion| self.stands(occasion, known, &settled)).collect();
        Standings { windows, settled }
    }

    /// What a base looks at of what has settled: [`REACH_SECONDS`] before the newest measurement, and an hour by which that may be
    /// older than the newest one that counts. Of a window that runs for longer, what came before weighs next to nothing.
    fn looked_at(&self, known: &Known<'_>) -> Range<Slot> {
        let back = |seconds: i64| (seconds + self.step.seconds() - 1) / self.step.seconds();
        let horizon = self.step.slots_in(HORIZON);
        let slots = (known.origin.0 - horizon..known.origin.0).rev().map(Slot);
        let newest = slots.into_iter().find(|slot| known.settled.load(*slot).is_some());
        let end = newest.map_or(known.origin, Slot::next);
        end.plus(-back(REACH_SECONDS + 3_600)).max(known.settled.first())..known.origin
    }

    /// The windows that the week does not hold by itself.
    fn moving(&self) -> impl Iterator<Item = &Occasion> {
        self.occasions.iter().filter(|occasion| !occasion.routine)
    }

    /// Where a window stands by what was measured of it, `settled` being the spans that are looked at.
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
        let first = settled.partition_point(|span| self.step.start(span.end) <= occasion.window.from);
        let end = settled.partition_point(|span| self.step.start(span.start) < occasion.window.until);
        let touched = settled[first..end.max(first)].iter();
        let mut sights: Vec<Sight> =
            touched.filter_map(|span| sighting.of_settled(known.settled, span)).collect();
        let by_settled =
            if occasion.window.from < origin { occasion.stand(origin, &sights) } else { Standing::UNSEEN };
        sights.extend(known.live.and_then(|live| sighting.of_live(live)));
        Stands { occasion, full, now: occasion.stand(newest, &sights), settled: by_settled }
    }

    fn sighting<'a>(&'a self, occasion: &'a Occasion, known: &Known<'_>, full: Reach) -> Sighting<'a> {
        // A slot that lies in the window only in part may hold another one before or after it.
        let slot = self.step.duration();
        let [from, until] = [occasion.window.from - slot, occasion.window.until + slot];
        let rivals =
            self.moving().filter(|other| !std::ptr::eq(*other, occasion) && other.touches(from, until));
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
        let (first, end) =
            (self.step.slot_of(occasion.window.from - BEFORE), self.step.slot_of(occasion.window.from));
        let [from, until] = [first, end].map(|slot| self.step.start(slot));
        let others: Vec<&Occasion> = self.moving().filter(|other| other.touches(from, until)).collect();
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
    /// What a span that has settled says, by the slots of it that are known.
    fn of_settled(&self, settled: &Series, span: &Range<Slot>) -> Option<Sight> {
        let (mut load, mut usual, mut slots) = (0.0, 0.0, 0.0);
        for (slot, measured) in settled.loads(span.clone()) {
            if let Some(expected) = self.effects.usual.load(slot) {
                (load, usual, slots) = (load + measured, usual + expected, slots + 1.0);
            }
        }
        if slots < 1.0 {
            return None;
        }
        let step = self.effects.step;
        let (from, until) = (step.start(span.start), step.start(span.end));
        // A slot is known when it ends, and the span's slots end half of its length less one slot before it does, in the mean.
        let at = until - (until - step.end(span.start)) / 2;
        Some(Sight { slots, ..self.sight((from, until), at, load / slots, usual / slots)? })
    }

    /// What is said by the newest measurement.
    fn of_live(&self, live: Observation) -> Option<Sight> {
        let usual = self.effects.usual.load(self.effects.step.slot_of(live.at))?;
        self.sight((live.at, live.at), live.at, live.load.get(), usual)
    }

    /// What is said between two instants, or at one, known `at` an instant, in which `load` was measured; `None` where that does
    /// not touch the window, or the window cannot be told from others.
    fn sight(
        &self,
        (from, until): (Timestamp, Timestamp),
        at: Timestamp,
        load: f64,
        usual: f64,
    ) -> Option<Sight> {
        let Self { effects, occasion, .. } = *self;
        if !occasion.touches(from, until.max(from + INSTANT)) {
            return None;
        }
        let reach = |occasion: &Occasion| effects.lift(occasion).reach(&occasion.window, from, until);
        let own = reach(occasion);
        let rivals = self.rivals.iter().filter(|rival| rival.touches(from, until));
        let others = beside((occasion.name, own.log), rivals.map(|rival| (rival.name, reach(rival).log)))?;
        let faded = 0.5_f64.powf((at - occasion.window.from).as_seconds_f64() / LEVEL_HALF_LIFE_SECONDS);
        let usual = usual * others.exp() * self.level.powf(faded);
        let expected = occasion.peak(from, until, usual).unwrap_or(own);
        let log = ((load + effects.offset) / (usual + effects.offset)).ln();
        Some(Sight { at, slots: 1.0, log, expected, full: self.full })
    }
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

    /// It is there in half an hour, and lasts.
    fn sale() -> Window {
        let minutes = TimeDelta::minutes;
        let envelope = Envelope { ramp: minutes(30), hold: minutes(1_200), ..Envelope::default() };
        let at = "2026-11-27T00:00:00Z".parse().unwrap();
        let window = Window::around("sale".into(), WindowSource::Event, at, &envelope);
        Window { uplift: Uplift::try_new(2.0, 3.0, 4.0).ok(), ..window }
    }

    fn effects(window: Window) -> FittedEffects {
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
        for (window, times, hours) in [
            (pay_day(), 1.4, 4),
            (pay_day(), 1.4, 9),
            (pay_day(), 0.6, 10),
            (pay_day(), 1.2, 14),
            (pay_day(), 2.0, 20),
            (sale(), 1.2, 1),
            (sale(), 0.8, 6),
        ] {
            let effects = effects(window);
            let occasion = &effects.occasions[0];
            let origin = STEP.slot_of(occasion.window.from + TimeDelta::hours(hours)).next();
            let mut settled = measured(&effects, times, origin);
            for back in [30, 100, 101, 117] {
                settled.mask(origin.plus(-back));
            }
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
    fn how_far_ahead_somebody_asks_does_not_change_where_a_window_stands() {
        let mut effects = effects(pay_day());
        let origin = STEP.slot_of(effects.occasions[0].window.from + TimeDelta::hours(10));
        let envelope = Envelope { hold: TimeDelta::hours(2), ..Envelope::default() };
        let at = STEP.start(origin) + TimeDelta::hours(5);
        let launch = Window::around("launch".into(), WindowSource::Event, at, &envelope);
        effects.occasions.push(Occasion { window: launch, name: 1, routine: false, standing: None });
        effects.lifts.push(Lift::unseen(120, 0, 60));
        let settled = measured(&effects, 1.4, origin);
        let known = Known { settled: &settled, origin, live: None };
        let [near, far] = [origin, origin.plus(600)].map(|end| effects.standings(&known, end));
        assert_eq!((near.windows.len(), far.windows.len()), (1, 2));
        assert_eq!(near.settled, far.settled);
        assert_eq!(near.windows[0].now, far.windows[0].now);
    }

    #[test]
    fn a_window_that_fills_the_slot_before_the_hour_before_is_not_taken_for_the_level() {
        let mut effects = effects(sale());
        let from = effects.occasions[0].window.from;
        let at = from - BEFORE - TimeDelta::minutes(30);
        let envelope = Envelope { hold: TimeDelta::minutes(30), ..Envelope::default() };
        let launch = Window::around("launch".into(), WindowSource::Event, at, &envelope);
        effects.occasions.push(Occasion { window: launch, name: 1, routine: false, standing: None });
        let origin = STEP.slot_of(from + TimeDelta::hours(1));
        let mut settled = Series::empty(STEP, effects.usual.first());
        for (slot, usual) in effects.usual.loads(settled.first()..origin) {
            let launched = STEP.start(slot) < from - BEFORE;
            settled.put(slot, Load::saturating(if launched { 99.0 * usual } else { usual }));
        }
        assert!((effects.level(&effects.occasions[0], &settled, origin) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn what_a_base_does_not_look_at_is_left_alone() {
        let effects = effects(pay_day());
        let origin = STEP.slot_of(effects.occasions[0].window.from + TimeDelta::hours(20));
        // From a hole the day before it is looked at.
        for hole in [0, 300] {
            let mut long = Series::empty(STEP, origin.plus(-9_000));
            (origin.0 - 9_000..origin.0).for_each(|slot| long.put(Slot(slot), Load::saturating(1.0)));
            long.mask_all(&(origin.plus(-hole)..origin));
            let known = Known { settled: &long, origin, live: None };
            assert_eq!(effects.looked_at(&known), origin.plus(-hole - 26 * 60)..origin);
        }
    }

    #[test]
    fn what_is_divided_out_of_a_ramp_is_nearly_the_lift_of_each_slot() {
        for window in [pay_day(), sale()] {
            let mut effects = effects(window);
            effects.occasions[0].standing = Some(Standing { left: 0.0, ..Standing::UNSEEN });
            let occasion = &effects.occasions[0];
            let origin = STEP.slot_of(occasion.window.from + TimeDelta::hours(19));
            let settled = measured(&effects, 1.0, origin);
            let known = Known { settled: &settled, origin, live: None };
            let cleaned = effects.cleaned(&known, &effects.standings(&known, origin));
            let cleaned = cleaned.as_known(&known).settled;
            for (slot, load) in settled.loads(settled.first()..origin) {
                let lift = effects.lift(occasion);
                let log = lift.reach(&occasion.window, STEP.start(slot), STEP.end(slot)).log;
                let times = load / cleaned.load(slot).unwrap();
                assert!((times / log.exp() - 1.0).abs() < 0.08, "{slot:?}: {times} for {}", log.exp());
            }
        }
    }
}
