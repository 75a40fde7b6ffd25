//! Which slots of a history are in doubt, and which steps of its level stayed.

use std::ops::Range;

use super::past::{Past, runs, slots};
use super::shift::shifts;
use super::spike::busiest;
use super::surge::surges;
use super::{Doubt, Exclusion};
use crate::calendar::Almanac;
use crate::series::Series;
use crate::time::{LocalClock, Slot};
use crate::units::Load;

/// Fewer weeks than this tell nothing.
pub(super) const FEWEST_WEEKS: usize = 2;

/// Nor do fewer days, of which a zero is asked where there are not so many weeks. A surge is not: what is twice as much as on
/// any other day may be a Monday.
const FEWEST_DAYS: usize = 4;

/// Zeros that last for longer are told by other weeks alone: on Mondays a service may be closed, and who has seen one Monday cannot
/// know.
const OTHER_DAYS_TELL_SECONDS: i64 = 4 * 3_600;

/// Zeros for longer than so many slots are an outage.
const RESET_SLOTS: i64 = 2;

/// What is odd about a history.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Findings {
    /// Slots in doubt with the reason, ascending.
    pub(super) doubts: Vec<(Slot, Doubt)>,
    /// The first slot of each step that stayed, ascending, and how many times larger load has been since.
    pub(super) shifts: Vec<(Slot, f64)>,
}

impl Findings {
    /// What is in doubt of `history` before `origin`. What comes after is not looked at.
    pub(super) fn of(history: &Series, origin: Slot, almanac: &Almanac, exclude: &[Exclusion]) -> Self {
        let slots = history.first()..origin.min(history.end());
        if slots.start >= slots.end {
            return Self::default();
        }
        let step = history.step();
        let excluded: Vec<Range<Slot>> = exclude.iter().map(|exclusion| exclusion.slots(step)).collect();
        let is_excluded = |slot: Slot| excluded.iter().any(|span| span.contains(&slot));
        let loads: Vec<Option<f64>> = (slots.start.0..slots.end.0)
            .map(Slot)
            .map(|slot| history.load(slot).filter(|_| !is_excluded(slot)))
            .collect();
        let busiest = busiest(loads.iter().flatten().copied().collect());
        let span = step.start(slots.start)..step.end(slots.end);
        let mut past = Past {
            step,
            first: slots.start,
            clock: LocalClock::over(almanac.timezone(), span.start, span.end),
            outlook: almanac.over(span),
            loads,
        };
        let absurd = past.absurd(busiest);
        for slot in &absurd {
            past.forget(*slot);
        }
        let excluded = (slots.start.0..slots.end.0).map(Slot);
        let excluded = excluded.filter(|slot| is_excluded(*slot) && history.load(*slot).is_some());
        let [resets, outages] = past.zeros();
        let found = [
            (Doubt::Excluded, excluded.collect()),
            (Doubt::Absurd, absurd),
            (Doubt::Reset, resets),
            (Doubt::Spike, past.spikes(busiest)),
            (Doubt::Outage, outages),
            (Doubt::Surge, surges(&past, busiest)),
        ];
        let mut doubts: Vec<(Slot, Doubt)> = found
            .into_iter()
            .flat_map(|(doubt, slots): (Doubt, Vec<Slot>)| slots.into_iter().map(move |slot| (slot, doubt)))
            .collect();
        doubts.sort_unstable();
        // A slot counts for the first doubt that applies.
        doubts.dedup_by_key(|(slot, _)| *slot);
        for (slot, _) in &doubts {
            past.forget(*slot);
        }
        let mut shifts = shifts(&past);
        shifts.sort_unstable_by_key(|(slot, _)| *slot);
        Self { doubts, shifts }
    }

    /// What is to be learned from: `history` before `origin` without the slots in doubt, and with what came before a step
    /// that stayed as it would be now.
    pub(super) fn cleaned(&self, history: &Series, origin: Slot) -> Series {
        let mut cleaned = history.until(origin);
        for (from, times) in &self.shifts {
            for slot in (history.first().0..from.0).map(Slot) {
                if let Some(load) = cleaned.load(slot) {
                    cleaned.put(slot, Load::saturating(load * times));
                }
            }
        }
        self.doubts.iter().for_each(|(slot, _)| cleaned.mask(*slot));
        cleaned
    }

