//! What history is learned from: one pass before every fit, and a report of what it took out.
//!
//! ```text
//! history ─▶ findings ─▶ masked history ─▶ base forecaster
//!                └─▶ report: so many slots, by reason
//! newest points, less what was found and what is excluded ─▶ fitted base
//! ```
//!
//! What is masked is as if it had never been measured, in the fit and in every forecast from it: a load test must neither
//! come again next week nor make this afternoon look busy. It is the outermost layer, so calendars and events are not
//! learned from it either.
//!
//! The pass is shy on purpose. A burst that is forgotten costs more than one that is remembered, so only what no other week
//! knows, nobody announced and is over by now is one; whatever comes at the same time of another day is a habit, whatever happens often is the nature of the service, and whatever a calendar or an
//! event speaks of is left to it. Loads of a holiday that are 0 are how holidays look, and not an outage.
//!
//! What it doubts is a hole and never another number. One thing is not doubted and yet changed: a step that stayed divides
//! history in two, and what came before it is multiplied to what it would be now ([`shift`]).

mod findings;
mod fitted;
mod past;
mod shift;
mod spike;
mod surge;

use std::ops::Range;
use std::sync::Arc;

use crate::calendar::Almanac;
use crate::forecast::{Error, Fitted, Forecaster};
use crate::series::Series;
use crate::time::{Slot, Step, Timestamp};
use findings::Findings;
use fitted::FittedHygiene;

/// A span of history that somebody says is not to be learned from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exclusion {
    /// Its first instant.
    pub from: Timestamp,
    /// The instant it is over; after `from`.
    pub to: Timestamp,
    /// Why, for people.
    pub why: Arc<str>,
}

impl Exclusion {
    /// The slots of which any part lies within it.
    fn slots(&self, step: Step) -> Range<Slot> {
        let last = step.last_ended(self.to).next();
        let end = if step.start(last) < self.to { last.next() } else { last };
        step.last_ended(self.from).next()..end
    }
}

/// Why a slot is not learned from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Doubt {
    /// Somebody said so.
    Excluded,
    /// A million times what else is seen, or a thousand times at a time at which no other day has it: a counter that wrapped.
    Absurd,
    /// Exactly 0 for a slot or two where the same time of other weeks never is: a counter that was reset, a failed scrape.
    Reset,
    /// Far above both neighbours, the same time of other weeks, and the busiest there is, for a slot or two.
    Spike,
    /// Exactly 0 for longer than that.
    Outage,
    /// Twice what every other week shows at that time, for some hours at most, unannounced, and over.
    Surge,
    /// Less than a twentieth of the usual for three hours and up to four days. It is not masked, for it may be the truth of this afternoon, but it
    /// is learned from nowhere.
    Slump,
}

impl Doubt {
    /// Every one.
    pub const ALL: [Self; 7] =
        [Self::Excluded, Self::Absurd, Self::Reset, Self::Spike, Self::Outage, Self::Surge, Self::Slump];

    /// As metrics and logs name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Excluded => "excluded",
            Self::Absurd => "absurd",
            Self::Reset => "reset",
            Self::Spike => "spike",
            Self::Outage => "outage",
            Self::Surge => "surge",
            Self::Slump => "slump",
        }
    }
}

/// A step in the level of demand that stayed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shift {
    /// Its first instant.
    pub at: Timestamp,
    /// How many times larger load has been since; what came before is multiplied by it to learn from.
    pub times: f64,
}

/// What a model was learned from.
#[derive(Debug, Clone, PartialEq)]
pub struct Hygiene {
    /// From the first to the last instant of history.
    pub span: Range<Timestamp>,
    /// The slots in it that were measured, those masked included.
    pub measured: usize,
    /// Steps that stayed, ascending.
    pub shifts: Vec<Shift>,
    /// Those slots that were not learned from, in the order of [`Doubt::ALL`].
    masked: [usize; Doubt::ALL.len()],
}

impl Hygiene {
    /// How many slots were not learned from for this reason; a slot counts for the first that applies.
    pub fn masked(&self, doubt: Doubt) -> usize {
        self.masked[doubt as usize]
    }
}

/// A base forecaster that learns from what there is no doubt about.
#[derive(Debug, Clone)]
pub struct WithHygiene<F> {
    /// Who forecasts.
    pub base: F,
    /// The days of rest and the windows that excuse what would look odd without them.
    pub almanac: Almanac,
    /// Spans not to learn from; they may lie in the future.
    pub exclude: Arc<[Exclusion]>,
}

impl<F: Forecaster> Forecaster for WithHygiene<F> {
    fn fit(&self, history: &Series, origin: Slot) -> Result<Box<dyn Fitted>, Error> {
        let step = history.step();
        let findings = Findings::of(history, origin, &self.almanac, &self.exclude);
        let base = if findings == Findings::default() {
            self.base.fit(history, origin)?
        } else {
            self.base.fit(&findings.cleaned(history, origin), origin)?
        };
        let mut masked = [0; Doubt::ALL.len()];
        findings.doubts.iter().for_each(|(_, doubt)| masked[*doubt as usize] += 1);
        masked[Doubt::Slump as usize] = base.explanation().slumped;
        let end = history.end().min(origin).max(history.first());
        let known = history.first()..end;
        let shifts = findings.shifts.iter();
        let report = Hygiene {
            span: step.start(known.start)..step.start(known.end),
            measured: known_slots(&known).filter(|slot| history.load(*slot).is_some()).count(),
            shifts: shifts.map(|(slot, times)| Shift { at: step.start(*slot), times: *times }).collect(),
            masked,
        };
        let excluded = self.exclude.iter().map(|exclusion| exclusion.slots(step));
        Ok(Box::new(FittedHygiene::new(base, step, report, findings.spans().chain(excluded))))
    }
}

/// The slots of `history` that hold what cannot be: they are no load to learn from, and none to replay.
pub fn absurd(history: &Series, almanac: &Almanac) -> Vec<Slot> {
    let found = Findings::of(history, history.end(), almanac, &[]).doubts;
    found.into_iter().filter(|(_, doubt)| *doubt == Doubt::Absurd).map(|(slot, _)| slot).collect()
}

fn known_slots(slots: &Range<Slot>) -> impl Iterator<Item = Slot> + use<> {
    (slots.start.0..slots.end.0).map(Slot)
}
