//! Queries that many targets share: asked once, by whoever comes first, and answered to all.
//!
//! ```text
//! payments-api ─┐                                                     ┌─ its column
//! ledger ───────┼─▶ sum by (deployment) (rate(tx_total[2m])) at 09:30 ─┼─ its column
//! refunds ──────┘   one flight, one query, one table                  └─ no column: a hole
//! ```
//!
//! A flight is one call. Those who come while it is under way wait for it, each no longer than its own patience; those who
//! come a moment later find its table. It is a task of its own, so that nobody's giving up takes it from the others, and
//! its failure reaches all of them.
//!
//! A range is one flight after the other. The targets of a group begin together and go through the chunks in step, so a
//! chunk is in memory for moments: a thousand targets' days pass through a few megabytes here. What a target reads at a time
//! of its own, for its model, is none of these: that is for [`super::batches`].
//!
//! What was measured before its slots had settled is old after [`FRESH`]; the rest may serve latecomers for [`KEEP`].

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::Error;
use super::answer::{self, When, read_table};
use super::client::Api;
use crate::engine::Demand;
use crate::time::{Slot, Step, Timestamp};

/// Workers ask within two seconds of each other; a tick that is late is late by its patience.
const FRESH: Duration = Duration::from_secs(6);

/// So long a latecomer finds settled history.
const KEEP: Duration = Duration::from_secs(30);

/// Points that are kept, of all series of all groups: 32 MiB. The oldest tables go first.
const MOST_POINTS_KEPT: usize = 2_000_000;

/// The flights of one source.
pub(super) struct Groups {
    api: Arc<Api>,
    flights: Mutex<HashMap<Key, Vec<Flight>>>,
}

/// What targets have in common that share a query.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) query: String,
    pub(super) label: String,
    pub(super) step: Step,
}

/// Which instants a target is after.
#[derive(Debug, Clone, Copy)]
pub(super) enum Span {
    /// One, by when.
    Instant { at: Timestamp, patience: Duration },
    /// The beginning of a range, as much of it as a flight brings.
    Range { from: Slot, until: Slot },
}

/// What a flight brought: the columns for `from` and the slots after it, or for one instant.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) from: Slot,
    table: answer::Table,
}

impl Table {
    /// The slot after its last.
    pub(super) fn until(&self) -> Slot {
        self.from.plus(i64::try_from(self.table.instants).unwrap_or_default())
    }

    fn points(&self) -> usize {
        self.table.columns.len() * self.table.instants
    }
}

impl Deref for Table {
    type Target = answer::Table;

    fn deref(&self) -> &answer::Table {
        &self.table
    }
}

type Outcome = Result<Arc<Table>, Error>;

struct Flight {
    asked: Instant,
    span: Span,
    /// The first slot that had not ended when it began, as far as who asked knew.
    ended: Slot,
    /// Slots before this one had settled then.
    settled: Slot,
    outcome: watch::Receiver<Option<Outcome>>,
}

impl Flight {
    /// Whether it answers, or will answer, what `span` is after.
    fn serves(&self, span: Span) -> bool {
        let outcome = self.outcome.borrow();
        let age = self.asked.elapsed();
        let under_way = outcome.is_none() && self.outcome.has_changed().is_ok();
        match (self.span, span, outcome.as_ref()) {
            (_, _, None) if !under_way => false,
            (_, _, Some(Err(_))) if age >= FRESH => false,
            (Span::Instant { at, .. }, Span::Instant { at: wanted, .. }, _) => at == wanted,
            (Span::Range { from, until }, Span::Range { from: wanted, until: wanted_until }, outcome) => {
                let end = outcome.and_then(|table| Some(table.as_ref().ok()?.until())).unwrap_or(until);
                let is_fresh = age < FRESH && wanted_until <= self.ended;
                (from..end).contains(&wanted) && (is_fresh || end <= self.settled)
            }
            _ => false,
        }
    }

    /// Points in memory; `None` while it is under way.
    fn points(&self) -> Option<usize> {
        self.outcome.borrow().as_ref().map(|outcome| outcome.as_ref().map_or(0, |table| table.points()))
    }
}

impl Groups {
    pub(super) fn new(api: Arc<Api>) -> Self {
        Self { api, flights: Mutex::default() }
    }

