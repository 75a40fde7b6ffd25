//! Ten thousand targets on one replica, from a generator in place of a Prometheus: how long until each has a plan, what
//! memory and CPU that takes, and how long calls take afterwards.
//!
//!     cargo bench --bench crowd -- --targets 10000 --days 14 --minutes 2
//!
//! Source and callers are in this process, so its CPU is more than a replica's.

#![expect(clippy::unwrap_used, reason = "a bench that cannot go on has failed")]
#![expect(clippy::disallowed_methods, reason = "a bench measures real time")]

#[path = "calls.rs"]
mod calls;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use calls::call;
use chrono_tz::Tz;
use tidetable::calendar::Almanac;
use tidetable::decision::{Decision, Policy};
use tidetable::engine::{
    Board, Clock, DecisionLog, Demand, FitPool, LeadTime, Measured, MetricSource, Metrics, Sample,
    ScaleUpFrom, ScaledObject, Shared, Supply, Target, Worker,
};
use tidetable::forecast::forecaster;
use tidetable::guard::{self, Rule, Tolerance};
use tidetable::history::{Archive, Recent};
use tidetable::simulate::Traffic;
use tidetable::simulate::traffic::Options;
use tidetable::time::{Slot, Step, Timestamp, from_epoch_seconds};
use tidetable::units::{Load, LoadPerReplica, Quantile, Replicas};
use tidetable::{keda, plan};
use tokio_util::sync::CancellationToken;

/// The binary's own.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Worlds that differ; a target lives in one of them, at a level of its own.
const WORLDS: usize = 20;

const ZONE: Tz = chrono_tz::Europe::London;

#[derive(Debug)]
struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        chrono::Utc::now()
    }

    async fn sleep_until(&self, at: Timestamp) {
        tokio::time::sleep((at - self.now()).to_std().unwrap_or_default()).await;
    }
}

/// The worlds' loads by the minute, from `first` on.
struct Generator {
    first: Slot,
    worlds: Vec<Vec<f32>>,
}

impl Generator {
    fn over(days: i64) -> Self {
        let now = Step::MINUTE.slot_of(chrono::Utc::now());
        let (first, end) = (now.plus(-days * 1_440), now.plus(1_440));
        let world = |seed: usize| {
            let traffic = Traffic::new(Options::new(seed as u64, ZONE, Step::MINUTE.end(now).date_naive()));
            #[expect(clippy::cast_possible_truncation, reason = "a load")]
            let load = |slot: i64| traffic.mean_rate(Step::MINUTE.end(Slot(slot)), 60) as f32;
            (first.0..end.0).map(load).collect()
        };
        Self { first, worlds: (0..WORLDS).map(world).collect() }
    }

    /// The load of the target that asks for `query`, which is its number.
    fn sample(&self, demand: &Demand, at: Timestamp) -> Sample {
        let number: usize = demand.query.parse().unwrap();
        let minute = usize::try_from(Step::MINUTE.slot_of(at).since(self.first)).ok();
        let load = minute.and_then(|minute| self.worlds[number % WORLDS].get(minute));
        let level = 0.5 + (number / WORLDS % 100) as f64 / 50.0;
        Sample { at, load: load.map(|load| Load::saturating(f64::from(*load) * level)) }
    }
}

impl MetricSource for Generator {
    type Error = std::convert::Infallible;

    async fn range(
        &self,
        demand: &Demand,
        from: Slot,
        until: Slot,
    ) -> Result<Measured<Vec<Sample>>, Self::Error> {
        let samples = (from.0..until.0).map(|slot| self.sample(demand, demand.step.end(Slot(slot))));
        Ok(samples.collect::<Vec<_>>().into())
    }

    async fn instant(
        &self,
        demand: &Demand,
        at: Timestamp,
        _: Duration,
    ) -> Result<Measured<Sample>, Self::Error> {
        Ok(self.sample(demand, at).into())
    }
}

/// Nobody reads the log here.
#[derive(Debug)]
struct NoLog;

impl DecisionLog for NoLog {
    fn record(&self, _: &Decision) {}
}

