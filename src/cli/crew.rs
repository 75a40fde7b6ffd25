//! The workers of a running process, and how a new configuration changes them.
//!
//! A target that is the same before and after, source included, keeps its worker and with it its history, its model and
//! what it remembers. One that changed gets a new worker, and goes on answering with the old decision until the new worker
//! has made one. One that is gone is taken off the board, and its streams end.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::wiring::{self, Assembly};
use crate::config::{Config, PrometheusSettings};
use crate::engine::{Clock, Demand, Ended, Target};
use crate::source::prometheus;

/// Every worker of the process.
pub(super) struct Crew<C> {
    assembly: Arc<Assembly<C>>,
    sources: BTreeMap<String, Source>,
    running: BTreeMap<Arc<str>, Running>,
    tasks: JoinSet<(Arc<str>, Result<(), Ended>)>,
    shutdown: CancellationToken,
}

#[derive(Clone)]
struct Source {
    settings: PrometheusSettings,
    client: Arc<prometheus::Source>,
}

struct Running {
    target: Arc<Target>,
    /// One for each demand of the target, in its order.
    sources: Vec<Arc<prometheus::Source>>,
    stop: CancellationToken,
}

/// What a configuration changed.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) kept: usize,
    pub(super) started: usize,
    pub(super) stopped: usize,
}

impl<C: Clock> Crew<C> {
    /// Nobody yet. Cancelling `shutdown` stops everyone.
    pub(super) fn new(assembly: Arc<Assembly<C>>, shutdown: CancellationToken) -> Self {
        Self { assembly, sources: BTreeMap::new(), running: BTreeMap::new(), tasks: JoinSet::new(), shutdown }
    }

    /// Makes the crew what `config` says. On an error nothing has changed.
    pub(super) fn apply(&mut self, config: &Config) -> anyhow::Result<Change> {
        let sources = self.sources_of(config)?;
        let mut wanted = BTreeMap::new();
        for target in &config.targets {
            let client = |demand: &Demand| Some(Arc::clone(&sources.get(&demand.source)?.client));
            let clients: Option<Vec<_>> = target.demands.iter().map(client).collect();
            let clients = clients.context("a target's sources are configured")?;
            wanted.insert(Arc::clone(&target.name), (Arc::new(target.clone()), clients));
        }
        self.sources = sources;

        let mut change = Change::default();
        let same = |running: &Running| {
            wanted.get(&running.target.name).is_some_and(|(target, sources)| {
                // The same demands have as many sources.
                *target == running.target
                    && sources
                        .iter()
                        .zip(&running.sources)
                        .all(|(wanted, running)| Arc::ptr_eq(wanted, running))
            })
        };
        self.running.retain(|_, running| {
            let keep = same(running);
            if !keep {
                running.stop.cancel();
                change.stopped += 1;
            }
            keep
        });
        self.assembly.shared.board.replace(wanted.values().map(|(target, _)| Arc::clone(target)));
        for (name, (target, sources)) in wanted {
            if self.running.contains_key(&name) {
                change.kept += 1;
            } else {
                self.start(target, sources);
                change.started += 1;
            }
        }
        Ok(change)
    }

    /// Waits until a worker ends that nobody stopped, and says which; for ever, when all is well.
    pub(super) async fn lost(&mut self) -> anyhow::Error {
        loop {
            match self.tasks.join_next().await {
                // Somebody stopped it.
                Some(Ok((_, Ok(())))) => {}
                Some(Ok((name, Err(ended)))) => {
                    return anyhow::Error::from(ended).context(format!("the worker of {name} has ended"));
                }
                Some(Err(died)) => return lost(died),
                None => std::future::pending().await,
            }
        }
    }

    /// Waits until every worker has ended, after `shutdown`.
    pub(super) async fn gone(&mut self) {
        while self.tasks.join_next().await.is_some() {}
    }

