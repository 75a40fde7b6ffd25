//! `tidetable demo`: a simulated payments day with nothing installed, and everything real but the pods.
//!
//! ```text
//! traffic ──▶ Prometheus-style HTTP ──▶ our client, engine and gRPC server ──▶ a poller like KEDA ──▶ an HPA and pods
//!    └──────────────────────────────────────────────────────────────────────▶ a reactive HPA and pods, beside it
//! ```
//!
//! Live, the clock runs at 60 times the wall. With `--once` a whole day is walked in lockstep on a clock set by hand, so
//! that the same seed prints the same bytes.

mod endpoint;
mod poller;
mod table;
mod world;

use std::io::{IsTerminal, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use chrono::{Datelike, NaiveDate, TimeDelta};
use chrono_tz::Tz;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::poller::Poller;
use self::table::{Look, Row, Table};
use self::world::World;
use super::clock::{FastClock, SetClock};
use super::output::{read_on, say};
use super::signals::stopped;
use super::wiring::{self, Assembly, Worker, bind};
use crate::config;
use crate::decision::{DECIDE_EVERY, Decision, PUBLISH_DELAY};
use crate::engine::{Board, Clock};
use crate::simulate::hpa::Behavior;
use crate::simulate::{StartUp, Traffic, traffic};
use crate::time::{Timestamp, aligned_before};
use crate::units::{LoadPerReplica, Replicas};

/// Payments per second that one simulated replica bears.
const CAPACITY: f64 = 120.0;

/// Bounds of both simulated deployments.
const BOUNDS: (Replicas, Replicas) = (Replicas(3), Replicas(200));

/// Median time from created to ready.
const START_UP: Duration = Duration::from_secs(90);

/// Spread of that time, as the sigma of its logarithm: one pod in twenty takes 30 % longer.
const START_UP_SIGMA: f64 = 0.15;

/// What the demo's configuration calls the lead time: the p95 of the above.
const LEAD_TIME: &str = "120s";

/// How full the reactive HPA beside ours runs its pods: the headroom that most operators leave.
const UTILIZATION: f64 = 0.8;

/// The name of the only target.
const TARGET: &str = "payments-api";

/// The HPA reads this long after an instant at which we decide, when that decision has come into force.
const SYNC_AFTER: TimeDelta = TimeDelta::seconds(PUBLISH_DELAY.as_secs().cast_signed() + 1);

/// A Friday that is a pay day, with its market open in the morning and its flash sale at eight in the evening.
const DAY: NaiveDate = NaiveDate::from_ymd_opt(2026, 5, 15).expect("a date of the calendar");

/// Live, the day begins shortly before the market opens.
const LIVE_FROM_HOUR: u32 = 9;

/// Live, by the wall: what the first fit may take before the first answer is asked for.
const HEAD_START: Duration = Duration::from_secs(1);

/// How often a day in lockstep asks for its first decision, some seconds each time: its bytes are not to depend on the machine.
const FIRST_TRIES: u32 = 20;

/// Arguments of `tidetable demo`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Walk one day in lockstep, without waiting, and end with what it cost
    #[arg(long)]
    once: bool,
    /// The same seed gives the same payments
    #[arg(long, value_name = "NUMBER", default_value_t = 7)]
    seed: u64,
    /// The day that is played, by New York's wall clock
    #[arg(long, value_name = "DATE", default_value_t = DAY, value_parser = day)]
    day: NaiveDate,
    /// How many times faster than the wall clock the live demo runs
    #[arg(long, value_name = "FACTOR", default_value_t = 60.0, value_parser = speed, conflicts_with = "once")]
    speed: f64,
}

fn day(text: &str) -> Result<NaiveDate, String> {
    match text.parse::<NaiveDate>() {
        // The weeks before it are played too, so the end of the calendar is out of reach; nobody means that.
        Ok(day) if (1900..2200).contains(&day.year()) => Ok(day),
        _ => Err(format!("a day is a date from 1900 to 2199; {DAY} is a Friday that is a pay day")),
    }
}

fn speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(speed) if (1.0..=1_000.0).contains(&speed) => Ok(speed),
        _ => Err("a speed is a number from 1 to 1000; 60 shows a minute per second".into()),
    }
}