    /// The runs of slots in doubt.
    pub(super) fn spans(&self) -> impl Iterator<Item = Range<Slot>> + '_ {
        let runs = self.doubts.chunk_by(|(slot, _), (next, _)| slot.next() == *next);
        runs.filter_map(|run| Some(run.first()?.0..run.last()?.0.next()))
    }
}

impl Past {
    /// Zeros where the same time of other weeks never is 0: those of a slot or two, and those that last.
    fn zeros(&self) -> [Vec<Slot>; 2] {
        let zeros = self.slots().filter(|(_, load)| *load <= 0.0).map(|(slot, _)| slot);
        let out: Vec<Slot> = zeros.filter(|slot| self.never_zero(*slot) && !self.excused(*slot)).collect();
        let may_be_closed = |run: &Range<Slot>| {
            run.end.since(run.start) * self.step.seconds() > OTHER_DAYS_TELL_SECONDS
                && self.weeks(run.start).next().is_none()
        };
        let (short, long): (Vec<_>, Vec<_>) = runs(&out)
            .filter(|run| !may_be_closed(run))
            .partition(|run| run.end.since(run.start) <= RESET_SLOTS);
        let [short, long] = [short, long].map(|runs| runs.iter().flat_map(slots).collect::<Vec<Slot>>());
        [if self.is_nature(short.len()) { Vec::new() } else { short }, long]
    }