    fn start(&mut self, target: Arc<Target>, sources: Vec<Arc<prometheus::Source>>) {
        let (name, stop) = (Arc::clone(&target.name), self.shutdown.child_token());
        let worker = self.assembly.worker(Arc::clone(&target), sources.iter().map(Arc::clone));
        let running = Running { target, sources, stop: stop.clone() };
        self.running.insert(Arc::clone(&name), running);
        self.tasks.spawn(async move {
            let ended = worker.run(stop).await;
            (name, ended)
        });
    }

    /// The clients of `config`; one whose settings have not changed is kept, connections and all.
    fn sources_of(&self, config: &Config) -> anyhow::Result<BTreeMap<String, Source>> {
        config
            .sources
            .iter()
            .map(|(name, settings)| {
                let kept = self.sources.get(name).filter(|source| source.settings == *settings);
                let source = match kept {
                    Some(kept) => kept.clone(),
                    None => Source { settings: settings.clone(), client: wiring::source(name, settings)? },
                };
                Ok((name.clone(), source))
            })
            .collect()
    }
}

fn lost(died: JoinError) -> anyhow::Error {
    anyhow::Error::from(died).context("a worker has died")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::clock::SetClock;
    use crate::config;
    use crate::time::from_epoch_seconds;

    const CONFIG: &str = "\
sources: { main: { prometheus: { url: 'http://127.0.0.1:9' } } }
targets:
  api: &api
    scaledObject: payments/api
    demand: { source: main, query: up }
    capacity: { perReplica: 120 }
    replicas: { min: 3, max: 200 }
    timezone: UTC
  ledger: { <<: *api, scaledObject: payments/ledger }
";

    fn config(changes: &[(&str, &str)]) -> Config {
        let text = changes.iter().fold(CONFIG.to_owned(), |text, (from, to)| text.replace(from, to));
        config::parse("tidetable.yaml", &text).unwrap()
    }

    fn crew() -> (Crew<SetClock>, Arc<Assembly<SetClock>>) {
        // A source cannot be made without a TLS provider; that another test was first is fine.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let clock = Arc::new(SetClock::at(from_epoch_seconds(1_780_000_000)));
        let assembly = Arc::new(Assembly::new(clock, None, |_| {}).unwrap());
        (Crew::new(Arc::clone(&assembly), CancellationToken::new()), assembly)
    }

    fn names(assembly: &Assembly<SetClock>) -> Vec<String> {
        assembly.shared.board.table().targets().map(|target| target.name.to_string()).collect()
    }

    #[tokio::test]
    async fn who_did_not_change_keeps_the_worker() {
        let (mut crew, assembly) = crew();
        assert_eq!(crew.apply(&config(&[])).unwrap(), Change { kept: 0, started: 2, stopped: 0 });
        assert_eq!(crew.apply(&config(&[])).unwrap(), Change { kept: 2, started: 0, stopped: 0 });
        let one = config(&[("payments/ledger }", "payments/ledger, mode: active }")]);
        assert_eq!(crew.apply(&one).unwrap(), Change { kept: 1, started: 1, stopped: 1 });
        assert_eq!(names(&assembly), ["api", "ledger"]);
        let gone = config(&[("  ledger: { <<: *api, scaledObject: payments/ledger }\n", "")]);
        assert_eq!(crew.apply(&gone).unwrap(), Change { kept: 1, started: 0, stopped: 1 });
        assert_eq!(names(&assembly), ["api"]);
    }

    #[tokio::test]
    async fn another_source_is_another_worker() {
        let (mut crew, _) = crew();
        crew.apply(&config(&[])).unwrap();
        let moved = config(&[("127.0.0.1:9", "127.0.0.1:10")]);
        assert_eq!(crew.apply(&moved).unwrap(), Change { kept: 0, started: 2, stopped: 2 });
    }

    #[tokio::test]
    async fn only_a_worker_that_nobody_stopped_is_lost() {
        let (mut crew, _) = crew();
        crew.apply(&config(&[])).unwrap();
        crew.apply(&config(&[("max: 200", "max: 100")])).unwrap();
        let quiet = tokio::time::timeout(std::time::Duration::from_millis(300), crew.lost()).await;
        assert!(quiet.is_err(), "{quiet:?}");
        crew.shutdown.cancel();
        crew.gone().await;
    }
}
