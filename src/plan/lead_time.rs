//! How long a pod takes from being asked for to being ready, learned from pods that did it.
//!
//! Pods of one template (a roll-out makes a new one) start alike: the same image to pull, the same init containers, the same
//! warm-up. So starts are kept by template, and the newest template speaks as soon as [`ENOUGH`] of its pods have started.
//! Until then the longer of what it has shown and what the template before it took counts: a roll-out that makes pods slow is
//! believed with its first pod, one that makes them fast with its third. A pod that waited for a node is kept apart, for how
//! often that happens is a matter of how full the cluster is, not of the service.
//!
//! Nothing here looks at a clock or a cluster; [`Starts`] is a fold over what somebody saw.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::time::Timestamp;

/// So many starts of a template speak for it: three pods are a small service's roll-out.
pub const ENOUGH: usize = 3;

/// So many starts of a template are remembered; of 64, the 0.95 quantile is the fourth longest.
const KEPT_STARTS: usize = 64;

/// The newest template, the one before it, and one to roll back to.
const KEPT_TEMPLATES: usize = 3;

/// A pod that nobody scheduled for so long had no node to go to. A scheduler with room takes milliseconds.
const NO_ROOM_AFTER: Duration = Duration::from_secs(30);

/// What is longer is no start but a pod that hung, or one that was ready before and became so again.
const LONGEST: Duration = Duration::from_secs(3600);

/// When more starts than this wait for a node, waiting for a node is what has to be reckoned with.
const COLD_IS_USUAL: f64 = 0.05;

/// Whether a pod was seen before it was ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// It was: the moment it became ready is known.
    Watched,
    /// It was ready already. It may have been unready meanwhile, and then became ready later than it seems.
    Found,
}

/// One pod's way to being ready.
#[derive(Debug, Clone, PartialEq)]
pub struct Start {
    /// Its uid, by which it counts once however often it is seen.
    pub pod: Arc<str>,
    /// What it was made from, such as the hash of its ReplicaSet's template.
    pub template: Arc<str>,
    /// When it was made.
    pub created: Timestamp,
    /// When it got a node.
    pub scheduled: Timestamp,
    /// When its last init container had ended; images pulled for them are in it.
    pub initialized: Timestamp,
    /// When it was ready.
    pub ready: Timestamp,
    /// How it was seen.
    pub sight: Sight,
}

impl Start {
    /// From its making to its readiness; `None` when that is no start's length or its stages are out of order.
    pub fn took(&self) -> Option<Duration> {
        let in_order = self.created <= self.scheduled
            && self.scheduled <= self.initialized
            && self.initialized <= self.ready;
        let took = (self.ready - self.created).to_std().ok()?;
        (in_order && took <= LONGEST).then_some(took)
    }

    /// Whether it had to wait for a node.
    pub fn is_cold(&self) -> bool {
        (self.scheduled - self.created).to_std().is_ok_and(|waited| waited > NO_ROOM_AFTER)
    }
}

/// How long some starts took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spread {
    /// How many there were.
    pub starts: usize,
    /// The median.
    pub median: Duration,
    /// The 0.95 quantile: the shortest time within which 95 % of them were ready.
    pub q95: Duration,
}

impl Spread {
    /// `None` of nothing.
    fn of(mut took: Vec<Duration>) -> Option<Self> {
        took.sort_unstable();
        let starts = took.len();
        // Rounded up: of three starts the longest.
        let at = |percent: usize| took.get((starts * percent).div_ceil(100).saturating_sub(1)).copied();
        Some(Self { starts, median: at(50)?, q95: at(95)? })
    }
}

/// What has been learned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Learned {
    /// What to plan with: a 0.95 quantile, rounded up by [`quantised`].
    pub lead_time: Duration,
    /// The newest template.
    pub template: Arc<str>,
    /// Its pods that found a node at once.
    pub warm: Option<Spread>,
    /// Its pods that waited for one.
    pub cold: Option<Spread>,
}

/// Starts that were seen, the newest of each of the newest templates.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Starts {
    /// The newest last, by when its newest pod was made.
    templates: Vec<Template>,
}

#[derive(Debug, Clone, PartialEq)]
struct Template {
    name: Arc<str>,
    newest: Timestamp,
    starts: VecDeque<Start>,
}

