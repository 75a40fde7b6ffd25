//! What will be missing in spite of everything: said hours ahead, while somebody can still do something about it.
//!
//! Two things cannot be planned away: a maximum that is too low, and a climb that is too long for the time left. What is needed is
//! what will be asked for: the forecast at the operator's quantile, and what stands ready for declared events. In shadow nobody climbs to
//! a forecast, so nobody is late for it; that it goes beyond the maximum is said there too.

use std::ops::Range;
use std::time::Duration;

use super::believable::Believable;
use super::{Counts, Options, SYNC};
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

/// What a shortfall is held against.
#[derive(Debug, Clone, Copy)]
pub struct Footing {
    /// What stands now.
    pub standing: Replicas,
    /// The configured maximum.
    pub max: Replicas,
    /// Whether the forecast is climbed to.
    pub counts: Counts,
}

impl Shortfall {
    /// The largest shortfall of the next 48 h by what stands at `now`, the first of several that are as large;
    /// `None` when there is none or the model cannot speak. It ends where enough stand again.
    ///
    /// What comes before a single step of a climb that begins now is not looked at: nobody can act on it any more, and what
    /// stands then is the guard's to see to.
    pub fn ahead(
        now: Timestamp,
        model: &dyn Fitted,
        known: &Known<'_>,
        capacity: LoadPerReplica,
        options: &Options,
        footing: Footing,
    ) -> Option<Self> {
        let Footing { standing, max, counts } = footing;
        let step = known.settled.step();
        let (first, last) =
            (step.last_ended(now + options.lead_time).next(), known.origin.plus(step.slots_in(HORIZON)));
        let slots: Range<Slot> = first..last;
        if slots.is_empty() {
            return None;
        }
        let forecast = model.forecast(known, slots.clone(), &[options.quantile])?;
        // At quantiles below 0.95 a declared event is stood ready for beyond the forecast.
        let mut declared = model.event_floors(known, slots).into_iter().peekable();
        let believable = Believable::of(model, known);
        let mut reached = f64::from(standing.min(max).0);
        let mut climbed_until = now;
        let (mut worst, mut run): (Option<Self>, Option<Self>) = (None, None);
        for row in forecast.rows() {
            let declared = declared.next_if(|floor| floor.at == step.end(row.slot)).map(|floor| floor.load);
            // Pods that serve when the slot begins were asked for one lead time before.
            let asked_by = step.start(row.slot) - options.lead_time;
            if asked_by < now + SYNC {
                continue;
            }
            while climbed_until + SYNC <= asked_by && reached < f64::from(max.0) {
                let next = options.growth.after(reached);
                climbed_until = if next > reached { climbed_until + SYNC } else { asked_by };
                reached = next;
            }
            let there = Replicas::whole_below(reached.min(f64::from(max.0)));
            let missing = |load: Load, there: Replicas| {
                let needed = Replicas::bearing(load, capacity);
                (Replicas(needed.0.saturating_sub(there.0)), needed)
            };
            let climbed_to = if counts == Counts::ForecastToo { there } else { max };
            let forecast = missing(believable.load(row.loads[0], &row.components), climbed_to);
            let (missing, needed) =
                declared.map_or(forecast, |declared| missing(declared, there).max(forecast));
            if missing == Replicas(0) {
                run = None;
                continue;
            }
            let limit = if needed > max { Limit::Max } else { Limit::Time };
            let from = run.map_or(step.start(row.slot), |run| run.from);
            let here = Self { from, missing, worst_at: step.end(row.slot), needed, limit };
            let here = larger(run, here);
            (worst, run) = (Some(larger(worst, here)), Some(here));
        }
        worst
    }

    /// How long until it begins.
    pub fn notice(&self, now: Timestamp) -> Duration {
        (self.from - now).to_std().unwrap_or_default()
    }
}

