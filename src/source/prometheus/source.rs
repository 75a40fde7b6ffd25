//! The engine's port.

use std::time::Duration;

use super::answer::{Doubts, When, read};
use super::client::Api;
use super::{Error, Settings};
use crate::engine::{Demand, Measured, MetricSource, Sample};
use crate::time::{Slot, Step, Timestamp};
use crate::units::Load;

/// One Prometheus server, or what speaks like one.
pub struct Source {
    api: Api,
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
        Ok(Self { api: Api::try_new(settings)? })
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
        let samples = self.range_of_one(demand, (from, until), &mut doubts).await?;
        Ok(Measured { measured: samples, degraded: doubts.phrase() })
    }

    /// The sample at `at`, within the smaller of `patience` and the timeout of the settings, waiting for a seat and for a turn
    /// included.
    async fn instant(
        &self,
        demand: &Demand,
        at: Timestamp,
        patience: Duration,
    ) -> Result<Measured<Sample>, Error> {
        let budget = patience.min(self.api.settings.timeout);
        let body = self.api.instant(&demand.query, demand.step, at, budget).await?;
        let answer = read(&body, &self.api.question(&demand.query, demand.step, When::Instant(at)))?;
        self.api.tell(&demand.query, &answer.doubts);
        let load = answer.loads.first().copied().flatten();
        Ok(Measured { measured: Sample { at, load }, degraded: answer.doubts.phrase() })
    }
}