impl Starts {
    /// Takes one in, and says whether that changed anything: a pod that counted before, or whose start is no start's length,
    /// does not count.
    pub fn note(&mut self, start: Start) -> bool {
        if start.took().is_none() {
            return false;
        }
        let known = self.templates.iter().position(|template| template.name == start.template);
        let at = known.unwrap_or(self.templates.len());
        if known.is_none() {
            let name = Arc::clone(&start.template);
            self.templates.push(Template { name, newest: start.created, starts: VecDeque::new() });
        }
        let template = &mut self.templates[at];
        if template.starts.iter().any(|known| known.pod == start.pod) {
            return false;
        }
        template.newest = template.newest.max(start.created);
        let place = template.starts.partition_point(|known| known.created <= start.created);
        template.starts.insert(place, start);
        if template.starts.len() > KEPT_STARTS {
            template.starts.pop_front();
        }
        self.templates.sort_by_key(|template| template.newest);
        if self.templates.len() > KEPT_TEMPLATES {
            self.templates.remove(0);
        }
        true
    }

    /// Everything remembered, to be noted again after a restart.
    pub fn iter(&self) -> impl Iterator<Item = &Start> {
        self.templates.iter().flat_map(|template| &template.starts)
    }

    /// What they teach; `None` before the first start.
    pub fn learned(&self) -> Option<Learned> {
        let newest = self.templates.last()?;
        let mut lead_time = newest.lead_time()?;
        if newest.starts.len() < ENOUGH {
            let before = self.templates.iter().rev().nth(1).and_then(Template::lead_time);
            lead_time = lead_time.max(before.unwrap_or_default());
        }
        let spread = |cold| {
            let starts = newest.telling().filter(|start| start.is_cold() == cold);
            Spread::of(starts.filter_map(Start::took).collect())
        };
        Some(Learned {
            lead_time: quantised(lead_time),
            template: Arc::clone(&newest.name),
            warm: spread(false),
            cold: spread(true),
        })
    }
}

impl Template {
    /// The starts that count: those that were watched, once there are enough of them.
    fn telling(&self) -> impl Iterator<Item = &Start> {
        let watched = self.starts.iter().filter(|start| start.sight == Sight::Watched).count();
        self.starts.iter().filter(move |start| watched < ENOUGH || start.sight == Sight::Watched)
    }

    /// The 0.95 quantile of warm starts, or of cold ones where those are usual.
    fn lead_time(&self) -> Option<Duration> {
        let (cold, warm): (Vec<_>, Vec<_>) = self.telling().partition(|start| start.is_cold());
        let cold_is_usual = cold.len() as f64 > COLD_IS_USUAL * (cold.len() + warm.len()) as f64;
        let of = if cold_is_usual { cold } else { warm };
        Spread::of(of.into_iter().filter_map(Start::took).collect()).map(|spread| spread.q95)
    }
}