    /// The table in which `span` begins. It waits as long as the flight takes.
    pub(super) async fn ask(&self, demand: &Demand, label: &str, span: Span) -> Outcome {
        let mut outcome = self.board(demand, label, span);
        let landed = outcome.wait_for(Option::is_some).await;
        match landed.as_deref() {
            Ok(Some(outcome)) => outcome.clone(),
            _ => Err(Error::GivenUp { url: self.api.shown() }),
        }
    }

    /// A place in a flight that serves `span`, which begins here if there is none.
    fn board(&self, demand: &Demand, label: &str, span: Span) -> watch::Receiver<Option<Outcome>> {
        let key = Key { query: demand.query.clone(), label: label.to_owned(), step: demand.step };
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        tidy(&mut flights);
        let group = flights.entry(key.clone()).or_default();
        if let Some(flight) = group.iter().rev().find(|flight| flight.serves(span)) {
            return flight.outcome.clone();
        }
        let lag = demand.step.slots_in(demand.settle_lag);
        let (span, ended, settled) = match span {
            Span::Instant { .. } => (span, Slot(i64::MIN), Slot(i64::MIN)),
            Span::Range { from, until } => {
                let end = chunk_end(&self.api, demand, from, until);
                (Span::Range { from, until: end }, until, until.plus(-lag))
            }
        };
        let (sender, outcome) = watch::channel(None);
        group.push(Flight { asked: Instant::now(), span, ended, settled, outcome: outcome.clone() });
        let api = Arc::clone(&self.api);
        tokio::spawn(async move {
            let brought = fly(&api, &key, span).await;
            // Nobody may wait any more.
            let _ = sender.send(Some(brought.map(Arc::new)));
        });
        outcome
    }
}

/// Where a flight from `from` ends: where chunks of this size always end, so that the next one, another replica and the
/// server's cache all find the same borders; or with the range, when one flight brings all of it.
fn chunk_end(api: &Api, demand: &Demand, from: Slot, until: Slot) -> Slot {
    let points = api.sizes.of_many(&demand.query, api.settings.max_body_bytes);
    if until.since(from) <= points {
        return until;
    }
    Slot((from.0.div_euclid(points) + 1) * points).min(until)
}

async fn fly(api: &Api, key: &Key, span: Span) -> Result<Table, Error> {
    let Key { query, label, step } = key;
    match span {
        Span::Instant { at, patience } => {
            // Twice the patience of who asks first, for those who come later have theirs too.
            let budget = (patience * 2).min(api.settings.timeout);
            let body = api.instant(query, *step, at, budget).await?;
            let table = read_table(&body, &api.question(query, *step, When::Instant(at)), label)?;
            api.tell(query, &table.doubts);
            Ok(Table { from: Slot(0), table })
        }
        Span::Range { from, until } => {
            let _history = api.history().await;
            let chunk = api.chunk(query, *step, (from, until), until.since(from)).await?;
            let when = When::Range { from, until: chunk.until };
            api.sizes.weighs(query, when.count(), chunk.body.len());
            let table = read_table(&chunk.body, &api.question(query, *step, when), label)?;
            api.tell(query, &table.doubts);
            Ok(Table { from, table })
        }
    }
}

/// Lets go what nobody will ask for any more, and the oldest tables when there are too many points.
fn tidy(flights: &mut HashMap<Key, Vec<Flight>>) {
    let mut landed = Vec::new();
    for group in flights.values_mut() {
        group.retain(|flight| {
            flight.asked.elapsed() < KEEP || flight.points().is_none() && flight.outcome.has_changed().is_ok()
        });
        landed.extend(group.iter().filter_map(|flight| Some((flight.asked, flight.points()?))));
    }
    flights.retain(|_, group| !group.is_empty());
    let total: usize = landed.iter().map(|(_, points)| points).sum();
    if total <= MOST_POINTS_KEPT {
        return;
    }
    landed.sort_unstable_by_key(|(asked, _)| std::cmp::Reverse(*asked));
    let mut kept = 0;
    // The newest stays whatever it weighs: those in step with it are just about to come.
    let oldest_kept = landed.iter().enumerate().take_while(|(index, (_, points))| {
        kept += points;
        *index == 0 || kept <= MOST_POINTS_KEPT
    });
    if let Some((_, (oldest, _))) = oldest_kept.last() {
        let oldest = *oldest;
        for group in flights.values_mut() {
            group.retain(|flight| flight.asked >= oldest || flight.points().is_none());
        }
    }
}
