//! Loads that stand out: those that cannot be, and those that stand alone for a slot or two.

use std::ops::Range;

use super::past::{Past, runs, slots};
use crate::time::Slot;

/// "The busiest there is": all but one in so many of what was measured is below it.
const BUSIEST_ONE_IN: usize = 200;

/// Hardly a service grows a thousand-fold over its busiest: one that idles but for a nightly batch does. None grows a
/// million-fold; a wrapped counter does, by 10^15 and more.
const ABSURD_TIMES: f64 = 1_000.0;
const IMPOSSIBLE_TIMES: f64 = 1e6;

/// A spike is so many times the busiest there is, and so many times its neighbours and the same time of other weeks.
const SPIKE_OVER_BUSIEST: f64 = 2.0;
const SPIKE_OVER_USUAL: f64 = 8.0;

/// A spike is no longer than this, in slots and in seconds: what lasts longer is demand that somebody has waited for.
const SPIKE_SLOTS: i64 = 2;
const SPIKE_SECONDS: i64 = 900;

impl Past {
    /// What cannot be, and what can hardly be and stands alone. What comes again, is announced or is the nature of the service
    /// is a batch of one that idles otherwise.
    pub(super) fn absurd(&self, busiest: f64) -> Vec<Slot> {
        let beyond = |times: f64| move |load: f64| busiest > 0.0 && load / busiest > times;
        let runs = self.runs(beyond(ABSURD_TIMES));
        let unannounced = |run: &&Range<Slot>| !slots(run).any(|slot| self.excused(slot));
        let odd = runs.iter().filter(unannounced).filter(|run| !self.is_usual(run));
        let mut absurd = self.lonely(odd, &runs);
        absurd.extend(self.runs(beyond(IMPOSSIBLE_TIMES)).iter().flat_map(slots));
        absurd.sort_unstable();
        absurd.dedup();
        absurd
    }

    /// A slot or two that stand out alone.
    pub(super) fn spikes(&self, busiest: f64) -> Vec<Slot> {
        let high = |load: f64| busiest > 0.0 && load / busiest > SPIKE_OVER_BUSIEST;
        let runs = self.runs(high);
        let short = |run: &&Range<Slot>| {
            let slots = run.end.since(run.start);
            slots <= SPIKE_SLOTS && slots * self.step.seconds() <= SPIKE_SECONDS
        };
        self.lonely(runs.iter().filter(short).filter(|run| self.stands_out(run)), &runs)
    }

    /// The runs of slots with such loads.
    fn runs(&self, such: impl Fn(f64) -> bool) -> Vec<Range<Slot>> {
        let such: Vec<Slot> = self.slots().filter(|(_, load)| such(*load)).map(|(slot, _)| slot).collect();
        runs(&such).collect()
    }

    /// The slots of those runs that come at the time of no other of `all`; none where they are the nature of the service.
    fn lonely<'a>(&self, runs: impl Iterator<Item = &'a Range<Slot>>, all: &[Range<Slot>]) -> Vec<Slot> {
        let again = |run: &Range<Slot>| all.iter().any(|other| self.same_time(run, other));
        let lonely: Vec<Slot> = runs.filter(|run| !again(run)).flat_map(slots).collect();
        if self.is_nature(lonely.len()) { Vec::new() } else { lonely }
    }

    /// Whether another week shows a fair part of a run at the same time.
    fn is_usual(&self, run: &Range<Slot>) -> bool {
        let least = slots(run).filter_map(|slot| self.load(slot)).fold(f64::INFINITY, f64::min);
        slots(run).any(|slot| self.weeks(slot).flatten().any(|other| other * SPIKE_OVER_USUAL >= least))
    }

    /// Whether a run is far above both of its neighbours and what is usual then.
    fn stands_out(&self, run: &Range<Slot>) -> bool {
        let loads = (run.start.0..run.end.0).filter_map(|slot| self.load(Slot(slot)));
        let least = loads.fold(f64::INFINITY, f64::min);
        let below = |load: f64| load * SPIKE_OVER_USUAL < least;
        let (before, after) = (self.load(run.start.plus(-1)), self.load(run.end));
        let alone = before.is_some_and(below) && after.is_some_and(below);
        alone && self.weeks(run.start).flatten().all(below) && !self.excused(run.start)
    }
}

/// The load that all but one in [`BUSIEST_ONE_IN`] stay below; 0 without any.
pub(super) fn busiest(mut loads: Vec<f64>) -> f64 {
    if loads.is_empty() {
        return 0.0;
    }
    // Two more than the share are above it, so that a spike of a short history does not excuse itself.
    let place = loads.len().saturating_sub(loads.len() / BUSIEST_ONE_IN + 3);
    *loads.select_nth_unstable_by(place, f64::total_cmp).1
}