fn target(number: usize, days: i64) -> Arc<Target> {
    let name: Arc<str> = format!("t{number}").into();
    Arc::new(Target {
        name: Arc::clone(&name),
        labels: BTreeMap::new(),
        scaled_object: ScaledObject { namespace: "payments".into(), name: name.to_string() },
        demands: vec![Demand {
            name: "demand".into(),
            source: "main".into(),
            query: number.to_string(),
            label: None,
            step: Step::MINUTE,
            settle_lag: Duration::from_secs(120),
            history: Duration::from_secs(86_400 * days.unsigned_abs()),
            unit: "tx/s".into(),
            capacity: LoadPerReplica::try_new(120.0).unwrap(),
        }],
        timezone: ZONE,
        almanac: Almanac::none(ZONE),
        lead_time: LeadTime::Configured,
        scale_up: ScaleUpFrom::Configured,
        exclude: Arc::default(),
        policy: Policy {
            plan: plan::Options {
                lead_time: Duration::from_secs(120),
                quantile: Quantile::P95,
                growth: plan::Growth::default(),
            },
            guard: guard::Options {
                stale_after: Duration::from_secs(180),
                ..guard::Options::active(Replicas(1), Replicas(10_000))
            },
        },
        tolerance: Tolerance::default(),
    })
}

fn main() {
    let mut options: BTreeMap<&str, i64> = [("--targets", 10_000), ("--days", 14), ("--minutes", 2)].into();
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    for pair in words.chunks(2) {
        let number = pair.get(1).and_then(|number| number.parse().ok()).expect("a number follows");
        *options.get_mut(&*pair[0]).expect("--targets, --days or --minutes") = number;
    }
    let (targets, days) = (usize::try_from(options["--targets"]).unwrap(), options["--days"]);
    let minutes = options["--minutes"].unsigned_abs();
    println!("{targets} targets, {days} days at 1 min, {minutes} min of 2,000 calls a second");
    let generator = Arc::new(Generator::over(days + 2));
    report("before any target");

    let runtime = tokio::runtime::Runtime::new().unwrap();
    let members: Vec<_> = (0..targets).map(|number| target(number, days)).collect();
    let board = Arc::new(Board::new(members.iter().cloned()));
    let shared = Arc::new(Shared {
        clock: Arc::new(SystemClock),
        board: Arc::clone(&board),
        log: NoLog,
        archive: None::<Arc<Archive>>,
        fits: FitPool::try_new().unwrap(),
        metrics: Metrics::default(),
    });
    let began = Instant::now();
    let shutdown = CancellationToken::new();
    for target in &members {
        let history = Recent::new(Step::MINUTE, target.demands[0].recent_span());
        let forecasters = Arc::new(|almanac: &Almanac| forecaster(almanac, &Arc::default()));
        let supply = Supply { source: Arc::clone(&generator), history, forecasters };
        let worker = Worker::new(Arc::clone(target), [supply], Arc::clone(&shared));
        runtime.spawn(worker.run(shutdown.clone()));
    }
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let grpc = listener.local_addr().unwrap();
    let metrics = keda::Metrics::default();
    let served = keda::serve(listener, Arc::clone(&board), Arc::new(SystemClock), metrics, shutdown.clone());
    runtime.spawn(served);

    let now = || from_epoch_seconds(chrono::Utc::now().timestamp());
    let planned = |name: &str| {
        let published = board.table().published(name);
        published.and_then(|published| published.at(now()).ok().cloned()).is_some_and(|decision| {
            !decision.applied.iter().any(|applied| applied.rule == Rule::NoPlan) && decision.plan().is_some()
        })
    };
    let mut told = 0;
    loop {
        let count = members.iter().filter(|target| planned(&target.name)).count();
        if count == targets || count >= told + targets.div_ceil(5) {
            report(&format!("{count} planned after {:.0} s", began.elapsed().as_secs_f64()));
            told = count;
        }
        if count == targets {
            break;
        }
        std::thread::sleep(Duration::from_secs(2));
    }
    let before = cpu_seconds();
    std::thread::sleep(Duration::from_secs(60));
    println!("a minute at rest: {:.2} s of CPU", cpu_seconds() - before);
    call(grpc, targets, Duration::from_secs(60 * minutes));
    report("at the end");
    shutdown.cancel();
}

fn report(when: &str) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let mib = |field: &str| {
        let line = status.lines().find(|line| line.starts_with(field)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1_024
    };
    println!("{when}: {} MiB (peak {}), {:.1} s of CPU", mib("VmRSS:"), mib("VmHWM:"), cpu_seconds());
}

/// What this process has computed so far; Linux counts in hundredths of a second.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11..13].iter().map(|ticks| ticks.parse::<f64>().unwrap()).sum::<f64>() / 100.0
}
