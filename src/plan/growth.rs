//! How fast replicas can climb, and so how early a climb must begin.
//!
//! Three things hold a climb back: the HPA's scale-up policies, the pods that the cluster can start, and the lead time,
//! which is the planner's own. Here is the way down the hill: from the replicas that must stand at some moment to those
//! that must already stand some time before, or the rest could not be reached. Policies over long periods are taken as a
//! steady pace, which the HPA is never slower than.

use std::time::Duration;

use crate::units::Replicas;

/// How often the HPA looks, and so may climb.
pub const SYNC: Duration = Duration::from_secs(15);

/// What holds a climb back.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Growth {
    /// What the HPA allows.
    pub scale_up: ScaleUp,
    /// What the cluster can start; `None` where that is no limit.
    pub pods_per_minute: Option<f64>,
}

/// The HPA's rules for scaling up.
#[derive(Debug, Clone, PartialEq)]
pub enum ScaleUp {
    /// No `behavior` was given, as KEDA leaves it: each sync may double, and to four at least.
    Doubling,
    /// `behavior.scaleUp`.
    Policies {
        /// Which wins.
        select: Select,
        /// The policies.
        policies: Vec<ScaleUpPolicy>,
    },
}

impl Default for ScaleUp {
    /// What `tidetable render` writes where nothing else is said: tenfold in one sync. The answer is what is needed, and not a
    /// step towards it.
    fn default() -> Self {
        let tenfold = ScaleUpPolicy { unit: Unit::Percent, amount: 900, period: SYNC };
        Self::Policies { select: Select::Max, policies: vec![tenfold] }
    }
}

/// Which policy wins where several speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Select {
    /// The one that allows the largest change.
    Max,
    /// The one that allows the smallest.
    Min,
}

/// At most so much within a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScaleUpPolicy {
    /// Of what.
    pub unit: Unit,
    /// How many.
    pub amount: u32,
    /// Within what time.
    pub period: Duration,
}

/// What a policy's amount counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Pods.
    Pods,
    /// Percent of the replicas at the start of the period.
    Percent,
}

impl ScaleUpPolicy {
    /// The fewest that must stand a sync before `replicas` do.
    fn before(self, replicas: f64) -> f64 {
        match self.unit {
            Unit::Pods => replicas - self.pods_a_sync(),
            Unit::Percent => replicas / self.times_a_sync(),
        }
    }

    /// The most that may stand a sync after `replicas` did.
    fn after(self, replicas: f64) -> f64 {
        match self.unit {
            Unit::Pods => replicas + self.pods_a_sync(),
            Unit::Percent => replicas * self.times_a_sync(),
        }
    }

    fn pods_a_sync(self) -> f64 {
        f64::from(self.amount) * self.periods_a_sync()
    }

    fn times_a_sync(self) -> f64 {
        let times = 1.0 + f64::from(self.amount) / 100.0;
        // A climb asks for each of its hundreds of syncs, and mostly of a period that is one.
        if self.period == SYNC { times } else { times.powf(self.periods_a_sync()) }
    }

    fn periods_a_sync(self) -> f64 {
        SYNC.as_secs_f64() / self.period.as_secs_f64().max(1.0)
    }
}

impl ScaleUp {
    fn after(&self, replicas: f64) -> f64 {
        match self {
            Self::Doubling => (2.0 * replicas).max(4.0),
            Self::Policies { select, policies } => {
                let after = policies.iter().map(|policy| policy.after(replicas));
                let after = match select {
                    Select::Max => after.fold(f64::NEG_INFINITY, f64::max),
                    Select::Min => after.fold(f64::INFINITY, f64::min),
                };
                if after.is_finite() { after } else { replicas }
            }
        }
    }

    fn before(&self, replicas: f64) -> f64 {
        match self {
            Self::Doubling if replicas <= 4.0 => 0.0,
            Self::Doubling => replicas / 2.0,
            Self::Policies { select, policies } => {
                let before = policies.iter().map(|policy| policy.before(replicas));
                let before = match select {
                    Select::Max => before.fold(f64::INFINITY, f64::min),
                    Select::Min => before.fold(f64::NEG_INFINITY, f64::max),
                };
                // Without a policy nothing is allowed: all of it must stand before.
                if before.is_finite() { before } else { replicas }
            }
        }
    }
}

/// So many come from nothing: no HPA scales a target without a pod, for KEDA starts the first one itself.
const ACTIVATED: f64 = 1.0;

impl Growth {
    /// The fewest replicas that must stand one [`SYNC`] before `replicas` do, not rounded and at least zero.
    pub fn before(&self, replicas: f64) -> f64 {
        if replicas <= ACTIVATED {
            return 0.0;
        }
        let by_hpa = self.scale_up.before(replicas);
        let by_cluster = self
            .pods_per_minute
            .map_or(f64::NEG_INFINITY, |pods| replicas - pods * SYNC.as_secs_f64() / 60.0);
        by_hpa.max(by_cluster).clamp(ACTIVATED, replicas)
    }

    /// The most replicas that may stand one [`SYNC`] after `replicas` did, not rounded.
    pub fn after(&self, replicas: f64) -> f64 {
        if replicas < ACTIVATED {
            return ACTIVATED;
        }
        let by_cluster =
            self.pods_per_minute.map_or(f64::INFINITY, |pods| replicas + pods * SYNC.as_secs_f64() / 60.0);
        self.scale_up.after(replicas).min(by_cluster).max(replicas).max(ACTIVATED)
    }

    /// Whether any number of replicas up to `most` can double within one [`SYNC`]. A policy adds a number or a share, so what the
    /// ends can do can be done between them.
    pub(super) fn doubles(&self, most: Replicas) -> bool {
        [ACTIVATED, f64::from(most.0)].into_iter().all(|replicas| self.after(replicas) >= 2.0 * replicas)
    }

