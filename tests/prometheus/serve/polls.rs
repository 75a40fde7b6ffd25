//! KEDA's polls at an even pace, each timed, from a thread that nothing else runs on.
//!
//! A machine that others share stands still now and then, or one of its cores does. Threads that only sleep find out when,
//! so that a slow poll can be told from a slow machine; both are reported.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tonic::transport::Endpoint;

use super::process::{replicas, trigger};
use tidetable::keda::pb::external_scaler_client::ExternalScalerClient;

/// 2,000 polls in as many seconds as a walk over the ladder takes at least.
const EVERY: Duration = Duration::from_millis(50);
const NAP: Duration = Duration::from_millis(2);
/// A nap that is this much longer than it should be is a stall of the machine. A busy process does not bring one about: who
/// has slept is woken before who has run.
const STALL: Duration = Duration::from_millis(10);
/// Sleepers: enough for one to be on each core of a small machine.
const SLEEPERS: usize = 4;
/// What has piled up during a stall is worked off after it.
const AFTERMATH: Duration = Duration::from_millis(50);
/// What the contract with KEDA allows.
const SLOW: Duration = Duration::from_millis(50);

/// One poll.
struct Poll {
    began: Instant,
    took: Duration,
    /// What was wrong with the answer.
    wrong: Option<String>,
}

/// Polls under way.
pub(crate) struct Polls {
    stop: Arc<AtomicBool>,
    polling: JoinHandle<Vec<Poll>>,
    watching: Vec<JoinHandle<Vec<(Instant, Instant)>>>,
}

/// What has come of them.
pub(crate) struct Report {
    pub(crate) count: usize,
    pub(crate) wrong: Vec<String>,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    pub(crate) max: Duration,
    /// Those over 50 ms during which the machine did not stand still.
    pub(crate) slow: Vec<Duration>,
    /// How many over 50 ms there were when it did, and for how long it did at most.
    pub(crate) stalled: usize,
    pub(crate) longest_stall: Duration,
}

impl Polls {
    /// Asks for `target` until [`end`](Self::end), spec, value and activity in turn; each value must lie in `allowed`.
    pub(crate) fn begin(
        address: std::net::SocketAddr,
        target: &'static str,
        allowed: RangeInclusive<u64>,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stop_polling = Arc::clone(&stop);
        let polling = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(poll(address, target, allowed, &stop_polling))
        });
        let watching = (0..SLEEPERS).map(|_| {
            let stop = Arc::clone(&stop);
            thread::spawn(move || watch(&stop))
        });
        let watching = watching.collect();
        Self { stop, polling, watching }
    }

    /// Stops asking.
    pub(crate) fn end(self) -> Report {
        self.stop.store(true, Ordering::Relaxed);
        let polls = self.polling.join().unwrap();
        let stalls: Vec<_> = self.watching.into_iter().flat_map(|sleeper| sleeper.join().unwrap()).collect();
        let stalled = |poll: &&Poll| {
            let ended = poll.began + poll.took;
            stalls.iter().any(|(from, until)| *from < ended && poll.began < *until + AFTERMATH)
        };
        let (excused, slow): (Vec<&Poll>, Vec<&Poll>) =
            polls.iter().filter(|poll| poll.took > SLOW).partition(stalled);
        let mut took: Vec<Duration> = polls.iter().map(|poll| poll.took).collect();
        took.sort_unstable();
        Report {
            count: took.len(),
            wrong: polls.iter().filter_map(|poll| poll.wrong.clone()).collect(),
            p50: took[took.len() / 2],
            p99: took[took.len() * 99 / 100],
            max: took[took.len() - 1],
            slow: slow.iter().map(|poll| poll.took).collect(),
            stalled: excused.len(),
            longest_stall: stalls.iter().map(|(from, until)| *until - *from).max().unwrap_or_default(),
        }
    }
}

async fn poll(
    address: std::net::SocketAddr,
    target: &str,
    allowed: RangeInclusive<u64>,
    stop: &AtomicBool,
) -> Vec<Poll> {
    let channel = Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
    let mut keda = ExternalScalerClient::new(channel);
    // KEDA's connection is old, so the first poll may not pay for it.
    keda.get_metric_spec(trigger(target)).await.unwrap();
    let mut pace = tokio::time::interval(EVERY);
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut polls = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        pace.tick().await;
        let began = Instant::now();
        let wrong = match polls.len() % 3 {
            0 => keda.get_metric_spec(trigger(target)).await.err().map(|error| error.to_string()),
            1 => match replicas(&mut keda, target).await {
                Ok(replicas) if allowed.contains(&replicas) => None,
                Ok(replicas) => Some(format!("{replicas} replicas are not in {allowed:?}")),
                Err(error) => Some(error.to_string()),
            },
            _ => match keda.is_active(trigger(target)).await {
                Ok(answer) if answer.get_ref().result => None,
                Ok(_) => Some("inactive".to_owned()),
                Err(error) => Some(error.to_string()),
            },
        };
        polls.push(Poll { began, took: began.elapsed(), wrong });
    }
    polls
}

/// When the machine stood still, as one sleeping thread sees it.
fn watch(stop: &AtomicBool) -> Vec<(Instant, Instant)> {
    let mut stalls = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let due = Instant::now() + NAP;
        thread::sleep(NAP);
        let awake = Instant::now();
        if awake > due + STALL {
            stalls.push((due, awake));
        }
    }
    stalls
}
