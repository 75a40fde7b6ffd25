//! Demand ahead of time, with honest uncertainty.
//!
//! An unfitted [`Forecaster`] and a [`Fitted`] model are different types: a fit is heavy and rare, a forecast from newest
//! points is cheap and happens with every answer. Which points may be used is said by [`Known`], and nothing after its
//! origin can change a forecast. This module never reads replica counts, or it would learn from its own output.

mod between;
mod day;
mod effects;
mod explanation;
mod fitted;
mod hygiene;
mod lattice;
mod linear;
mod median;
mod most;
mod near;
pub mod nowcast;
mod pools;
mod reading;
mod recent;
mod replay;
mod rest;
mod scale;
mod shape;
mod spread;
mod taught;
mod tide;
mod usual;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use crate::calendar::{Almanac, Window, WindowSource};
use crate::series::Series;
use crate::time::{Slot, Step, Timestamp};
use crate::units::{Load, Quantile};

pub use effects::WithEffects;
pub use explanation::{Blend, Effect, Explanation, Part, Refusal, Shares, Unfit, Weight};
pub use hygiene::{Doubt, Exclusion, Hygiene, Shift, WithHygiene, absurd};
pub(crate) use median::median;
pub use nowcast::Nowcasting;
pub use tide::Tide;

/// How far ahead a forecast reaches: long enough for a night and a day without a metrics source.
pub const HORIZON: Duration = Duration::from_secs(48 * 3600);

/// A fit is renewed this often, at instants that every replica shares. A model speaks of [`HORIZON`] beyond the fit that
/// follows it, so a late refit costs nothing.
pub const REFIT_EVERY: Duration = Duration::from_secs(6 * 3600);

/// Why there is no forecast.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// An answer of its own, not a zero: until then only the reactive floor speaks.
    #[error(
        "the history is too short to forecast from: {measured_hours} h of {needed_hours} h are measured; \
         until then the target scales reactively"
    )]
    TooShort {
        /// Hours of demand measured so far.
        measured_hours: i64,
        /// Hours of demand the first fit needs.
        needed_hours: i64,
    },
}

/// One measured load and the instant it was evaluated at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Observation {
    /// The instant.
    pub at: Timestamp,
    /// The load.
    pub load: Load,
}

/// What is known when a forecast is made, and nothing later.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// Settled demand. Slots from `origin` on are not looked at.
    pub settled: &'a Series,
    /// The first slot that is not known yet.
    pub origin: Slot,
    /// A measurement newer than the last settled slot, if there is one.
    pub live: Option<Observation>,
}

/// Something that learns from history.
pub trait Forecaster: Send + Sync {
    /// Learns from the slots of `history` before `origin`.
    ///
    /// # Errors
    /// [`Error::TooShort`] when there is too little to learn from.
    fn fit(&self, history: &Series, origin: Slot) -> Result<Box<dyn Fitted>, Error>;
}

/// What tidetable learns a target's demand with: the day and the hours, the next minutes before them, what is written down
/// over both, and all of it from history without what is in doubt or in `exclude`. `serve`, `backtest`, `forecast` and
/// `demo` all use this one.
pub fn forecaster(almanac: &Almanac, exclude: &Arc<[Exclusion]>) -> Arc<dyn Forecaster> {
    let tide = Arc::new(Tide::new(almanac.clone()));
    let base = Nowcasting { base: tide, almanac: almanac.clone() };
    let base = WithEffects { base, almanac: almanac.clone() };
    Arc::new(WithHygiene { base, almanac: almanac.clone(), exclude: Arc::clone(exclude) })
}

/// Something that has learned.
///
/// A model over another one names that as [`Fitted::inner`] and says itself only what it says otherwise.
pub trait Fitted: Send + Sync + std::fmt::Debug {
    /// The model that this one is laid over, if it is: what speaks wherever this one has nothing of its own to say.
    fn inner(&self) -> Option<&dyn Fitted> {
        None
    }

