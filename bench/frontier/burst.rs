//! The burst of the kit that nobody saw coming: where even the less late of two policies that cannot see ahead was latest.
//!
//! It is looked for, in every trace and at every lead, and not picked: half an hour in which tidetable at its default quantile and a
//! reactive HPA as most people run it were both late, and the lesser of the two lateness is the largest.

use std::ops::Range;
use std::time::Duration;

use chrono_tz::Tz;
use tidetable::simulate::backtest::{Course, Foresight, Keep, Reactive, Run};
use tidetable::time::Timestamp;

use crate::ours;
use crate::world::World;

/// The settings that are shown.
pub(crate) const QUANTILE: f64 = 0.95;
pub(crate) const UTILIZATION: f64 = 0.8;

const SYNCS_PER_MINUTE: usize = 4;

/// How long a burst is looked at, and how much is shown before and after that.
const LASTS: usize = 30 * SYNCS_PER_MINUTE;
const AROUND: usize = 30 * SYNCS_PER_MINUTE;

/// One stretch of time, sync by sync.
pub(crate) struct Burst {
    pub(crate) trace: String,
    pub(crate) lead: u64,
    pub(crate) zone: Tz,
    /// The first sync that is shown; each of the others is a quarter of a minute after the one before.
    pub(crate) from: Timestamp,
    /// Replicas that the load needed, not rounded, and rounded up; `None` where it was not recorded.
    pub(crate) demand: Vec<Option<(f64, u32)>>,
    pub(crate) tidetable: Shown,
    pub(crate) reactive: Shown,
    pub(crate) foresight: Shown,
    /// Late pod-minutes of the less late of the two that cannot see ahead.
    lateness: f64,
}

/// What one policy had.
pub(crate) struct Shown {
    /// Ready replicas.
    pub(crate) ready: Vec<u32>,
    /// Pods that were late, sync by sync.
    pub(crate) late: Vec<u32>,
}

impl Shown {
    fn of(ready: &[u32], late: &[u32], shown: &Range<usize>) -> Self {
        Self { ready: ready[shown.clone()].to_vec(), late: late[shown.clone()].to_vec() }
    }

    pub(crate) fn late_pod_minutes(&self) -> f64 {
        self.late.iter().copied().map(f64::from).sum::<f64>() / SYNCS_PER_MINUTE as f64
    }

    /// The sync with the most late pods.
    pub(crate) fn worst(&self) -> usize {
        (0..self.late.len()).rev().max_by_key(|sync| self.late[*sync]).unwrap_or(0)
    }
}

impl Burst {
    /// The worst of one world at one lead; `None` where nobody was late.
    pub(crate) fn of(world: &World, lead: u64) -> Option<Self> {
        let lead_time = Duration::from_secs(lead);
        let conditions = world.conditions(lead_time, 0.0);
        let course = Course::over(world.tested.clone(), &world.load, &conditions);
        let tidetable = ours::run(world, &course, lead_time, QUANTILE).replicas;
        let reactive = Reactive { capacity: world.capacity, utilization: UTILIZATION };
        let reactive = Run::new(reactive, &course, Keep::EachSync, lead_time).to_the_end(&course).replicas;
        let known = Foresight::of(&course, lead_time, &conditions.growth());
        let known = Run::new(known, &course, Keep::EachSync, lead_time).to_the_end(&course).replicas;
        let ready = [tidetable, reactive, known]
            .map(|replicas| replicas.into_iter().map(|(_, ready)| ready).collect::<Vec<_>>());
        let late = ready.each_ref().map(|ready| late(ready, &course));

        let (begin, lateness) = latest(&late[0], &late[1])?;
        let shown = begin.saturating_sub(AROUND)..(begin + LASTS + AROUND).min(course.syncs());
        let demand = shown
            .clone()
            .map(|sync| Some((course.load(sync)? / world.capacity.get(), course.needed(sync)?.0)));
        let policy = |place: usize| Shown::of(&ready[place], &late[place], &shown);
        Some(Self {
            trace: world.name.clone(),
            lead,
            zone: world.zone,
            from: course.synced_at(shown.start),
            demand: demand.collect(),
            tidetable: policy(0),
            reactive: policy(1),
            foresight: policy(2),
            lateness,
        })
    }

    /// The worse of two.
    pub(crate) fn worse(self, other: Self) -> Self {
        if other.lateness > self.lateness { other } else { self }
    }

    /// A sync that is shown.
    pub(crate) fn at(&self, sync: usize) -> Timestamp {
        let seconds = i64::try_from(sync * 60 / SYNCS_PER_MINUTE).unwrap_or(i64::MAX);
        self.from + chrono::TimeDelta::seconds(seconds)
    }
}

/// Pods that were needed and not ready, sync by sync.
fn late(ready: &[u32], course: &Course<'_>) -> Vec<u32> {
    let needed = |sync| course.needed(sync).unwrap_or_default().0;
    ready.iter().enumerate().map(|(sync, ready)| needed(sync).saturating_sub(*ready)).collect()
}

/// Where the lesser lateness of the two within [`LASTS`] is the largest, the first of several, and how many pod-minutes that is.
fn latest(one: &[u32], other: &[u32]) -> Option<(usize, f64)> {
    let within = |late: &[u32]| -> Vec<u64> {
        let mut sums = vec![0];
        sums.extend(late.iter().scan(0, |sum, late| {
            *sum += u64::from(*late);
            Some(*sum)
        }));
        sums.windows(LASTS + 1).map(|sums| sums[LASTS] - sums[0]).collect()
    };
    let lesser = within(one).into_iter().zip(within(other)).map(|(one, other)| one.min(other));
    let (begin, most) = lesser.enumerate().rev().max_by_key(|(_, lesser)| *lesser)?;
    (most > 0).then_some((begin, most as f64 / SYNCS_PER_MINUTE as f64))
}
