//! The tasks that look: one for each ScaledObject whose lead time is to be learned, one for each whose HPA is to be seen
//! ([`super::hpa`]), and one for each namespace in which a target is, for what is declared there.
//!
//! A watch survives what happens to watches: an API server that restarts, a history that is gone (410), bookmarks, and
//! throttling (429), after which it waits longer and longer, up to half a minute, with some chance in it. Each time it begins
//! anew it lists all pods, so that nothing is missed but what came and went meanwhile. Now and then the ScaledObject and its
//! `/scale` are read again: what is scaled, or its selector, may have changed.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::reflector;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, ResourceExt as _};
use tokio_stream::StreamExt as _;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::hpa::{LookFor, Looker};
use super::pods::Pods;
use super::{Candidacy, Error, Scaled, Sight, SurgeEvent, SurgeEventSpec, herald};
use crate::engine::{Board, Clock, LeadTime, Memory, ScaleUpFrom, ScaledObject};
use crate::guard::tolerance::Mode;
use crate::plan::lead_time::Start;

/// How soon a target that a changed configuration brought is looked after.
const LOOK_EVERY: Duration = Duration::from_secs(15);

/// After what could not be read: rights come by hand, and then somebody waits for them.
pub(super) const TRY_AGAIN_AFTER: Duration = Duration::from_secs(60);

/// How long it is taken for granted what a ScaledObject scales.
pub(super) const READ_AGAIN_AFTER: Duration = Duration::from_secs(300);

/// Patience with one request. A watch is renewed by the API server within five minutes, and by the client a little later.
const REQUEST_WITHIN: Duration = Duration::from_secs(15);

/// A client for the cluster around this process, or for the one of `KUBECONFIG`.
///
/// # Errors
/// [`Error::NoCluster`] when there is neither, or it cannot be used.
pub async fn connect() -> Result<kube::Client, Error> {
    let mut config = kube::Config::infer().await.map_err(|error| Error::NoCluster(error.into()))?;
    config.connect_timeout = Some(REQUEST_WITHIN);
    kube::Client::try_from(config).map_err(|error| Error::NoCluster(error.into()))
}

/// Connects, and then follows ([`follow`]) until `shutdown`: at once where a token for this pod's own cluster is mounted, and
/// elsewhere as soon as a target of `board` has a lead time to be learned or answers by the replicas that run, or there is a
/// candidacy. Where that fails it is said once for each such target, and tried again. With a `candidacy` this replica also
/// stands for telling what becomes of what is declared ([`herald`]).
pub async fn watch_over<C: Clock, M: Memory>(
    board: Arc<Board>,
    sight: Arc<Sight>,
    memory: Option<Arc<M>>,
    candidacy: Option<Candidacy>,
    clock: Arc<C>,
    shutdown: CancellationToken,
) {
    let client = async {
        loop {
            let wanted = in_need_of_a_cluster(&board);
            if wanted.is_empty() && candidacy.is_none() && kube::Config::incluster().is_err() {
                sight.look_away();
                clock.sleep_until(clock.now() + LOOK_EVERY).await;
                continue;
            }
            match connect().await {
                Ok(client) => return client,
                Err(error) => {
                    sight.look_away();
                    for owner in &wanted {
                        sight.lack(owner, &error);
                    }
                    clock.sleep_until(clock.now() + TRY_AGAIN_AFTER).await;
                }
            }
        }
    };
    let client = tokio::select! {
        () = shutdown.cancelled() => return,
        client = client => client,
    };
    let tells = async {
        if let Some(candidacy) = candidacy {
            let (client, board, sight) = (client.clone(), Arc::clone(&board), Arc::clone(&sight));
            herald(client, board, sight, candidacy, Arc::clone(&clock), shutdown.clone()).await;
        }
    };
    let follows = follow(
        client.clone(),
        Arc::clone(&board),
        Arc::clone(&sight),
        memory,
        Arc::clone(&clock),
        shutdown.clone(),
    );
    tokio::join!(follows, tells);
}

/// Who says something that only a cluster can tell.
fn in_need_of_a_cluster(board: &Board) -> Vec<ScaledObject> {
    let table = board.table();
    let in_need = table
        .targets()
        .filter(|target| target.lead_time == LeadTime::Learned || target.tolerance.mode == Mode::Deadband);
    in_need.map(|target| target.scaled_object.clone()).collect()
}

