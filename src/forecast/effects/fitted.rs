//! A fitted base and the lifts over it: what is coming is multiplied in, what was measured in a window is divided out.
//!
//! ```text
//! measured ──÷ lift, as each occurrence stands──▶ base ──× lift, with its spread──▶ quantiles
//!     └──▶ where a running occurrence stands ──┘         (of lifts the largest, what takes away on top)
//! ```
//!
//! Dividing the running window by what it was expected to be leaves the base to see only the surprise; that part of the
//! surprise which the effect's own spread explains moves the rest of the effect, and the base fades what is left.

use std::ops::Range;
use std::sync::Arc;

use super::in_force::{InForce, largest};
use super::lift::Lift;
use super::occasion::Occasion;
use super::reach::{Standing, normal_quantile};
use super::standings::Standings;
use crate::calendar::{Window, WindowSource};
use crate::forecast::{
    Cause, Components, Effect, EventFloor, Explanation, Fitted, Forecast, Known, Observation, Peak, Row,
    Weight,
};
use crate::series::Series;
use crate::time::{Slot, Step, Timestamp};
use crate::units::{Load, Quantile};

/// A fitted base with the windows around its origin.
#[derive(Debug)]
pub(super) struct FittedEffects {
    pub(super) step: Step,
    pub(super) base: Box<dyn Fitted>,
    /// Ascending by `from`.
    pub(super) occasions: Vec<Occasion>,
    /// By name.
    pub(super) lifts: Vec<Lift>,
    /// By name.
    pub(super) causes: Arc<[Cause]>,
    /// What would be usual in the windows that were not over at the fit, and before them.
    pub(super) usual: Series,
    /// Added to a load before it is divided.
    pub(super) offset: f64,
}

impl Fitted for FittedEffects {
    fn inner(&self) -> Option<&dyn Fitted> {
        Some(&*self.base)
    }

    fn forecast(&self, known: &Known<'_>, targets: Range<Slot>, levels: &[Quantile]) -> Option<Forecast> {
        let standings = self.standings(known, targets.end);
        if standings.windows.is_empty() {
            return self.base.forecast(known, targets, levels);
        }
        let cleaned = self.cleaned(known, &standings);
        let known = cleaned.as_known(known);
        // The median comes first: it is what the lift multiplies, whether it was asked for or not.
        let asked: Vec<Quantile> = std::iter::once(Quantile::MEDIAN).chain(levels.iter().copied()).collect();
        let base = self.base.forecast(&known, targets.clone(), &ascending(&asked))?;
        let places: Vec<(usize, f64)> = {
            let sorted = ascending(&asked);
            let place = |level: &Quantile| sorted.iter().position(|sorted| sorted == level).unwrap_or(0);
            asked.iter().map(|level| (place(level), normal_quantile(*level))).collect()
        };
        let mut forecast = Forecast::new(base.origin, self.step, targets.start, levels.len())
            .with_causes(Arc::clone(&self.causes));
        let mut parts = Vec::new();
        for row in base.rows() {
            let median = row.loads[places[0].0];
            let quantiles = &places[1..];
            let instants = (self.step.start(row.slot), self.step.end(row.slot));
            self.parts(&standings, |stands| stands.now, instants, &mut parts);
            match InForce::of(&parts, Some(median)) {
                None => forecast.push(quantiles.iter().map(|(place, _)| row.loads[*place]), row.components),
                Some(strongest) => {
                    let lifted = |(place, z): &(usize, f64)| largest(&parts, median, row.loads[*place], *z);
                    let effect = strongest.reach.lifted(median) - median;
                    let components = Components { effect, cause: Some(strongest.name), ..row.components };
                    forecast.push(quantiles.iter().map(lifted), components);
                }
            }
        }
        Some(forecast)
    }

