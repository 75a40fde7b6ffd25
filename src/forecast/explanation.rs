//! Why a model forecasts as it does: who is asked and how much each is believed, what they learned from, who is not asked and
//! why, and what calendars and events are worth.
//!
//! What one instant is made of stands in [`super::Components`]; this is what does not change until the next fit.

use std::fmt::{self, Display};
use std::ops::Range;
use std::time::Duration;

use super::{Cause, Doubt, Hygiene};
use crate::time::{Step, Timestamp};

/// What stands behind a model's forecasts.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Explanation {
    /// Who is asked, of the farthest leads first.
    pub blends: Vec<Blend>,
    /// Who is not asked, or is not heard yet.
    pub refusals: Vec<Refusal>,
    /// What calendars and events do, by name.
    pub effects: Vec<Effect>,
    /// Measured slots within three hours of next to nothing, of which nothing was learned.
    pub slumped: usize,
    /// What history was taken out or changed; `None` when nobody looked.
    pub hygiene: Option<Hygiene>,
}

/// Which part of the time to come is spoken of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The next ten minutes.
    Minutes,
    /// Up to six hours.
    Hours,
    /// Up to two days.
    Days,
}

impl Part {
    /// As pages and files name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Minutes => "minutes",
            Self::Hours => "hours",
            Self::Days => "days",
        }
    }
}

/// Candidates whose forecasts are averaged.
#[derive(Debug, Clone, PartialEq)]
pub struct Blend {
    /// What they speak of.
    pub part: Part,
    /// The oldest and the newest that any of them learned from.
    pub learned_from: Range<Timestamp>,
    /// Whether their shares follow from their own past errors; if not, those are what is thought before any are known.
    pub judged: bool,
    /// Their names.
    pub candidates: &'static [&'static str],
    /// How much each is believed, ascending by lead.
    pub shares: Vec<Shares>,
}

/// How much each candidate is believed at one lead; what lies between two is read on the line.
#[derive(Debug, Clone, PartialEq)]
pub struct Shares {
    /// How far ahead, from the newest measurement.
    pub lead: Duration,
    /// In the order of [`Blend::candidates`]; they add up to 1, or nearly so.
    pub shares: Vec<f64>,
}

/// A candidate that is not asked, or is not heard yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    /// Its name.
    pub candidate: &'static str,
    /// Why.
    pub why: Unfit,
}

/// Why a candidate is not asked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Unfit {
    /// Too little is measured.
    TooShort {
        /// Hours that are.
        measured_hours: usize,
        /// Hours that it needs.
        needed_hours: usize,
    },
    /// Too few past forecasts could be made again to learn from.
    TooFew {
        /// How many could.
        seen: usize,
        /// How many it needs.
        needed: usize,
    },
    /// The grid is too coarse for what it looks at.
    TooCoarse {
        /// The grid.
        step: Step,
        /// The coarsest that would do.
        coarsest: Step,
    },
    /// A day of its kind is coming and none was measured.
    NeverSeen,
}

impl Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort { measured_hours, needed_hours } => {
                write!(f, "{measured_hours} h of {needed_hours} h that it needs are measured")
            }
            Self::TooFew { seen, needed } => {
                write!(f, "{seen} of {needed} past forecasts that it needs could be made again")
            }
            Self::TooCoarse { step, coarsest } => {
                write!(f, "a step of {step} is coarser than the {coarsest} that it looks at")
            }
            Self::NeverSeen => write!(f, "such a day is coming, and none was measured"),
        }
    }
}

/// What a calendar or an event does.
#[derive(Debug, Clone, PartialEq)]
pub struct Effect {
    /// Which one.
    pub cause: Cause,
    /// What is known of it.
    pub weight: Weight,
}

/// How an effect is taken into account.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Weight {
    /// It comes so often that the week itself holds it.
    Routine,
    /// It was seen.
    Seen {
        /// How often, at most.
        occurrences: u32,
        /// The multiple of usual demand where it stood out most.
        times: f64,
    },
    /// It was not seen yet, and is what was declared of it, if anything was.
    Unseen,
}

impl Display for Explanation {
    /// Some lines for a person.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(hygiene) = &self.hygiene {
            writeln!(f, "{hygiene}")?;
        }
        for blend in &self.blends {
            writeln!(f, "{blend}")?;
        }
        for Refusal { candidate, why } in &self.refusals {
            let is = if matches!(why, Unfit::TooFew { .. }) { "not taught yet" } else { "not asked" };
            writeln!(f, "{is}: {candidate}, for {why}")?;
        }
        for Effect { cause, weight } in &self.effects {
            let name = &cause.name;
            match weight {
                Weight::Routine => writeln!(f, "{name}: the week itself holds it"),
                Weight::Seen { occurrences, times } => {
                    writeln!(f, "{name}: seen {occurrences} times, at most {times:.2} times the usual")
                }
                Weight::Unseen => writeln!(f, "{name}: not seen yet, so it is what was declared of it"),
            }?;
        }
        Ok(())
    }
}

impl Display for Hygiene {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Range { start, end } = self.span;
        let at = |at: Timestamp| at.format("%Y-%m-%dT%H:%MZ");
        write!(f, "history: {} slots measured from {} to {}", self.measured, at(start), at(end))?;
        for doubt in Doubt::ALL.into_iter().filter(|doubt| self.masked(*doubt) > 0) {
            write!(f, ", {} left out ({})", self.masked(doubt), doubt.name())?;
        }
        for shift in &self.shifts {
            let (since, times) = (at(shift.at), shift.times);
            write!(
                f,
                "; since {since} load is {times:.2} times what it was, and what came before is learned from as if"
            )?;
        }
        Ok(())
    }
}

impl Display for Blend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Range { start, end } = self.learned_from;
        write!(
            f,
            "{}: learned from {} to {}",
            self.part.name(),
            start.format("%Y-%m-%d"),
            end.format("%Y-%m-%d")
        )?;
        if !self.judged {
            write!(f, ", believed as before any error is known")?;
        }
        for Shares { lead, shares } in &self.shares {
            write!(f, "\n  {:>4} min ahead:", lead.as_secs() / 60)?;
            for (candidate, share) in self.candidates.iter().zip(shares) {
                write!(f, " {candidate} {share:.2}")?;
            }
        }
        Ok(())
    }
}