/// Whose HPA is looked at, and for what: where two targets have one, for what either needs.
fn looked_for(board: &Board) -> BTreeMap<ScaledObject, LookFor> {
    let mut looked_for = BTreeMap::new();
    for target in board.table().targets() {
        let by_answers = matches!(target.tolerance.mode, Mode::Auto | Mode::Deadband);
        let needs = match target.scale_up {
            _ if by_answers => LookFor::Answers,
            ScaleUpFrom::Hpa => LookFor::Climbs,
            ScaleUpFrom::Configured => continue,
        };
        let known = looked_for.entry(target.scaled_object.clone()).or_insert(needs);
        *known = needs.max(*known);
    }
    looked_for
}

/// Whose pods are to be looked at.
fn wanted(board: &Board) -> Vec<ScaledObject> {
    let table = board.table();
    let learned = table.targets().filter(|target| target.lead_time == LeadTime::Learned);
    learned.map(|target| target.scaled_object.clone()).collect()
}

/// Looks after every target of `board` whose lead time is to be learned, or whose HPA is to be seen for its answers or its climbs,
/// and after what is declared for any, until `shutdown`.
/// What was learned is recalled from and kept in `memory`.
pub async fn follow<C: Clock, M: Memory>(
    client: kube::Client,
    board: Arc<Board>,
    sight: Arc<Sight>,
    memory: Option<Arc<M>>,
    clock: Arc<C>,
    shutdown: CancellationToken,
) {
    sight.begin();
    let mut followed: BTreeMap<ScaledObject, AbortOnDropHandle<()>> = BTreeMap::new();
    let mut looked_at: BTreeMap<(ScaledObject, LookFor), AbortOnDropHandle<()>> = BTreeMap::new();
    let mut listened: BTreeMap<String, AbortOnDropHandle<()>> = BTreeMap::new();
    loop {
        let table = board.table();
        for namespace in table.targets().map(|target| &target.scaled_object.namespace) {
            listened.entry(namespace.clone()).or_insert_with_key(|namespace| {
                let listening = listen(client.clone(), namespace.clone(), Arc::clone(&sight));
                AbortOnDropHandle::new(tokio::spawn(listening))
            });
        }
        let wanted = wanted(&board);
        followed.retain(|owner, task| wanted.contains(owner) && !task.is_finished());
        for owner in wanted {
            followed.entry(owner).or_insert_with_key(|owner| {
                let one = Follower {
                    client: client.clone(),
                    owner: owner.clone(),
                    sight: Arc::clone(&sight),
                    memory: memory.clone(),
                    clock: Arc::clone(&clock),
                };
                AbortOnDropHandle::new(tokio::spawn(one.run()))
            });
        }
        let looked_for = looked_for(&board);
        looked_at.retain(|(owner, needs), _| looked_for.get(owner) == Some(needs));
        for looked in looked_for {
            looked_at.entry(looked).or_insert_with_key(|(owner, needs)| {
                let client = client.clone();
                let (sight, clock) = (Arc::clone(&sight), Arc::clone(&clock));
                let one = Looker { client, owner: owner.clone(), needs: *needs, sight, clock };
                AbortOnDropHandle::new(tokio::spawn(one.run()))
            });
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = clock.sleep_until(clock.now() + LOOK_EVERY) => {}
        }
    }
}

