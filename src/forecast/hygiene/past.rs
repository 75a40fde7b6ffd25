//! What was measured, asked slot by slot: what other weeks show at the same time, and what the almanac says of it.

use std::ops::Range;

use crate::calendar::{DayKind, Outlook};
use crate::time::{LocalClock, Slot, Step, from_epoch_seconds};

/// So many weeks before and after a slot tell what is usual there, each with so many slots around the same time.
const WEEKS: i64 = 4;
pub(super) const AROUND: i64 = 2;

/// So many days before and after it do, where there are not enough weeks.
const DAYS: i64 = 6;

/// What people, queues and cron jobs begin every day begins within this time of when it began the day before, or within
/// [`AROUND`] slots of a coarser grid.
const JITTER_SECONDS: i64 = 1_800;

/// What is in doubt more often than once in so many slots, a slot or two at a time, is the nature of the service. A few are
/// always allowed, for a short history.
const NATURE_ONE_IN: usize = 1_000;
pub(super) const ALWAYS_ALLOWED: usize = 3;

/// What was measured, less what is excluded or absurd.
pub(super) struct Past {
    pub(super) step: Step,
    pub(super) first: Slot,
    pub(super) clock: LocalClock,
    pub(super) outlook: Outlook,
    pub(super) loads: Vec<Option<f64>>,
}

impl Past {
    pub(super) fn load(&self, slot: Slot) -> Option<f64> {
        *self.loads.get(usize::try_from(slot.since(self.first)).ok()?)?
    }

    pub(super) fn forget(&mut self, slot: Slot) {
        let index = usize::try_from(slot.since(self.first)).ok();
        if let Some(load) = index.and_then(|index| self.loads.get_mut(index)) {
            *load = None;
        }
    }

    pub(super) fn slots(&self) -> impl Iterator<Item = (Slot, f64)> + '_ {
        (self.first.0..).map(Slot).zip(&self.loads).filter_map(|(slot, load)| Some((slot, (*load)?)))
    }

    /// Whether the almanac speaks of the slot's day as one of rest, or of the slot in a window.
    pub(super) fn excused(&self, slot: Slot) -> bool {
        let (start, end) = (self.step.start(slot), self.step.end(slot));
        matches!(self.kind(slot), DayKind::Holiday | DayKind::HalfDay)
            || self.outlook.windows().iter().any(|window| window.touches(start, end))
    }

    /// The slot at the same time by the wall clock so many weeks later.
    pub(super) fn weeks_later(&self, slot: Slot, weeks: i64) -> Option<Slot> {
        self.days_later(slot, 7 * weeks)
    }

    fn days_later(&self, slot: Slot, days: i64) -> Option<Slot> {
        let then = self.clock.days_earlier(self.step.start(slot), -days)?;
        // A slot begins at the end of the one before it.
        Some(self.step.slot_of(then).next())
    }

    fn kind(&self, slot: Slot) -> DayKind {
        let local = from_epoch_seconds(self.clock.local_seconds(self.step.start(slot))).date_naive();
        self.outlook.day(local).kind
    }

    /// The measured loads around the same time of other weeks, a list for each week that has some.
    pub(super) fn weeks(&self, slot: Slot) -> impl Iterator<Item = Vec<f64>> + '_ {
        let others = (1..=WEEKS).flat_map(|weeks| [-weeks, weeks]);
        self.around(others.filter_map(move |weeks| self.weeks_later(slot, weeks)))
    }

    /// The same of the days before and after it that are of its kind, for a history that has few weeks.
    pub(super) fn days(&self, slot: Slot) -> impl Iterator<Item = Vec<f64>> + '_ {
        let others = (1..=DAYS).flat_map(|days| [-days, days]);
        let others = others.filter_map(move |days| self.days_later(slot, days));
        self.around(others.filter(move |then| self.kind(*then) == self.kind(slot)))
    }

    /// The measured loads around each slot that has some.
    fn around(&self, slots: impl Iterator<Item = Slot>) -> impl Iterator<Item = Vec<f64>> {
        let loads = move |then: Slot| (-AROUND..=AROUND).filter_map(move |away| self.load(then.plus(away)));
        slots.map(move |then| loads(then).collect::<Vec<f64>>()).filter(|loads| !loads.is_empty())
    }

    /// Whether two runs of different days come at the same time of day, by the wall clock or by UTC: they overlap there, or begin
    /// within [`JITTER_SECONDS`] of each other.
    pub(super) fn same_time(&self, one: &Range<Slot>, other: &Range<Slot>) -> bool {
        let seconds = |slots: i64| slots * self.step.seconds();
        let lasts = |run: &Range<Slot>| seconds(run.end.since(run.start));
        let jitter = JITTER_SECONDS.max(seconds(AROUND));
        let close = |apart: i64| {
            let later = apart.rem_euclid(86_400);
            let earlier = 86_400 - later;
            later <= jitter.max(lasts(one) - 1) || earlier <= jitter.max(lasts(other) - 1)
        };
        let wall = |run: &Range<Slot>| self.clock.local_seconds(self.step.start(run.start));
        let apart = seconds(other.start.since(one.start));
        apart.abs() > 43_200 && (close(apart) || close(wall(other) - wall(one)))
    }

    /// Whether so many odd slots are the nature of the service.
    pub(super) fn is_nature(&self, found: usize) -> bool {
        let measured = self.loads.iter().flatten().count();
        found > ALWAYS_ALLOWED.max(measured / NATURE_ONE_IN)
    }
}

/// The runs in ascending slots.
pub(super) fn runs(ascending: &[Slot]) -> impl Iterator<Item = Range<Slot>> + '_ {
    let runs = ascending.chunk_by(|slot, next| slot.next() == *next);
    runs.filter_map(|run| Some(*run.first()?..run.last()?.next()))
}

/// Each slot of a run.
pub(super) fn slots(run: &Range<Slot>) -> impl Iterator<Item = Slot> + use<> {
    (run.start.0..run.end.0).map(Slot)
}
