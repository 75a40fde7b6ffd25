//! What the newest points say of a slot at any lead: read on the line between the two leads beside it that were learned.

use super::near::{Lead, Sized};
use super::recent::Reading;
use crate::units::Quantile;

/// Learned leads on both sides of one, and how far it lies between them in the logarithm.
#[derive(Clone, Copy)]
pub(super) struct Between<'a> {
    nearer: &'a Lead,
    farther: &'a Lead,
    share: f64,
}

impl<'a> Between<'a> {
    /// Of `lead` slots; `leads` ascend, and beyond the last of them that one speaks.
    pub(super) fn of(leads: &'a [Lead], lead: i64) -> Self {
        let last = leads.len() - 1;
        let after = leads.partition_point(|learned| learned.slots < lead).min(last);
        let (nearer, farther) = (&leads[after.saturating_sub(1)], &leads[after]);
        let within = nearer.slots < lead && lead < farther.slots;
        let log = |slots: i64| (slots as f64 / nearer.slots as f64).ln();
        Self { nearer, farther, share: if within { log(lead) / log(farther.slots) } else { 1.0 } }
    }

    /// What lies between what both leads say.
    pub(super) fn mix(&self, of: impl Fn(&Lead) -> f64) -> f64 {
        self.line(|| of(self.nearer), || of(self.farther))
    }

    /// The forecast of a row, but for its point the one that is given.
    pub(super) fn around(self, point: f64, reading: &Reading) -> Near<'a> {
        let size = |lead: &Lead| lead.forecast(reading).size;
        let sizes = [size(self.nearer), size(self.farther)];
        Near { point, between: self, sizes, of_day: reading.time.of_day }
    }

    fn line(&self, nearer: impl FnOnce() -> f64, farther: impl FnOnce() -> f64) -> f64 {
        let farther = farther();
        if self.share >= 1.0 {
            return farther;
        }
        let nearer = nearer();
        nearer + (farther - nearer) * self.share
    }
}

/// What the newest points say of one slot, in means.
pub(super) struct Near<'a> {
    pub(super) point: f64,
    between: Between<'a>,
    /// The size of the error at the leads on both sides.
    sizes: [f64; 2],
    /// Share of the local day that is over.
    of_day: f64,
}

impl Near<'_> {
    /// The load that is not exceeded with probability `level`.
    pub(super) fn reach(&self, level: Quantile) -> f64 {
        if level == Quantile::MEDIAN {
            return self.point;
        }
        let reach =
            |lead: &Lead, size: f64| lead.reach(Sized { point: self.point, size }, self.of_day, level);
        let ([near, far], between) = (self.sizes, &self.between);
        between.line(|| reach(between.nearer, near), || reach(between.farther, far))
    }
}
