//! The engine's port: a target's own query is asked for it alone, a shared one once for all that share it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::answer::{Doubts, When, read};
use super::batches::Batches;
use super::client::Api;
use super::groups::{Groups, Span};
use super::{Error, Settings};
use crate::engine::{Demand, Label, Measured, MetricSource, Sample};
use crate::time::{Slot, Step, Timestamp};
use crate::units::Load;

/// One Prometheus server, or what speaks like one.
pub struct Source {
    api: Arc<Api>,
    groups: Groups,
    batches: Batches,
}

impl Source {
    /// A source with these settings. No call is made yet, and no file is read.
    ///
    /// # Errors
    /// [`Error::Url`], [`Error::Parameter`], [`Error::Header`] or [`Error::Tls`] when the settings cannot work.
    ///
    /// # Panics
    /// When no TLS provider has been installed; `main` does that first.
    pub fn try_new(settings: Settings) -> Result<Self, Error> {
        let api = Arc::new(Api::try_new(settings)?);
        let (groups, batches) = (Groups::new(Arc::clone(&api)), Batches::new(Arc::clone(&api)));
        Ok(Self { api, groups, batches })
    }

    /// The samples of one series, chunk by chunk.
    async fn range_of_one(
        &self,
        demand: &Demand,
        (from, until): (Slot, Slot),
        doubts: &mut Doubts,
    ) -> Result<Vec<Sample>, Error> {
        let Demand { query, step, .. } = demand;
        let mut samples = Vec::new();
        let mut begin = from;
        let _history = self.api.history().await;
        while begin < until {
            let points = self.api.sizes.of_one(query);
            let chunk = self.api.chunk(query, *step, (begin, until), points).await?;
            let when = When::Range { from: begin, until: chunk.until };
            let answer = read(&chunk.body, &self.api.question(query, *step, when))?;
            samples.extend(sampled(*step, begin, &answer.loads));
            doubts.append(&answer.doubts);
            begin = chunk.until;
        }
        self.api.tell(query, doubts);
        Ok(samples)
    }

    /// The samples of the series that belongs to `label`, table by table.
    async fn range_of_many(
        &self,
        demand: &Demand,
        label: &Label,
        (from, until): (Slot, Slot),
        doubts: &mut Doubts,
    ) -> Result<Vec<Sample>, Error> {
        let mut samples = Vec::new();
        let mut begin = from;
        while begin < until {
            let table = self.groups.ask(demand, &label.name, Span::Range { from: begin, until }).await?;
            let end = table.until().min(until);
            let place = |slot: Slot| usize::try_from(slot.since(table.from)).unwrap_or_default();
            match table.columns.get(&label.content) {
                Some(Ok(column)) => {
                    samples.extend(sampled(demand.step, begin, &column[place(begin)..place(end)]));
                }
                Some(Err(error)) => return Err(error.clone()),
                None => samples.extend(sampled(demand.step, begin, &vec![None; place(end) - place(begin)])),
            }
            doubts.append(&table.doubts);
            begin = end;
        }
        Ok(samples)
    }
}

/// How many slots targets read in step with each other. A longer span is read for a model, of which each target has its
/// own at a time of its own ([`super::batches`]).
fn most_in_step(demand: &Demand) -> i64 {
    demand.step.slots_in(demand.recent_span()).saturating_add(1)
}

/// Loads of consecutive slots, with their instants.
fn sampled(step: Step, from: Slot, loads: &[Option<Load>]) -> impl Iterator<Item = Sample> {
    let ends = (from.0..).map(move |slot| step.end(Slot(slot)));
    ends.zip(loads).map(|(at, load)| Sample { at, load: *load })
}

impl MetricSource for Source {
    type Error = Error;

    /// One sample for each slot of `from..until`, in order, fetched in chunks of at most 10,000 points, and of fewer where
    /// the server finds that too much.
    async fn range(&self, demand: &Demand, from: Slot, until: Slot) -> Result<Measured<Vec<Sample>>, Error> {
        let mut doubts = Doubts::default();
        let samples = match &demand.label {
            None => self.range_of_one(demand, (from, until), &mut doubts).await?,
            Some(label) if until.since(from) > most_in_step(demand) => {
                let (loads, of_batch) = self.batches.ask(demand, label, (from, until)).await?;
                doubts.append(&of_batch);
                sampled(demand.step, from, &loads).collect()
            }
            Some(label) => self.range_of_many(demand, label, (from, until), &mut doubts).await?,
        };
        Ok(Measured { measured: samples, degraded: doubts.phrase() })
    }

    /// The sample at `at`, within the smaller of `patience` and the timeout of the settings, waiting for a seat, for a turn
    /// and for whoever asked first included.
    async fn instant(
        &self,
        demand: &Demand,
        at: Timestamp,
        patience: Duration,
    ) -> Result<Measured<Sample>, Error> {
        let budget = patience.min(self.api.settings.timeout);
        let Some(label) = &demand.label else {
            let body = self.api.instant(&demand.query, demand.step, at, budget).await?;
            let answer = read(&body, &self.api.question(&demand.query, demand.step, When::Instant(at)))?;
            self.api.tell(&demand.query, &answer.doubts);
            let load = answer.loads.first().copied().flatten();
            let no_load = || load.is_none().then(|| answer.doubts.no_load().to_owned());
            let degraded = answer.doubts.phrase().or_else(no_load);
            return Ok(Measured { measured: Sample { at, load }, degraded });
        };
        let asked = self.groups.ask(demand, &label.name, Span::Instant { at, patience: budget });
        let table = timeout_at(Instant::now() + budget, asked)
            .await
            .map_err(|_| Error::Timeout { url: self.api.shown(), after: budget })??;
        let load = match table.columns.get(&label.content) {
            Some(Ok(column)) => column.first().copied().flatten(),
            Some(Err(error)) => return Err(error.clone()),
            None => None,
        };
        let Label { name, content } = label;
        let why = || {
            if table.columns.contains_key(content) {
                format!(
                    "the series with {name}=\"{content}\" has no load: NaN, an infinity or less than zero"
                )
            } else {
                format!("the query finds no series with {name}=\"{content}\"")
            }
        };
        let no_load = || load.is_none().then(why);
        let degraded = table.doubts.phrase().or_else(no_load);
        Ok(Measured { measured: Sample { at, load }, degraded })
    }
}
