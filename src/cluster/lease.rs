//! Which of the replicas writes: the holder of a Lease (coordination.k8s.io), which it renews and others may take when it does
//! not.
//!
//! Answers need no holder; all that hangs on it is who writes what every replica could write alike. So it suffices that there
//! is mostly one, and that a holder which the API server does not hear from stops to think that it is one before another may
//! begin. Clocks of two machines are never compared: a candidate waits for as long as the record has not changed in its own
//! sight, and a holder counts from before it asked.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff;
use kube::Api;
use kube::api::PostParams;
use tokio::time::Instant;

use super::Error;
use crate::time::Timestamp;

/// How long a record that is not renewed is still respected.
const LASTS: Duration = Duration::from_secs(60);

/// A holder that was not heard for this long stops writing: well before the others may begin.
const TRUSTS_ITSELF: Duration = Duration::from_secs(40);

/// Patience with one request.
const PATIENCE: Duration = Duration::from_secs(10);

/// One who would write.
pub(super) struct Candidate {
    leases: Api<Lease>,
    name: String,
    identity: String,
    lasts: Duration,
    /// The record of another, and when it was first seen as it is.
    seen: Option<(LeaseSpec, Instant)>,
    trusted_until: Option<Instant>,
}

impl Candidate {
    /// A candidate for the Lease `name` of the client's own namespace, who is known as `identity` and no other is.
    pub(super) fn new(client: &kube::Client, name: &str, identity: &str) -> Self {
        Self {
            leases: Api::default_namespaced(client.clone()),
            name: name.to_owned(),
            identity: identity.to_owned(),
            lasts: LASTS,
            seen: None,
            trusted_until: None,
        }
    }

    /// Whether it may write.
    pub(super) fn holds(&self) -> bool {
        self.trusted_until.is_some_and(|until| Instant::now() < until)
    }

    /// Takes or renews the Lease at `now`, where that can be; to be called every quarter minute.
    ///
    /// # Errors
    /// [`Error`] when the API server does not let it, or is not heard. Whoever holds goes on holding for some seconds.
    pub(super) async fn campaign(&mut self, now: Timestamp) -> Result<(), Error> {
        let began = Instant::now();
        let what = format!("lease {}", self.name);
        let plainly = PostParams::default();
        let found = bounded(&what, "get", self.leases.get_opt(&self.name)).await?;
        let written = match found {
            None => {
                let fresh = Lease {
                    metadata: ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() },
                    spec: Some(self.record(None, now)),
                };
                let created = self.leases.create(&plainly, &fresh);
                won(bounded(&what, "create", created).await)?
            }
            Some(lease) if self.may_take(lease.spec.as_ref(), began) => {
                // With the version that was read: of two who try, the API server takes one.
                let taken = Lease { spec: Some(self.record(lease.spec.as_ref(), now)), ..lease };
                let replaced = self.leases.replace(&self.name, &plainly, &taken);
                won(bounded(&what, "update", replaced).await)?
            }
            Some(_) => false,
        };
        self.trusted_until = written.then(|| began + TRUSTS_ITSELF);
        Ok(())
    }

    /// Gives the Lease up, so that another need not wait. What fails is left to run out.
    pub(super) async fn release(&mut self, now: Timestamp) {
        if !self.holds() {
            return;
        }
        self.trusted_until = None;
        let found = bounded("lease", "get", self.leases.get_opt(&self.name)).await;
        if let Ok(Some(mut lease)) = found
            && let Some(spec) = lease.spec.as_mut()
            && spec.holder_identity.as_deref() == Some(&self.identity)
        {
            spec.holder_identity = None;
            spec.renew_time = Some(micros(now));
            let plainly = PostParams::default();
            let replaced = self.leases.replace(&self.name, &plainly, &lease);
            drop(bounded("lease", "update", replaced).await);
        }
    }

    /// Whether the record is our own, nobody's, or one that has not changed for as long as it says.
    fn may_take(&mut self, record: Option<&LeaseSpec>, now: Instant) -> bool {
        let Some(record) = record else { return true };
        let holder = record.holder_identity.as_deref().unwrap_or_default();
        if holder.is_empty() || holder == self.identity {
            self.seen = None;
            return true;
        }
        let since = match &self.seen {
            Some((seen, since)) if seen == record => *since,
            _ => {
                self.seen = Some((record.clone(), now));
                now
            }
        };
        let said = record.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        now - since >= said.map_or(self.lasts, Duration::from_secs)
    }

    /// The record of a holder that follows `former`.
    fn record(&self, former: Option<&LeaseSpec>, now: Timestamp) -> LeaseSpec {
        let ours = former.filter(|spec| spec.holder_identity.as_deref() == Some(&self.identity));
        let transitions = former.and_then(|spec| spec.lease_transitions).unwrap_or_default();
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            acquire_time: ours.map_or_else(|| Some(micros(now)), |spec| spec.acquire_time.clone()),
            renew_time: Some(micros(now)),
            lease_duration_seconds: i32::try_from(self.lasts.as_secs()).ok(),
            lease_transitions: Some(transitions + i32::from(former.is_some() && ours.is_none())),
            ..former.cloned().unwrap_or_default()
        }
    }
}

/// The outcome of a request, which must come within [`PATIENCE`].
pub(super) async fn bounded<T>(
    what: &str,
    verb: &'static str,
    request: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, Error> {
    match tokio::time::timeout(PATIENCE, request).await {
        Ok(outcome) => outcome.map_err(|error| Error::of(verb, what, error)),
        Err(_) => Err(Error::Late { verb, what: what.to_owned() }),
    }
}

/// Whether a write was the first; another's was where the version is not the one that was read any more.
fn won<T>(written: Result<T, Error>) -> Result<bool, Error> {
    match written {
        Ok(_) => Ok(true),
        Err(Error::Unanswered { source: kube::Error::Api(status), .. }) if status.code == 409 => Ok(false),
        Err(error) => Err(error),
    }
}

fn micros(at: Timestamp) -> MicroTime {
    MicroTime(jiff::Timestamp::from_microsecond(at.timestamp_micros()).unwrap_or_default())
}
