//! The files, looked at every few seconds: a new certificate is for new connections, a bad file is for none.
//!
//! Contents are compared and not times, because Kubernetes swaps a directory by a symbolic link, and neither the path nor
//! the time of what it leads to need change. What is open stays open: a handshake takes the configuration that is newest
//! when it begins, and nothing asks again afterwards. So an authority that is removed ends no connection; a restart does.
//!
//! Files change in real time, so the wait between two looks is tokio's and not the engine's [`Clock`](crate::engine::Clock).

use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::files::Contents;
use super::identity::Identity;
use super::{Error, Settings};
use crate::keda::Metrics;
use crate::keda::metrics::Reload;

/// Between two lines about the same trouble.
const QUIET: Duration = Duration::from_secs(60);

/// Looks at start, in case the files are being changed just then.
const LOOKS_AT_START: usize = 3;

/// What is served with, and the files it comes from.
#[derive(Debug)]
pub struct Keeper {
    settings: Settings,
    /// What was tried last: kept so that a bad file is tried once.
    tried: Option<Contents>,
    serving: watch::Sender<Identity>,
}

/// What new connections are served with.
#[derive(Debug, Clone)]
pub(in crate::keda) struct Current(watch::Receiver<Identity>);

impl Current {
    /// The newest.
    pub(in crate::keda) fn get(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0.borrow().config)
    }
}

impl Keeper {
    /// Reads the files. A certificate that has expired is served all the same, and said so: its renewal may be on its way.
    ///
    /// # Errors
    /// [`Error`], when a file cannot be read or served with.
    pub fn try_new(settings: Settings) -> Result<Self, Error> {
        let mut looks = (0..LOOKS_AT_START).map(|_| Contents::read(&settings));
        let contents = looks
            .find_map(Result::transpose)
            .unwrap_or_else(|| Err(Error::Unsteady { path: settings.cert.clone() }))?;
        let serving = watch::Sender::new(Identity::try_new(&settings, &contents)?);
        Ok(Self { settings, tried: Some(contents), serving })
    }

    /// What new connections are served with, from now on.
    pub(in crate::keda) fn current(&self) -> Current {
        Current(self.serving.subscribe())
    }

    /// Looks at the files until `shutdown`.
    pub(in crate::keda) async fn watch(mut self, metrics: Metrics, shutdown: CancellationToken) {
        metrics.certificate_expires(self.serving.borrow().expires_at);
        let mut looks = tokio::time::interval(self.settings.check_every);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut trouble = Trouble::default();
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = looks.tick() => {}
            }
            let settings = self.settings.clone();
            // A volume that hangs, hangs a thread of its own.
            let Ok(read) = tokio::task::spawn_blocking(move || Contents::read(&settings)).await else {
                continue;
            };
            match self.look(read, &trouble) {
                Look::Unchanged => {}
                Look::Renewed => {
                    metrics.reloaded(Reload::Renewed);
                    let identity = self.serving.borrow();
                    metrics.certificate_expires(identity.expires_at);
                    info!(expires = identity.expiry(), "new connections get the new certificate");
                    trouble = Trouble::default();
                }
                Look::Failed(error) => {
                    metrics.reloaded(Reload::Failed);
                    trouble.error = Some(error);
                }
            }
            self.complain(&mut trouble);
        }
    }

    fn look(&mut self, read: Result<Option<Contents>, Error>, trouble: &Trouble) -> Look {
        let contents = match read {
            // Being changed: the next look will see it whole.
            Ok(None) => return Look::Unchanged,
            Ok(Some(contents)) if self.tried.as_ref() == Some(&contents) => return Look::Unchanged,
            Ok(Some(contents)) => contents,
            // Still unreadable.
            Err(_) if self.tried.is_none() && trouble.error.is_some() => return Look::Unchanged,
            Err(error) => {
                self.tried = None;
                return Look::Failed(error);
            }
        };
        let settings = &self.settings;
        let identity = Identity::try_new(settings, &contents).and_then(|new| new.unless_expired(settings));
        self.tried = Some(contents);
        match identity {
            Ok(identity) => {
                self.serving.send_replace(identity);
                Look::Renewed
            }
            Err(error) => Look::Failed(error),
        }
    }

    /// Says what is wrong, once a minute.
    fn complain(&self, trouble: &mut Trouble) {
        let serving = self.serving.borrow();
        if trouble.error.is_none() && !serving.has_expired() {
            return;
        }
        if trouble.said.is_some_and(|said| said.elapsed() < QUIET) {
            return;
        }
        trouble.said = Some(Instant::now());
        let expires = serving.expiry();
        if let Some(error) = &trouble.error {
            let error = chain(error);
            warn!(error, expires, "the new certificate cannot be used; the old one stays in force");
        } else {
            warn!(expires, "the certificate has expired; clients will refuse it");
        }
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// What a look at the files found.
enum Look {
    Unchanged,
    Renewed,
    Failed(Error),
}

/// What is wrong, and when that was last said.
#[derive(Default)]
struct Trouble {
    error: Option<Error>,
    said: Option<Instant>,
}