    fn peak(
        &self,
        known: &Known<'_>,
        until: Timestamp,
        levels: &[Quantile],
        loads: &mut [Load],
    ) -> Option<Peak> {
        let standings = self.standings(known, self.step.slot_of(until).next());
        if standings.windows.is_empty() {
            return self.base.peak(known, until, levels, loads);
        }
        let cleaned = self.cleaned(known, &standings);
        let known = cleaned.as_known(known);
        let mut median = [Load::ZERO];
        self.base.peak(&known, until, &[Quantile::MEDIAN], &mut median)?;
        let peak = self.base.peak(&known, until, levels, loads)?;
        let (at, median) = (peak.at, median[0].get());
        let mut parts = Vec::new();
        self.parts(&standings, |stands| stands.now, (at, at), &mut parts);
        let Some(strongest) = InForce::of(&parts, Some(median)) else { return Some(peak) };
        let mut below = 0.0_f64;
        for (load, level) in loads.iter_mut().zip(levels) {
            let lifted = largest(&parts, median, load.get(), normal_quantile(*level));
            below = below.max(lifted);
            *load = Load::saturating(below);
        }
        let effect = strongest.reach.lifted(peak.point.get()) - peak.point.get();
        let point = Load::saturating(peak.point.get() + effect);
        let cause = self.causes.get(usize::from(strongest.name)).cloned();
        Some(Peak { point, effect, cause, ..peak })
    }

    fn explanation(&self) -> Explanation {
        let causes = self.causes.iter().zip(&self.lifts).enumerate();
        let effects = causes.map(|(name, (cause, lift))| {
            let of_name = || self.occasions.iter().filter(|occasion| usize::from(occasion.name) == name);
            // One that is to come beside what the week holds is what somebody wants to know of.
            let coming = of_name().any(|occasion| !occasion.routine && occasion.standing.is_none());
            let weight = if !coming && of_name().any(|occasion| occasion.routine) {
                Weight::Routine
            } else {
                lift.strongest().map_or(Weight::Unseen, |(occurrences, log)| Weight::Seen {
                    occurrences,
                    times: log.exp(),
                })
            };
            Effect { cause: cause.clone(), weight }
        });
        Explanation { effects: effects.collect(), ..self.base.explanation() }
    }

    fn events(&self, from: Timestamp, until: Timestamp) -> Vec<Window> {
        let windows = self.occasions.iter().map(|occasion| &occasion.window);
        let events =
            windows.filter(|window| window.source == WindowSource::Event && window.touches(from, until));
        events.cloned().collect()
    }

    fn is_lifted(&self, from: Timestamp, until: Timestamp) -> bool {
        self.occasions.iter().any(|occasion| occasion.touches(from, until))
    }

    fn event_floors(&self, known: &Known<'_>, targets: Range<Slot>) -> Vec<EventFloor> {
        let (from, until) = (self.step.start(targets.start), self.step.end(targets.end.plus(-1)));
        let declared = |occasion: &Occasion| {
            occasion.window.source == WindowSource::Event && occasion.touches(from, until)
        };
        if !self.occasions.iter().any(declared) {
            return Vec::new();
        }
        let standings = self.standings(known, targets.end);
        let cleaned = self.cleaned(known, &standings);
        let base = self.base.forecast(&cleaned.as_known(known), targets, &[Quantile::MEDIAN]);
        let floor = |row: Row<'_>| {
            let (from, until) = (self.step.start(row.slot), self.step.end(row.slot));
            let events = standings.windows.iter().filter(|stands| declared(stands.occasion));
            let events = events.filter(|stands| stands.occasion.touches(from, until));
            let floors = events.map(|stands| {
                let (event, standing) = (stands.occasion, stands.now);
                (event, self.floor_load(event, standing, from, until, row.loads[0]))
            });
            let (event, load) = floors.max_by(|a, b| a.1.total_cmp(&b.1))?;
            let name = Arc::clone(&event.window.name);
            Some(EventFloor { load: Load::saturating(load), at: until, name })
        };
        base.iter().flat_map(Forecast::rows).filter_map(floor).collect()
    }
}

