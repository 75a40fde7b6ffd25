//! The laws of the decision, by property test, for any input: what an operator may rely on at three in the morning.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use tidetable::decision::{Decision, Evidence, Policy, State, decide};
use tidetable::forecast::{Components, Fitted, Forecast, Forecaster, Known, Observation, Weekly};
use tidetable::guard::{self, Mode, Rung};
use tidetable::plan;
use tidetable::series::Series;
use tidetable::time::{Slot, Step, Timestamp, from_epoch_seconds};
use tidetable::units::{Load, LoadPerReplica, Quantile, Replicas};

const NOW: i64 = 1_780_000_020;

fn now() -> Timestamp {
    from_epoch_seconds(NOW)
}

/// A model that says the same for every slot, or has nothing to say.
#[derive(Debug)]
struct Flat(Option<f64>);

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
}

prop_compose! {
    fn any_policy()(
        capacity in prop::sample::select(vec![1e-6, 0.3, 1.0, 120.0, 1e9]),
        lead in 0_u64..2_000,
        quantile in 0.01_f64..0.999,
        min in 0_u32..30,
        span in 0_u32..3_000,
        hold in 0_u64..600,
        stale in 0_u64..900,
        shadow in any::<bool>(),
    ) -> Policy {
        Policy {
            plan: plan::Options {
                capacity: LoadPerReplica::try_new(capacity).unwrap(),
                lead_time: Duration::from_secs(lead),
                quantile: Quantile::try_new(quantile).unwrap(),
            },
            guard: guard::Options {
                min: Replicas(min),
                max: Replicas(min + span),
                scale_down_hold: Duration::from_secs(hold),
                stale_after: Duration::from_secs(stale),
                mode: if shadow { Mode::Shadow } else { Mode::Active },
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

fn decide_once(evidence: &Evidence<'_>, policy: &Policy) -> Decision {
    decide(&Arc::from("payments-api"), now(), evidence, policy, &State::default()).0
}

proptest! {
    #[test]
    fn a_forecast_can_only_add(
        policy in any_policy(),
        loads in prop::collection::vec(prop::option::of(any_load()), 0..40),
        lag in 0_i64..30,
        live in any_observation(-30..900),
        provisional in any_observation(0..120),
        model in prop::option::of(prop::option::of(any_load())),
    ) {
        let settled = series(&loads, lag);
        let model = model.map(Flat);
        let evidence = Evidence {
            settled: &settled,
            provisional,
            live,
            model: model.as_ref().map(|model| model as &dyn Fitted),
        };
        let decision = decide_once(&evidence, &policy);
        prop_assert_eq!(decision.guarded.is_none(), decision.rung == Rung::Unavailable);
        prop_assert_eq!(decision.active().is_none(), decision.guarded.is_none());
        if let Some(guarded) = decision.guarded {
            // The reactive need is worked out here anew, from whichever measurement is the newest.
            let settled_newest = settled.newest().map(|(slot, load)| (Step::MINUTE.end(slot), load));
            let newest = settled_newest
                .into_iter()
                .chain(live.map(|live| (live.at, live.load)))
                .max_by_key(|(at, _)| *at);
            let need = newest.map_or(0.0, |(_, load)| (load.get() / policy.plan.capacity.get() * (1.0 - 1e-9)).ceil());
            let floor = need.max(f64::from(policy.guard.min.0)).min(f64::from(policy.guard.max.0));
            prop_assert!(f64::from(guarded.0) >= floor, "{guarded} < {floor}");
            prop_assert!(guarded <= policy.guard.max);
        }
        prop_assert_eq!(decide_once(&evidence, &policy), decision, "decide is deterministic");
    }

    #[test]
    fn a_larger_forecast_never_plans_fewer(policy in any_policy(), small in any_load(), factor in 1.0_f64..50.0) {
        let settled = series(&[Some(10.0)], 1);
        let answer = |load: f64| {
            let model = Flat(Some(load));
            let evidence = Evidence { settled: &settled, provisional: None, live: None, model: Some(&model) };
            decide_once(&evidence, &policy).guarded
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
        let decision = |settled: &Series| {
            decide_once(&Evidence { settled, provisional: None, live: None, model: None }, &policy)
        };
        prop_assert_eq!(decision(&never), decision(&masked));
    }

    #[test]
    fn a_provisional_slot_never_lowers_an_answer(
        policy in any_policy(),
        loads in prop::collection::vec(prop::option::of(any_load()), 0..10),
        live in any_observation(0..60),
        provisional in any_observation(0..60),
    ) {
        let settled = series(&loads, 1);
        let with = |provisional| {
            decide_once(&Evidence { settled: &settled, provisional, live, model: None }, &policy).guarded
        };
        if let Some(without) = with(None) {
            prop_assert!(with(provisional) >= Some(without));
        }
    }
}

/// Five weeks at ten minutes with an office day, some holes and much noise.
fn office(seed: u64) -> Series {
    let step = Step::try_new(Duration::from_secs(600)).unwrap();
    let end = step.last_ended(now()).next();
    let mut mixed = seed | 1;
    let mut random = move || {
        mixed ^= mixed << 13;
        mixed ^= mixed >> 7;
        mixed ^= mixed << 17;
        (mixed >> 11) as f64 / (1_u64 << 53) as f64
    };
    let mut series = Series::empty(step, end.plus(-35 * 144));
    for slot in (end.0 - 35 * 144..end.0).map(Slot) {
        let hour = slot.0.rem_euclid(144) / 6;
        let usual = if (8..18).contains(&hour) { 900.0 } else { 60.0 };
        if random() < 0.02 {
            series.mask(slot);
        } else {
            series.put(slot, Load::saturating(usual * (0.4 + 1.2 * random())));
        }
    }
    series
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn a_larger_newest_point_never_answers_fewer(seed in any::<u64>(), policy in any_policy(), zero in any::<bool>()) {
        let settled = office(seed);
        let model = Weekly { timezone: chrono_tz::America::New_York }.fit(&settled, settled.end()).unwrap();
        let policy = Policy {
            plan: plan::Options {
                capacity: LoadPerReplica::try_new(3.0).unwrap(),
                quantile: Quantile::try_new(policy.plan.quantile.get().max(0.5)).unwrap(),
                ..policy.plan
            },
            ..policy
        };
        let answer = |load: f64| {
            let live = Observation { at: now(), load: Load::saturating(load) };
            let evidence = Evidence {
                settled: &settled,
                provisional: None,
                live: Some(live),
                model: Some(model.as_ref()),
            };
            decide_once(&evidence, &policy).guarded
        };
        let first = if zero { 0.0 } else { 1.0 };
        let mut last = answer(first);
        for k in 1..120 {
            let next = answer(1.08_f64.powi(k) - 1.0 + first);
            prop_assert!(next >= last, "{next:?} after {last:?} at {k}");
            last = next;
        }
    }
}
