//! A demand's model: when it is due, what it is fitted from, and from when on it is in force.
//!
//! A fit reads its history anew, from archive and source: exactly the slots from the start of the day `origin − history` to
//! the origin, which follows from the target's name and the time alone. So two replicas fit the same numbers however long
//! each has been running, what came late is in it, and nobody holds two months of minutes in memory between fits.
//!
//! An event that is declared, changed or taken back between two fits makes the last one anew, with the same data and the
//! other events; the model in force goes on answering until that is done.
//!
//! Reading and fitting go on beside the ticks. A source that is down at that moment is asked again, less and less often;
//! the model in force reaches two days further all the while.

use std::sync::Arc;

use chrono::TimeDelta;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::feed::Means;
use super::fitting::{Cadence, FitPool};
use super::reading::{self, Whole};
use super::{Archive, Board, Day, Demand, Forecasters, Learned, MetricSource, Metrics, Target};
use crate::calendar::Event;
use crate::forecast::{self, Doubt, Fitted, Forecaster, Hygiene, Shift};
use crate::series::Series;
use crate::time::{Slot, Timestamp};

/// The first and the longest wait before a history that could not be read is asked for again.
const RETRY_AFTER: (TimeDelta, TimeDelta) = (TimeDelta::seconds(15), TimeDelta::minutes(10));

/// Why there is no new model.
#[derive(Debug, thiserror::Error)]
enum Failure<E> {
    #[error("the history to learn from could not be read: {0}")]
    Source(E),
    #[error("the fit died; see the panic above, and please report it")]
    Died,
}

/// What comes of reading and fitting: the model, or why there can be none, and days that are to be archived.
type Outcome<E> = Result<(Result<Box<dyn Fitted>, forecast::Error>, Vec<Series>), Failure<E>>;

/// The model in force, and the one that is on its way.
pub(super) struct Learning<S: MetricSource, A> {
    target: Arc<Target>,
    demand: Arc<Demand>,
    source: Arc<S>,
    archive: Option<Arc<A>>,
    forecasters: Forecasters,
    forecaster: Arc<dyn Forecaster>,
    /// Set while the model in force, if there is one, does not know the events that are listened to: from when on one that
    /// does is to be in force.
    outdated: Option<Timestamp>,
    cadence: Cadence,
    model: Option<Box<dyn Fitted>>,
    under_way: Option<(Slot, AbortOnDropHandle<Outcome<S::Error>>)>,
    keeping: Option<AbortOnDropHandle<()>>,
    /// The origin of the newest fit that came to an end.
    learned: Option<Slot>,
    /// The origin of a regular fit that found too short a history.
    too_short: Option<Slot>,
    retry: Option<(Timestamp, TimeDelta)>,
    /// How often a model has come into force that listens to other events than the former.
    listened: u64,
    /// Why the newest fit came to nothing, if it did.
    trouble: Option<String>,
}

impl<S: MetricSource, A: Archive> Learning<S, A> {
    pub(super) fn new(
        target: Arc<Target>,
        demand: Arc<Demand>,
        source: Arc<S>,
        archive: Option<Arc<A>>,
        forecasters: Forecasters,
    ) -> Self {
        let cadence = Cadence::of(&target.name, demand.step);
        // What is read at the same time is read once for all who share the query.
        let cadence = if demand.label.is_some() { cadence.in_step() } else { cadence };
        let forecaster = forecasters(&target.almanac);
        Self {
            target,
            demand,
            source,
            archive,
            forecasters,
            forecaster,
            outdated: None,
            cadence,
            model: None,
            under_way: None,
            keeping: None,
            learned: None,
            too_short: None,
            retry: None,
            listened: 0,
            trouble: None,
        }
    }

    /// Listens to `events` beside those of the configuration, and to no others from before. A model that knows them is in force
    /// as soon as it has been learned, but where there is one already not before `in_force_from`: what is under way without
    /// them is given up.
    pub(super) fn listen(&mut self, events: &[Event], in_force_from: Timestamp) {
        let almanac = &self.target.almanac;
        let all = almanac.events().iter().chain(events).cloned();
        self.forecaster = (self.forecasters)(&almanac.clone().with_events(all));
        self.under_way = None;
        self.outdated = Some(in_force_from);
    }

    /// How often a model has come into force that listens to other events than the former.
    pub(super) fn listened(&self) -> u64 {
        self.listened
    }

    /// Why there is no newer model, where there should be one.
    pub(super) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// The model in force.
    pub(super) fn model(&self) -> Option<&dyn Fitted> {
        self.model.as_deref()
    }