/// The one with more missing; the former where as many are.
fn larger(former: Option<Shortfall>, other: Shortfall) -> Shortfall {
    former.filter(|former| former.missing >= other.missing).unwrap_or(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::{Components, EventFloor, Forecast};
    use crate::plan::{Growth, ScaleUp, for_lead_time};
    use crate::series::Series;
    use crate::time::{Step, from_epoch_seconds};
    use crate::units::Quantile;

    /// Knows that a sale of `to` begins at `at` and lasts an hour, and what is usual.
    #[derive(Debug)]
    struct Sale {
        usual: f64,
        at: i64,
        to: f64,
    }

    impl Sale {
        fn over_ten(at: i64, to: f64) -> Self {
            Self { usual: 10.0, at, to }
        }
    }

    impl Fitted for Sale {
        fn forecast(&self, known: &Known<'_>, targets: Range<Slot>, levels: &[Quantile]) -> Option<Forecast> {
            let step = known.settled.step();
            let mut forecast = Forecast::new(step.start(known.origin), step, targets.start, levels.len());
            for slot in (targets.start.0..targets.end.0).map(Slot) {
                let into = step.start(slot).timestamp() - self.at;
                let load = if (0..3600).contains(&into) { self.to } else { self.usual };
                forecast.push(levels.iter().map(|_| load), Components::default());
            }
            Some(forecast)
        }
    }

    /// A sale of which the forecast says nothing: it was declared alone.
    #[derive(Debug)]
    struct Declared(Sale);

    impl Fitted for Declared {
        fn forecast(&self, known: &Known<'_>, targets: Range<Slot>, levels: &[Quantile]) -> Option<Forecast> {
            Sale { to: self.0.usual, ..self.0 }.forecast(known, targets, levels)
        }

        fn event_floors(&self, known: &Known<'_>, targets: Range<Slot>) -> Vec<EventFloor> {
            let sale = self.0.forecast(known, targets, &[Quantile::P95]).unwrap();
            let declared = sale.rows().filter(|row| row.loads[0] > self.0.usual);
            declared
                .map(|row| EventFloor {
                    load: Load::saturating(row.loads[0]),
                    at: sale.step().end(row.slot),
                    name: "sale".into(),
                })
                .collect()
        }
    }

    const NOW: i64 = 1_000_000_020;

    /// Ten stand.
    fn active(max: u32) -> Footing {
        Footing { standing: Replicas(10), max: Replicas(max), counts: Counts::ForecastToo }
    }

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
        let sale = Sale::over_ten(NOW + 3600, 100.0);
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
                Shortfall::ahead(now, &sale, known, one(), &options(), active(max))
            });
            let said = found.map(|it| (it.from.timestamp() - NOW, it.missing.0, it.limit));
            assert_eq!(said, expected, "{sale:?}");
        };
        check(Sale::over_ten(NOW + 36_000, 100.0), 200, None);
        check(Sale::over_ten(NOW + 36_000, 100.0), 80, Some((36_000, 20, Limit::Max)));
        // Ten minutes: eight of them to ask in, which are 32 pods.
        check(Sale::over_ten(NOW + 600, 100.0), 200, Some((600, 58, Limit::Time)));
    }

    #[test]
    fn what_was_declared_alone_is_missing_as_well() {
        let sale = Declared(Sale::over_ten(NOW + 36_000, 100.0));
        let found =
            with_known(NOW, |now, known| Shortfall::ahead(now, &sale, known, one(), &options(), active(80)));
        let said = found.map(|it| (it.from.timestamp() - NOW, it.missing.0, it.needed.0, it.limit));
        assert_eq!(said, Some((36_000, 20, 100, Limit::Max)));
    }

    #[test]
    fn in_shadow_nobody_is_late_for_a_climb_that_was_never_begun_but_the_maximum_is_told() {
        let ask = |sale: &dyn Fitted, max: u32| {
            let found = with_known(NOW, |now, known| {
                let shadow = Footing { counts: Counts::DeclaredOnly, ..active(max) };
                Shortfall::ahead(now, sale, known, one(), &options(), shadow)
            });
            found.map(|it| (it.missing.0, it.limit))
        };
        let sale = || Sale::over_ten(NOW + 600, 100.0);
        assert_eq!(ask(&sale(), 200), None);
        assert_eq!(ask(&sale(), 80), Some((20, Limit::Max)));
        // What was declared is climbed to in shadow as well.
        assert_eq!(ask(&Declared(sale()), 200), Some((58, Limit::Time)));
    }

    #[test]
    fn what_nobody_can_act_on_any_more_does_not_hide_a_launch_of_tomorrow() {
        let check = |usual: f64, at: i64, to: f64, expected: Option<(i64, u32, Limit)>| {
            let sale = Sale { usual, at: NOW + at, to };
            let found = with_known(NOW, |now, known| {
                Shortfall::ahead(now, &sale, known, one(), &options(), active(80))
            });
            let said = found.map(|it| (it.from.timestamp() - NOW, it.missing.0, it.limit));
            assert_eq!(said, expected, "{sale:?}");
        };
        // On a rising morning the day's quantile is above what the present needs: no climb is too long for that.
        check(11.0, -3600, 0.0, None);
        check(11.0, 86_400, 200.0, Some((86_400, 120, Limit::Max)));
        // And where the next minutes do come too soon, what is worse later is what is told.
        check(20.0, 86_400, 200.0, Some((86_400, 120, Limit::Max)));
        check(20.0, 86_400, 82.0, Some((180, 6, Limit::Time)));
    }
}
