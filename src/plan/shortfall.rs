//! What will be missing in spite of everything: said hours ahead, while somebody can still do something about it.
//!
//! Two things cannot be planned away: a maximum that is too low, and a climb that is too long for the time left.

use std::ops::Range;
use std::time::Duration;

use super::{Options, SYNC};
use crate::forecast::{Fitted, HORIZON, Known};
use crate::time::{Slot, Timestamp};
use crate::units::{Load, LoadPerReplica, Replicas};

/// What keeps replicas from what is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Limit {
    /// The configured maximum.
    Max,
    /// The growth that HPA and cluster allow.
    Time,
}

impl Limit {
    /// Its name in logs, metrics and pages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Max => "max",
            Self::Time => "time",
        }
    }
}

/// Replicas that will be missing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shortfall {
    /// From when on.
    pub from: Timestamp,
    /// How many at worst.
    pub missing: Replicas,
    /// When it is worst.
    pub worst_at: Timestamp,
    /// What is needed then.
    pub needed: Replicas,
    /// Why they are missing then.
    pub limit: Limit,
}

impl Shortfall {
    /// The first shortfall of the next 48 h when `standing` replicas stand at `now`, `None` when there is none or the model
    /// cannot speak. It ends where enough stand again.
    pub fn ahead(
        now: Timestamp,
        model: &dyn Fitted,
        known: &Known<'_>,
        capacity: LoadPerReplica,
        options: &Options,
        (standing, max): (Replicas, Replicas),
    ) -> Option<Self> {
        let step = known.settled.step();
        let (first, last) =
            (step.last_ended(now + options.lead_time).next(), known.origin.plus(step.slots_in(HORIZON)));
        let slots: Range<Slot> = first..last;
        if slots.is_empty() {
            return None;
        }
        let forecast = model.forecast(known, slots, &[options.quantile])?;
        let mut reached = f64::from(standing.min(max).0);
        let mut climbed_until = now;
        let mut found: Option<Self> = None;
        for row in forecast.rows() {
            // Pods that serve when the slot begins were asked for one lead time before.
            let asked_by = step.start(row.slot) - options.lead_time;
            while climbed_until + SYNC <= asked_by && reached < f64::from(max.0) {
                let next = options.growth.after(reached);
                climbed_until = if next > reached { climbed_until + SYNC } else { asked_by };
                reached = next;
            }
            let needed = Replicas::bearing(Load::saturating(row.loads[0]), capacity);
            let there = Replicas::whole_below(reached.min(f64::from(max.0)));
            let missing = Replicas(needed.0.saturating_sub(there.0));
            let at = step.end(row.slot);
            match &mut found {
                None if missing > Replicas(0) => {
                    let limit = if needed > max { Limit::Max } else { Limit::Time };
                    found = Some(Self { from: step.start(row.slot), missing, worst_at: at, needed, limit });
                }
                Some(_) if missing == Replicas(0) => break,
                Some(worst) if missing > worst.missing => {
                    let limit = if needed > max { Limit::Max } else { Limit::Time };
                    *worst = Self { from: worst.from, missing, worst_at: at, needed, limit };
                }
                _ => {}
            }
        }
        found
    }

    /// How long until it begins.
    pub fn notice(&self, now: Timestamp) -> Duration {
        (self.from - now).to_std().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::{Components, Forecast};
    use crate::plan::{Growth, ScaleUp, for_lead_time};
    use crate::series::Series;
    use crate::time::{Step, from_epoch_seconds};
    use crate::units::Quantile;

    /// Knows that a sale of `to` times 10 begins at `at` and lasts an hour.
    #[derive(Debug)]
    struct Sale {
        at: i64,
        to: f64,
    }

    impl Fitted for Sale {
        fn forecast(&self, known: &Known<'_>, targets: Range<Slot>, levels: &[Quantile]) -> Option<Forecast> {
            let step = known.settled.step();
            let mut forecast = Forecast::new(step.start(known.origin), step, targets.start, levels.len());
            for slot in (targets.start.0..targets.end.0).map(Slot) {
                let into = step.start(slot).timestamp() - self.at;
                let load = if (0..3600).contains(&into) { self.to } else { 10.0 };
                forecast.push(levels.iter().map(|_| load), Components::default());
            }
            Some(forecast)
        }
    }

    const NOW: i64 = 1_000_000_020;

    fn options() -> Options {
        Options {
            lead_time: Duration::from_secs(120),
            quantile: Quantile::P95,
            growth: Growth { scale_up: ScaleUp::Doubling, pods_per_minute: Some(4.0) },
        }
    }

    fn with_known<T>(then: i64, ask: impl FnOnce(Timestamp, &Known<'_>) -> T) -> T {
        let now = from_epoch_seconds(then);
        let settled = Series::empty(Step::MINUTE, Step::MINUTE.last_ended(now).next());
        let known = Known { settled: &settled, origin: settled.end(), live: None };
        ask(now, &known)
    }

    fn one() -> LoadPerReplica {
        LoadPerReplica::try_new(1.0).unwrap()
    }

    #[test]
    fn a_ten_fold_sale_at_four_pods_a_minute_begins_its_climb_in_time_and_is_climbed() {
        let sale = Sale { at: NOW + 3600, to: 100.0 };
        let mut standing = 10.0_f64;
        let mut begun = None;
        for sync in 0..240 {
            let then = NOW + 15 * sync;
            let plan = with_known(then, |now, known| {
                for_lead_time(now, &sale, known, one(), &options(), Quantile::P95, Replicas(200)).unwrap()
            });
            standing = options().growth.after(standing).min(f64::from(plan.replicas.0)).max(standing);
            if plan.climb.is_some() {
                begun.get_or_insert(then);
            }
            // Pods asked for by now are ready a lead time later, which is when the sale begins.
            if then == sale.at - 120 {
                assert!(standing >= 99.9, "{standing}");
            }
        }
        // 90 pods at 4 a minute, and a lead time.
        let ahead = sale.at - begun.unwrap();
        assert!((1350 + 120..1350 + 300).contains(&ahead), "{ahead} s ahead");
    }

    #[test]
    fn what_the_maximum_or_the_time_will_not_allow_is_said_with_number_and_moment() {
        let check = |sale: Sale, max: u32, expected: Option<(i64, u32, Limit)>| {
            let found = with_known(NOW, |now, known| {
                Shortfall::ahead(now, &sale, known, one(), &options(), (Replicas(10), Replicas(max)))
            });
            let said = found.map(|it| (it.from.timestamp() - NOW, it.missing.0, it.limit));
            assert_eq!(said, expected, "{sale:?}");
        };
        check(Sale { at: NOW + 36_000, to: 100.0 }, 200, None);
        check(Sale { at: NOW + 36_000, to: 100.0 }, 80, Some((36_000, 20, Limit::Max)));
        // Ten minutes: eight of them to ask in, which are 32 pods.
        check(Sale { at: NOW + 600, to: 100.0 }, 200, Some((600, 58, Limit::Time)));
    }
}
