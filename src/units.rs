//! The quantities the core reasons in, as types that cannot hold an illegal number.
//!
//! A [`Load`] is never NaN, infinite or negative, a [`Replicas`] is never "unknown", a [`Quantile`] is never 1.
//! Every conversion from the outside world happens once, in a `try_new` here; after that the core computes with
//! plain arithmetic and cannot produce a number that KEDA would read as "scale to the minimum".
//! This file refuses to know where a number came from: gaps live in [`crate::series`], reasons in [`crate::guard`].

use std::fmt;

/// Why a number was refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// A load must be finite and at least zero.
    #[error("load {0} is not a finite number of at least 0")]
    Load(f64),
    /// Capacity divides a load, so it must be above zero.
    #[error("capacity {0} per replica is not a finite number above 0")]
    Capacity(f64),
    /// A quantile lies strictly between 0 and 1.
    #[error("quantile {0} is not between 0 and 1 (exclusive); 0.95 is the usual choice")]
    Quantile(f64),
    /// A cost ratio is the price of a missing pod over the price of an idle one.
    #[error("cost ratio {0} must be finite and above 1; below 1 a reactive scaler is the cheaper choice")]
    CostRatio(f64),
}

/// Demand per second (or whatever unit the query has), finite and at least zero.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default)]
pub struct Load(f64);

impl Load {
    /// No demand at all. Not to be used for "unknown": that is `Option::None`.
    pub const ZERO: Self = Self(0.0);

    /// Checks a number from outside.
    ///
    /// # Errors
    /// [`Error::Load`] when it is NaN, infinite or negative.
    pub fn try_new(per_second: f64) -> Result<Self, Error> {
        if per_second.is_finite() && per_second >= 0.0 {
            Ok(Self(per_second))
        } else {
            Err(Error::Load(per_second))
        }
    }

    /// The nearest legal load to a computed number: below zero is zero, not-a-number is zero, infinity is the
    /// largest finite number. For the core's own arithmetic only; what comes from outside goes through
    /// [`Load::try_new`], so that a hole is never turned into a zero.
    pub fn saturating(computed: f64) -> Self {
        Self(if computed.is_nan() { 0.0 } else { computed.clamp(0.0, f64::MAX) })
    }

    /// The number itself.
    pub fn get(self) -> f64 {
        self.0
    }

    /// The larger of two.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self(self.0.max(other.0))
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 >= 100.0 { write!(f, "{:.0}", self.0) } else { write!(f, "{:.2}", self.0) }
    }
}

/// The load that one replica bears within its service-level objective, in the unit of the query.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct LoadPerReplica(f64);

impl LoadPerReplica {
    /// Checks a number from outside.
    ///
    /// # Errors
    /// [`Error::Capacity`] when it is not finite or not above zero.
    pub fn try_new(per_replica: f64) -> Result<Self, Error> {
        if per_replica.is_finite() && per_replica > 0.0 {
            Ok(Self(per_replica))
        } else {
            Err(Error::Capacity(per_replica))
        }
    }

    /// The number itself.
    pub fn get(self) -> f64 {
        self.0
    }
}

/// A pod count. Zero is an instruction ("run none"), never a stand-in for "unknown".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct Replicas(pub u32);

impl Replicas {
    /// No more is ever asked for: far above any real deployment, far below what overflows the HPA's int32 and
    /// its milli-valued int64 (contract 2.3, traps 3 and 5).
    pub const MOST: Self = Self(1_000_000);

    /// Replicas that bear `load` at `capacity` each: the one place where load becomes pods, rounded upward.
    ///
    /// A quotient within one part in 10⁹ above a whole number counts as that number, so that `0.3 / 0.1`, which is
    /// 3.0000000000000004 in binary, asks for 3 and not for 4.
    pub fn bearing(load: Load, capacity: LoadPerReplica) -> Self {
        let exact = load.get() / capacity.get();
        let rounded = (exact * (1.0 - 1e-9)).ceil().min(f64::from(Self::MOST.0));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 <= rounded <= 10^6")]
        Self(rounded.max(0.0) as u32)
    }

