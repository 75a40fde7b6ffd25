//! From replicas to a value that the HPA acts on, in spite of its dead band.
//!
//! The HPA leaves a metric alone that is within a tenth of its target, so a plain N is ignored for ever when it lies near
//! the current replicas: at 20 an answer of 22 is a steady shortfall of 9 per cent. No encoding reaches every N, and
//! these come as near as can be (contract, section 2.3):
//!
//! | mode | when | value | what the HPA makes of it |
//! |---|---|---|---|
//! | exact | its tolerance is 0 | N | N |
//! | deadband | current replicas C are known | N, or just outside the band | N, or the next above that can be reached |
//! | headroom | they are not | N·(1 + tolerance) | at least N, at most a good fifth more |
//!
//! Which it is to be, and what the tolerance is, the HPA itself shows where it can be read ([`Mode::Auto`]).
//!
//! This depends on the live cluster, so it comes last, after everything that replicas of the scaler must agree on.

use crate::units::Replicas;

/// How the HPA's dead band is dealt with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Mode {
    /// By what is seen of the HPA: as [`Mode::Exact`] where its tolerance is 0, else as [`Mode::Deadband`]. Where no cluster is
    /// looked at, as [`Mode::Exact`], which is what the HPA is meant to be.
    Auto,
    /// There is none: tolerance 0 for both directions.
    #[default]
    Exact,
    /// Step over it, from the current replicas. While those are not known, as [`Mode::Headroom`].
    Deadband,
    /// Ask for so much more that the band cannot take any of it.
    Headroom,
}

/// The HPA's dead band, and how it is dealt with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tolerance {
    /// How.
    pub mode: Mode,
    /// Fraction upward within which nothing is done.
    pub up: f64,
    /// Fraction downward.
    pub down: f64,
}

impl Default for Tolerance {
    /// The dead band of a controller without flags, and an HPA that was told to have none.
    fn default() -> Self {
        Self { mode: Mode::Exact, up: 0.1, down: 0.1 }
    }
}

/// A metric value with three decimals, which is what KEDA hands on: no float dust survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Value {
    /// Thousandths.
    pub milli: u64,
}

impl Value {
    /// The value as a number.
    pub fn get(self) -> f64 {
        self.milli as f64 / 1000.0
    }

    /// That of a whole count.
    pub fn of(replicas: Replicas) -> Self {
        Self { milli: u64::from(replicas.min(Replicas::MOST).0) * 1000 }
    }

    /// The smallest above `number`.
    fn above(number: f64) -> Self {
        Self::rounded((number * 1000.0 + 1e-6).floor() + 1.0)
    }

    /// The smallest not below `number`.
    fn at_least(number: f64) -> Self {
        Self::rounded((number * 1000.0 - 1e-6).ceil())
    }

    fn rounded(milli: f64) -> Self {
        let most = f64::from(Replicas::MOST.0) * 1000.0;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=10^9")]
        Self { milli: milli.clamp(0.0, most) as u64 }
    }
}

/// What is seen of an HPA while an answer is written for it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Seen {
    /// The replicas that it counts, which are its scale target's *status*; `None` while they cannot be read.
    pub current: Option<Replicas>,
    /// Its own tolerance upward; `None` where it says none, and the controller's is in force.
    pub up: Option<f64>,
    /// The same downward.
    pub down: Option<f64>,
}

impl Tolerance {
    /// The value that makes an HPA with a target of 1 propose `wanted`, by what is `seen` of that HPA; `None` where no cluster
    /// is looked at.
    pub fn answer(&self, wanted: Replicas, seen: Option<&Seen>) -> Value {
        let current = seen.and_then(|seen| seen.current);
        match (self.mode, seen) {
            (Mode::Auto, None) => Value::of(wanted),
            (Mode::Auto, Some(seen)) => {
                let (up, down) = (seen.up.unwrap_or(self.up), seen.down.unwrap_or(self.down));
                Self { up, down, ..*self }.encode(wanted, current)
            }
            (Mode::Exact | Mode::Deadband | Mode::Headroom, _) => self.encode(wanted, current),
        }
    }

    /// The value that brings an HPA with a target of 1 from `current` replicas (its scale target's *status*) as near to
    /// `wanted` as it will go, never below it on the way up.
    ///
    /// It may lie above the HPA's maximum, where only so the band can be left: the HPA cuts at its maximum by itself. A
    /// stale `current` costs one more sync and no more.
    pub fn encode(&self, wanted: Replicas, current: Option<Replicas>) -> Value {
        match (self.mode, current) {
            (Mode::Auto, _) if self.up <= 0.0 && self.down <= 0.0 => Value::of(wanted),
            (Mode::Exact, _) | (Mode::Auto | Mode::Deadband, Some(Replicas(0))) => Value::of(wanted),
            (Mode::Auto | Mode::Deadband, Some(current)) => self.over_the_band(wanted, current),
            (Mode::Auto | Mode::Deadband, None) | (Mode::Headroom, _) => {
                Value::at_least(f64::from(wanted.0) * (1.0 + self.up.max(0.0)))
            }
        }
    }

    fn over_the_band(&self, wanted: Replicas, current: Replicas) -> Value {
        let (n, c) = (f64::from(wanted.0), f64::from(current.0));
        let (top, bottom) = (c * (1.0 + self.up.max(0.0)), c * (1.0 - self.down.max(0.0)));
        if wanted > current {
            return Value::of(wanted).max(Value::above(top));
        }
        // Anything in (N − 1, N] is rounded up to N; the least of it is the likeliest to lie outside the band.
        let least = Value::above(n - 1.0);
        if wanted < current && least.get() < bottom { least } else { Value::of(current) }
    }
}
