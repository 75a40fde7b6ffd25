//! The encodings of an answer against the HPA's arithmetic: every pair of current and wanted replicas up to 1000.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

use rayon::prelude::*;
use tidetable::guard::Tolerance;
use tidetable::guard::tolerance::Mode;
use tidetable::simulate::Hpa;
use tidetable::simulate::hpa::{Behavior, Metric, Policy, PolicyKind, Reading, Scale, Spec};
use tidetable::time::from_epoch_seconds;
use tidetable::units::Replicas;

const MOST: u32 = 1000;

/// An HPA that goes where it is told at once, with this dead band in both directions.
fn hpa(tolerance: f64) -> Hpa {
    let at_once =
        Policy { kind: PolicyKind::Percent, amount: 200_000, period: std::time::Duration::from_secs(15) };
    let mut behavior = Behavior::default();
    for rules in [&mut behavior.up, &mut behavior.down] {
        rules.tolerance = Some(tolerance);
        rules.window = Some(std::time::Duration::ZERO);
        rules.policies = vec![at_once];
    }
    Hpa::new(Spec::new(Replicas(1), Replicas(10_000), Metric::REPLICAS, Some(behavior)))
}

/// Where replicas stand after each of so many syncs. `surge` is how many pods a roll-out adds to what the spec says.
fn walk(tolerance: Tolerance, from: u32, wanted: u32, syncs: i64, surge: impl Fn(u32) -> u32) -> Vec<u32> {
    let mut hpa = hpa(tolerance.up);
    let mut spec = from;
    let step = |k| {
        let status = Replicas(spec + surge(spec));
        let value = tolerance.encode(Replicas(wanted), Some(status));
        let scale = Scale { spec: Replicas(spec), status, ready: status };
        let outcome = hpa.sync(from_epoch_seconds(15 * k), scale, &[Reading::Value(value.get())]);
        spec = outcome.desired().unwrap().0;
        spec
    };
    (0..syncs).map(step).collect()
}

fn every_pair(check: impl Fn(u32, u32) + Sync) {
    (1..=MOST).into_par_iter().for_each(|current| (1..=MOST).for_each(|wanted| check(current, wanted)));
}

fn tolerance(mode: Mode, band: f64) -> Tolerance {
    Tolerance { mode, up: band, down: band }
}

#[test]
fn without_a_dead_band_every_count_is_reached_exactly() {
    every_pair(|current, wanted| {
        assert_eq!(walk(tolerance(Mode::Exact, 0.0), current, wanted, 1, |_| 0), [wanted]);
    });
}

#[test]
fn over_the_band_is_never_short_on_the_way_up_and_at_most_a_tenth_and_a_pod_too_many() {
    every_pair(|current, wanted| {
        let stood = walk(tolerance(Mode::Deadband, 0.1), current, wanted, 3, |_| 0);
        for replicas in &stood {
            if current <= wanted {
                assert!(*replicas >= wanted, "{current} to {wanted}: {stood:?}");
            }
            let most = (f64::from(wanted) * 1.1).floor() + 1.0;
            // A hold on the way down is within a tenth of what stands, which is a ninth of what is wanted.
            let held = (f64::from(wanted) / 0.9).floor() + 1.0;
            assert!(f64::from(*replicas) <= most.max(held), "{current} to {wanted}: {stood:?}");
            assert!(*replicas >= wanted.min(current), "{current} to {wanted}: {stood:?}");
        }
        assert_eq!(stood[1], stood[2], "{current} to {wanted} does not come to rest: {stood:?}");
    });
}

#[test]
fn with_headroom_the_band_never_leaves_fewer_than_wanted() {
    every_pair(|current, wanted| {
        let stood = walk(tolerance(Mode::Headroom, 0.1), current, wanted, 3, |_| 0);
        let most = (f64::from(wanted) * 1.1).ceil().max(f64::from(wanted) * 1.1 / 0.9);
        for replicas in &stood {
            assert!(*replicas >= wanted, "{current} to {wanted}: {stood:?}");
            assert!(f64::from(*replicas) <= most + 1e-9, "{current} to {wanted}: {stood:?}");
        }
        assert_eq!(stood[0], stood[2], "{current} to {wanted}: {stood:?}");
    });
}

#[test]
fn the_table_of_the_contract_holds() {
    // From C: the smallest N above that can be reached, and the largest below.
    for (current, up, down) in [
        (9, 10, 8),
        (10, 12, 9),
        (11, 13, 10),
        (20, 23, 18),
        (21, 24, 19),
        (50, 56, 45),
        (100, 111, 90),
        (500, 551, 450),
    ] {
        let at = |wanted| walk(tolerance(Mode::Deadband, 0.1), current, wanted, 1, |_| 0)[0];
        assert_eq!(at(current + 1), up, "up from {current}");
        let reached = (1..current).rev().map(at).find(|replicas| *replicas < current);
        assert_eq!(reached, Some(down), "down from {current}");
    }
}

#[test]
fn nothing_swings_over_twenty_syncs_for_any_band() {
    for band in [0.0, 0.01, 0.05, 0.1, 0.2, 0.5] {
        for mode in [Mode::Deadband, Mode::Headroom] {
            (1..=120_u32).into_par_iter().for_each(|current| {
                for wanted in 1..=120 {
                    let stood = walk(tolerance(mode, band), current, wanted, 20, |_| 0);
                    let rest = &stood[2..];
                    assert!(
                        rest.iter().all(|replicas| *replicas == rest[0]),
                        "{current} to {wanted}: {stood:?}"
                    );
                }
            });
        }
    }
}

#[test]
fn a_roll_out_with_surge_does_not_ratchet() {
    // In band the HPA writes status replicas into spec, and the roll-out adds its surge on top of that, again and again.
    for percent in [10_u32, 25, 50, 100] {
        (1..=200_u32).into_par_iter().for_each(|current| {
            for wanted in 1..=200 {
                let surge = |spec: u32| (spec * percent).div_ceil(100);
                let stood = walk(tolerance(Mode::Deadband, 0.1), current, wanted, 20, surge);
                for replicas in &stood {
                    let most = (f64::from(wanted) / 0.9).floor() + 1.0;
                    assert!(
                        f64::from(*replicas) <= most,
                        "{current} to {wanted}, surge {percent} %: {stood:?}"
                    );
                    assert!(
                        *replicas >= wanted.min(current),
                        "{current} to {wanted}, surge {percent} %: {stood:?}"
                    );
                }
            }
        });
    }
}

#[test]
fn from_zero_and_with_unknown_replicas_nothing_is_lost() {
    let deadband = tolerance(Mode::Deadband, 0.1);
    assert_eq!(deadband.encode(Replicas(7), Some(Replicas(0))).milli, 7_000);
    assert_eq!(deadband.encode(Replicas(7), None), tolerance(Mode::Headroom, 0.1).encode(Replicas(7), None));
    assert_eq!(deadband.encode(Replicas(0), Some(Replicas(5))).milli, 0);
    assert_eq!(deadband.encode(Replicas(u32::MAX), Some(Replicas(5))).milli, 1_000_000_000);
}