    /// A computed number of replicas rounded upward, without float dust.
    pub fn whole(computed: f64) -> Self {
        Self::bearing(Load::saturating(computed), LoadPerReplica(1.0))
    }

    /// A computed number of replicas rounded downward, without float dust.
    pub fn whole_below(computed: f64) -> Self {
        let whole = Load::saturating((computed * (1.0 + 1e-9)).floor());
        Self::bearing(whole, LoadPerReplica(1.0))
    }
}

impl fmt::Display for Replicas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A probability level strictly between 0 and 1, such as 0.95.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Quantile(f64);

impl Quantile {
    /// The median.
    pub const MEDIAN: Self = Self(0.5);
    /// The default of the planner: where the cost of late pods and of idle pods balance at a ratio of 40.
    pub const P95: Self = Self(0.95);
    /// What a plan is read at while measurements are missing: one step more careful than any sane default.
    pub const P99: Self = Self(0.99);

    /// What demand exceeds a few times a day of quarter minutes: beyond it is a surge. At 0.99 one in a hundred
    /// would be, every half hour, for no more than noise.
    pub const UNLIKELY: Self = Self(0.999);

    /// Checks a level from outside.
    ///
    /// # Errors
    /// [`Error::Quantile`] when it is not strictly between 0 and 1.
    pub fn try_new(level: f64) -> Result<Self, Error> {
        if level > 0.0 && level < 1.0 { Ok(Self(level)) } else { Err(Error::Quantile(level)) }
    }

    /// The level at which late and idle pods cost the same: τ = 1 − 2 / (1 + κ).
    ///
    /// κ is the cost of a late pod-hour over the cost of an idle one. The textbook κ / (1 + κ) is dearer by up to
    /// 5 % on recorded traffic, because the HPA's 300 s window and the reactive floor already add headroom.
    ///
    /// # Errors
    /// [`Error::CostRatio`] when κ is not finite or not above 1.
    pub fn for_cost_ratio(kappa: f64) -> Result<Self, Error> {
        if kappa.is_finite() && kappa > 1.0 {
            Ok(Self((1.0 - 2.0 / (1.0 + kappa)).clamp(0.5, 0.999)))
        } else {
            Err(Error::CostRatio(kappa))
        }
    }

    /// The level itself.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl fmt::Display for Quantile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearing(load: f64, capacity: f64) -> u32 {
        Replicas::bearing(Load::try_new(load).unwrap(), LoadPerReplica::try_new(capacity).unwrap()).0
    }

    #[test]
    fn load_becomes_replicas_rounded_upward_without_float_dust() {
        assert_eq!(bearing(0.0, 120.0), 0);
        assert_eq!(bearing(0.001, 120.0), 1);
        assert_eq!(bearing(360.0, 120.0), 3);
        assert_eq!(bearing(360.1, 120.0), 4);
        assert_eq!(bearing(0.1 + 0.2, 0.1), 3);
        assert_eq!(bearing(f64::MAX, 1e-3), Replicas::MOST.0);
    }

    #[test]
    fn poison_never_becomes_a_load() {
        for poison in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.1] {
            assert!(Load::try_new(poison).is_err(), "{poison}");
        }
        assert!(Load::saturating(f64::INFINITY).get().is_finite());
        assert_eq!(Load::saturating(f64::NAN), Load::ZERO);
    }

    #[test]
    fn a_cost_ratio_of_40_is_the_default_quantile() {
        assert!((Quantile::for_cost_ratio(40.0).unwrap().get() - 0.951).abs() < 1e-3);
        assert!(Quantile::for_cost_ratio(1.0).is_err());
        assert!(Quantile::for_cost_ratio(f64::NAN).is_err());
    }
}
