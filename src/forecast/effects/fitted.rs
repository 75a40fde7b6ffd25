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

use chrono::TimeDelta;

use super::company::beside;
use super::lift::Lift;
use super::occasion::{Occasion, Sight};
use super::reach::{Reach, Standing, normal_quantile};
use crate::calendar::{Window, WindowSource};
use crate::forecast::{
    Cause, Components, Effect, EventFloor, Explanation, Fitted, Forecast, Known, Observation, Peak, Row,
    Weight,
};
use crate::series::Series;
use crate::time::{Slot, Step, Timestamp};
use crate::units::{Load, Quantile};

/// A window's level is compared with what was usual over this long before it, and believed for less and less after.
pub(super) const BEFORE: TimeDelta = TimeDelta::hours(1);
const LEVEL_HALF_LIFE_SECONDS: f64 = 7_200.0;

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

/// The windows that matter to one question, each with where it stands.
struct Standings<'a>(Vec<(&'a Occasion, Standing)>);

/// One effect as it stands between two instants.
#[derive(Debug, Clone, Copy)]
struct Part {
    reach: Reach,
    /// It is expected to add, and not to take away: by the lift of its name, whatever was measured of this occurrence.
    adds: bool,
    /// What it is once it has grown, while it grows.
    growing: Option<Growing>,
    name: u16,
}

/// An effect that has begun and need not be there in full yet.
#[derive(Debug, Clone, Copy)]
struct Growing {
    /// What it was expected to be, before anything was seen of it.
    expected: Reach,
    /// The logarithm of its multiple when it has grown, as it stands.
    full: f64,
}

/// What is in force between two instants, and whose it is most of all.
#[derive(Debug, Clone, Copy)]
struct InForce {
    reach: Reach,
    growing: Option<Growing>,
    name: u16,
}

impl InForce {
    /// A measured load without the lift, where `usual` is what would be usual.
    ///
    /// While an effect grows, less than expected is no news: it may be late, and a base that saw demand collapse would take
    /// away what stands ready for it. More than expected is news only as far as it is more than the whole effect: a base that
    /// saw demand surge would have it grow by the rest of the effect once more.
    fn divide_out(&self, load: f64, usual: Option<f64>) -> Load {
        let divided = self.reach.divide_out(load, usual);
        let (Some(growing), Some(usual)) = (self.growing, usual) else { return Load::saturating(divided) };
        let beyond = divided.min(load * (-growing.full).exp());
        let early = divided.min(usual.max(beyond));
        Load::saturating(early.max(usual.min(load)))
    }
}

impl Fitted for FittedEffects {
    fn inner(&self) -> Option<&dyn Fitted> {
        Some(&*self.base)
    }

