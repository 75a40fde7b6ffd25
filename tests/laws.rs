//! The laws of the decision, by property test, for any input: what an operator may rely on at three in the morning.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use proptest::prelude::*;
use tidetable::calendar::{Almanac, Envelope, Event, Uplift};
use tidetable::decision::{Decision, Evidence, Policy, State, decide};
use tidetable::forecast::{Components, EventFloor, Fitted, Forecast, Known, Observation, forecaster};
use tidetable::guard::{self, Mode, Rung};
use tidetable::plan;
use tidetable::series::Series;
use tidetable::time::{Slot, Step, Timestamp, from_epoch_seconds};
use tidetable::units::{Load, LoadPerReplica, Quantile, Replicas};

const NOW: i64 = 1_780_000_020;

fn now() -> Timestamp {
    from_epoch_seconds(NOW)
}

/// A model that says the same for every slot, or has nothing to say; and an event that was declared, if one was.
#[derive(Debug)]
struct Flat(Option<f64>, Option<f64>);

impl Fitted for Flat {
    fn forecast(&self, known: &Known<'_>, targets: Range<Slot>, levels: &[Quantile]) -> Option<Forecast> {
        let load = self.0?;
        let step = known.settled.step();
        let mut forecast = Forecast::new(step.start(known.origin), step, targets.start, levels.len());
        for _ in targets.start.0..targets.end.0 {
            forecast.push(levels.iter().map(|level| load * (0.5 + level.get())), Components::default());
        }
        Some(forecast)
    }

    fn event_floors(&self, known: &Known<'_>, targets: Range<Slot>) -> Vec<EventFloor> {
        let at = known.settled.step().end(targets.start);
        let floor = |load| EventFloor { load: Load::try_new(load).unwrap(), at, name: "launch".into() };
        self.1.map(floor).into_iter().collect()
    }
}

prop_compose! {
    fn any_policy()(
        lead in 0_u64..2_000,
        quantile in 0.01_f64..0.999,
        min in 0_u32..30,
        span in 0_u32..3_000,
        hold in 0_u64..600,
        stale in 0_u64..900,
        shadow in any::<bool>(),
        held in prop::option::of((0_u32..4_000, -900_i64..900)),
    ) -> Policy {
        Policy {
            plan: plan::Options {
                lead_time: Duration::from_secs(lead),
                growth: plan::Growth::default(),
                quantile: Quantile::try_new(quantile).unwrap(),
            },
            guard: guard::Options {
                min: Replicas(min),
                max: Replicas(min + span),
                scale_down_hold: Duration::from_secs(hold),
                stale_after: Duration::from_secs(stale),
                mode: if shadow { Mode::Shadow } else { Mode::Active }, floor: guard::Floor::default(),
                hold: held.map(|(replicas, ends)| guard::Hold {
                    replicas: Replicas(replicas),
                    until: from_epoch_seconds(NOW + ends),
                    reason: "INC-7".into(),
                }),
            },
        }
    }
}

fn any_load() -> impl Strategy<Value = f64> {
    prop_oneof![Just(0.0), 0.0..1e4_f64, Just(1e-300), Just(1e300), Just(f64::MAX)]
}

prop_compose! {
    fn any_observation(ages: Range<i64>)(age in ages, load in any_load(), there in any::<bool>()) -> Option<Observation> {
        there.then(|| Observation { at: from_epoch_seconds(NOW - age), load: Load::try_new(load).unwrap() })
    }
}

/// A settled series that ends `lag` slots before now, with holes.
fn series(loads: &[Option<f64>], lag: i64) -> Series {
    let end = Step::MINUTE.last_ended(now()).plus(1 - lag);
    let first = end.plus(-i64::try_from(loads.len()).unwrap());
    let mut series = Series::empty(Step::MINUTE, first);
    for (slot, load) in (first.0..).map(Slot).zip(loads) {
        match load {
            Some(load) => series.put(slot, Load::try_new(*load).unwrap()),
            None => series.mask(slot),
        }
    }
    series
}