/// Plays the demo.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.context("cannot start the runtime")?.block_on(async {
        let traffic =
            Arc::new(Traffic::new(traffic::Options::new(args.seed, Tz::America__New_York, args.day)));
        if args.once { once(traffic).await } else { live(traffic, args.speed).await }
    })?;
    Ok(ExitCode::SUCCESS)
}

/// The parts of a demo that do not depend on how its clock runs.
struct Stage<C> {
    world: World,
    assembly: Assembly<C>,
    worker: Option<Worker<C>>,
    poller: Poller,
    http: SocketAddr,
    grpc: SocketAddr,
    tasks: JoinSet<anyhow::Result<()>>,
    shutdown: CancellationToken,
}

impl<C: Clock> Stage<C> {
    /// Sets everything up on loopback, to begin at `begin`.
    async fn set(traffic: Arc<Traffic>, clock: Arc<C>, begin: Timestamp) -> anyhow::Result<Self> {
        let (mut tasks, shutdown) = (JoinSet::new(), CancellationToken::new());
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let prometheus = bind("the demo's Prometheus", loopback).await?;
        let source = prometheus.local_addr()?;
        let serving = endpoint::serve(prometheus, Arc::clone(&traffic), Arc::clone(&clock), shutdown.clone());
        tasks.spawn(async move { Ok(serving.await?) });

        let config = config::parse("demo.yaml", &demo_config(source))?;
        let assembly = Assembly::new(clock, None, |_| {})?;
        let target = Arc::new(config.targets.into_iter().next().context("the demo has a target")?);
        assembly.shared.board.replace([Arc::clone(&target)]);
        let source = wiring::source("demo", &config.sources["demo"])?;
        let worker = Some(assembly.worker(target, [source]));
        let (keda, web) =
            (bind("the demo's gRPC", loopback).await?, bind("the demo's pages", loopback).await?);
        let (grpc, http) = (keda.local_addr()?, web.local_addr()?);
        assembly.answer(keda, web, &mut tasks, &shutdown);
        let poller = Poller::connect(grpc, TARGET).await?;

        let options = world::Options {
            capacity: LoadPerReplica::try_new(CAPACITY)?,
            min: BOUNDS.0,
            max: BOUNDS.1,
            start_up: StartUp::Lognormal {
                median: START_UP,
                sigma: START_UP_SIGMA,
                seed: traffic.options().seed,
            },
            behavior: Some(Behavior::recommended()),
            utilization: UTILIZATION,
        };
        let world = World::new(traffic, begin, &options);
        Ok(Self { world, assembly, worker, poller, http, grpc, tasks, shutdown })
    }

    /// One HPA sync at `now`: asks the scaler as KEDA does, and lets both clusters act.
    async fn sync(&mut self, now: Timestamp) -> Row {
        let answer = self.poller.poll().await;
        let moment = self.world.advance(now, answer);
        Row { moment, forecast: forecast(&self.assembly.shared.board, now) }
    }

    /// Ends the servers; what they were doing is finished.
    async fn strike(mut self) -> anyhow::Result<()> {
        self.shutdown.cancel();
        drop(self.poller);
        while let Some(ended) = self.tasks.join_next().await {
            ended??;
        }
        Ok(())
    }

    fn summary(&self) -> String {
        table::summary(&self.world.ours.tally, &self.world.reactive.tally)
    }
}

/// Median and planned quantile of the coming window's peak, as the decision in force has them.
fn forecast(board: &Board, now: Timestamp) -> Option<(f64, f64)> {
    let published = board.table().published(TARGET)?;
    let decision: &Arc<Decision> = published.at(now).ok()?;
    decision.plan().map(|plan| (plan.median.get(), plan.peak.get()))
}

