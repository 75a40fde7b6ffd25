//! A demand's whole history, from the archive and the source together.
//!
//! Archived days are read from the archive and everything else from the source, so a retention of fifteen days does not
//! end what is known. An archive that fails costs nothing but what only it had: the source is asked, the trouble is told,
//! and answers go on.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::fitting::FitPool;
use super::{Archive, Day, Demand, Kept, MetricSource, Metrics, Sample, Target};
use crate::series::Series;
use crate::time::{Slot, Step, Timestamp};

/// An archived day never changes, so it is kept only when what comes late has had this long to come.
const KEEP_AFTER: Duration = Duration::from_secs(3600);

/// So many days are read together with the rest of a history; there is one more each day.
const FEW_DAYS: usize = 3;

/// A history and what of it the archive does not have yet.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) history: Series,
    pub(super) unkept: Vec<Series>,
    /// How many days of it the archive had.
    pub(super) archived: usize,
}

/// Reads every slot of `slots`.
pub(super) async fn read<S: MetricSource, A: Archive>(
    source: &S,
    archive: Option<&A>,
    (target, demand): (&Target, &Demand),
    slots: Range<Slot>,
    metrics: &Metrics,
) -> Result<Whole, S::Error> {
    let step = demand.step;
    let recalled = match archive {
        Some(archive) => recall(archive, (target, demand), slots.clone(), metrics).await,
        None => Vec::new(),
    };
    let archived: BTreeSet<Day> =
        recalled.iter().map(|sample| Day::of(step, step.slot_of(sample.at))).collect();
    let mut history = series(step, slots.clone(), &recalled);
    drop(recalled);
    let mut degraded = None;
    for missing in without(step, &slots, &archived) {
        let read = source.range(demand, missing.start, missing.end).await?;
        for sample in &read.measured {
            put(&mut history, sample);
        }
        degraded = degraded.or(read.degraded);
    }
    let unkept = match (archive, degraded) {
        (Some(_), None) => unkept(&history, slots, &archived),
        (Some(_), Some(why)) => {
            // What is archived stays as it is for ever, and a day of which half is missing must not.
            let (target, demand) = (&*target.name, &*demand.name);
            tracing::warn!(
                target,
                demand,
                why,
                "the metrics source doubts its own answer; nothing is archived of it"
            );
            Vec::new()
        }
        (None, _) => Vec::new(),
    };
    Ok(Whole { history, unkept, archived: archived.len() })
}

/// Archives whole days that only the source has, one at a time, where there are more than [`FEW_DAYS`] of them.
///
/// Targets that share a query and start together go through the days in step, so that the server works through its weeks
/// once for all of them, and a thousand targets have a day each in memory. What fails here is left to the reading that
/// follows, which tells of it.
pub(super) async fn fill<S: MetricSource, A: Archive>(
    source: &S,
    archive: &A,
    (target, demand): (&Target, &Demand),
    slots: Range<Slot>,
    (fits, metrics, now): (&FitPool, &Metrics, Timestamp),
) {
    let step = demand.step;
    let archived: BTreeSet<Day> = {
        let _seat = fits.seat(slots.end.since(slots.start)).await;
        let recalled = recall(archive, (target, demand), slots.clone(), metrics).await;
        recalled.iter().map(|sample| Day::of(step, step.slot_of(sample.at))).collect()
    };
    let missing: Vec<Day> = settled_days(step, slots).filter(|day| !archived.contains(day)).collect();
    if missing.len() <= FEW_DAYS {
        return;
    }
    let mut written = 0;
    for day in missing {
        let slots = day.slots(step);
        let _seat = fits.seat(slots.end.since(slots.start)).await;
        let Ok(read) = source.range(demand, slots.start, slots.end).await else { break };
        if read.degraded.is_some() {
            break;
        }
        let kept = keep_day(archive, (target, demand), &series(step, slots, &read.measured), metrics).await;
        let Some(kept) = kept else { break };
        written += usize::from(kept == Kept::Written);
    }
    tidy(archive, (target, demand), written, (metrics, now)).await;
}

/// Keeps days in the archive, oldest first, and tidies it. What fails is told once and tried again after the next fit.
pub(super) async fn keep<A: Archive>(
    archive: Arc<A>,
    target: Arc<Target>,
    demand: Arc<Demand>,
    days: Vec<Series>,
    now: Timestamp,
    metrics: Metrics,
) {
    let mut written = 0;
    for day in &days {
        let Some(kept) = keep_day(&*archive, (&target, &demand), day, &metrics).await else { return };
        written += usize::from(kept == Kept::Written);
    }
    tidy(&*archive, (&target, &demand), written, (&metrics, now)).await;
}

