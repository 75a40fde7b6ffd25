//! The contenders beside ours: what people run today, and what nobody can run.

use chrono_tz::Tz;

use super::accuracy::Foreseen;
use super::course::{Course, Past};
use crate::decision::Decision;
use crate::guard::Tolerance;
use crate::guard::tolerance::Mode;
use crate::plan::Growth;
use crate::simulate::foresight;
use crate::simulate::hpa::{Metric, Reading};
use crate::time::{LocalClock, Timestamp};
use crate::units::{Load, LoadPerReplica, Replicas};

/// What an HPA's metric says, sync by sync.
pub trait Scaler: Send {
    /// The metric.
    fn metric(&self) -> Metric;

    /// What it says at a sync. Syncs are asked for once each, in order.
    fn reading(&mut self, past: &Past<'_>) -> Reading;

    /// What it begins with; `None` where that is what the first load needs.
    fn fixed(&self) -> Option<Replicas> {
        None
    }

    /// The decision behind the answer of an earlier sync, where there is one and it is still remembered.
    fn decision(&self, _sync: usize) -> Option<&Decision> {
        None
    }

    /// What the plan behind the newest answer said, where there is one.
    fn foreseen(&self) -> Option<Foreseen> {
        None
    }
}

impl<S: Scaler + ?Sized> Scaler for Box<S> {
    fn metric(&self) -> Metric {
        (**self).metric()
    }

    fn reading(&mut self, past: &Past<'_>) -> Reading {
        (**self).reading(past)
    }

    fn fixed(&self) -> Option<Replicas> {
        (**self).fixed()
    }

    fn decision(&self, sync: usize) -> Option<&Decision> {
        (**self).decision(sync)
    }

    fn foreseen(&self) -> Option<Foreseen> {
        (**self).foreseen()
    }
}

/// An HPA on the present rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reactive {
    /// What one replica bears.
    pub capacity: LoadPerReplica,
    /// The part of it that is to be used.
    pub utilization: f64,
}

impl Scaler for Reactive {
    fn metric(&self) -> Metric {
        Metric::per_pod(self.capacity.get() * self.utilization)
    }

    fn reading(&mut self, past: &Past<'_>) -> Reading {
        past.rate(past.now).map_or(Reading::Failed, Reading::Value)
    }
}

/// As many as the busiest minute of the training span needed, always.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Static(pub Replicas);

impl Static {
    /// The peak of a course.
    pub fn peak_of(training: &Course<'_>) -> Self {
        Self((0..training.syncs()).filter_map(|sync| training.needed(sync)).max().unwrap_or_default())
    }
}

impl Scaler for Static {
    fn metric(&self) -> Metric {
        Metric::REPLICAS
    }

    fn reading(&mut self, _past: &Past<'_>) -> Reading {
        Reading::Value(f64::from(self.0.0))
    }

    /// Or an HPA that tolerates a tenth would find what the first load needs near enough for ever.
    fn fixed(&self) -> Option<Replicas> {
        Some(self.0)
    }
}

/// KEDA's `cron` triggers, one for each hour of the week, as a careful operator derives them: the busiest five minutes of
/// that hour in the mean week, begun one lead time early.
#[derive(Debug, Clone)]
pub struct Cron {
    by_hour: Vec<Replicas>,
    clock: LocalClock,
    lead_time: std::time::Duration,
}

const WEEK_SECONDS: i64 = 7 * 86_400;
const DAY_SECONDS: i64 = 86_400;
const SLOT_SECONDS: i64 = 300;
const HOUR_SECONDS: i64 = 3600;

impl Cron {
    /// The schedule of the mean week of `training` by the wall clock of `zone`. It is kept until `until`.
    pub fn of(training: &Course<'_>, zone: Tz, lead_time: std::time::Duration, until: Timestamp) -> Self {
        let capacity = training.conditions().capacity;
        let clock = LocalClock::over(zone, training.decided_at(0), until + lead_time);
        let mut sums = vec![(0.0, 0_u32); usize_of(WEEK_SECONDS / SLOT_SECONDS)];
        for sync in 0..training.syncs() {
            let place = clock.local_seconds(training.synced_at(sync)).rem_euclid(WEEK_SECONDS);
            let sum = &mut sums[usize_of(place / SLOT_SECONDS)];
            if let Some(load) = training.load(sync) {
                *sum = (sum.0 + load, sum.1 + 1);
            }
        }
        let means: Vec<Option<f64>> =
            sums.iter().map(|(sum, count)| (*count > 0).then(|| sum / f64::from(*count))).collect();
        // What was never seen is taken for the busiest that was, at that time of another day if there is one.
        let busiest_of = |loads: &mut dyn Iterator<Item = Option<f64>>| loads.flatten().reduce(f64::max);
        let day = usize_of(DAY_SECONDS / SLOT_SECONDS);
        let busiest_day = |slot: usize| busiest_of(&mut means.iter().skip(slot % day).step_by(day).copied());
        let busiest = busiest_of(&mut means.iter().copied()).unwrap_or(0.0);
        let means: Vec<f64> = (0..means.len())
            .map(|slot| means[slot].or_else(|| busiest_day(slot)).unwrap_or(busiest))
            .collect();
        let busiest_in = |hour: &[f64]| hour.iter().copied().fold(0.0, f64::max);
        let by_hour = means
            .chunks(usize_of(HOUR_SECONDS / SLOT_SECONDS))
            .map(|hour| Replicas::bearing(Load::saturating(busiest_in(hour)), capacity))
            .collect();
        Self { by_hour, clock, lead_time }
    }