/// The configuration of the demo, in the words of an operator.
fn demo_config(source: SocketAddr) -> String {
    format!(
        "sources: {{ demo: {{ prometheus: {{ url: http://{source} }} }} }}
targets:
  {TARGET}:
    scaledObject: payments/{TARGET}
    demand: {{ source: demo, query: '{query}', step: 1m, unit: tx/s }}
    capacity: {{ perReplica: {CAPACITY} }}
    replicas: {{ min: {min}, max: {max} }}
    leadTime: {LEAD_TIME}
    timezone: America/New_York
    mode: active
",
        query = endpoint::QUERY_ONE_MINUTE,
        min = BOUNDS.0,
        max = BOUNDS.1,
    )
}

/// One day, step by step, without waiting.
async fn once(traffic: Arc<Traffic>) -> anyhow::Result<()> {
    let zone = traffic.options().zone;
    let begin = traffic.options().instant(0, 0);
    let end = traffic.options().day_ends();
    let clock = Arc::new(SetClock::at(begin));
    let mut stage = Stage::set(traffic, Arc::clone(&clock), begin).await?;
    let mut worker = stage.worker.take().context("the demo has a worker")?;
    let mut table = Table::new(Look::Plain, zone);
    let mut out = std::io::stdout().lock();
    let quarters = usize::try_from((end - begin).num_minutes() / 15).unwrap_or_default();
    let progress = super::progress::bar(quarters, "quarter hours");
    let mut at = begin;
    while at < end {
        clock.set(at);
        // The first decision waits for eight weeks and a fit, which on a busy machine take longer than a tick does.
        for _ in 0..FIRST_TRIES {
            if worker.tick(at).await.is_some() || at > begin {
                break;
            }
        }
        clock.set(at + SYNC_AFTER);
        let row = stage.sync(at + SYNC_AFTER).await;
        if (at - begin).num_seconds() % 900 == 0 {
            if !read_on(progress.suspend(|| out.write_all(table.push(row).as_bytes())))? {
                break;
            }
            progress.inc(1);
        }
        at += DECIDE_EVERY;
    }
    progress.finish_and_clear();
    read_on(writeln!(out, "{}", stage.summary()))?;
    drop(worker);
    stage.strike().await
}

/// The day in front of the user, until it ends, a signal ends it or nobody reads any more.
async fn live(traffic: Arc<Traffic>, speed: f64) -> anyhow::Result<()> {
    let (zone, begin) = (traffic.options().zone, traffic.options().instant(LIVE_FROM_HOUR, 0));
    let end = begin + TimeDelta::days(1);
    let clock = Arc::new(FastClock::starting_at(begin - HEAD_START.mul_f64(speed), speed));
    let mut stage = Stage::set(traffic, Arc::clone(&clock), begin).await?;
    let worker = stage.worker.take().context("the demo has a worker")?;
    let stop = stage.shutdown.clone();
    stage.tasks.spawn(async move { Ok(worker.run(stop).await?) });
    let (http, grpc) = (stage.http, stage.grpc);
    say(&format!(
        "a simulated payments day at {speed} times the speed of the clock; Ctrl-C ends it\n\
         status http://{http}/  metrics http://{http}/metrics  gRPC {grpc}"
    ));

    let mut table = Table::new(look(), zone);
    let mut at = aligned_before(begin, DECIDE_EVERY.as_secs().cast_signed()) + SYNC_AFTER;
    let stopped = stopped();
    tokio::pin!(stopped);
    let mut syncs = 0_u32;
    while at < end {
        tokio::select! {
            signal = &mut stopped => {
                signal?;
                break;
            }
            () = clock.sleep_until(at) => {}
        }
        let row = stage.sync(at).await;
        if syncs.is_multiple_of(4) && !show(&table.push(row))? {
            break;
        }
        syncs += 1;
        at += DECIDE_EVERY;
    }
    show(&format!("\n{}\n", stage.summary()))?;
    stage.strike().await
}

/// Writes to standard output at once, and says whether anybody still reads there.
fn show(text: &str) -> std::io::Result<bool> {
    let mut out = std::io::stdout().lock();
    read_on(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

/// How to draw: in place where somebody looks, line by line in a pipe.
fn look() -> Look {
    if !std::io::stdout().is_terminal() {
        return Look::Plain;
    }
    let (lines, columns) = console::Term::stdout().size();
    Look::Terminal { columns: columns.into(), lines: lines.into() }
}