/// Rounded up to 5 s, and above 2 min to 15 s: two replicas that saw almost the same pods plan with the same number.
pub fn quantised(lead_time: Duration) -> Duration {
    let grain = if lead_time <= Duration::from_secs(120) { 5 } else { 15 };
    let seconds = lead_time.as_secs() + u64::from(lead_time.subsec_nanos() > 0);
    Duration::from_secs(seconds.div_ceil(grain) * grain)
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use chrono::TimeDelta;

    use super::*;

    fn nine() -> Timestamp {
        "2026-11-27T09:00:00Z".parse().unwrap()
    }

    /// A pod made `minute` minutes after nine: seconds in the queue, in init containers and until it is ready.
    fn start(template: &str, minute: i64, [queue, init, warm_up]: [i64; 3]) -> Start {
        let created = nine() + TimeDelta::minutes(minute);
        let after = |seconds| created + TimeDelta::seconds(seconds);
        Start {
            pod: format!("{template}-{minute}").into(),
            template: template.into(),
            created,
            scheduled: after(queue),
            initialized: after(queue + init),
            ready: after(queue + init + warm_up),
            sight: Sight::Watched,
        }
    }

    /// A pod a minute, all of which take as long.
    fn roll_out(starts: &mut Starts, template: &str, minutes: Range<i64>, stages: [i64; 3]) {
        for minute in minutes {
            assert!(starts.note(start(template, minute, stages)), "{template} {minute}");
        }
    }

    fn lead_time(starts: &Starts) -> u64 {
        starts.learned().unwrap().lead_time.as_secs()
    }

    #[test]
    fn nobody_seen_teaches_nothing() {
        assert_eq!(Starts::default().learned(), None);
    }

    #[test]
    fn init_containers_that_take_160_s_more_are_believed_with_the_first_pod_and_the_reverse_with_the_third() {
        let mut starts = Starts::default();
        roll_out(&mut starts, "v1", 0..10, [0, 20, 30]);
        assert_eq!(lead_time(&starts), 50);
        starts.note(start("v2", 60, [0, 180, 30]));
        assert_eq!(lead_time(&starts), 210, "160 s more");
        roll_out(&mut starts, "v3", 120..123, [0, 20, 30]);
        assert_eq!(lead_time(&starts), 50);

        let mut starts = Starts::default();
        roll_out(&mut starts, "slow", 0..3, [0, 180, 30]);
        for (minute, expected) in [(60, 210), (61, 210), (62, 50)] {
            starts.note(start("fast", minute, [0, 20, 30]));
            assert_eq!(lead_time(&starts), expected, "{minute}");
        }
    }

    #[test]
    fn a_roll_back_makes_the_former_template_the_newest() {
        let mut starts = Starts::default();
        roll_out(&mut starts, "v1", 0..3, [0, 20, 30]);
        roll_out(&mut starts, "v2", 10..13, [0, 60, 30]);
        assert_eq!(lead_time(&starts), 90);
        starts.note(start("v1", 20, [0, 20, 30]));
        assert_eq!((lead_time(&starts), &*starts.learned().unwrap().template), (50, "v1"));
    }

    #[test]
    fn who_waited_for_a_node_counts_apart_until_it_is_usual() {
        let mut starts = Starts::default();
        roll_out(&mut starts, "v1", 0..40, [0, 20, 30]);
        starts.note(start("v1", 50, [100, 20, 30]));
        starts.note(start("v1", 51, [110, 20, 30]));
        let learned = starts.learned().unwrap();
        assert_eq!(learned.lead_time.as_secs(), 50, "two of 42 are not usual");
        let cold = Spread { starts: 2, median: Duration::from_secs(150), q95: Duration::from_secs(160) };
        assert_eq!(learned.cold, Some(cold));
        assert_eq!(learned.warm.unwrap().starts, 40);
        starts.note(start("v1", 52, [110, 20, 30]));
        assert_eq!(lead_time(&starts), 165, "three of 43 are; 160 s, rounded up");
    }

    #[test]
    fn a_pod_counts_once_and_a_start_without_order_or_end_not_at_all() {
        let mut starts = Starts::default();
        assert!(starts.note(start("v1", 0, [0, 20, 30])));
        assert!(!starts.note(start("v1", 0, [0, 20, 300])));
        assert!(!starts.note(start("v1", 1, [0, 20, -30])), "ready before it was initialized");
        assert!(!starts.note(start("v1", 2, [0, 20, 4000])));
        assert_eq!(lead_time(&starts), 50);
    }

    #[test]
    fn what_was_found_ready_counts_only_until_enough_were_watched() {
        let mut starts = Starts::default();
        let found = Start { sight: Sight::Found, ..start("v1", 0, [0, 20, 900]) };
        starts.note(found);
        roll_out(&mut starts, "v1", 1..3, [0, 20, 30]);
        assert_eq!(lead_time(&starts), 930);
        starts.note(start("v1", 3, [0, 20, 30]));
        assert_eq!(lead_time(&starts), 50);
    }

    #[test]
    fn only_the_newest_starts_are_remembered_and_they_come_back_as_they_went() {
        let mut starts = Starts::default();
        roll_out(&mut starts, "v1", 0..64, [0, 200, 30]);
        roll_out(&mut starts, "v1", 64..128, [0, 20, 30]);
        assert_eq!(lead_time(&starts), 50);
        for template in 2..9 {
            starts.note(start(&format!("v{template}"), 1000 * template, [0, 20, 30]));
        }
        assert_eq!(starts.iter().count(), 3);
        let mut again = Starts::default();
        starts.iter().for_each(|start| assert!(again.note(start.clone())));
        assert_eq!(again, starts);
    }

    #[test]
    fn the_quantile_of_few_is_the_longest_and_rounds_up() {
        let seconds = Duration::from_secs;
        let spread = Spread::of((1..=20).map(seconds).collect()).unwrap();
        assert_eq!((spread.median, spread.q95), (seconds(10), seconds(19)));
        assert_eq!(Spread::of(vec![seconds(3), seconds(9)]).unwrap().q95, seconds(9));
        let rounded = [0, 1, 50, 51, 120, 121, 211].map(|s| quantised(seconds(s)).as_secs());
        assert_eq!(rounded, [0, 5, 50, 55, 120, 135, 225]);
        assert_eq!(quantised(Duration::from_millis(50_001)), seconds(55));
    }
}