    /// As [`Growth::before`], but so many syncs before.
    pub fn long_before(&self, replicas: f64, syncs: u32) -> f64 {
        let mut replicas = replicas;
        for _ in 0..syncs {
            let before = self.before(replicas);
            if replicas <= 0.0 || before >= replicas {
                break;
            }
            replicas = before;
        }
        replicas
    }

    /// How many syncs it takes to climb from `from` to `to`, at most `most`.
    pub fn syncs_to_climb(&self, from: Replicas, to: Replicas, most: u32) -> u32 {
        let (from, mut replicas) = (f64::from(from.0), f64::from(to.0));
        let mut syncs = 0;
        while replicas > from && syncs < most {
            let before = self.before(replicas);
            if before >= replicas {
                return most;
            }
            replicas = before;
            syncs += 1;
        }
        syncs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: u32 = 1440;

    fn check(growth: &Growth, from: u32, to: u32, seconds: u64) {
        let found = SYNC * growth.syncs_to_climb(Replicas(from), Replicas(to), MOST);
        assert_eq!(found, Duration::from_secs(seconds), "from {from} to {to} under {growth:?}");
    }

    #[test]
    fn from_nothing_one_pod_is_started_whatever_the_rules_are() {
        let rules = [DOUBLING, policies(Select::Max, &[(Unit::Pods, 4, 15)]), Growth::default()];
        for growth in rules {
            assert!((growth.after(0.0) - 1.0).abs() < 1e-12, "{growth:?}");
            assert!((growth.before(4.0) - 1.0).abs() < 1e-12, "{growth:?}");
            assert!(growth.before(1.0).abs() < 1e-12, "{growth:?}");
        }
    }

    const DOUBLING: Growth = Growth { scale_up: ScaleUp::Doubling, pods_per_minute: None };

    fn policies(select: Select, policies: &[(Unit, u32, u64)]) -> Growth {
        let policies = policies
            .iter()
            .map(|(unit, amount, seconds)| ScaleUpPolicy {
                unit: *unit,
                amount: *amount,
                period: Duration::from_secs(*seconds),
            })
            .collect();
        Growth { scale_up: ScaleUp::Policies { select, policies }, pods_per_minute: None }
    }

    #[test]
    fn a_climb_takes_as_long_as_the_hpa_takes() {
        // Contract 2.4: 1, 4, 8, 16, 32, 64, 100 without behavior; 1, 5, 10, 20, 40, 80, 100 with its defaults.
        check(&DOUBLING, 1, 100, 90);
        check(&Growth::default(), 1, 100, 30);
        check(&policies(Select::Max, &[(Unit::Pods, 4, 15), (Unit::Percent, 100, 15)]), 1, 100, 90);
        check(&policies(Select::Min, &[(Unit::Pods, 4, 15), (Unit::Percent, 100, 15)]), 1, 100, 390);
        check(&policies(Select::Max, &[(Unit::Pods, 4, 60)]), 60, 100, 600);
    }

    #[test]
    fn a_cluster_that_starts_four_pods_a_minute_takes_a_quarter_of_an_hour_for_sixty() {
        check(&Growth { pods_per_minute: Some(4.0), ..DOUBLING }, 40, 100, 900);
    }

    #[test]
    fn an_idle_target_is_woken_as_long_before_as_a_climb_from_one_takes() {
        let tenfold = Growth::default();
        assert_eq!(
            [1, 2, 3, 20].map(|syncs| Replicas::whole(tenfold.long_before(50.0, syncs)).0),
            [5, 1, 0, 0]
        );
        check(&tenfold, 0, 50, 45);
        check(&policies(Select::Max, &[(Unit::Percent, 100, 15)]), 0, 50, 105);
        // And who stands at nothing is not there for ever.
        assert_eq!([0.0, 1.0].map(|standing| Replicas::whole(tenfold.after(standing)).0), [1, 10]);
    }

    #[test]
    fn what_can_double_at_both_ends_can_in_between() {
        let kept = [
            (Growth::default(), true),
            (Growth { scale_up: ScaleUp::Doubling, pods_per_minute: None }, true),
            (policies(Select::Max, &[(Unit::Pods, 4, 15)]), false),
            (policies(Select::Max, &[(Unit::Pods, 4, 15), (Unit::Percent, 100, 15)]), true),
            (policies(Select::Min, &[(Unit::Pods, 4, 15), (Unit::Percent, 100, 15)]), false),
            (Growth { pods_per_minute: Some(40.0), ..Growth::default() }, false),
            (Growth { pods_per_minute: Some(900.0), ..Growth::default() }, true),
        ];
        for (growth, doubles) in kept {
            assert_eq!(growth.doubles(Replicas(200)), doubles, "{growth:?}");
            let all =
                (1..=200).all(|replicas| growth.after(f64::from(replicas)) >= 2.0 * f64::from(replicas));
            assert_eq!(all, doubles, "{growth:?}");
        }
    }

    #[test]
    fn where_nothing_may_grow_all_must_stand_before() {
        check(&policies(Select::Max, &[]), 1, 2, u64::from(15 * MOST));
        check(&Growth { pods_per_minute: Some(0.0), ..DOUBLING }, 1, 2, u64::from(15 * MOST));
        assert!((policies(Select::Max, &[]).long_before(9.0, 40) - 9.0).abs() < 1e-12);
    }

    #[test]
    fn nothing_is_needed_before_nothing() {
        let slow = Growth { pods_per_minute: Some(4.0), ..DOUBLING };
        assert!(slow.before(0.0).abs() < 1e-12 && slow.before(0.5).abs() < 1e-12);
        assert!(slow.long_before(1e6, 1) > 5e5);
    }
}