    /// Whether neither other weeks nor, where those are too few, other days of its kind are 0 at the time of a slot.
    fn never_zero(&self, slot: Slot) -> bool {
        let mut weeks = 0;
        for loads in self.weeks(slot) {
            if loads.iter().any(|load| *load <= 0.0) {
                return false;
            }
            weeks += 1;
        }
        weeks >= FEWEST_WEEKS || {
            let days: Vec<Vec<f64>> = self.days(slot).collect();
            days.len() >= FEWEST_DAYS && days.iter().flatten().all(|load| *load > 0.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::TimeDelta;
    use chrono_tz::Tz;
    use proptest::prelude::*;

    use super::super::past::AROUND;
    use super::*;
    use crate::calendar::{Envelope, Event};
    use crate::time::Step;

    const DAY: i64 = 288;

    fn first() -> Slot {
        five_minutes().slot_of("2026-03-02T05:00:00Z".parse().unwrap()).next()
    }

    fn five_minutes() -> Step {
        Step::try_new(Duration::from_secs(300)).unwrap()
    }

    fn almanac() -> Almanac {
        Almanac::none(Tz::America__New_York)
    }

    /// Six weeks of a service that is quiet at night and closed at weekends, by slot since the first.
    fn weeks(load: impl Fn(i64, f64) -> f64) -> Series {
        let mut series = Series::empty(five_minutes(), first());
        let end = first().plus(42 * DAY);
        let clock =
            LocalClock::over(almanac().timezone(), five_minutes().start(first()), five_minutes().end(end));
        for index in 0..42 * DAY {
            let local = clock.local_seconds(five_minutes().start(first().plus(index)));
            let open = (local.div_euclid(86_400) + 3).rem_euclid(7) < 5 && local.rem_euclid(86_400) >= 25_200;
            let usual = if open { 100.0 + (index % 7) as f64 } else { 0.0 };
            series.put(first().plus(index), Load::saturating(load(index, usual)));
        }
        series
    }

    fn found(series: &Series, almanac: &Almanac) -> Vec<(i64, Doubt)> {
        let findings = Findings::of(series, series.end(), almanac, &[]);
        findings.doubts.into_iter().map(|(slot, doubt)| (slot.since(first()), doubt)).collect()
    }

    /// An almanac that speaks of one slot.
    fn announced(slot: i64) -> Almanac {
        let event = Event {
            name: "launch".into(),
            at: five_minutes().start(first().plus(slot)),
            envelope: Envelope { hold: TimeDelta::minutes(5), ..Envelope::default() },
            uplift: None,
            peak: None,
            owner: None,
            ticket: None,
            cancelled: false,
            cut_short: None,
        };
        almanac().with_events([event])
    }

    /// Noon of the third day of the third week.
    const NOON: i64 = 16 * DAY + 144;

    #[test]
    fn an_ordinary_history_is_in_no_doubt_on_either_side_of_summer_time() {
        assert_eq!(found(&weeks(|_, usual| usual), &almanac()), []);
    }

    #[test]
    fn a_lonely_spike_is_found_and_one_that_comes_again_is_a_habit() {
        let spike = |at: i64, usual: f64| if at == NOON { 2_000.0 } else { usual };
        assert_eq!(found(&weeks(spike), &almanac()), [(NOON, Doubt::Spike)]);
        let batch = |at: i64, usual: f64| if at == NOON || at == NOON + 13 * DAY { 2_000.0 } else { usual };
        assert_eq!(found(&weeks(batch), &almanac()), []);
    }

    #[test]
    fn what_lasts_is_a_surge_until_it_lasts_for_hours_or_comes_again() {
        let lasting = |slots: i64| {
            move |at: i64, usual: f64| if (NOON..NOON + slots).contains(&at) { 300.0 } else { usual }
        };
        for slots in [3, 48] {
            let expected: Vec<_> = (NOON..NOON + slots).map(|slot| (slot, Doubt::Surge)).collect();
            assert_eq!(found(&weeks(lasting(slots)), &almanac()), expected);
        }
        assert_eq!(found(&weeks(lasting(49)), &almanac()), [], "more than four hours");
        let small = |at: i64, usual: f64| if (NOON..NOON + 3).contains(&at) { 1.9 * usual } else { usual };
        assert_eq!(found(&weeks(small), &almanac()), [], "less than twice");
        let again = |at: i64, usual: f64| {
            let begins = [NOON, NOON + 13 * DAY].into_iter().any(|noon| (noon..noon + 6).contains(&at));
            if begins { 300.0 } else { usual }
        };
        assert_eq!(found(&weeks(again), &almanac()), [], "a habit");
        let often = |at: i64, usual: f64| {
            let begins = (0..5).map(|k| NOON + k * (DAY + 9)).any(|begin| (begin..begin + 6).contains(&at));
            if begins { 300.0 } else { usual }
        };
        assert_eq!(found(&weeks(often), &almanac()), [], "the nature of the service");
    }

    #[test]
    fn what_begins_some_minutes_earlier_or_later_the_next_day_is_a_habit() {
        // Three times the usual for two hours or for ten minutes, on four evenings, a minute a slot.
        let minute = Step::MINUTE;
        let first = minute.slot_of("2026-03-16T04:00:00Z".parse().unwrap()).next();
        let evenings = |lasts: i64, begins: &[i64]| {
            let mut series = Series::empty(minute, first);
            for index in 0..35 * 1_440 {
                let peaks = |begin: &i64| (*begin..begin + lasts).contains(&index);
                let load = if begins.iter().any(peaks) { 300.0 } else { 100.0 + (index % 7) as f64 };
                series.put(first.plus(index), Load::saturating(load));
            }
            Findings::of(&series, series.end(), &almanac(), &[]).doubts.len()
        };
        let at = |day: i64, hour: i64, minutes: i64| day * 1_440 + hour * 60 + minutes;
        for lasts in [120, 10] {
            let jitter = [at(20, 20, 0), at(21, 20, 4), at(22, 19, 57), at(24, 20, 21)];
            assert_eq!(evenings(lasts, &jitter[..2]), 0, "two evenings of {lasts} min");
            assert_eq!(evenings(lasts, &jitter), 0, "four evenings of {lasts} min");
        }
        assert_eq!(evenings(120, &[at(20, 18, 40), at(24, 20, 21)]), 0, "they overlap");
        assert_eq!(evenings(120, &[at(20, 10, 0), at(24, 20, 21)]), 240, "at different times of day");
        assert_eq!(evenings(10, &[at(20, 19, 40), at(24, 20, 21)]), 20, "not at the same time");
    }

    #[test]
    fn a_surge_that_may_not_be_over_is_learned_from() {
        let series = weeks(|at, usual| if (NOON..NOON + 6).contains(&at) { 300.0 } else { usual });
        let at = |slot: i64| Findings::of(&series, first().plus(NOON + slot), &almanac(), &[]).doubts.len();
        assert_eq!((at(3), at(6), at(17), at(18)), (0, 0, 0, 6));
    }

    #[test]
    fn what_is_announced_is_no_spike() {
        let spike = |at: i64, usual: f64| if at == NOON { 2_000.0 } else { usual };
        assert_eq!(found(&weeks(spike), &announced(NOON)), []);
    }

    #[test]
    fn a_wrapped_counter_is_absurd_and_does_not_hide_a_spike() {
        let wrapped = |at: i64, usual: f64| match at {
            NOON => 1.8e19 / 300.0,
            at if at == NOON + DAY / 8 => 2_000.0,
            _ => usual,
        };
        assert_eq!(
            found(&weeks(wrapped), &almanac()),
            [(NOON, Doubt::Absurd), (NOON + DAY / 8, Doubt::Spike)]
        );
    }

    #[test]
    fn zeros_are_an_outage_in_business_hours_alone() {
        let until = NOON + DAY;
        let out = |at: i64, usual: f64| if (NOON..until).contains(&at) { 0.0 } else { usual };
        let found = found(&weeks(out), &almanac());
        assert!(found.iter().all(|(_, doubt)| *doubt == Doubt::Outage), "{found:?}");
        // From noon to midnight and from the opening at seven to noon, less what is too near to closed hours to tell.
        assert_eq!(found.len(), 144 + 60 - 2 * usize::try_from(AROUND).unwrap());
    }

    #[test]
    fn in_a_fortnight_an_outage_is_told_by_other_days_of_its_kind() {
        let whole = weeks(|at, usual| if (NOON..NOON + 8).contains(&at) { 0.0 } else { usual });
        // Thirteen days around it: no slot has two other weeks.
        let (from, until) = (first().plus(10 * DAY), first().plus(23 * DAY));
        let short = whole.between(from, until);
        let expected: Vec<_> = (NOON..NOON + 8).map(|slot| (slot, Doubt::Outage)).collect();
        assert_eq!(found(&short, &almanac()), expected);
        // On the third day of a service nobody knows.
        assert_eq!(found(&whole.between(first().plus(14 * DAY), first().plus(17 * DAY)), &almanac()), []);
    }

    #[test]
    fn in_its_second_week_a_service_may_be_closed_on_mondays() {
        let open = weeks(|at, usual| if at / DAY % 7 == 0 { 0.0 } else { usual });
        for days in [9, 13, 20] {
            assert_eq!(found(&open.between(first().plus(DAY), first().plus(days * DAY)), &almanac()), []);
        }
    }

    #[test]
    fn a_slot_or_two_of_zeros_are_a_reset_and_not_an_outage() {
        let reset = |at: i64, usual: f64| if (NOON..NOON + 2).contains(&at) { 0.0 } else { usual };
        assert_eq!(found(&weeks(reset), &almanac()), [(NOON, Doubt::Reset), (NOON + 1, Doubt::Reset)]);
    }

    #[test]
    fn what_can_hardly_be_is_absurd_where_it_stands_alone_and_a_batch_where_it_comes_again() {
        // A service that is only probed, but for one slot of a settlement: 2,500 times the busiest of all but 42 slots.
        let settled = |is: fn(i64) -> bool| move |at: i64, _: f64| if is(at) { 500.0 } else { 0.2 };
        assert_eq!(found(&weeks(settled(|at| at % DAY == 276)), &almanac()), [], "every night");
        assert_eq!(found(&weeks(settled(|at| at % (7 * DAY) == 276)), &almanac()), [], "every week");
        let once = weeks(settled(|at| at == NOON));
        assert_eq!(found(&once, &almanac()), [(NOON, Doubt::Absurd)], "once");
        assert_eq!(found(&once, &announced(NOON)), [], "announced");
        let wrapped = weeks(|at, _| match at {
            at if at % DAY == 276 && at > NOON => 1e9,
            at if at % DAY == 276 => 500.0,
            _ => 0.2,
        });
        let found = found(&wrapped, &announced(NOON));
        assert_eq!(found.len(), 26, "what cannot be is absurd however often it comes");
        assert!(found.iter().all(|(at, doubt)| *at > NOON && *doubt == Doubt::Absurd), "{found:?}");
    }

    fn shifted(series: &Series) -> Vec<(i64, f64)> {
        let findings = Findings::of(series, series.end(), &almanac(), &[]);
        findings.shifts.into_iter().map(|(slot, times)| (slot.since(first()), times)).collect()
    }

    #[test]
    fn a_step_that_stays_is_found_with_its_slot_and_what_came_before_it_is_learned_from_as_it_would_be_now() {
        for times in [0.4, 3.0] {
            let series = weeks(|at, usual| if at >= NOON { times * usual } else { usual });
            let [(at, found)] = shifted(&series)[..] else { panic!("{:?}", shifted(&series)) };
            assert_eq!(at, NOON);
            // The pattern of the fixture comes again every seven slots, which is not every week.
            assert!((found / times - 1.0).abs() < 1e-3, "{found}");
            let cleaned = Findings::of(&series, series.end(), &almanac(), &[]).cleaned(&series, series.end());
            let level = weeks(|_, usual| times * usual);
            for (slot, load) in cleaned.points() {
                let level = level.load(slot).unwrap();
                assert!((load.get() - level).abs() <= 1e-3 * level, "{slot:?}: {load} for {level}");
            }
        }
    }

    #[test]
    fn two_steps_are_told_apart() {
        let second = NOON + 15 * DAY;
        let series = weeks(|at, usual| {
            usual
                * if at < NOON {
                    1.0
                } else if at < second {
                    3.0
                } else {
                    1.5
                }
        });
        let found = shifted(&series);
        let times: Vec<f64> = found.iter().map(|(_, times)| (times * 100.0).round() / 100.0).collect();
        assert_eq!(
            (found.iter().map(|(at, _)| *at).collect::<Vec<_>>(), times),
            (vec![NOON, second], vec![3.0, 0.5])
        );
    }

    #[test]
    fn what_goes_back_what_grows_and_what_is_small_is_no_step() {
        let burst =
            |at: i64, usual: f64| if (NOON..NOON + 4 * DAY).contains(&at) { 3.0 * usual } else { usual };
        assert_eq!(shifted(&weeks(burst)), []);
        let growth = |at: i64, usual: f64| usual * 1.04_f64.powf(at as f64 / DAY as f64);
        assert_eq!(shifted(&weeks(growth)), []);
        let small = |at: i64, usual: f64| if at >= NOON { 1.4 * usual } else { usual };
        assert_eq!(shifted(&weeks(small)), []);
        let young = |at: i64, usual: f64| if at >= 38 * DAY { 3.0 * usual } else { usual };
        assert_eq!(shifted(&weeks(young)), [], "four days are too few");
    }

    #[test]
    fn a_service_that_is_given_up_is_not_out_for_ever() {
        let gone = |at: i64, usual: f64| if at >= NOON - DAY * 9 { 0.0 } else { usual };
        assert_eq!(found(&weeks(gone), &almanac()), []);
    }

    #[test]
    fn small_counts_are_their_own_nature() {
        let counts = |rate: i64| {
            move |at: i64, _: f64| {
                let mixed = (at * 2_654_435_761_i64).rem_euclid(1_000_003) * 7_919 % 1_000_003;
                if mixed * rate / 1_000_003 == 0 { (mixed % 3) as f64 } else { 0.0 }
            }
        };
        for rate in [1, 2, 10, 100, 1_000] {
            assert_eq!(found(&weeks(counts(rate)), &almanac()), [], "{rate}");
        }
    }

    #[test]
    fn what_is_excluded_is_told_apart_and_slots_it_touches_count_whole() {
        let step = five_minutes();
        let from = step.start(first().plus(NOON)) + TimeDelta::seconds(60);
        let series = weeks(|_, usual| usual);
        let exclusion = |to| [Exclusion { from, to, why: "load test".into() }];
        let count = |to| Findings::of(&series, series.end(), &almanac(), &exclusion(to)).doubts.len();
        assert_eq!(count(from + TimeDelta::seconds(1)), 1);
        assert_eq!(count(step.end(first().plus(NOON))), 1);
        assert_eq!(count(step.end(first().plus(NOON)) + TimeDelta::seconds(1)), 2);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn what_comes_after_the_origin_changes_no_finding(seed in any::<u64>(), back in 1_i64..3_000) {
            let mut mixed = seed | 1;
            let mut random = move || { mixed ^= mixed << 13; mixed ^= mixed >> 7; mixed ^= mixed << 17; mixed };
            let mut series = weeks(|_, usual| usual);
            for slot in series.grid().slots() {
                match random() % 4_000 {
                    0 => series.put(slot, Load::saturating(3_000.0)),
                    1 => series.put(slot, Load::ZERO),
                    2 => series.mask(slot),
                    _ => {}
                }
            }
            let origin = series.end().plus(-back);
            let known = Findings::of(&series.until(origin), origin, &almanac(), &[]);
            prop_assert_eq!(Findings::of(&series, origin, &almanac(), &[]), known);
        }
    }
}