/// The levels in ascending order, each once.
fn ascending(levels: &[Quantile]) -> Vec<Quantile> {
    let mut levels = levels.to_vec();
    levels.sort_by(|a, b| a.get().total_cmp(&b.get()));
    levels.dedup();
    levels
}

/// What is known with the effects divided out; nothing where there was nothing to divide.
pub(super) struct Cleaned {
    settled: Option<Series>,
    live: Option<Observation>,
}

impl Cleaned {
    pub(super) fn as_known<'a>(&'a self, known: &Known<'a>) -> Known<'a> {
        Known { settled: self.settled.as_ref().unwrap_or(known.settled), live: self.live, ..*known }
    }
}

impl FittedEffects {
    pub(super) fn lift(&self, occasion: &Occasion) -> &Lift {
        &self.lifts[usize::from(occasion.name)]
    }

    /// What the fit held for usual between two instants, without effects; 0 where it cannot tell.
    ///
    /// What is added up to a declared peak is counted from here and not from what is known since, or a larger measurement
    /// would add less.
    pub(super) fn usual_within(&self, from: Timestamp, until: Timestamp) -> f64 {
        let slot = self.step.slot_of(from + (until - from) / 2);
        self.usual.load(slot).or_else(|| self.base.outline(slot)).unwrap_or(0.0)
    }

    /// What is known with every effect divided out.
    ///
    /// What has settled is divided by where occurrences stood before the newest point: a larger one that made them larger
    /// would make the minutes before it smaller, and in the end the answer.
    pub(super) fn cleaned(&self, known: &Known<'_>, standings: &Standings<'_>) -> Cleaned {
        let (mut lifts, mut parts) = (Vec::new(), Vec::new());
        for span in &standings.settled {
            let instants = (self.step.start(span.start), self.step.end(span.end.plus(-1)));
            self.parts(standings, |stands| stands.settled, instants, &mut parts);
            let middle = span.start.plus(span.end.since(span.start) / 2);
            lifts.extend(InForce::of(&parts, self.usual.load(middle)).map(|lift| (span, lift)));
        }
        let settled = lifts.first().zip(lifts.last()).map(|((first, _), (last, _))| {
            let mut settled = known.settled.between(standings.settled[0].start, known.origin);
            let mut spans = lifts.iter().peekable();
            settled.change(&(first.start..last.end), |slot, load| {
                while spans.next_if(|(span, _)| span.end <= slot).is_some() {}
                match spans.peek().filter(|(span, _)| span.start <= slot) {
                    Some((_, lift)) => lift.divide_out(load, self.usual.load(slot)),
                    None => Load::saturating(load),
                }
            });
            settled
        });
        let live = known.live.map(|live| {
            let usual = self.usual.load(self.step.slot_of(live.at));
            self.parts(standings, |stands| stands.now, (live.at, live.at), &mut parts);
            let load =
                InForce::of(&parts, usual).map_or(live.load, |lift| lift.divide_out(live.load.get(), usual));
            Observation { load, ..live }
        });
        Cleaned { settled, live }
    }

    /// What an event may bring to the `usual` demand without it: its 0.95 quantile, or the demand that was declared.
    ///
    /// Where the week itself already holds the expected part, what is declared beyond it is left.
    fn floor_load(
        &self,
        event: &Occasion,
        standing: Standing,
        from: Timestamp,
        until: Timestamp,
        usual: f64,
    ) -> f64 {
        // A service that has become smaller since the fit is still to grow to what was declared.
        let declared = |before: f64| event.peak(from, until, before).map(|declared| declared.lifted(usual));
        if let (Some(added), Some(reached)) = (declared(self.usual_within(from, until)), declared(usual)) {
            return added.max(reached);
        }
        let z = normal_quantile(Quantile::P95);
        if event.routine {
            let declared = self.lift(event).reach(&event.window, from, until);
            return usual * (z * declared.up).exp();
        }
        let expected = event.reach(self.lift(event), from, until, Some(usual));
        let log = expected.seen(standing, until).log_at(z);
        usual * if standing.rising { log.max(expected.log_at(z)) } else { log }.exp()
    }
}
