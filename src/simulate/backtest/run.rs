//! One contender on one course: KEDA asks it, the HPA scales, pods start, the load comes, and it is written down.

use std::time::Duration;

use super::accuracy::Held;
use super::course::{Course, Past};
use super::scaler::Scaler;
use super::score::{Queue, Score, Step};
use crate::decision::{DECIDE_EVERY, Decision};
use crate::simulate::Pods;
use crate::simulate::hpa::{Hpa, Reading};
use crate::simulate::keda::{Answer, Keda, ScaledObject};
use crate::time::Timestamp;
use crate::units::Replicas;

/// KEDA polls at every second sync.
const SYNCS_PER_POLL: usize = 2;

/// Late moments closer than this belong together.
const PAUSE_SYNCS: usize = 60;

/// How many of the worst moments are kept.
const WORST: usize = 10;

/// A course begins with as many pods as an HPA at this utilisation would have come to; where it begins in a hole, by the first load
/// after it.
const BEGIN_UTILIZATION: f64 = 0.8;

/// What is written down of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// The sums.
    Score,
    /// Each sync, too.
    EachSync,
}

/// A time in which pods were late.
#[derive(Debug, Clone, PartialEq)]
pub struct LateMoment {
    /// The first late sync.
    pub from: Timestamp,
    /// The last.
    pub until: Timestamp,
    /// Pod-minutes in all.
    pub late_pod_minutes: f64,
    /// The sync with the largest shortfall.
    pub worst_at: Timestamp,
    /// What was needed then.
    pub needed: Replicas,
    /// What was ready then.
    pub ready: Replicas,
    /// What was decided one lead time before that: whose pods would just have been ready.
    pub decision: Option<Decision>,
}

/// A contender on its way.
#[derive(Debug)]
pub struct Run<S> {
    /// Who is asked.
    pub scaler: S,
    /// What it has cost so far.
    pub score: Score,
    /// `spec.replicas` after each sync, and the pods that were ready at it.
    pub replicas: Vec<(u32, u32)>,
    /// How many of its plans held.
    pub held: Held,
    keda: Keda,
    hpa: Hpa,
    pods: Pods,
    queue: Queue,
    next: usize,
    keep: Keep,
    lead_syncs: usize,
    open: Option<(LateMoment, usize)>,
    worst: Vec<LateMoment>,
}

