//! A configuration file that changes under a running process: a ConfigMap that is swapped, or SIGHUP.
//!
//! The file is read every few seconds and compared by content, which sees a swapped symlink, an edit in place and a new
//! mount alike. A wrong new configuration changes nothing; that it waits there is said in the log, in a metric and in the
//! detail of `/readyz` until it is mended.

use std::path::{Path, PathBuf};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::crew::{Change, Crew};
use crate::config::{self, Config};
use crate::engine::{Board, Clock};

/// How often the file is looked at. The kubelet takes up to a minute to swap a ConfigMap, so this adds little.
const LOOK_EVERY: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

/// What is counted of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Metrics {
    reloads: Family<Outcome, Counter>,
    waiting: Gauge,
}

impl Metrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("config_reloads", "Changed configurations that were read", self.reloads.clone());
        registry.register(
            "config_refused",
            "1 while the file holds a configuration that was refused and the former one stays in force",
            self.waiting.clone(),
        );
    }
}

/// The file, as it was last read.
#[derive(Debug)]
pub(super) struct Watched {
    path: PathBuf,
    bytes: Option<Vec<u8>>,
    in_force: Config,
    metrics: Metrics,
}

impl Watched {
    /// Watches `path`, which has just been read as `in_force`.
    pub(super) async fn new(path: &Path, in_force: Config, metrics: Metrics) -> Self {
        Self { path: path.to_owned(), bytes: read(path).await, in_force, metrics }
    }

    /// Waits until the file is another one than before.
    pub(super) async fn changed(&mut self, clock: &impl Clock) {
        loop {
            clock.sleep_until(clock.now() + LOOK_EVERY).await;
            let bytes = read(&self.path).await;
            // A file that is gone for a moment is in the middle of being swapped.
            if bytes.is_some() && bytes != self.bytes {
                self.bytes = bytes;
                return;
            }
        }
    }

    /// Reads the file and puts it into force, or leaves the former configuration in force and says why.
    pub(super) fn reload<C: Clock>(&mut self, crew: &mut Crew<C>, board: &Board) {
        self.bytes = std::fs::read(&self.path).ok();
        let loaded = config::load(&self.path).map_err(anyhow::Error::from);
        let applied = loaded.and_then(|config| Ok((crew.apply(&config)?, config)));
        let outcome = match applied {
            Ok((change, config)) => {
                self.accepted(&change, config, board);
                "ok"
            }
            Err(error) => {
                self.refused(&error, board);
                "refused"
            }
        };
        self.metrics.reloads.get_or_create(&Outcome { outcome }).inc();
    }

    fn accepted(&mut self, change: &Change, config: Config, board: &Board) {
        let Change { kept, started, stopped } = *change;
        tracing::info!(path = %self.path.display(), kept, started, stopped, "a new configuration is in force");
        let server = |config: &Config| (config.grpc.clone(), config.http, config.tls.clone());
        if server(&config) != server(&self.in_force) {
            tracing::warn!("a change of the section server takes effect when the process is started again");
        }
        self.in_force = config;
        self.metrics.waiting.set(0);
        board.set_notice(None);
    }

    fn refused(&self, error: &anyhow::Error, board: &Board) {
        tracing::error!(path = %self.path.display(), "the new configuration is wrong; the former one stays in force:\n{error:#}");
        let text = format!("{error:#}");
        let (first, more) = (text.lines().next().unwrap_or_default(), text.lines().count().saturating_sub(1));
        let more = if more > 0 {
            format!(" (and {more} more; tidetable check names them all)")
        } else {
            String::new()
        };
        let notice =
            format!("the new configuration was refused and the former one is in force: {first}{more}");
        self.metrics.waiting.set(1);
        board.set_notice(Some(notice.into()));
    }
}

/// The file's content, if it can be read.
async fn read(path: &Path) -> Option<Vec<u8>> {
    tokio::fs::read(path).await.ok()
}
