//! One look of the controller at one HPA, and the write that may follow.

use super::limits::{History, Limited};
use super::metric::{Reading, quantized};
use super::recommendations::Recommendations;
use super::spec::Spec;
use crate::time::Timestamp;
use crate::units::Replicas;

/// The scale target as the controller finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scale {
    /// `spec.replicas`.
    pub spec: Replicas,
    /// `status.replicas`: pods that were created, ready or not.
    pub status: Replicas,
    /// Ready pods. Metrics of type `Value` and `Utilization` look at them.
    pub ready: Replicas,
}

/// What came of one look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// `spec.replicas` is 0, so autoscaling is off.
    Disabled,
    /// `spec.replicas` is outside the bounds: put back, without a look at the metrics.
    Clamped {
        /// The bound.
        desired: Replicas,
    },
    /// Too many metrics failed: replicas stay as they are, and nothing is remembered.
    Failed,
    /// The metrics decided.
    Decided {
        /// The largest proposal.
        proposed: Replicas,
        /// As the stabilization windows left it.
        stabilized: Replicas,
        /// As the limits left it.
        desired: Replicas,
        /// Which limit that was.
        limited: Limited,
        /// How many metrics failed all the same.
        failed: usize,
    },
}

impl Outcome {
    /// The replicas it wants written; `None` where it leaves them alone.
    pub fn desired(self) -> Option<Replicas> {
        match self {
            Self::Disabled | Self::Failed => None,
            Self::Clamped { desired } | Self::Decided { desired, .. } => Some(desired),
        }
    }
}

/// An HPA and what its controller remembers of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Hpa {
    /// What it was told.
    pub spec: Spec,
    recommendations: Recommendations,
    history: History,
}

impl Hpa {
    /// An HPA that was just created.
    pub fn new(spec: Spec) -> Self {
        Self { spec, recommendations: Recommendations::default(), history: History::default() }
    }

    /// Looks, decides, and takes down the write as done at once. The caller sets `spec.replicas` to
    /// [`Outcome::desired`]. `readings` has one entry per metric of the spec, in its order; a missing one has failed.
    pub fn sync(&mut self, now: Timestamp, scale: Scale, readings: &[Reading]) -> Outcome {
        let outcome = self.look(now, scale, readings);
        if let Some(desired) = outcome.desired() {
            self.wrote(now, scale.spec, desired);
        }
        outcome
    }

    /// Looks and decides, and no more: for a replay in which the write has a time of its own.
    pub fn look(&mut self, now: Timestamp, scale: Scale, readings: &[Reading]) -> Outcome {
        let current = scale.spec;
        self.recommendations.begin_with(now, current);
        if current == Replicas(0) && self.spec.min != Replicas(0) {
            return Outcome::Disabled;
        }
        if current > self.spec.max {
            return Outcome::Clamped { desired: self.spec.max };
        }
        if current < self.spec.min {
            return Outcome::Clamped { desired: self.spec.min };
        }
        let Some((proposed, failed)) = self.propose(scale, readings) else { return Outcome::Failed };
        let stabilized = self.recommendations.stabilize(now, current, proposed, &self.spec);
        let (desired, limited) = self.history.limit(now, current, stabilized, &self.spec);
        Outcome::Decided { proposed, stabilized, desired, limited, failed }
    }

    /// Takes down that `spec.replicas` was written, which later policies count.
    pub fn wrote(&mut self, at: Timestamp, from: Replicas, to: Replicas) {
        if from != to {
            self.history.record(at, from, to, &self.spec);
        }
    }

