//! The cluster in which a target is replayed: the one its configuration is written for, unless a flag says otherwise.
//!
//! How fast replicas can climb is said once and meant twice, by the plan and by the cluster. A flag moves the cluster alone where there
//! is a configuration: what it then costs to have planned for another is told, and noted.

use std::time::Duration;

use super::args::{Args, BehaviorArg, Cluster};
use super::subject::Meant;
use crate::engine::LeadTime;
use crate::guard::Tolerance;
use crate::guard::tolerance::Mode;
use crate::plan::{Growth, ScaleUp};
use crate::simulate::StartUp;
use crate::simulate::backtest::Conditions;
use crate::simulate::hpa::Behavior;

/// A lognormal's 0.95 quantile lies this many sigmas above its median, in the logarithm.
const P95_SIGMAS: f64 = 1.644_853_626_951_472_7;

/// The cluster, the same for every policy.
pub(super) fn conditions(args: &Args, meant: &Meant) -> Conditions {
    let (cluster, policy) = (&args.cluster, &meant.policy);
    let lead_time = policy.plan.lead_time;
    let start_up = if cluster.start_up_sigma > 0.0 {
        let sigma = cluster.start_up_sigma;
        let median = lead_time.mul_f64((-P95_SIGMAS * sigma).exp());
        StartUp::Lognormal { median, sigma, seed: args.seed }
    } else {
        StartUp::Fixed(lead_time)
    };
    let configured = || {
        let mut behavior = Conditions::behavior_of(&policy.plan.growth.scale_up)?;
        if keeps_its_band(meant) {
            (behavior.up.tolerance, behavior.down.tolerance) = (None, None);
        }
        Some(behavior)
    };
    Conditions {
        capacity: meant.capacity,
        min: policy.guard.min,
        max: policy.guard.max,
        start_up,
        pods_per_minute: cluster.pods_per_minute.or(policy.plan.growth.pods_per_minute),
        behavior: cluster.behavior.map_or_else(configured, behavior),
        tolerance: cluster.tolerance.unwrap_or(meant.tolerance.up),
        cpu: cluster.cpu_target,
        queue: cluster.queue,
        load_per: cluster.per,
        rate_window: Duration::from_secs(60),
        age: cluster.scrape_delay,
    }
}

/// How fast replicas can climb where no configuration says it: as the flags have the cluster.
pub(super) fn growth_by_flags(cluster: &Cluster) -> Growth {
    let behavior = behavior(cluster.behavior.unwrap_or(BehaviorArg::Recommended));
    Growth { scale_up: Conditions::scale_up_of(behavior.as_ref()), pods_per_minute: cluster.pods_per_minute }
}

/// How answers are written where no configuration says it: for the HPA that the flags make, whatever its dead band.
pub(super) fn tolerance_by_flags(cluster: &Cluster) -> Tolerance {
    let usual = Tolerance::default();
    let (up, down) = (cluster.tolerance.unwrap_or(usual.up), cluster.tolerance.unwrap_or(usual.down));
    Tolerance { mode: Mode::Auto, up, down }
}

/// Whether the configuration is one for an HPA whose tolerance was not set to 0; `tidetable render` writes none then.
fn keeps_its_band(meant: &Meant) -> bool {
    matches!(meant.tolerance.mode, Mode::Deadband | Mode::Headroom)
}

/// The tolerance in force on the way up: that of the HPA's behavior, or the controller's.
pub(super) fn tolerance_in_force(conditions: &Conditions) -> f64 {
    conditions.behavior.as_ref().and_then(|behavior| behavior.up.tolerance).unwrap_or(conditions.tolerance)
}

/// What was taken for granted of the cluster, or made otherwise by a flag, and is to be known with the numbers.
pub(super) fn remarks(args: &Args, meant: &Meant, conditions: &Conditions) -> Vec<String> {
    let mut remarks = Vec::new();
    if meant.lead_time_from == LeadTime::Learned {
        let seconds = meant.policy.plan.lead_time.as_secs();
        remarks.push(format!(
            "leadTime is auto, which a cluster shows while serving: {seconds} s are taken here; write it as a number to be judged by that"
        ));
    }
    let in_force = tolerance_in_force(conditions);
    if let Some(said) = args.cluster.tolerance {
        if (said - in_force).abs() > f64::EPSILON {
            remarks.push(format!(
                "--tolerance {said} changes nothing: the HPA's behavior says its own, {in_force}; --behavior defaults or none has the controller's"
            ));
        } else if (said - meant.tolerance.up).abs() > f64::EPSILON {
            remarks.push(format!(
                "answers are written for a tolerance of {}, as configured; this HPA has {said}, by --tolerance",
                meant.tolerance.up
            ));
        }
    }
    if conditions.growth() != meant.policy.plan.growth {
        remarks.push(
            "the plan counts on the growth that is configured or usual; this cluster has another, by --behavior or --pods-per-minute"
                .to_owned(),
        );
    }
    remarks
}

