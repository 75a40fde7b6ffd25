//! A peak on top of the ordinary: it rises within a ramp, holds, and fades.

use std::time::Duration;

/// The form of a peak.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Surge {
    /// What it adds at its height, as a multiple of the demand without it: 1.5 makes two and a half times as much.
    pub uplift: f64,
    /// From nothing to its height.
    pub ramp: Duration,
    /// At its height.
    pub hold: Duration,
    /// Afterwards, until a third (1/e) is left.
    pub fade: Duration,
}

impl Surge {
    /// The opening of the stock market: there in two and a half minutes, gone in forty.
    pub const MARKET_OPEN: Self = Self::new(1.5, 150, 0, 720);
    /// Pay day: a wave from seven to nine in the morning that ebbs until evening.
    pub const PAY_DAY: Self = Self::new(0.4, 7200, 1800, 7200);
    /// The weekly sale: there in three minutes, twenty minutes long.
    pub const FLASH_SALE: Self = Self::new(1.5, 180, 1200, 600);
    /// Something nobody announced, such as a link in a television programme.
    pub const UNANNOUNCED: Self = Self::new(1.2, 180, 900, 600);

    const fn new(uplift: f64, ramp: u64, hold: u64, fade: u64) -> Self {
        Self {
            uplift,
            ramp: Duration::from_secs(ramp),
            hold: Duration::from_secs(hold),
            fade: Duration::from_secs(fade),
        }
    }

    /// What it adds `seconds` after its beginning, as a multiple of the demand without it; nothing before.
    pub fn uplift_at(&self, seconds: i64) -> f64 {
        if seconds <= 0 {
            return 0.0;
        }
        let seconds = seconds as f64;
        let (ramp, hold) = (self.ramp.as_secs_f64(), self.hold.as_secs_f64());
        let height = if seconds < ramp {
            let risen = seconds / ramp;
            risen * risen * (3.0 - 2.0 * risen)
        } else {
            (-(seconds - ramp - hold).max(0.0) / self.fade.as_secs_f64().max(1.0)).exp()
        };
        self.uplift * height
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_surge_rises_holds_and_fades() {
        let sale = Surge::FLASH_SALE;
        let near = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-9, "{found}");
        near(sale.uplift_at(-5), 0.0);
        near(sale.uplift_at(0), 0.0);
        near(sale.uplift_at(90), 0.75);
        near(sale.uplift_at(180), 1.5);
        near(sale.uplift_at(1380), 1.5);
        near(sale.uplift_at(1980), 1.5 / std::f64::consts::E);
    }
}