/// What a test knows of one demand; [`Facts::evidence`] lends it to a decision.
#[derive(Debug)]
struct Facts {
    demand: Arc<str>,
    capacity: LoadPerReplica,
    settled: Series,
    provisional: Option<Observation>,
    live: Option<Observation>,
    model: Option<Flat>,
}

prop_compose! {
    fn any_facts()(
        capacity in prop::sample::select(vec![1e-6, 0.3, 1.0, 120.0, 1e9]),
        loads in prop::collection::vec(prop::option::of(any_load()), 0..40),
        lag in 0_i64..30,
        live in any_observation(-30..900),
        provisional in any_observation(0..120),
        model in prop::option::of(prop::option::of(any_load())),
        event in prop::option::of(any_load()),
    ) -> Facts {
        Facts { provisional, live, model: model.map(|load| Flat(load, event)), ..facts(capacity, series(&loads, lag)) }
    }
}

/// A demand of which `settled` is known and no more.
fn facts(capacity: f64, settled: Series) -> Facts {
    let capacity = LoadPerReplica::try_new(capacity).unwrap();
    Facts { demand: "tx".into(), capacity, settled, provisional: None, live: None, model: None }
}

impl Facts {
    fn evidence(&self) -> Evidence<'_> {
        Evidence {
            demand: &self.demand,
            capacity: self.capacity,
            settled: &self.settled,
            provisional: self.provisional,
            live: self.live,
            model: self.model.as_ref().map(|model| model as &dyn Fitted),
        }
    }

    /// What the newest measurement needs, worked out here anew.
    fn need(&self) -> f64 {
        let settled_newest = self.settled.newest().map(|(slot, load)| (Step::MINUTE.end(slot), load));
        let newest = settled_newest
            .into_iter()
            .chain(self.live.map(|live| (live.at, live.load)))
            .max_by_key(|(at, _)| *at);
        newest.map_or(0.0, |(_, load)| self.bearing(load.get()))
    }

    /// What the event that was declared needs, in shadow as in active mode.
    fn event_need(&self) -> f64 {
        let event = self.model.as_ref().and_then(|model| model.1);
        event.map_or(0.0, |load| self.bearing(load))
    }

    fn bearing(&self, load: f64) -> f64 {
        (load / self.capacity.get() * (1.0 - 1e-9)).ceil()
    }
}

fn decide_for(demands: &[Facts], policy: &Policy) -> Decision {
    let evidence: Vec<_> = demands.iter().map(Facts::evidence).collect();
    decide(&Arc::from("payments-api"), now(), &evidence, policy, &State::default()).0
}

fn decide_once(facts: Facts, policy: &Policy) -> Decision {
    decide_for(&[facts], policy)
}