    /// Whether it is known if there is a model, of all that is listened to.
    pub(super) fn has_come_to_an_end(&self) -> bool {
        self.learned.is_some() && self.outdated.is_none()
    }

    /// Starts what is due at `at`, and puts into force what is done and whose time has come. Waits until `deadline` at
    /// most.
    pub(super) async fn advance(&mut self, at: Timestamp, deadline: Instant, means: &Means<A>) {
        let Means { fits, metrics, board, .. } = means;
        if self.under_way.is_none() && self.retry.is_none_or(|(then, _)| then <= at) {
            let origin = self.due(at);
            if self.outdated.is_some() || self.learned.is_none_or(|learned| learned < origin) {
                self.under_way = Some((
                    origin,
                    AbortOnDropHandle::new(tokio::spawn(self.learn(origin, at, (fits, metrics)))),
                ));
            }
        }
        let Some((origin, mut learning)) = self.under_way.take() else { return };
        let in_force_at = self.cadence.in_force_at(origin, self.demand.settle_lag);
        let in_force_at = self.outdated.map_or(in_force_at, |from| from.max(in_force_at));
        if at < in_force_at && self.model.is_some() {
            self.under_way = Some((origin, learning));
            return;
        }
        match tokio::time::timeout_at(deadline, &mut learning).await {
            Ok(outcome) => self.end(at, origin, outcome.unwrap_or(Err(Failure::Died)), (metrics, board)),
            Err(_) => self.under_way = Some((origin, learning)),
        }
    }

    /// The origin of the newest fit that every replica has, or will have, in force.
    ///
    /// A replica without any model begins with the fit that the others still answer from. While history is too short for
    /// the regular fit, there is one every hour, for all replicas alike.
    fn due(&self, at: Timestamp) -> Slot {
        let lag = self.demand.settle_lag;
        let settled_end = self.demand.step.last_ended(at - lag).next();
        let regular = self.cadence.origin(settled_end);
        let (cadence, newest) = if self.too_short == Some(regular) {
            let hourly = self.cadence.while_too_short();
            (hourly, hourly.origin(settled_end).max(regular))
        } else {
            (self.cadence, regular)
        };
        if self.learned.is_none() && at < cadence.in_force_at(newest, lag) {
            cadence.former(newest)
        } else {
            newest
        }
    }

    /// Reads `[origin − history, origin)` and fits it.
    fn learn(
        &self,
        origin: Slot,
        at: Timestamp,
        (fits, metrics): (&FitPool, &Metrics),
    ) -> impl Future<Output = Outcome<S::Error>> + Send + use<S, A> {
        let (target, demand) = (Arc::clone(&self.target), Arc::clone(&self.demand));
        let (source, archive) = (Arc::clone(&self.source), self.archive.clone());
        let is_first = self.learned.is_none();
        let (forecaster, fits, metrics) = (Arc::clone(&self.forecaster), fits.clone(), metrics.clone());
        async move {
            let step = demand.step;
            // From the start of a day on, for that is how an archive keeps it.
            let from = Day::of(step, origin.plus(-step.slots_in(demand.history))).slots(step).start;
            if let Some(archive) = archive.as_deref().filter(|_| is_first && demand.label.is_some()) {
                let means = (&fits, &metrics, at);
                reading::fill(&*source, archive, (&target, &demand), from..origin, means).await;
            }
            // Held from the first byte to the model: that bounds how many histories are in memory at once.
            let _seat = fits.seat(origin.since(from)).await;
            let read =
                reading::read(&*source, archive.as_deref(), (&target, &demand), from..origin, &metrics).await;
            let Whole { mut history, unkept, archived } = read.map_err(Failure::Source)?;
            leave_what_is_being_forgotten(&mut history, origin);
            let measured_hours =
                history.measured_count() * usize::try_from(step.seconds()).unwrap_or(0) / 3_600;
            tracing::info!(
                target = %target.name, demand = %demand.name, measured_hours, days_from_archive = archived,
                "history was read"
            );
            let fitted = fits.fit(forecaster, history, origin).await.ok_or(Failure::Died)?;
            Ok((fitted, unkept))
        }
    }