    fn at(&self, at: Timestamp) -> Replicas {
        let hour = self.clock.local_seconds(at).rem_euclid(WEEK_SECONDS) / HOUR_SECONDS;
        self.by_hour[usize_of(hour)]
    }
}

impl Scaler for Cron {
    fn metric(&self) -> Metric {
        Metric::REPLICAS
    }

    fn reading(&mut self, past: &Past<'_>) -> Reading {
        Reading::Value(f64::from(self.at(past.now).max(self.at(past.now + self.lead_time)).0))
    }
}

/// Somebody who knows the whole course, and the HPA's dead band.
#[derive(Debug, Clone, PartialEq)]
pub struct Foresight {
    answers: Vec<Replicas>,
    tolerance: Tolerance,
}

impl Foresight {
    /// The answers of one who knows `course`. Where load was not recorded, the last need stands.
    pub fn of(course: &Course<'_>, lead_time: std::time::Duration, growth: &Growth) -> Self {
        let mut last = Replicas(0);
        // What is above the maximum is nobody's to have, and begins no climb.
        let max = course.conditions().max;
        let needs: Vec<Replicas> = (0..course.syncs())
            .map(|sync| {
                last = course.needed(sync).map_or(last, |needed| needed.min(max));
                last
            })
            .collect();
        // Whoever arrives after a sync is served by those that stand ready at it.
        let next = needs.iter().skip(1).chain(needs.last());
        let needs: Vec<Replicas> = needs.iter().zip(next).map(|(own, next)| *own.max(next)).collect();
        let controllers = course.conditions().tolerance;
        let tolerance = Tolerance { mode: Mode::Auto, up: controllers, down: controllers };
        Self { answers: foresight::answers(&needs, lead_time, growth), tolerance }
    }
}

impl Scaler for Foresight {
    fn metric(&self) -> Metric {
        Metric::REPLICAS
    }

    fn reading(&mut self, past: &Past<'_>) -> Reading {
        self.answers.get(past.sync).map_or(Reading::Failed, |replicas| {
            Reading::Value(self.tolerance.answer(*replicas, Some(&past.hpa())).get())
        })
    }
}

fn usize_of(place: i64) -> usize {
    usize::try_from(place).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::series::Series;
    use crate::simulate::backtest::{Conditions, Keep, Run};
    use crate::simulate::{FineLoad, StartUp, Within};
    use crate::time::{Slot, Step, from_epoch_seconds};

    #[test]
    fn foresight_is_not_late_under_a_dead_band_either() {
        // Two hours at 20 replicas, and then at 22, which is within a tenth of them.
        let first = Step::MINUTE.last_ended(from_epoch_seconds(1_000_000_020)).next();
        let mut recorded = Series::empty(Step::MINUTE, first);
        for slot in (first.0..first.0 + 240).map(Slot) {
            let replicas = if slot.since(first) < 120 { 20.0 } else { 22.0 };
            recorded.put(slot, Load::saturating(replicas));
        }
        let load = FineLoad::of(&recorded, Within::Wandering { seed: 7 });
        let lead_time = Duration::from_secs(120);
        for behavior in [None, Some(crate::simulate::hpa::Behavior::recommended())] {
            let conditions = Conditions {
                capacity: LoadPerReplica::try_new(1.0).unwrap(),
                min: Replicas(1),
                max: Replicas(200),
                start_up: StartUp::Fixed(lead_time),
                pods_per_minute: None,
                behavior,
                tolerance: 0.1,
                cpu: None,
                queue: Duration::from_secs(5),
                load_per: Duration::from_secs(1),
                rate_window: Duration::from_secs(60),
                age: Duration::from_secs(30),
            };
            let span = Step::MINUTE.start(first.plus(10))..Step::MINUTE.start(first.plus(240));
            let course = Course::over(span, &load, &conditions);
            let foresight = Foresight::of(&course, lead_time, &conditions.growth());
            let run = Run::new(foresight, &course, Keep::Score, lead_time).to_the_end(&course);
            assert!(run.score.tally.late_pod_minutes.abs() < 1e-9, "{:?}", run.score);
        }
    }
}
