//! What an operator may say to an HPA, with the API server's defaults filled in.
//!
//! `behavior` is an option and not a value with defaults, because its absence is a rule set of its own
//! ([`super::limits`]), and the one that KEDA leaves in place unless it is told otherwise.

use std::time::Duration;

use super::Metric;
use crate::units::Replicas;

/// The `spec` of a `HorizontalPodAutoscaler`, and the two flags of kube-controller-manager that bear on it.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    /// `minReplicas`.
    pub min: Replicas,
    /// `maxReplicas`.
    pub max: Replicas,
    /// `metrics`, in order.
    pub metrics: Vec<Metric>,
    /// `behavior`; `None` means the rules from before it existed.
    pub behavior: Option<Behavior>,
    /// `--horizontal-pod-autoscaler-tolerance`, for a direction whose rules say nothing.
    pub tolerance: f64,
    /// `--horizontal-pod-autoscaler-downscale-stabilization`, where `scaleDown` says nothing.
    pub downscale_window: Duration,
}

impl Spec {
    /// The tolerance of a controller that was started without the flag.
    pub const TOLERANCE: f64 = 0.1;
    /// The window of a controller that was started without the flag.
    pub const DOWNSCALE_WINDOW: Duration = Duration::from_secs(300);
    /// How often a controller that was started without the flag looks at each HPA.
    pub const SYNC_EVERY: Duration = Duration::from_secs(15);

    /// An HPA with one metric on a cluster with the default flags.
    pub fn new(min: Replicas, max: Replicas, metric: Metric, behavior: Option<Behavior>) -> Self {
        Self {
            min,
            max,
            metrics: vec![metric],
            behavior,
            tolerance: Self::TOLERANCE,
            downscale_window: Self::DOWNSCALE_WINDOW,
        }
    }

    /// The dead band in force.
    pub fn tolerance(&self) -> Tolerance {
        let said = |rules: fn(&Behavior) -> &Rules| self.behavior.as_ref().and_then(|it| rules(it).tolerance);
        Tolerance {
            up: said(|behavior| &behavior.up).unwrap_or(self.tolerance),
            down: said(|behavior| &behavior.down).unwrap_or(self.tolerance),
        }
    }
}

/// How far a metric may stray from its target before anything is done, as a fraction per direction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tolerance {
    /// Upward.
    pub up: f64,
    /// Downward.
    pub down: f64,
}

impl Tolerance {
    /// Whether a usage of `ratio` times the target is left alone. Both borders are; not-a-number is not.
    pub fn covers(self, ratio: f64) -> bool {
        1.0 - self.down <= ratio && ratio <= 1.0 + self.up
    }
}

/// `behavior`: rules for each direction.
#[derive(Debug, Clone, PartialEq)]
pub struct Behavior {
    /// `scaleUp`.
    pub up: Rules,
    /// `scaleDown`.
    pub down: Rules,
}

impl Default for Behavior {
    /// What the API server fills in once any part of `behavior` is given.
    fn default() -> Self {
        let per_15_seconds = |kind, amount| Policy { kind, amount, period: Duration::from_secs(15) };
        let percent = per_15_seconds(PolicyKind::Percent, 100);
        Self {
            up: Rules {
                tolerance: None,
                window: Some(Duration::ZERO),
                select: SelectPolicy::Max,
                policies: vec![per_15_seconds(PolicyKind::Pods, 4), percent],
            },
            down: Rules { tolerance: None, window: None, select: SelectPolicy::Max, policies: vec![percent] },
        }
    }
}

impl Behavior {
    /// What tidetable recommends: no dead band, up as fast as asked, down by a tenth a minute (contract 2.5).
    pub fn recommended() -> Self {
        let percent = |amount, seconds| Policy {
            kind: PolicyKind::Percent,
            amount,
            period: Duration::from_secs(seconds),
        };
        Self {
            up: Rules {
                tolerance: Some(0.0),
                window: Some(Duration::ZERO),
                select: SelectPolicy::Max,
                policies: vec![percent(900, 15)],
            },
            down: Rules {
                tolerance: Some(0.0),
                window: Some(Duration::from_secs(300)),
                select: SelectPolicy::Max,
                policies: vec![percent(10, 60)],
            },
        }
    }
}

/// `scaleUp` or `scaleDown`.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    /// `tolerance`; `None` means the controller's flag.
    pub tolerance: Option<f64>,
    /// `stabilizationWindowSeconds`; `None` means the controller's flag, downward only.
    pub window: Option<Duration>,
    /// `selectPolicy`.
    pub select: SelectPolicy,
    /// `policies`.
    pub policies: Vec<Policy>,
}

/// Which policy wins where several speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SelectPolicy {
    /// The one that allows the largest change.
    Max,
    /// The one that allows the smallest.
    Min,
    /// None: this direction is closed.
    Disabled,
}

/// At most so much change within a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Of what.
    pub kind: PolicyKind,
    /// How many pods or percent.
    pub amount: u32,
    /// `periodSeconds`.
    pub period: Duration,
}

/// What a policy's amount counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyKind {
    /// Pods.
    Pods,
    /// Percent of the replicas at the start of the period.
    Percent,
}