    /// Quantiles of demand for each slot of `targets`, in the unit of the series.
    ///
    /// The result has one row per slot and one column per entry of `levels`, finite, at least zero, and never
    /// decreasing along a row when `levels` ascend. `None` when a slot lies beyond what the model can speak of:
    /// before the origin, more than [`HORIZON`] after it, begun more than that after the newest measurement, or outside
    /// what the fit covers.
    fn forecast(&self, known: &Known<'_>, targets: Range<Slot>, levels: &[Quantile]) -> Option<Forecast>;

    /// The level at which each of `slots` slots, the next ones, must be read for the most of them to be what is not exceeded with
    /// probability `quantile`: at least that itself, for each of them is a chance to be missed.
    fn level_of_most(&self, slots: i64, quantile: Quantile) -> Quantile {
        self.inner().map_or(quantile, |inner| inner.level_of_most(slots, quantile))
    }

    /// About the median of a slot, as the fit left it: without the newest points, calendars' effects and events, which makes it
    /// cheap. `None` outside what the fit covers, or where there is no day's forecast.
    fn outline(&self, slot: Slot) -> Option<f64> {
        self.inner()?.outline(slot)
    }

    /// Whether anything beside the day, a calendar's effect or an event, may be in force between two instants.
    fn is_lifted(&self, from: Timestamp, until: Timestamp) -> bool {
        self.inner().is_some_and(|inner| inner.is_lifted(from, until))
    }

    /// The most that a declared event may bring in `targets`: the demand without it at the median, times its `upper`.
    ///
    /// `None` when there is no event in them, or nothing can be said of the demand without it. It counts whether or not the
    /// forecast is trusted, for somebody has declared it.
    fn event_floor(&self, known: &Known<'_>, targets: Range<Slot>) -> Option<EventFloor> {
        let floors = self.event_floors(known, targets).into_iter();
        floors.max_by(|a, b| a.load.get().total_cmp(&b.load.get()).then(b.at.cmp(&a.at)))
    }

    /// The same of each slot of `targets` that has an event, ascending; none where there is none.
    fn event_floors(&self, known: &Known<'_>, targets: Range<Slot>) -> Vec<EventFloor> {
        self.inner().map(|inner| inner.event_floors(known, targets)).unwrap_or_default()
    }

    /// The declared events that it knows of in `from..until`, ascending by where they begin; none where it listens to none.
    fn events(&self, from: Timestamp, until: Timestamp) -> Vec<Window> {
        self.inner().map(|inner| inner.events(from, until)).unwrap_or_default()
    }

    /// Quantiles of the demand that the pods asked for now will meet first: at the end of a lead-time window that ends at
    /// `until`, in the unit of the series. `loads` takes one for each entry of `levels`; nothing is allocated where no window of a
    /// calendar or event is near.
    ///
    /// Finite, at least zero, and never decreasing when `levels` ascend. `None` when the model does not look at minutes, or
    /// the window is longer than it does.
    fn peak(
        &self,
        known: &Known<'_>,
        until: Timestamp,
        levels: &[Quantile],
        loads: &mut [Load],
    ) -> Option<Peak> {
        self.inner()?.peak(known, until, levels, loads)
    }

    /// What it was learned from, if somebody looked.
    fn hygiene(&self) -> Option<&Hygiene> {
        self.inner()?.hygiene()
    }

    /// What stands behind its forecasts until the next fit.
    fn explanation(&self) -> Explanation {
        self.inner().map(Fitted::explanation).unwrap_or_default()
    }

    /// The largest load it has learned from, if it remembers: what a forecast is held against before it is believed.
    fn most_seen(&self) -> Option<Load> {
        self.inner()?.most_seen()
    }
}

/// What stands ready for a declared event.
#[derive(Debug, Clone, PartialEq)]
pub struct EventFloor {
    /// The demand to be ready for, in the unit of the series.
    pub load: Load,
    /// When: the end of the slot with the largest.
    pub at: Timestamp,
    /// The event.
    pub name: Arc<str>,
}

/// What moves demand for a written reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// The calendar or the event by its name.
    pub name: Arc<str>,
    /// Which of the two.
    pub source: WindowSource,
}

/// What a nowcast's quantiles rest on.
#[derive(Debug, Clone, PartialEq)]
pub struct Peak {
    /// The instant spoken of.
    pub at: Timestamp,
    /// The end of what was seen.
    pub origin: Timestamp,
    /// The demand expected there.
    pub point: Load,
    /// What is usual there.
    pub usual: Load,
    /// What the calendar or the event in force there adds to the point or takes away.
    pub effect: f64,
    /// Which one that is.
    pub cause: Option<Cause>,
}

/// What a forecast of one slot is made of, in the unit of the series; the parts add up to the median before calibration.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Components {
    /// The usual demand of this slot of the week, at the level of the last week.
    pub profile: f64,
    /// What the last days make of it: a busier week, yesterday, a holiday.
    pub day: f64,
    /// What the newest points add or take away, faded with lead; on a day of rest, what is not expected to come.
    pub level: f64,
    /// What the calendar or the event in force adds or takes away.
    pub effect: f64,
    /// Which one that is, in [`Forecast::cause`].
    pub cause: Option<u16>,
}

/// Quantiles of demand over a run of slots.
#[derive(Debug, Clone, PartialEq)]
pub struct Forecast {
    /// The end of the last instant of known demand.
    pub origin: Timestamp,
    step: Step,
    first: Slot,
    levels: usize,
    loads: Vec<f64>,
    components: Vec<Components>,
    causes: Arc<[Cause]>,
}

/// The forecast of one slot.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row<'a> {
    /// The slot.
    pub slot: Slot,
    /// Demand, a column per level asked for.
    pub loads: &'a [f64],
    /// What it is made of.
    pub components: Components,
}

impl Forecast {
    /// An empty forecast from `origin`, to be filled with [`Forecast::push`].
    pub fn new(origin: Timestamp, step: Step, first: Slot, levels: usize) -> Self {
        let causes = Arc::default();
        Self { origin, step, first, levels, loads: Vec::new(), components: Vec::new(), causes }
    }

    /// The same with the calendars and events that its components name by their place in `causes`.
    #[must_use]
    pub fn with_causes(self, causes: Arc<[Cause]>) -> Self {
        Self { causes, ..self }
    }

    /// The calendar or event that a row's components name.
    pub fn cause(&self, components: &Components) -> Option<&Cause> {
        self.causes.get(usize::from(components.cause?))
    }

    /// Adds the next slot. Rows are made legal here, once for every model: finite, at least zero, never decreasing.
    pub fn push(&mut self, loads: impl IntoIterator<Item = f64>, components: Components) {
        let mut floor = 0.0_f64;
        for load in loads.into_iter().take(self.levels) {
            floor = floor.max(Load::saturating(load).get());
            self.loads.push(floor);
        }
        self.components.push(components);
    }

    /// The spacing.
    pub fn step(&self) -> Step {
        self.step
    }

    /// Each slot's forecast, in order.
    pub fn rows(&self) -> impl DoubleEndedIterator<Item = Row<'_>> + '_ {
        self.components.iter().zip(self.loads.chunks_exact(self.levels)).enumerate().map(
            |(index, (components, loads))| Row {
                slot: self.first.plus(i64::try_from(index).unwrap_or(i64::MAX)),
                loads,
                components: *components,
            },
        )
    }
}