proptest! {
    #[test]
    fn a_forecast_can_only_add_to_what_is_measured_and_declared(policy in any_policy(), demands in prop::collection::vec(any_facts(), 1..4)) {
        let decision = decide_for(&demands, &policy);
        prop_assert_eq!(decision.guarded.is_none(), decision.rung == Rung::Unavailable);
        prop_assert_eq!(decision.active().is_none(), decision.guarded.is_none());
        if let Some(guarded) = decision.guarded {
            let need =
                demands.iter().map(|facts| facts.need().max(facts.event_need())).fold(0.0, f64::max);
            let hold = policy.guard.hold.as_ref().filter(|hold| now() < hold.until);
            let held = hold.map_or(0, |hold| hold.replicas.0);
            let declared = f64::from(policy.guard.min.0.max(held));
            let floor = need.max(declared).min(f64::from(policy.guard.max.0));
            prop_assert!(f64::from(guarded.0) >= floor, "{guarded} < {floor}");
            prop_assert!(guarded <= policy.guard.max);
        }
        prop_assert_eq!(decide_for(&demands, &policy), decision, "decide is deterministic");
    }

    #[test]
    fn one_more_demand_never_answers_fewer_nor_silences_the_others(
        policy in any_policy(),
        demands in prop::collection::vec(any_facts(), 1..4),
        more in any_facts(),
        place in any::<prop::sample::Index>(),
    ) {
        let without = decide_for(&demands, &policy);
        let mut with = demands;
        with.insert(place.index(with.len() + 1), more);
        let with = decide_for(&with, &policy);
        prop_assert!(with.guarded >= without.guarded, "{:?} after {:?}", with, without);
    }

    #[test]
    fn the_order_of_demands_changes_no_answer(
        policy in any_policy(),
        mut demands in prop::collection::vec(any_facts(), 2..4),
    ) {
        let answer = decide_for(&demands, &policy);
        demands.reverse();
        let reversed = decide_for(&demands, &policy);
        prop_assert_eq!((reversed.guarded, reversed.rung), (answer.guarded, answer.rung));
    }

    #[test]
    fn a_larger_forecast_never_plans_fewer(
        policy in any_policy(), other in any_facts(), small in any_load(), factor in 1.0_f64..50.0,
    ) {
        let other = [other];
        let answer = |load: f64| {
            let facts = Facts { model: Some(Flat(Some(load), None)), ..facts(1.0, series(&[Some(10.0)], 1)) };
            let evidence = [other[0].evidence(), facts.evidence()];
            decide(&Arc::from("payments-api"), now(), &evidence, &policy, &State::default()).0.guarded
        };
        prop_assert!(answer(small) <= answer(small * factor));
    }

    #[test]
    fn masking_a_slot_equals_not_having_it(
        policy in any_policy(),
        loads in prop::collection::vec(prop::option::of(any_load()), 1..40),
    ) {
        // A slot that was measured and then masked, against one that never was.
        let never = series(&loads, 1);
        let mut masked = series(&loads.iter().map(|load| Some(load.unwrap_or(7.0))).collect::<Vec<_>>(), 1);
        for (slot, load) in (never.first().0..).map(Slot).zip(&loads) {
            if load.is_none() {
                masked.mask(slot);
            }
        }
        prop_assert_eq!(decide_once(facts(0.3, never), &policy), decide_once(facts(0.3, masked), &policy));
    }

    #[test]
    fn a_provisional_slot_never_lowers_an_answer(
        policy in any_policy(),
        loads in prop::collection::vec(prop::option::of(any_load()), 0..10),
        live in any_observation(0..60),
        provisional in any_observation(0..60),
    ) {
        let with = |provisional| {
            decide_once(Facts { provisional, live, ..facts(120.0, series(&loads, 1)) }, &policy).guarded
        };
        if let Some(without) = with(None) {
            prop_assert!(with(provisional) >= Some(without));
        }
    }
}

/// Days of an office with some holes and much noise, up to now.
fn office(seed: u64, step: Step, days: i64) -> Series {
    let end = step.last_ended(now()).next();
    let in_day = step.slots_in(Duration::from_secs(86_400));
    let mut mixed = seed | 1;
    let mut random = move || {
        mixed ^= mixed << 13;
        mixed ^= mixed >> 7;
        mixed ^= mixed << 17;
        (mixed >> 11) as f64 / (1_u64 << 53) as f64
    };
    let mut series = Series::empty(step, end.plus(-days * in_day));
    for slot in (end.0 - days * in_day..end.0).map(Slot) {
        let hour = slot.0.rem_euclid(in_day) * 24 / in_day;
        let usual = if (8..18).contains(&hour) { 900.0 } else { 60.0 };
        if random() < 0.02 {
            series.mask(slot);
        } else {
            series.put(slot, Load::saturating(usual * (0.4 + 1.2 * random())));
        }
    }
    series
}

/// A launch that begins so many minutes from now.
fn launch(minutes: i64) -> Event {
    Event {
        name: "launch".into(),
        at: now() + TimeDelta::minutes(minutes),
        envelope: Envelope {
            lead: TimeDelta::zero(),
            ramp: TimeDelta::minutes(5),
            hold: TimeDelta::minutes(30),
            decay: TimeDelta::minutes(60),
        },
        uplift: Some(Uplift::try_new(1.5, 3.0, 6.0).unwrap()),
        peak: None,
        owner: None,
        ticket: None,
        cancelled: false,
        cut_short: None,
    }
}

