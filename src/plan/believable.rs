//! How much of a forecast is believed: a model may go wrong, and what it then says must neither scale nor alarm.
//!
//! One measure for all that is made of the forecast: the plan, the climb, the shortfall and what events will need. What a calendar or an
//! event brings is not held against it, for it was declared by somebody or has been seen; the demand without it is.

use crate::forecast::{Components, Fitted, Known};
use crate::units::Load;

/// A forecast beyond this multiple of the most that was ever seen is a model gone wrong, not a plan. Ten-fold sales and
/// launches have been seen; they are declared, and a declared uplift is not the forecast's.
pub const ABSURD: f64 = 20.0;

/// The most that is believed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Believable(f64);

impl Believable {
    /// By the most that `model` has learned from, or by the newest measurement where that is more. Everything where the model does
    /// not remember, or has never seen anything.
    pub(super) fn of(model: &dyn Fitted, known: &Known<'_>) -> Self {
        let live = known.live.map_or(0.0, |live| live.load.get());
        let seen = model.most_seen().map(|seen| seen.get().max(live)).filter(|seen| *seen > 0.0);
        Self(seen.map_or(f64::INFINITY, |seen| seen * ABSURD))
    }

    /// As much of what a forecast made of `parts` says as is believed.
    pub(super) fn load(self, said: f64, parts: &Components) -> Load {
        Load::saturating(said.min(self.0 * lift(parts)))
    }

    /// What a forecast made of `parts` said, where it is not believed.
    pub(super) fn absurd(self, said: f64, parts: &Components) -> Option<Load> {
        (said > self.0 * lift(parts)).then(|| Load::saturating(said))
    }
}

