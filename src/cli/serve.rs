//! `tidetable serve`: everything wired together and kept alive together.
//!
//! Whatever must live is waited for: if a worker or a server ends, the process ends, and Kubernetes starts a new one. On
//! SIGTERM health says so first, streams end with OK, calls under way finish, and all that within [`GRACE`]. A changed
//! configuration is put into force without a restart ([`super::reload`]).

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::check::refuse;
use super::clock::WallClock;
use super::crew::{Change, Crew};
use super::reload::{self, Watched};
use super::signals::stopped;
use super::wiring::{self, Assembly, bind, edge};
use crate::cluster;
use crate::config::{self, Config, Listen};
use crate::history::{Archive, Notes};
use crate::telemetry;

/// From the signal to the exit, at most: Kubernetes kills after 30 s.
const GRACE: Duration = Duration::from_secs(20);

/// Arguments of `tidetable serve`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The configuration; `tidetable check` says what is wrong with one
    #[arg(long, value_name = "FILE", env = "TIDETABLE_CONFIG")]
    config: PathBuf,
    /// Where KEDA asks, instead of `server.grpc`
    #[arg(long, value_name = "ADDRESS", env = "TIDETABLE_GRPC")]
    grpc: Option<Listen>,
    /// Where metrics, health and pages are, instead of `server.http`
    #[arg(long, value_name = "ADDRESS", env = "TIDETABLE_HTTP")]
    http: Option<SocketAddr>,
    /// The Lease, in this pod's namespace, whose holder writes what becomes of `SurgeEvents`; nobody does unless given
    #[arg(long, value_name = "NAME", env = "TIDETABLE_LEASE")]
    lease: Option<String>,
    /// `error`, `warn`, `info`, `debug`, `trace`, or directives such as `info,h2=debug`
    #[arg(long, value_name = "LEVEL", default_value = "info", env = "TIDETABLE_LOG")]
    log_level: String,
    /// How events are written to standard error
    #[arg(long, value_enum, default_value = "text", env = "TIDETABLE_LOG_FORMAT")]
    log_format: LogFormat,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum LogFormat {
    /// A line for people
    Text,
    /// An object per line
    Json,
}

/// Serves until a signal.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let config = match config::load(&args.config) {
        Ok(config) => config,
        Err(error) => return Ok(ExitCode::from(refuse(error, &mut std::io::stderr().lock())?)),
    };
    let format = match args.log_format {
        LogFormat::Text => telemetry::Format::Text,
        LogFormat::Json => telemetry::Format::Json,
    };
    telemetry::install(format, &args.log_level)?;
    let archive = wiring::archive(&config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.context("cannot start the runtime")?.block_on(serve(args, config, archive))?;
    Ok(ExitCode::SUCCESS)
}

async fn serve(args: &Args, config: Config, archive: Option<Archive>) -> anyhow::Result<()> {
    let shutdown = CancellationToken::new();
    let clock = Arc::new(WallClock);
    let reloads = reload::Metrics::default();
    let seen = cluster::Metrics::default();
    let sight = Arc::new(cluster::Sight::new(seen.clone()));
    let assembly = Assembly::new(Arc::clone(&clock), archive, |registry| {
        reloads.register(registry);
        seen.register(registry);
    })?;
    let assembly = Arc::new(assembly.watching(Arc::<cluster::Sight>::clone(&sight)));
    let board = Arc::clone(&assembly.shared.board);
    let mut crew = Crew::new(Arc::clone(&assembly), shutdown.clone());
    let grpc = edge(&config, args.grpc.as_ref().unwrap_or(&config.grpc)).await?;
    let http = bind("server.http", args.http.unwrap_or(config.http)).await?;
    let Change { started: targets, .. } = crew.apply(&config)?;
    let mut servers = JoinSet::new();
    assembly.answer(grpc, http, &mut servers, &shutdown);
    let notes = config.history.as_ref().map(|history| Arc::new(Notes::beside(&history.archive)));
    let candidacy = args.lease.clone().map(|lease| cluster::Candidacy { lease, identity: identity() });
    let (clock_too, stops) = (Arc::clone(&clock), shutdown.clone());
    let look = cluster::watch_over(Arc::clone(&board), sight, notes, candidacy, clock_too, stops);
    servers.spawn(async move {
        look.await;
        Ok(())
    });
    let mut watched = Watched::new(&args.config, config, reloads).await;
    let mut hang_up = signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), targets, "serving");

    let stop = stopped();
    tokio::pin!(stop);
    let outcome = loop {
        tokio::select! {
            signal = &mut stop => break signal.map(|name| tracing::info!(signal = name, "stopping")),
            Some(ended) = servers.join_next() => break Err(early(ended)),
            lost = crew.lost() => break Err(lost),
            () = watched.changed(&*clock) => watched.reload(&mut crew, &board),
            Some(()) = hang_up.recv() => watched.reload(&mut crew, &board),
        }
    };
    shutdown.cancel();
    let drained = tokio::time::timeout(GRACE, async {
        while servers.join_next().await.is_some() {}
        crew.gone().await;
    });
    if drained.await.is_err() {
        tracing::warn!(seconds = GRACE.as_secs(), "the grace period was exceeded; leaving all the same");
    }
    outcome
}

/// The name of this replica, which no other has: its pod's, and its process's where several are at one place.
fn identity() -> String {
    let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "tidetable".to_owned());
    format!("{host}_{}", std::process::id())
}

/// What to say of a task that should have lived as long as the process.
fn early(ended: Result<anyhow::Result<()>, tokio::task::JoinError>) -> anyhow::Error {
    match ended {
        Ok(Ok(())) => anyhow::anyhow!("a part that must live has ended"),
        Ok(Err(error)) => error.context("a part that must live has failed"),
        Err(died) => anyhow::Error::from(died).context("a part that must live has died"),
    }
}