    fn end(
        &mut self,
        at: Timestamp,
        origin: Slot,
        outcome: Outcome<S::Error>,
        (metrics, board): (&Metrics, &Board),
    ) {
        let (target, demand) = (&*self.target.name, &*self.demand.name);
        let (fitted, unkept) = match outcome {
            Ok(learned) => learned,
            Err(failure) => {
                let wait = self.retry.map_or(RETRY_AFTER.0, |(_, wait)| (wait * 2).min(RETRY_AFTER.1));
                self.retry = Some((at + wait, wait));
                metrics.fitted(target, "failed");
                let again_in_seconds = wait.num_seconds();
                tracing::warn!(target, demand, error = %failure, again_in_seconds, "there is no new model");
                self.trouble = Some(failure.to_string());
                return;
            }
        };
        self.retry = None;
        self.trouble = None;
        self.listened += u64::from(self.outdated.take().is_some());
        self.learned = Some(origin);
        if let Some(archive) = self.archive.clone().filter(|_| !unkept.is_empty()) {
            let (target, demand) = (Arc::clone(&self.target), Arc::clone(&self.demand));
            let keeping = reading::keep(archive, target, demand, unkept, at, metrics.clone());
            self.keeping = Some(AbortOnDropHandle::new(tokio::spawn(keeping)));
        }
        let outcome = fitted.as_ref().map(|model| model.explanation()).map_err(Clone::clone);
        let learned = Learned { until: self.demand.step.start(origin), outcome };
        board.explain(target, &self.demand.name, learned);
        match fitted {
            Ok(model) => {
                if let Some(hygiene) = model.hygiene() {
                    metrics.cleaned(target, demand, hygiene);
                    let Hygiene { span, measured, shifts, .. } = hygiene;
                    let (from, to) = (span.start, span.end);
                    let masked = Doubt::ALL.map(|doubt| hygiene.masked(doubt));
                    let [excluded, absurd, reset, spike, outage, surge, slump] = masked;
                    tracing::info!(
                        target, demand, %from, %to, measured, excluded, absurd, reset, spike, outage, surge, slump,
                        "history was cleaned; counts are of slots"
                    );
                    for Shift { at, times } in shifts {
                        tracing::info!(
                            target, demand, %at, times,
                            "the level of demand made a step that stayed; what came before is learned from as if it had been so"
                        );
                    }
                }
                self.model = Some(model);
                self.too_short = None;
                metrics.fitted(target, "ok");
                let data_until = self.demand.step.start(origin);
                tracing::info!(target, demand, %data_until, "a new model is in force");
            }
            Err(error @ forecast::Error::TooShort { .. }) => {
                if self.cadence.origin(origin) == origin {
                    self.too_short = Some(origin);
                }
                metrics.fitted(target, "too_short");
                tracing::info!(target, demand, reason = %error, "there is no model yet");
            }
        }
    }
}

/// Drops the oldest part of a history that begins later than was asked for, down to whole weeks before `origin` (whole
/// days where there are not two weeks).
///
/// A source with a retention forgets its oldest hours all the time, and blocks at a time. Two replicas that read hours
/// apart for one origin would otherwise learn from different first days.
fn leave_what_is_being_forgotten(history: &mut Series, origin: Slot) {
    const DAY_SECONDS: i64 = 86_400;
    const WEEK_SECONDS: i64 = 7 * DAY_SECONDS;
    let Some((oldest, _)) = history.points().next() else { return };
    if oldest <= history.first() {
        return;
    }
    let step_seconds = history.step().seconds();
    let seconds = origin.since(oldest) * step_seconds;
    let unit = if seconds >= 2 * WEEK_SECONDS { WEEK_SECONDS } else { DAY_SECONDS };
    history.forget_before(origin.plus(-(seconds / unit * unit / step_seconds)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Step;
    use crate::units::Load;

    /// Days that are left of a history asked for 56 days back of which `hours` are there.
    fn check(hours: i64, days_left: i64) {
        let origin = Slot(30_000_000);
        let mut history = Series::empty(Step::MINUTE, origin.plus(-56 * 1_440));
        history.mask(origin.plus(-56 * 1_440));
        for slot in (origin.0 - hours * 60..origin.0).map(Slot) {
            history.put(slot, Load::saturating(1.0));
        }
        leave_what_is_being_forgotten(&mut history, origin);
        assert_eq!(origin.since(history.first()), days_left * 1_440, "{hours} h");
    }

    #[test]
    fn what_a_retention_is_about_to_forget_is_not_learned_from() {
        // 15 d of retention, read at any time of the six hours, with a block more or less.
        for hours in [15 * 24, 15 * 24 - 6, 15 * 24 + 36] {
            check(hours, 14);
        }
        check(12 * 24 + 5, 12);
        check(5, 0);
    }

    #[test]
    fn a_history_that_is_all_there_is_left_alone() {
        check(56 * 24, 56);
    }
}
