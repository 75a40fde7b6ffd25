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

use super::clock::WallClock;
use super::crew::{Change, Crew};
use super::expiry;
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
    expiry: expiry::Metrics,
}

impl Metrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("config_reloads", "Changed configurations that were read", self.reloads.clone());
        registry.register(
            "config_refused",
            "1 while the file holds a configuration that was refused and the former one stays in force",
            self.waiting.clone(),
        );
        self.expiry.register(registry);
    }
}

/// The file, as it was last read.
#[derive(Debug)]
pub(super) struct Watched {
    path: PathBuf,
    bytes: Option<Vec<u8>>,
    /// Files of models and events that the configuration names, also one that was refused, with what they held.
    beside: Vec<PathBuf>,
    held: Vec<(PathBuf, Vec<u8>)>,
    /// What listeners and archive were made from; they stay as they are.
    started_with: Config,
    metrics: Metrics,
}

impl Watched {
    /// Watches `path`, which has just been read as `started_with`.
    pub(super) async fn new(path: &Path, started_with: Config, metrics: Metrics) -> Self {
        let bytes = read(path).await;
        let beside = started_with.calendars.files.clone();
        let held = config::contents(&beside);
        metrics.expiry.set(&started_with);
        say_what_runs_out(&started_with);
        Self { path: path.to_owned(), bytes, beside, held, started_with, metrics }
    }

    /// Waits until the file is another one than before.
    pub(super) async fn changed(&mut self, clock: &impl Clock) {
        loop {
            clock.sleep_until(clock.now() + LOOK_EVERY).await;
            let bytes = read(&self.path).await;
            // A file that is gone for a moment is in the middle of being swapped.
            let changed = bytes.is_some() && bytes != self.bytes;
            if changed {
                self.bytes = bytes;
            }
            // They are few and small, and read on a thread that may block.
            let beside = self.beside.clone();
            let held = tokio::task::spawn_blocking(move || config::contents(&beside)).await;
            let moved = held.is_ok_and(|held| held != self.held);
            if changed || moved {
                return;
            }
        }
    }

    /// Reads the file and puts it into force, or leaves the former configuration in force and says why.
    pub(super) fn reload<C: Clock>(&mut self, crew: &mut Crew<C>, board: &Board) {
        let loaded = self.load().map_err(anyhow::Error::from);
        let applied = loaded.and_then(|config| Ok((crew.apply(&config)?, config)));
        let outcome = match applied {
            Ok((change, config)) => {
                self.accepted(&change, &config, board);
                "ok"
            }
            Err(error) => {
                self.refused(&error, board);
                "refused"
            }
        };
        self.metrics.reloads.get_or_create(&Outcome { outcome }).inc();
    }

    /// Reads the configuration and remembers what it was made from.
    fn load(&mut self) -> Result<Config, config::Error> {
        self.bytes = std::fs::read(&self.path).ok();
        let loaded = config::load(&self.path);
        self.beside = match &loaded {
            Ok(config) => config.calendars.files.clone(),
            // What a refused configuration names is watched as well: the mistake may be mended there.
            Err(error) => config::named_files(error).into_iter().chain(self.beside.clone()).collect(),
        };
        self.beside.sort();
        self.beside.dedup();
        self.held = config::contents(&self.beside);
        loaded
    }

    fn accepted(&self, change: &Change, config: &Config, board: &Board) {
        let Change { kept, started, stopped } = *change;
        tracing::info!(path = %self.path.display(), kept, started, stopped, "a new configuration is in force");
        let notice = waits_for_a_restart(&self.started_with, config);
        if let Some(notice) = &notice {
            tracing::warn!("{notice}");
        }
        self.metrics.waiting.set(0);
        self.metrics.expiry.set(config);
        say_what_runs_out(config);
        board.set_notice(notice.map(Into::into));
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

/// Calendars that run out, in the log.
fn say_what_runs_out(config: &Config) {
    for warning in expiry::warnings(config, WallClock.now()) {
        tracing::warn!("{warning}");
    }
}

/// The file's content, if it can be read.
async fn read(path: &Path) -> Option<Vec<u8>> {
    tokio::fs::read(path).await.ok()
}

/// What of a configuration is not in force before the process is started again, for people; `None` when all of it is.
fn waits_for_a_restart(started_with: &Config, now: &Config) -> Option<String> {
    let server = |config: &Config| (config.grpc.clone(), config.http, config.tls.clone());
    let changed =
        [("server", server(started_with) != server(now)), ("history", started_with.history != now.history)];
    let sections: Vec<&str> = changed.iter().filter(|(_, changed)| *changed).map(|(name, _)| *name).collect();
    (!sections.is_empty()).then(|| {
        format!(
            "changed in the configuration, and in force when the process is started again: {}",
            sections.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::super::clock::FastClock;
    use super::*;

    fn config(more: &str) -> Config {
        config::parse("tidetable.yaml", &text(more)).unwrap()
    }

    fn text(more: &str) -> String {
        format!(
            "{more}
sources: {{ main: {{ prometheus: {{ url: 'http://127.0.0.1:9' }} }} }}
targets:
  api:
    scaledObject: payments/api
    demand: {{ source: main, query: up }}
    capacity: {{ perReplica: 120 }}
    replicas: {{ min: 3, max: 200 }}
    timezone: UTC
"
        )
    }

    #[tokio::test]
    async fn a_file_beside_the_configuration_that_changes_is_noticed_also_after_a_refusal() {
        let folder = tempfile::tempdir().unwrap();
        let (path, events) = (folder.path().join("tidetable.yaml"), folder.path().join("events.csv"));
        let launch = |at: &str| std::fs::write(&events, format!("name,at\nlaunch,{at}\n")).unwrap();
        launch("2026-11-27T11:00:00Z");
        std::fs::write(&path, text("eventFiles: [{ file: events.csv }]")).unwrap();
        let started_with = config::load(&path).unwrap();
        let metrics = Metrics::default();
        let mut watched = Watched::new(&path, started_with.clone(), metrics).await;
        // It looks every five milliseconds.
        let clock = FastClock::starting_at("2026-11-24T00:00:00Z".parse().unwrap(), 1000.0);
        let patience = Duration::from_secs(20);

        let quiet = tokio::time::timeout(Duration::from_millis(200), watched.changed(&clock)).await;
        assert!(quiet.is_err(), "nothing has changed");
        launch("tomorrow");
        tokio::time::timeout(patience, watched.changed(&clock)).await.expect("it is noticed");
        assert!(watched.load().is_err(), "the former configuration stays in force");
        launch("2026-11-28T11:00:00Z");
        tokio::time::timeout(patience, watched.changed(&clock)).await.expect("it is noticed");
        let config = watched.load().unwrap();
        assert_ne!(config.targets[0].almanac, started_with.targets[0].almanac, "the target listens to it");
    }

    #[test]
    fn what_only_a_restart_puts_into_force_is_named_and_compared_with_the_start() {
        let plain = config("");
        let archived = config("history: { archive: file:///var/lib/tidetable }");
        let elsewhere = config("server: { http: '127.0.0.1:8090' }");
        assert_eq!(waits_for_a_restart(&plain, &plain), None);
        assert!(waits_for_a_restart(&plain, &archived).unwrap().ends_with(": history"));
        assert!(waits_for_a_restart(&archived, &elsewhere).unwrap().ends_with(": server, history"));
    }
}