impl<S: Scaler> Run<S> {
    /// A run that has not begun. `lead_time` is how long before a late moment something could have been done.
    pub fn new(scaler: S, course: &Course<'_>, keep: Keep, lead_time: Duration) -> Self {
        let conditions = course.conditions();
        let hpa = conditions.hpa(scaler.metric());
        let load = (0..course.syncs()).find_map(|sync| course.load(sync)).unwrap_or(0.0);
        let begin =
            f64::from(hpa.spec.min.0).max((load / conditions.capacity.get() / BEGIN_UTILIZATION).ceil());
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "saturates; clamped below"
        )]
        let begin = scaler.fixed().unwrap_or(Replicas(begin as u32)).clamp(hpa.spec.min, hpa.spec.max);
        // They have served since the sync before the first.
        let pods = Pods::new(course.decided_at(0) - DECIDE_EVERY, begin, conditions.start_up);
        let pods = match conditions.pods_per_minute {
            Some(pods_per_minute) => pods.growing_by(pods_per_minute),
            None => pods,
        };
        let target = scaler.metric().target;
        Self {
            keda: Keda::new(ScaledObject::new(conditions.min, target)),
            lead_syncs: usize::try_from(lead_time.as_secs().div_ceil(DECIDE_EVERY.as_secs())).unwrap_or(0),
            scaler,
            hpa,
            pods,
            keep,
            score: Score::default(),
            replicas: Vec::new(),
            held: Held::default(),
            queue: Queue::default(),
            next: 0,
            open: None,
            worst: Vec::new(),
        }
    }

    /// Goes on to the sync `until`, exclusive.
    pub fn advance(&mut self, course: &Course<'_>, until: usize) {
        for sync in self.next..until.min(course.syncs()) {
            self.sync(course, sync);
        }
        self.next = self.next.max(until.min(course.syncs()));
    }

    /// The whole course.
    #[must_use]
    pub fn to_the_end(mut self, course: &Course<'_>) -> Self {
        self.advance(course, course.syncs());
        self
    }

    /// The worst late moments, the worst first.
    pub fn worst(&self) -> Vec<LateMoment> {
        let mut worst = self.worst.clone();
        worst.extend(self.open.as_ref().map(|(moment, _)| moment.clone()));
        ranked(worst)
    }

    fn sync(&mut self, course: &Course<'_>, sync: usize) {
        let conditions = course.conditions();
        let created = self.pods.status();
        let past = course.past(sync, created);
        let now = past.now;
        let ready = self.pods.ready(now);
        let needed = course.needed(sync);
        let transactions = course.arrived(sync).unwrap_or(0.0);
        // What arrived since the sync before was served by those that have stood ready since then.
        let serving = self.pods.ready(now - DECIDE_EVERY);
        let per_second = f64::from(serving.0) * conditions.capacity.get() / conditions.load_per.as_secs_f64();
        let failed = self.queue.pass(DECIDE_EVERY, transactions, per_second, conditions.queue);

        let asked = self.scale(&past, ready, created);
        let changed = asked != created;
        self.score.add(&Step { at: now, needed, ready, created, transactions, failed, changed });
        if self.keep == Keep::EachSync {
            self.replicas.push((asked.0, ready.0));
            if let Some(foreseen) = self.scaler.foreseen() {
                self.held.note(&foreseen, course.mean_load(foreseen.at, foreseen.span_seconds));
            }
            self.note(sync, now, needed.unwrap_or_default(), ready);
        }
    }

    /// KEDA and the HPA; what they leave in `spec.replicas`.
    fn scale(&mut self, past: &Past<'_>, ready: Replicas, current: Replicas) -> Replicas {
        let (now, sync) = (past.now, past.sync);
        let answers = [match self.scaler.reading(past) {
            Reading::Value(reading) => Answer::Said { reading, active: reading > 0.0 },
            Reading::Failed => Answer::Failed,
        }];
        if sync.is_multiple_of(SYNCS_PER_POLL)
            && let Some(written) = self.keda.poll(now, current, ready, &answers)
        {
            self.pods.scale_to(now, written);
        }
        let scale = self.pods.scale(now);
        let reading = self.keda.read(0, scale.spec, ready, &answers);
        // A reading beyond the HPA's metrics is not looked at.
        let readings = [reading, past.cpu(ready)];
        let desired = self.hpa.sync(now, scale, &readings).desired().unwrap_or(scale.spec);
        if desired != scale.spec {
            self.pods.scale_to(now, desired);
        }
        desired
    }

    fn note(&mut self, sync: usize, now: Timestamp, needed: Replicas, ready: Replicas) {
        let late = needed.0.saturating_sub(ready.0);
        if let Some((moment, _)) = self.open.take_if(|(_, last)| sync - *last > PAUSE_SYNCS) {
            self.worst.push(moment);
            self.worst = ranked(std::mem::take(&mut self.worst));
        }
        if late == 0 {
            return;
        }
        let begun = LateMoment {
            from: now,
            until: now,
            late_pod_minutes: 0.0,
            worst_at: now,
            needed: Replicas(0),
            ready: Replicas(0),
            decision: None,
        };
        let (moment, last) = self.open.get_or_insert((begun, sync));
        (*last, moment.until) = (sync, now);
        moment.late_pod_minutes += f64::from(late) * DECIDE_EVERY.as_secs_f64() / 60.0;
        if late > moment.needed.0.saturating_sub(moment.ready.0) {
            (moment.worst_at, moment.needed, moment.ready) = (now, needed, ready);
            let responsible = sync.checked_sub(self.lead_syncs);
            moment.decision = responsible.and_then(|sync| self.scaler.decision(sync)).cloned();
        }
    }
}

fn ranked(mut moments: Vec<LateMoment>) -> Vec<LateMoment> {
    moments.sort_by(|a, b| b.late_pod_minutes.total_cmp(&a.late_pod_minutes).then(a.from.cmp(&b.from)));
    moments.truncate(WORST);
    moments
}