/// `None` when the day could not be kept, which has been told.
async fn keep_day<A: Archive>(
    archive: &A,
    (target, demand): (&Target, &Demand),
    day: &Series,
    metrics: &Metrics,
) -> Option<Kept> {
    let kept = archive.keep(target, demand, day).await;
    kept.inspect_err(|error| {
        metrics.archive_failed(&target.name, "keep");
        tracing::error!(target = %target.name, %error, "days could not be archived; they are still at the source");
    })
    .ok()
}

/// Tidies the archive when days were written.
async fn tidy<A: Archive>(
    archive: &A,
    (target, demand): (&Target, &Demand),
    written: usize,
    (metrics, now): (&Metrics, Timestamp),
) {
    let name = &*target.name;
    if written == 0 {
        return;
    }
    tracing::info!(target = name, demand = &*demand.name, days = written, "archived");
    match archive.tidy(target, demand, now).await {
        Ok(tidied) => tell(name, &tidied.passed_over, metrics),
        Err(error) => {
            metrics.archive_failed(name, "tidy");
            tracing::error!(target = name, %error, "the archive could not be tidied");
        }
    }
}

async fn recall<A: Archive>(
    archive: &A,
    (target, demand): (&Target, &Demand),
    slots: Range<Slot>,
    metrics: &Metrics,
) -> Vec<Sample> {
    match archive.recall(target, demand, slots.start, slots.end).await {
        Ok(recalled) => {
            tracing::debug!(target = %target.name, days = recalled.days, "found in the archive");
            tell(&target.name, &recalled.passed_over, metrics);
            recalled.samples
        }
        Err(error) => {
            metrics.archive_failed(&target.name, "recall");
            tracing::error!(target = %target.name, %error, "the archive cannot be read; the source is asked instead");
            Vec::new()
        }
    }
}

fn tell(target: &str, passed_over: &[String], metrics: &Metrics) {
    for object in passed_over {
        metrics.archive_failed(target, "object");
        tracing::error!(target, object, "an object of the archive could not be used");
    }
}

/// The parts of `slots` outside of the archived days.
pub fn without(step: Step, slots: &Range<Slot>, archived: &BTreeSet<Day>) -> Vec<Range<Slot>> {
    let mut missing = Vec::new();
    let mut from = slots.start;
    for day in archived {
        let day = day.slots(step);
        if day.start > from {
            missing.push(from..day.start.min(slots.end));
        }
        from = from.max(day.end);
    }
    if from < slots.end {
        missing.push(from..slots.end);
    }
    missing
}

fn unkept(history: &Series, slots: Range<Slot>, archived: &BTreeSet<Day>) -> Vec<Series> {
    settled_days(history.step(), slots)
        .filter(|day| !archived.contains(day))
        .filter_map(|day| day.cut(history))
        .filter(|day| day.measured_count() > 0)
        .collect()
}

/// The days that lie within `slots` as a whole and are old enough to be kept.
fn settled_days(step: Step, slots: Range<Slot>) -> impl Iterator<Item = Day> {
    Day::whole_within(step, slots.start..slots.end.plus(-step.slots_in(KEEP_AFTER)))
}

/// The samples on their grid; every slot of `slots` that is not measured is masked.
pub fn series(step: Step, slots: Range<Slot>, samples: &[Sample]) -> Series {
    let mut series = Series::empty(step, slots.start);
    if slots.start < slots.end {
        series.mask(slots.start);
        series.mask(slots.end.plus(-1));
    }
    for sample in samples {
        put(&mut series, sample);
    }
    series
}

fn put(series: &mut Series, sample: &Sample) {
    let slot = series.step().slot_of(sample.at);
    if let Some(load) = sample.load
        && series.grid().index(slot).is_some()
    {
        series.put(slot, load);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_archive_does_not_have_is_asked_of_the_source() {
        let step = Step::MINUTE;
        let day = |number: i64| Day::of(step, Slot(number * 1_440 + 5));
        let range = |from: i64, until: i64| Slot(from)..Slot(until);
        let all = range(700, 5 * 1_440 + 30);
        assert_eq!(without(step, &all, &BTreeSet::new()), std::slice::from_ref(&all));
        let two = BTreeSet::from([day(1), day(3)]);
        let parts = [range(700, 1_440), range(2 * 1_440, 3 * 1_440), range(4 * 1_440, 5 * 1_440 + 30)];
        assert_eq!(without(step, &all, &two), parts);
        let every = (0..=5).map(day).collect();
        assert!(without(step, &all, &every).is_empty());
    }
}