/// How many times as much the effect among `parts` makes of the demand without it, at least once; anything where that is 0.
fn lift(parts: &Components) -> f64 {
    let without = parts.profile + parts.day + parts.level;
    match parts.effect {
        effect if effect <= 0.0 => 1.0,
        _ if without <= 0.0 => f64::INFINITY,
        effect => 1.0 + effect / without,
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;
    use std::time::Duration;

    use chrono::TimeDelta;

    use super::*;
    use crate::calendar::{Envelope, Window, WindowSource};
    use crate::forecast::{Components, Forecast, Observation};
    use crate::plan::{Counts, Footing, Growth, Options, Plan, Prospect, ScaleUp, Shortfall, for_lead_time};
    use crate::series::Series;
    use crate::time::{Slot, Step, Timestamp, from_epoch_seconds};
    use crate::units::{LoadPerReplica, Quantile, Replicas};

    /// Has never seen more than 10, and says a milliard of every slot from so many seconds after now on; all but 10 of it for the sake
    /// of a launch, if one was declared.
    #[derive(Debug)]
    struct GoneWrong {
        in_seconds: i64,
        declared: bool,
    }

    const NOW: i64 = 1_000_000_020;
    const SAID: f64 = 1e9;

    impl Fitted for GoneWrong {
        fn forecast(&self, known: &Known<'_>, targets: Range<Slot>, levels: &[Quantile]) -> Option<Forecast> {
            let step = known.settled.step();
            let mut forecast = Forecast::new(step.start(known.origin), step, targets.start, levels.len());
            for slot in (targets.start.0..targets.end.0).map(Slot) {
                let wrong = step.start(slot).timestamp() >= NOW + self.in_seconds;
                let said = if wrong { SAID } else { 10.0 };
                let profile = if self.declared { 10.0 } else { said };
                let parts = Components { profile, effect: said - profile, ..Components::default() };
                forecast.push(levels.iter().map(|_| said), parts);
            }
            Some(forecast)
        }

        fn events(&self, _: Timestamp, _: Timestamp) -> Vec<Window> {
            let envelope = Envelope { hold: TimeDelta::hours(1), ..Envelope::default() };
            let at = from_epoch_seconds(NOW + self.in_seconds);
            vec![Window::around("launch".into(), WindowSource::Event, at, &envelope)]
        }

        fn most_seen(&self) -> Option<Load> {
            Some(Load::saturating(10.0))
        }
    }

    fn options() -> Options {
        Options {
            lead_time: Duration::from_secs(120),
            quantile: Quantile::P95,
            growth: Growth { scale_up: ScaleUp::Doubling, pods_per_minute: Some(4.0) },
        }
    }

    fn one() -> LoadPerReplica {
        LoadPerReplica::try_new(1.0).unwrap()
    }

    fn with_known<T>(live: Option<f64>, ask: impl FnOnce(Timestamp, &Known<'_>) -> T) -> T {
        let now = from_epoch_seconds(NOW);
        let settled = Series::empty(Step::MINUTE, Step::MINUTE.last_ended(now).next());
        let live = live.map(|load| Observation { at: now, load: Load::saturating(load) });
        ask(now, &Known { settled: &settled, origin: settled.end(), live })
    }

    fn plan(in_seconds: i64, live: Option<f64>) -> Plan {
        with_known(live, |now, known| {
            let model = GoneWrong { in_seconds, declared: false };
            let quantile = Quantile::P95;
            for_lead_time(now, &model, known, one(), &options(), quantile, Replicas(1000)).unwrap()
        })
    }

    #[test]
    fn no_more_is_planned_than_twenty_times_the_most_that_was_seen() {
        let cut = plan(0, None);
        assert_eq!((cut.replicas, cut.absurd), (Replicas(200), Some(Load::saturating(SAID))));
        assert!((cut.peak.get() - 200.0).abs() < 1e-9 && (cut.median.get() - 200.0).abs() < 1e-9);
        let measured = plan(0, Some(30.0));
        assert_eq!(measured.replicas, Replicas(600), "what is measured now has been seen as well");
        assert_eq!((plan(3600, None).replicas, plan(3600, None).absurd), (Replicas(10), None));
    }

    #[test]
    fn no_climb_leads_to_more_than_is_believed_and_what_was_cut_is_told() {
        let climbing = plan(600, None);
        let climb = climbing.climb.unwrap();
        assert_eq!((climb.to, climbing.absurd), (Replicas(200), Some(Load::saturating(SAID))));
        // Ten minutes less the window of 165 s are 29 steps of one pod, and one.
        assert_eq!(climbing.replicas, Replicas(170));
        assert!((climbing.peak.get() - 10.0).abs() < 1e-9, "the moment itself is as it was");
    }

    #[test]
    fn neither_a_shortfall_nor_what_an_event_needs_is_more_than_is_believed() {
        with_known(None, |now, known| {
            let model = GoneWrong { in_seconds: 36_000, declared: false };
            let bounds = Footing { standing: Replicas(10), max: Replicas(80), counts: Counts::ForecastToo };
            let short = Shortfall::ahead(now, &model, known, one(), &options(), bounds).unwrap();
            assert_eq!((short.missing, short.needed), (Replicas(120), Replicas(200)));
            let ahead = Prospect::ahead(now, &model, known, one(), &options(), Counts::ForecastToo);
            assert_eq!(ahead.iter().map(|prospect| prospect.replicas).collect::<Vec<_>>(), [Replicas(200)]);
        });
    }

    #[test]
    fn what_somebody_declared_is_missing_in_full_however_large_it_is() {
        with_known(None, |now, known| {
            let model = GoneWrong { in_seconds: 36_000, declared: true };
            let bounds = Footing { standing: Replicas(10), max: Replicas(80), counts: Counts::ForecastToo };
            let short = Shortfall::ahead(now, &model, known, one(), &options(), bounds).unwrap();
            assert_eq!(short.needed, Replicas::bearing(Load::saturating(SAID), one()));
            let model = GoneWrong { in_seconds: 0, declared: true };
            let plan =
                for_lead_time(now, &model, known, one(), &options(), Quantile::P95, Replicas(1000)).unwrap();
            assert_eq!((plan.peak, plan.absurd), (Load::saturating(SAID), None));
        });
    }
}