    /// The largest proposal and how many metrics failed. `None` when all did, or when some did and the rest would scale
    /// down: what is not known might need the pods.
    fn propose(&self, scale: Scale, readings: &[Reading]) -> Option<(Replicas, usize)> {
        let tolerance = self.spec.tolerance();
        let readings = readings.iter().copied().chain(std::iter::repeat(Reading::Failed));
        let (mut largest, mut failed) = (None, 0);
        for (metric, reading) in self.spec.metrics.iter().zip(readings) {
            match reading {
                Reading::Value(value) => {
                    largest = largest.max(Some(metric.proposal(quantized(value), scale, tolerance)));
                }
                Reading::Failed => failed += 1,
            }
        }
        largest.filter(|proposed| failed == 0 || *proposed >= scale.spec).map(|proposed| (proposed, failed))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::simulate::hpa::{Behavior, Metric, Policy, PolicyKind, Rules, SelectPolicy};
    use crate::time::from_epoch_seconds;

    fn standing(replicas: u32) -> Scale {
        Scale { spec: Replicas(replicas), status: Replicas(replicas), ready: Replicas(replicas) }
    }

    fn hpa(behavior: Option<Behavior>) -> Hpa {
        Hpa::new(Spec::new(Replicas(1), Replicas(10_000), Metric::REPLICAS, behavior))
    }

    fn policies(up: &[(PolicyKind, u32, u64)], down: &[(PolicyKind, u32, u64)]) -> Behavior {
        let rules = |policies: &[(PolicyKind, u32, u64)]| Rules {
            tolerance: None,
            window: Some(Duration::ZERO),
            select: SelectPolicy::Max,
            policies: policies
                .iter()
                .map(|(kind, amount, seconds)| Policy {
                    kind: *kind,
                    amount: *amount,
                    period: Duration::from_secs(*seconds),
                })
                .collect(),
        };
        Behavior { up: rules(up), down: rules(down) }
    }

    /// A behavior that stands in no proposal's way, with a dead band of its own.
    fn free(tolerance: Option<f64>) -> Behavior {
        let at_once = [(PolicyKind::Percent, 100_000, 15)];
        let mut behavior = policies(&at_once, &at_once);
        behavior.up.tolerance = tolerance;
        behavior.down.tolerance = tolerance;
        behavior
    }

    /// Where one look at a fresh HPA leaves `current` replicas.
    fn step(behavior: &Behavior, current: u32, reading: f64) -> u32 {
        let mut hpa = hpa(Some(behavior.clone()));
        let outcome = hpa.sync(from_epoch_seconds(0), standing(current), &[Reading::Value(reading)]);
        outcome.desired().unwrap().0
    }

    /// Where replicas stand after each sync, until they stand still for `patience` syncs.
    fn walk(mut hpa: Hpa, from: u32, reading: f64, patience: usize) -> Vec<u32> {
        let mut stood = vec![from];
        let mut now = 0;
        while stood.len() <= patience
            || stood[stood.len() - 1 - patience..].windows(2).any(|two| two[0] != two[1])
        {
            let current = *stood.last().unwrap();
            let outcome = hpa.sync(from_epoch_seconds(now), standing(current), &[Reading::Value(reading)]);
            stood.push(outcome.desired().map_or(current, |desired| desired.0));
            now += 15;
        }
        stood.truncate(stood.len() - patience);
        stood
    }

    #[test]
    fn the_default_dead_band_reaches_what_the_contract_says_and_no_more() {
        // The table of contract 2.3: from C, the next N up, the next N down by N − 0.999, and by N.
        for (current, up, down, plain_down) in [
            (9, 10, 8, 8),
            (10, 12, 9, 8),
            (11, 13, 10, 9),
            (20, 23, 18, 17),
            (21, 24, 19, 18),
            (50, 56, 45, 44),
            (100, 111, 90, 89),
            (500, 551, 450, 449),
        ] {
            let reached = |wanted: u32, reading: f64| step(&free(None), current, reading) == wanted;
            let found_up = (current + 1..1000).find(|wanted| reached(*wanted, f64::from(*wanted)));
            let found_down = (1..current).rev().find(|wanted| reached(*wanted, f64::from(*wanted) - 0.999));
            let found_plain = (1..current).rev().find(|wanted| reached(*wanted, f64::from(*wanted)));
            assert_eq!(
                (found_up, found_down, found_plain),
                (Some(up), Some(down), Some(plain_down)),
                "{current}"
            );
        }
    }

    #[test]
    fn without_a_dead_band_every_number_is_reached_from_every_number() {
        let behavior = free(Some(0.0));
        for current in 1..=600 {
            for wanted in 1..=600 {
                assert_eq!(step(&behavior, current, f64::from(wanted)), wanted, "from {current}");
            }
        }
    }

    #[test]
    fn ramps_climb_as_the_contract_says() {
        assert_eq!(walk(hpa(None), 1, 100.0, 1), [1, 4, 8, 16, 32, 64, 100]);
        assert_eq!(walk(hpa(Some(Behavior::default())), 1, 100.0, 1), [1, 5, 10, 20, 40, 80, 100]);
        assert_eq!(walk(hpa(Some(Behavior::recommended())), 1, 100.0, 1), [1, 10, 100]);
    }

    #[test]
    fn a_slow_policy_stops_inside_the_dead_band() {
        let pods = |amount| policies(&[(PolicyKind::Pods, amount, 60)], &[]);
        assert_eq!(walk(hpa(Some(pods(4))), 4, 100.0, 8).last(), Some(&92));
        assert_eq!(walk(hpa(Some(pods(2))), 10, 55.0, 8).last(), Some(&50));
    }

    #[test]
    fn percent_is_rounded_up_on_the_way_up_and_cut_on_the_way_down() {
        let behavior = policies(&[(PolicyKind::Percent, 10, 15)], &[(PolicyKind::Percent, 10, 15)]);
        assert_eq!(step(&behavior, 11, 100.0), 13);
        assert_eq!(step(&behavior, 11, 1.0), 9);
    }

    #[test]
    fn a_closed_direction_holds_and_the_other_stays_open() {
        let mut behavior = free(None);
        behavior.down.select = SelectPolicy::Disabled;
        assert_eq!(step(&behavior, 20, 1.0), 20);
        assert_eq!(step(&behavior, 20, 40.0), 40);
    }

    #[test]
    fn a_spike_is_kept_for_the_whole_window_and_not_a_sync_longer() {
        for behavior in [None, Some(Behavior::default())] {
            let mut hpa = hpa(behavior);
            let mut current = 10;
            let mut stood = Vec::new();
            for sync in 0..23 {
                let reading = if sync == 1 { 20.0 } else { 10.0 };
                let now = from_epoch_seconds(sync * 15);
                let outcome = hpa.sync(now, standing(current), &[Reading::Value(reading)]);
                current = outcome.desired().unwrap().0;
                stood.push(current);
            }
            // The spike at 15 s counts until 300 s later; at 315 s it is exactly one window old.
            assert_eq!(stood[0], 10);
            assert!(stood[1..21].iter().all(|replicas| *replicas == 20), "{stood:?}");
            assert_eq!(stood[21..], [10, 10]);
        }
    }

    #[test]
    fn the_older_rules_scale_up_on_an_old_recommendation_and_the_newer_do_not() {
        let last = |behavior: Option<Behavior>| {
            let mut hpa = hpa(behavior);
            let looks = [(0, 10, 20.0), (15, 12, 12.0)];
            looks.map(|(now, current, reading)| {
                hpa.sync(from_epoch_seconds(now), standing(current), &[Reading::Value(reading)]).desired()
            })[1]
        };
        // Somebody else went down to 12 by hand; 20 was recommended a moment before.
        assert_eq!(last(None), Some(Replicas(20)));
        assert_eq!(last(Some(Behavior::default())), Some(Replicas(12)));
    }

    #[test]
    fn in_band_the_replicas_of_a_roll_out_are_written_into_spec() {
        let surge = Scale { spec: Replicas(20), status: Replicas(25), ready: Replicas(20) };
        let outcome = hpa(None).sync(from_epoch_seconds(0), surge, &[Reading::Value(23.0)]);
        assert_eq!(outcome.desired(), Some(Replicas(25)));
    }

    fn check_readings(readings: &[Reading], desired: Option<u32>) {
        let mut hpa = hpa(Some(free(Some(0.0))));
        hpa.spec.metrics = vec![Metric::REPLICAS; 2];
        let outcome = hpa.sync(from_epoch_seconds(0), standing(10), readings);
        assert_eq!(outcome.desired(), desired.map(Replicas), "{readings:?}");
    }

    #[test]
    fn the_largest_metric_wins_and_a_failing_one_forbids_only_the_way_down() {
        use Reading::{Failed, Value};
        check_readings(&[Value(12.0), Value(15.0)], Some(15));
        check_readings(&[Value(4.0), Value(8.0)], Some(8));
        check_readings(&[Value(12.0), Failed], Some(12));
        check_readings(&[Failed, Value(10.0)], Some(10));
        check_readings(&[Failed, Value(9.0)], None);
        check_readings(&[Failed, Failed], None);
        check_readings(&[], None);
    }

    #[test]
    fn an_error_holds_and_is_not_remembered() {
        let mut hpa = hpa(Some(free(Some(0.0))));
        assert_eq!(hpa.sync(from_epoch_seconds(0), standing(10), &[Reading::Failed]), Outcome::Failed);
        let outcome = hpa.sync(from_epoch_seconds(15), standing(10), &[Reading::Value(7.0)]);
        assert_eq!(outcome.desired(), Some(Replicas(7)));
    }

    #[test]
    fn bounds_are_put_back_before_any_metric_is_read() {
        let mut hpa = hpa(None);
        hpa.spec.min = Replicas(3);
        hpa.spec.max = Replicas(30);
        let mut look = |replicas| hpa.sync(from_epoch_seconds(0), standing(replicas), &[Reading::Failed]);
        assert_eq!(look(2), Outcome::Clamped { desired: Replicas(3) });
        assert_eq!(look(31), Outcome::Clamped { desired: Replicas(30) });
        assert_eq!(look(0), Outcome::Disabled);
    }

    #[test]
    fn poison_scales_to_the_minimum_and_a_crowd_to_the_maximum() {
        for (reading, desired) in
            [(f64::NAN, 1), (f64::INFINITY, 1), (-1.0, 1), (1e300, 10_000), (f64::MAX, 10_000)]
        {
            assert_eq!(step(&free(None), 10, reading), desired, "{reading}");
        }
    }

    fn any_rules() -> impl Strategy<Value = Rules> {
        let policy = (any::<bool>(), 0_u32..400, 1_u64..120).prop_map(|(pods, amount, seconds)| Policy {
            kind: if pods { PolicyKind::Pods } else { PolicyKind::Percent },
            amount,
            period: Duration::from_secs(seconds),
        });
        let select =
            prop_oneof![Just(SelectPolicy::Max), Just(SelectPolicy::Min), Just(SelectPolicy::Disabled)];
        (
            prop::option::of(0.0..1.0_f64),
            prop::option::of((0_u64..400).prop_map(Duration::from_secs)),
            select,
            prop::collection::vec(policy, 1..4),
        )
            .prop_map(|(tolerance, window, select, policies)| Rules {
                tolerance,
                window,
                select,
                policies,
            })
    }

    proptest! {
        #[test]
        fn no_reading_and_no_behavior_takes_replicas_out_of_their_bounds(
            behavior in prop::option::of((any_rules(), any_rules()).prop_map(|(up, down)| Behavior { up, down })),
            readings in prop::collection::vec(prop::option::of(any::<f64>()), 1..60),
            min in 1_u32..20, span in 0_u32..200, start in 0_u32..220,
        ) {
            let mut hpa = hpa(behavior);
            (hpa.spec.min, hpa.spec.max) = (Replicas(min), Replicas(min + span));
            let mut current = Replicas(start.clamp(min, min + span));
            for (sync, reading) in (0..).zip(readings) {
                let found = standing(current.0);
                let reading = reading.map_or(Reading::Failed, Reading::Value);
                let outcome = hpa.sync(from_epoch_seconds(sync * 15), found, &[reading]);
                prop_assert_eq!(outcome.desired().is_none(), reading == Reading::Failed);
                current = outcome.desired().unwrap_or(current);
                prop_assert!(hpa.spec.min <= current && current <= hpa.spec.max, "{}", current);
            }
        }
    }
}