fn behavior(flag: BehaviorArg) -> Option<Behavior> {
    match flag {
        BehaviorArg::Recommended => Some(Behavior::recommended()),
        BehaviorArg::Defaults => Some(Behavior::default()),
        BehaviorArg::None => None,
    }
}

/// What the HPA's behavior is called in reports.
pub(super) fn behavior_name(cluster: &Cluster, meant: &Meant) -> &'static str {
    match cluster.behavior {
        Some(flag) => flag.name(),
        None if meant.policy.plan.growth.scale_up == ScaleUp::default() && !keeps_its_band(meant) => {
            BehaviorArg::Recommended.name()
        }
        None => "configured",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::tolerance::Seen;
    use crate::plan::Unit;
    use crate::units::Replicas;

    #[test]
    fn without_a_configuration_answers_are_written_for_the_dead_band_that_the_flags_leave() {
        let answered = |flags: &str| {
            let args = Args::of_line(&format!("backtest --capacity 120 --input load.csv {flags}"));
            let meant = Meant::by_flags(&args).unwrap();
            let conditions = conditions(&args, &meant);
            let said =
                |direction: fn(&Behavior) -> Option<f64>| conditions.behavior.as_ref().and_then(direction);
            let seen = Seen {
                current: Some(Replicas(20)),
                up: said(|behavior| behavior.up.tolerance),
                down: said(|behavior| behavior.down.tolerance),
            };
            assert!((conditions.tolerance - meant.tolerance.up).abs() < 1e-12, "{flags}");
            meant.tolerance.answer(Replicas(22), Some(&seen)).milli
        };
        assert_eq!(answered(""), 22_000);
        assert_eq!(
            answered("--behavior none"),
            22_001,
            "22 is within a tenth of 20, and would be ignored for ever"
        );
        assert_eq!(answered("--behavior defaults --tolerance 0.2"), 24_001);
        assert_eq!(answered("--behavior none --tolerance 0"), 22_000);
    }

    #[test]
    fn what_a_flag_does_not_do_or_does_beside_the_configuration_is_told() {
        let told = |flags: &str, change: fn(&mut Meant)| {
            let args = Args::of_line(&format!("backtest --capacity 120 --input load.csv {flags}"));
            let mut meant = Meant::by_flags(&args).unwrap();
            change(&mut meant);
            remarks(&args, &meant, &conditions(&args, &meant)).join("; ")
        };
        assert_eq!(told("", |_| {}), "");
        assert_eq!(told("--behavior defaults --tolerance 0.2", |_| {}), "");
        assert!(told("--tolerance 0.2", |_| {}).starts_with("--tolerance 0.2 changes nothing: "));
        let configured = |meant: &mut Meant| meant.tolerance.up = 0.05;
        let other = told("--behavior defaults --tolerance 0.2", configured);
        assert!(
            other.starts_with("answers are written for a tolerance of 0.05, as configured; this HPA has 0.2")
        );
        let auto = told("", |meant| meant.lead_time_from = LeadTime::Learned);
        assert!(auto.starts_with("leadTime is auto") && auto.contains("120 s are taken here"), "{auto}");
    }

    #[test]
    fn without_a_configuration_what_is_planned_with_is_what_the_flags_make_of_the_cluster() {
        for flags in
            ["", "--pods-per-minute 4", "--behavior none", "--behavior defaults --pods-per-minute 30"]
        {
            let args = Args::of_line(&format!("backtest --capacity 120 --input load.csv {flags}"));
            let meant = Meant::by_flags(&args).unwrap();
            let conditions = conditions(&args, &meant);
            assert_eq!(meant.policy.plan.growth, conditions.growth(), "{flags}");
            assert_eq!(conditions.pods_per_minute, args.cluster.pods_per_minute);
            let climbs = match (&conditions.growth().scale_up, args.cluster.behavior) {
                (ScaleUp::Doubling, Some(BehaviorArg::None)) => true,
                (ScaleUp::Policies { policies, .. }, Some(BehaviorArg::Defaults)) => {
                    policies.iter().any(|policy| policy.unit == Unit::Pods && policy.amount == 4)
                }
                (other, None) => *other == ScaleUp::default(),
                _ => false,
            };
            assert!(climbs, "{flags}: {conditions:?}");
        }
    }
}