/// Keeps what is declared in `namespace`, as long as it is let. A cluster without the definition of `SurgeEvent`s, or that may
/// not be read, has none; what was read stays while the API server is away.
async fn listen(client: kube::Client, namespace: String, sight: Arc<Sight>) {
    let surges: Api<SurgeEvent> = Api::namespaced(client, &namespace);
    let (store, writer) = reflector::store();
    sight.declare(&namespace, store);
    let mut events = pin!(watcher(surges, watcher::Config::default()).default_backoff().reflect(writer));
    let mut lacking = None;
    let mut known: BTreeMap<String, SurgeEventSpec> = BTreeMap::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Apply(surge) | Event::InitApply(surge)) => {
                let name = surge.name_any();
                // What is written of its status comes back here, and is no news.
                if known.insert(name.clone(), surge.spec.clone()).as_ref() == Some(&surge.spec) {
                    continue;
                }
                sight.changed(&namespace);
                match surge.spec.read(&name) {
                    Ok(_) => {
                        let cancelled = surge.spec.cancelled;
                        tracing::info!(namespace, name, cancelled, "a SurgeEvent is declared");
                    }
                    Err(error) => tracing::warn!(namespace, name, %error, "a SurgeEvent is refused"),
                }
            }
            Ok(Event::Delete(surge)) => {
                known.remove(&surge.name_any());
                sight.changed(&namespace);
                tracing::info!(namespace, name = surge.name_any(), "a SurgeEvent is gone");
            }
            Ok(Event::InitDone) => {
                sight.listed(&namespace);
                if lacking.take().is_some() {
                    tracing::info!(namespace, "SurgeEvents are read again");
                }
            }
            Ok(Event::Init) => {}
            Err(error) => {
                let what = format!("surgeevents of {namespace}");
                let error = Error::of_watch(&what, error);
                if matches!(error, Some(Error::Forbidden { .. } | Error::NotFound { .. })) {
                    // Nobody will tell us; an API server that is only away is waited for, as long as a first decision waits.
                    sight.listed(&namespace);
                }
                let why = error.map(|error| error.with_causes());
                if why.is_some() && why != lacking {
                    tracing::info!(namespace, why, "SurgeEvents are not read");
                    lacking = why;
                }
            }
        }
    }
}

/// Who looks after one ScaledObject.
struct Follower<C, M> {
    client: kube::Client,
    owner: ScaledObject,
    sight: Arc<Sight>,
    memory: Option<Arc<M>>,
    clock: Arc<C>,
}

impl<C: Clock, M: Memory> Follower<C, M> {
    async fn run(self) {
        if let Some(memory) = &self.memory {
            self.recall(memory).await;
        }
        loop {
            let selector = match self.selector().await {
                Ok(selector) => selector,
                Err(error) => {
                    self.sight.lack(&self.owner, &error);
                    self.clock.sleep_until(self.clock.now() + TRY_AGAIN_AFTER).await;
                    continue;
                }
            };
            self.watch(&selector).await;
        }
    }

    /// The pods of what is scaled, as a label selector.
    async fn selector(&self) -> Result<String, Error> {
        let scaled = Scaled::read(&self.client, &self.owner).await?;
        Ok(scaled.scale(&self.client).await?.selector)
    }

    /// Watches pods until others are meant.
    async fn watch(&self, selector: &str) {
        let what = format!("pods of {}", self.owner.namespace);
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &self.owner.namespace);
        let events = watcher(pods, watcher::Config::default().labels(selector)).default_backoff();
        let mut events = pin!(events);
        let mut known = Pods::default();
        let mut read_again = self.clock.now() + READ_AGAIN_AFTER;
        loop {
            let event = tokio::select! {
                event = events.next() => event,
                () = self.clock.sleep_until(read_again) => {
                    match self.selector().await {
                        Ok(other) if other != selector => return,
                        Ok(_) => {}
                        Err(error) => self.sight.lack(&self.owner, &error),
                    }
                    read_again = self.clock.now() + READ_AGAIN_AFTER;
                    continue;
                }
            };
            let start = match event {
                Some(Ok(Event::Apply(pod) | Event::InitApply(pod))) => known.see(&pod),
                Some(Ok(Event::Delete(pod))) => {
                    known.forget(&pod);
                    None
                }
                Some(Ok(Event::InitDone)) => {
                    self.sight.see(&self.owner);
                    None
                }
                Some(Ok(Event::Init)) => None,
                Some(Err(error)) => {
                    if let Some(error) = Error::of_watch(&what, error) {
                        self.sight.lack(&self.owner, &error);
                    }
                    None
                }
                None => return,
            };
            self.note(start).await;
        }
    }

    /// Takes in starts, and keeps what is known then.
    async fn note(&self, starts: impl IntoIterator<Item = Start>) {
        let Some(known) = self.sight.note(&self.owner, starts) else { return };
        let Some(memory) = &self.memory else { return };
        if let Err(error) = memory.keep(&self.owner, &known).await {
            tracing::warn!(scaled_object = %self.owner, %error, "what was learned of pods is not kept");
        }
    }

    async fn recall(&self, memory: &M) {
        match memory.recall(&self.owner).await {
            Ok(starts) => drop(self.sight.note(&self.owner, starts)),
            Err(error) => {
                tracing::warn!(scaled_object = %self.owner, %error, "what was learned of pods is not recalled");
            }
        }
    }
}