    fn forecast(&self, known: &Known<'_>, targets: Range<Slot>, levels: &[Quantile]) -> Option<Forecast> {
        let standings = self.standings(known, targets.end);
        if standings.0.is_empty() {
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
        for row in base.rows() {
            let median = row.loads[places[0].0];
            let quantiles = &places[1..];
            let (from, until) = (self.step.start(row.slot), self.step.end(row.slot));
            match self.in_force(&standings, from, until, Some(median)) {
                None => forecast.push(quantiles.iter().map(|(place, _)| row.loads[*place]), row.components),
                Some(strongest) => {
                    let lifted = |(place, z): &(usize, f64)| {
                        self.largest(&standings, from, until, median, row.loads[*place], *z)
                    };
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
        if standings.0.is_empty() {
            return self.base.peak(known, until, levels, loads);
        }
        let cleaned = self.cleaned(known, &standings);
        let known = cleaned.as_known(known);
        let mut median = [Load::ZERO];
        self.base.peak(&known, until, &[Quantile::MEDIAN], &mut median)?;
        let peak = self.base.peak(&known, until, levels, loads)?;
        let (at, median) = (peak.at, median[0].get());
        let Some(strongest) = self.in_force(&standings, at, at, Some(median)) else { return Some(peak) };
        let mut below = 0.0_f64;
        for (load, level) in loads.iter_mut().zip(levels) {
            let lifted = self.largest(&standings, at, at, median, load.get(), normal_quantile(*level));
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
            let events =
                standings.0.iter().filter(|(event, _)| declared(event) && event.touches(from, until));
            let floors = events.map(|(event, standing)| {
                (event, self.floor_load(event, *standing, from, until, row.loads[0]))
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
struct Cleaned {
    settled: Option<Series>,
    live: Option<Observation>,
}

impl Cleaned {
    fn as_known<'a>(&'a self, known: &Known<'a>) -> Known<'a> {
        Known { settled: self.settled.as_ref().unwrap_or(known.settled), live: self.live, ..*known }
    }
}

/// All that take away, the lowest of each name.
fn taken(parts: &(impl Iterator<Item = Part> + Clone)) -> Reach {
    let taking = parts.clone().enumerate().filter(|(_, part)| !part.adds);
    let lowest = |place: usize, part: &Part| {
        parts.clone().enumerate().filter(|(_, other)| !other.adds && other.name == part.name).all(
            |(other_place, other)| {
                let order = part.reach.log.total_cmp(&other.reach.log).then(place.cmp(&other_place));
                order.is_le()
            },
        )
    };
    taking
        .filter(|(place, part)| lowest(*place, part))
        .fold(Reach::default(), |taken, (_, part)| taken.and(&part.reach))
}

impl FittedEffects {
    /// Every window that touches what is known or asked for, with where it stands.
    fn standings(&self, known: &Known<'_>, end: Slot) -> Standings<'_> {
        let (from, until) = (self.step.start(known.settled.first()), self.step.end(end));
        let near = self.occasions.iter().filter(|occasion| occasion.touches(from, until));
        Standings(near.map(|occasion| (occasion, self.standing(occasion, known))).collect())
    }

    fn standing(&self, occasion: &Occasion, known: &Known<'_>) -> Standing {
        let newest = known
            .live
            .map_or(self.step.start(known.origin), |live| live.at.max(self.step.start(known.origin)));
        if let Some(standing) = occasion.standing {
            return standing;
        }
        if occasion.window.from >= newest {
            return Standing::UNSEEN;
        }
        let level = self.level(occasion, known.settled, known.origin);
        let full = occasion.full(self.lift(occasion)).log;
        let sight = |from: Timestamp, until: Timestamp, usual: f64, load: f64| {
            let faded =
                0.5_f64.powf((until - occasion.window.from).as_seconds_f64() / LEVEL_HALF_LIFE_SECONDS);
            let usual = usual * level.powf(faded);
            let expected = occasion.reach(&self.lifts[usize::from(occasion.name)], from, until, Some(usual));
            let log = ((load + self.offset) / (usual + self.offset)).ln();
            Sight { age: newest - until, log, expected, full }
        };
        let slots = self.step.slot_of(occasion.window.from).0..known.origin.0;
        let settled = slots.map(Slot).filter_map(|slot| {
            let (from, until) = (self.step.start(slot), self.step.end(slot));
            let (usual, load) = (self.usual.load(slot)?, known.settled.load(slot)?);
            let others = occasion.touches(from, until).then(|| self.beside(occasion, from, until))??;
            Some(sight(from, until, usual * others.exp(), load))
        });
        let live = known.live.and_then(|live| {
            let touched = occasion.touches(live.at, live.at + TimeDelta::milliseconds(1));
            let usual = self.usual.load(self.step.slot_of(live.at))?;
            let others = touched.then(|| self.beside(occasion, live.at, live.at))??;
            Some(sight(live.at, live.at, usual * others.exp(), live.load.get()))
        });
        occasion.stand(newest, settled.chain(live))
    }

    /// How much busier than usual the time before a window was, where nothing else moved it.
    fn level(&self, occasion: &Occasion, settled: &Series, origin: Slot) -> f64 {
        let (first, end) =
            (self.step.slot_of(occasion.window.from - BEFORE), self.step.slot_of(occasion.window.from));
        let (mut load, mut usual) = (self.offset, self.offset);
        for slot in (first.0..end.0.min(origin.0)).map(Slot) {
            let (from, until) = (self.step.start(slot), self.step.end(slot));
            let free = !self.occasions.iter().any(|other| !other.routine && other.touches(from, until));
            if let (Some(measured), Some(expected), true) = (settled.load(slot), self.usual.load(slot), free)
            {
                (load, usual) = (load + measured, usual + expected);
            }
        }
        load / usual
    }

    /// The logarithm of what the others are expected to make of the usual demand between two instants; `None` where this one
    /// cannot be told from them.
    fn beside(&self, occasion: &Occasion, from: Timestamp, until: Timestamp) -> Option<f64> {
        let member = |occasion: &Occasion| {
            (occasion.name, self.lift(occasion).reach(&occasion.window, from, until).log)
        };
        let others = self
            .occasions
            .iter()
            .filter(|other| *other != occasion && !other.routine && other.touches(from, until));
        beside(member(occasion), others.map(member))
    }

    fn lift(&self, occasion: &Occasion) -> &Lift {
        &self.lifts[usize::from(occasion.name)]
    }

    /// What the fit held for usual between two instants, without effects; 0 where it cannot tell.
    ///
    /// What is added up to a declared peak is counted from here and not from what is known since, or a larger measurement
    /// would add less.
    fn usual_within(&self, from: Timestamp, until: Timestamp) -> f64 {
        let slot = self.step.slot_of(from + (until - from) / 2);
        self.usual.load(slot).or_else(|| self.base.outline(slot)).unwrap_or(0.0)
    }

    /// Each effect that touches the time between two instants, as it stands.
    fn parts<'a>(
        &'a self,
        standings: &'a Standings<'_>,
        from: Timestamp,
        until: Timestamp,
    ) -> impl Iterator<Item = Part> + Clone + 'a {
        let usual = self.usual_within(from, until);
        standings.touching(from, until).map(move |(occasion, standing)| {
            let expected = occasion.reach(self.lift(occasion), from, until, Some(usual));
            let (adds, reach) = (expected.log >= 0.0, expected.seen(*standing, until));
            let growing = standing.rising.then(|| {
                let full = occasion.full(self.lift(occasion)).seen(*standing, until).log;
                Growing { expected, full }
            });
            Part { reach, adds, growing, name: occasion.name }
        })
    }

    /// All that is in force between two instants; `None` where nothing is.
    fn in_force(
        &self,
        standings: &Standings<'_>,
        from: Timestamp,
        until: Timestamp,
        usual: Option<f64>,
    ) -> Option<InForce> {
        let parts = self.parts(standings, from, until);
        // Where nothing is usual, multiples are alike and yet not the same.
        let moved = |part: &Part| usual.map_or(0.0, |usual| part.reach.lifted(usual) - usual);
        let larger =
            |one: (f64, f64), other: (f64, f64)| one.0.total_cmp(&other.0).then(one.1.total_cmp(&other.1));
        let adding = parts.clone().filter(|part| part.adds);
        let most = adding.max_by(|a, b| larger((moved(a), a.reach.log), (moved(b), b.reach.log)));
        let taken = taken(&parts);
        let size = |part: &Part| (moved(part).abs(), part.reach.log.abs());
        let named = parts.max_by(|a, b| larger(size(a), size(b)))?;
        let reach = most.map_or(taken, |most| most.reach.and(&taken));
        Some(InForce { reach, growing: most.unwrap_or(named).growing, name: named.name })
    }

    /// The quantile of demand between two instants: the largest of those that add, with all that take away.
    fn largest(
        &self,
        standings: &Standings<'_>,
        from: Timestamp,
        until: Timestamp,
        median: f64,
        quantile: f64,
        z: f64,
    ) -> f64 {
        let parts = self.parts(standings, from, until);
        let taken = taken(&parts);
        let adding = parts.filter(|part| part.adds);
        // While it grows, nothing that was seen of it takes away from what was expected.
        let either = adding.flat_map(|part| [Some(part.reach), part.growing.map(|growing| growing.expected)]);
        let each = either.flatten().map(|reach| reach.and(&taken).over(median, quantile, z));
        let most = each.max_by(f64::total_cmp);
        most.unwrap_or_else(|| taken.over(median, quantile, z))
    }

    /// What is known with every effect divided out.
    ///
    /// What has settled is divided by where occurrences stood before the newest point: a larger one that made them larger
    /// would make the minutes before it smaller, and in the end the answer.
    fn cleaned(&self, known: &Known<'_>, standings: &Standings<'_>) -> Cleaned {
        let before = self.standings(&Known { live: None, ..*known }, known.origin);
        let mut settled = None;
        for (occasion, _) in before.0.iter().filter(|(occasion, _)| !occasion.routine) {
            let end = self.step.slot_of(occasion.window.until).next().min(known.origin);
            for slot in (self.step.slot_of(occasion.window.from).0..end.0).map(Slot) {
                let Some(load) = known.settled.load(slot) else { continue };
                let (from, until) = (self.step.start(slot), self.step.end(slot));
                let usual = self.usual.load(slot);
                let Some(lift) = self.in_force(&before, from, until, usual) else { continue };
                // From the series as it was measured, so that overlapping windows divide a slot once.
                settled.get_or_insert_with(|| known.settled.clone()).put(slot, lift.divide_out(load, usual));
            }
        }
        let live = known.live.map(|live| {
            let usual = self.usual.load(self.step.slot_of(live.at));
            let lift = self.in_force(standings, live.at, live.at, usual);
            let load = lift.map_or(live.load, |lift| lift.divide_out(live.load.get(), usual));
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

impl Standings<'_> {
    fn touching(
        &self,
        from: Timestamp,
        until: Timestamp,
    ) -> impl Iterator<Item = &(&Occasion, Standing)> + Clone {
        let until = until.max(from + TimeDelta::milliseconds(1));
        self.0.iter().filter(move |(occasion, _)| !occasion.routine && occasion.touches(from, until))
    }
}