/// What is answered to a newest measurement that grows from nothing, or from one a second, on `settled`.
fn never_fewer(settled: &Series, almanac: &Almanac, policy: Policy, zero: bool) -> Result<(), TestCaseError> {
    let model = forecaster(almanac, &Arc::default()).fit(settled, settled.end()).unwrap();
    let quantile = Quantile::try_new(policy.plan.quantile.get().max(0.5)).unwrap();
    let policy = Policy { plan: plan::Options { quantile, ..policy.plan }, ..policy };
    let answer = |load: f64| {
        let live = Observation { at: now(), load: Load::saturating(load) };
        let evidence = Evidence {
            demand: &Arc::from("tx"),
            capacity: LoadPerReplica::try_new(3.0).unwrap(),
            settled,
            provisional: None,
            live: Some(live),
            model: Some(model.as_ref()),
        };
        decide(&Arc::from("payments-api"), now(), &[evidence], &policy, &State::default()).0.guarded
    };
    let first = if zero { 0.0 } else { 1.0 };
    let mut last = answer(first);
    for k in 1..120 {
        let next = answer(1.08_f64.powi(k) - 1.0 + first);
        prop_assert!(next >= last, "{:?} after {:?} at {}", next, last, k);
        last = next;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn a_larger_newest_point_never_answers_fewer(seed in any::<u64>(), policy in any_policy(), zero in any::<bool>()) {
        let settled = office(seed, Step::try_new(Duration::from_secs(600)).unwrap(), 35);
        never_fewer(&settled, &Almanac::none(chrono_tz::America::New_York), policy, zero)?;
    }

    #[test]
    fn nor_does_it_by_the_minute_with_a_nowcast_and_a_launch_to_come(
        seed in any::<u64>(), policy in any_policy(), zero in any::<bool>(), minutes in prop::option::of(-60_i64..180),
    ) {
        let settled = office(seed, Step::MINUTE, 12);
        let almanac = Almanac::none(chrono_tz::America::New_York).with_events(minutes.map(launch));
        never_fewer(&settled, &almanac, policy, zero)?;
    }
}

/// Ten are needed, and four hundred from an hour after `now` on.
#[derive(Debug)]
struct Sale;

impl Fitted for Sale {
    fn forecast(&self, known: &Known<'_>, targets: Range<Slot>, levels: &[Quantile]) -> Option<Forecast> {
        let step = known.settled.step();
        let mut forecast = Forecast::new(step.start(known.origin), step, targets.start, levels.len());
        for slot in (targets.start.0..targets.end.0).map(Slot) {
            let load = if step.start(slot) >= now() + TimeDelta::hours(1) { 400.0 } else { 10.0 };
            forecast.push(levels.iter().map(|_| load), Components::default());
        }
        Some(forecast)
    }
}

#[test]
fn a_climb_that_is_too_long_is_told_until_what_it_is_for_has_come() {
    let growth = plan::Growth { scale_up: plan::ScaleUp::Doubling, pods_per_minute: Some(4.0) };
    let lead_time = Duration::from_secs(120);
    let policy = Policy {
        plan: plan::Options { lead_time, quantile: Quantile::P95, growth },
        guard: guard::Options::active(Replicas(1), Replicas(1000)),
    };
    let (target, one) = (Arc::from("payments-api"), LoadPerReplica::try_new(1.0).unwrap());
    let (mut state, mut told) = (State::default(), Vec::new());
    for tick in -40_i32..220 {
        let then = now() + TimeDelta::seconds(15 * i64::from(tick));
        let settled = Series::empty(Step::MINUTE, Step::MINUTE.last_ended(then).next());
        let evidence = Evidence {
            demand: &target,
            capacity: one,
            settled: &settled,
            provisional: None,
            live: Some(Observation { at: then, load: Load::try_new(10.0).unwrap() }),
            // Nothing is known of it until `now`.
            model: (tick >= 0).then_some(&Sale as &dyn Fitted),
        };
        let (decision, next) = decide(&target, then, &[evidence], &policy, &state);
        state = next;
        if tick >= 20 {
            told.push(decision.shortfall.map(|short| short.missing.0));
        }
    }
    // A minute brings four: some 240 of the 390 in an hour. The answer asks for what is needed from the first tick on.
    assert!(told.iter().all(|told| told.is_some_and(|missing| (130..=170).contains(&missing))), "{told:?}");
}
