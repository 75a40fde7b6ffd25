//! What is told in the cluster: the status of `SurgeEvent`s, and Kubernetes Events on what somebody may want to act on.
//!
//! One replica tells, the holder of a Lease ([`super::lease`]); the others could tell the same. Every five seconds it works out
//! what each status should be and writes those that are not so, so that who declares something need not wait for it; Events
//! follow from what changed. What is told of targets, every quarter minute, is what changes while one replica holds: what changes
//! in the moment in which the Lease passes on is in the log.
//!
//! None of it is waited for by an answer, and what cannot be written is said once and tried again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Api, Resource as _, ResourceExt as _};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::lease::{Candidate, bounded};
use super::status::{Concerned, Phase, SurgeEventStatus, status};
use super::{Error, Sight, SurgeEvent};
use crate::decision::Decision;
use crate::engine::{Board, Clock, ClusterView as _, LeadTime, ScaledObject, Table, Target};
use crate::guard::{Mode, Rung};
use crate::plan::Limit;
use crate::time::Timestamp;

/// How often the Lease is renewed, and it is looked what is to be told of targets.
const TELL_EVERY: Duration = Duration::from_secs(15);

/// How often it is looked whether a status is to be written.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Tries to write the status of one object are this far apart, whatever becomes of them.
const WRITTEN_APART: chrono::TimeDelta = chrono::TimeDelta::seconds(10);

/// After a Lease that may not be taken: rights come by hand.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(60);

/// A target's Events of one reason are this far apart: what flaps would drown what matters. Longer than the six minutes in which
/// the recorder takes an Event of the same reason for the former one again, its words included.
const APART: chrono::TimeDelta = chrono::TimeDelta::minutes(7);

/// Events in one turn; API servers limit them too. What is beyond it is in the log only.
const MOST_EVENTS: usize = 10;

/// Who we are in the eyes of the API server.
const REPORTER: &str = "tidetable";

/// As whom a replica stands for the writing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidacy {
    /// The name of the Lease, in the namespace of the client.
    pub lease: String,
    /// The replica's own name; no other has it.
    pub identity: String,
}

/// Tells until `shutdown`, whenever the Lease is this replica's.
pub async fn herald<C: Clock>(
    client: kube::Client,
    board: Arc<Board>,
    sight: Arc<Sight>,
    candidacy: Candidacy,
    clock: Arc<C>,
    shutdown: CancellationToken,
) {
    let Candidacy { lease, identity } = candidacy;
    let mut candidate = Candidate::new(&client, &lease, &identity);
    let reporter = Reporter { controller: REPORTER.to_owned(), instance: Some(identity) };
    let recorder = Recorder::new(client.clone(), reporter);
    let mut herald = Herald { client, sight, recorder, memory: Memory::default() };
    let mut lacking = Complaint::default();
    let mut held = false;
    let mut campaign_at = clock.now();
    loop {
        let now = clock.now();
        let campaigns = campaign_at <= now;
        if campaigns {
            let campaigned = candidate.campaign(now).await;
            lacking.note("the Lease that says who writes is not had", campaigned.as_ref().err());
            let again = if campaigned.is_ok() || candidate.holds() { TELL_EVERY } else { TRY_AGAIN_AFTER };
            campaign_at = now + again;
        }
        let holds = candidate.holds();
        if holds != held {
            tracing::info!(lease, holds, "who writes status and Events has changed");
            held = holds;
            herald.memory = Memory::default();
        }
        herald.sight.holds_lease(holds);
        if holds {
            let scope = if campaigns { Scope::All } else { Scope::Statuses };
            herald.turn(&board.table(), now, scope, &candidate).await;
        }
        let next = if holds { campaign_at.min(now + LOOK_EVERY) } else { campaign_at };
        tokio::select! {
            () = shutdown.cancelled() => return candidate.release(clock.now()).await,
            () = clock.sleep_until(next) => {}
        }
    }
}

/// What is told in a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// What becomes of what is declared.
    Statuses,
    /// What has changed of targets, too.
    All,
}

/// Who tells.
struct Herald {
    client: kube::Client,
    sight: Arc<Sight>,
    recorder: Recorder,
    memory: Memory,
}

/// What was told since the Lease is ours.
#[derive(Default)]
struct Memory {
    /// By the UID of the object: what a watch shows may be older.
    written: BTreeMap<String, SurgeEventStatus>,
    /// By UID, when it was last tried to write a status.
    tried: BTreeMap<String, Timestamp>,
    /// UIDs of objects whose status could not be found once.
    missed: BTreeSet<String>,
    targets: BTreeMap<Arc<str>, Told>,
    /// Those of ScaledObjects, by which `kubectl describe` finds their Events.
    uids: BTreeMap<ScaledObject, String>,
    lacking: Complaint,
}

/// What was told of a target, and when.
#[derive(Debug, Clone, Copy)]
struct Told {
    rung: Rung,
    mode: Mode,
    short: bool,
    /// The last Event of each of [`News`].
    at: [Option<Timestamp>; 3],
}

/// What is told of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum News {
    Rung,
    Mode,
    Short,
}

/// A trouble that is told once, and when it is over.
#[derive(Debug, Default)]
struct Complaint(Option<String>);

impl Complaint {
    fn note(&mut self, what: &str, error: Option<&Error>) {
        let why = error.map(Error::with_causes);
        match &why {
            Some(why) if self.0.as_ref() != Some(why) => tracing::warn!(why, "{what}"),
            None if self.0.is_some() => tracing::info!("writing to the cluster works again"),
            _ => {}
        }
        self.0 = why;
    }
}

/// An Event that is to be told.
struct Message {
    about: ObjectReference,
    kind: EventType,
    reason: &'static str,
    note: String,
}

impl Herald {
    /// Tells all of `scope` that is not told yet, as long as `candidate` holds.
    async fn turn(&mut self, table: &Table, now: Timestamp, scope: Scope, candidate: &Candidate) {
        let surges = self.sight.surges();
        let there: BTreeSet<String> = surges.iter().filter_map(|surge| surge.uid()).collect();
        self.memory.written.retain(|uid, _| there.contains(uid));
        self.memory.tried.retain(|uid, tried| there.contains(uid) && now - *tried < WRITTEN_APART);
        self.memory.missed.retain(|uid| there.contains(uid));
        let (mut messages, mut trouble, mut waits) = (Vec::new(), None, false);
        for surge in surges {
            if !candidate.holds() {
                return;
            }
            match self.write(&surge, table, now).await {
                Ok(Some(news)) => messages.extend(news),
                Ok(None) => waits = true,
                // It is gone, and its watch will say so; or the definition is an older one, without a status.
                Err(error @ Error::NotFound { .. }) => {
                    if !self.memory.missed.insert(surge.uid().unwrap_or_default()) {
                        trouble = Some(error);
                    }
                }
                Err(error) => trouble = Some(error),
            }
        }
        for target in table.targets().filter(|_| scope == Scope::All) {
            let published = table.published(&target.name).unwrap_or_default();
            if let Ok(decision) = published.at(now) {
                messages.extend(self.news_of(target, decision, now).await);
            }
        }
        self.memory.targets.retain(|name, _| table.target(name).is_some());
        for (index, message) in messages.iter().enumerate() {
            let Message { about, kind, reason, note } = message;
            if index >= MOST_EVENTS || !candidate.holds() {
                let untold = messages.len() - index;
                tracing::warn!(untold, "there is more to tell than Events should be made");
                break;
            }
            let event = Event {
                type_: *kind,
                reason: (*reason).to_owned(),
                note: Some(note.clone()),
                action: "Forecasting".to_owned(),
                secondary: None,
            };
            let namespace = about.namespace.as_deref().unwrap_or_default();
            let what = format!("events of {namespace}");
            trouble = bounded(&what, "create", self.recorder.publish(&event, about)).await.err().or(trouble);
        }
        // What could not be written a moment ago and waits for its next try does not work again.
        if trouble.is_some() || !waits {
            self.memory.lacking.note("what becomes of SurgeEvents is not written", trouble.as_ref());
        }
    }

    /// Writes the status of a `SurgeEvent` where it is another than before; what is news in it. `None` where it was tried a moment
    /// ago and has to wait.
    async fn write(
        &mut self,
        surge: &SurgeEvent,
        table: &Table,
        now: Timestamp,
    ) -> Result<Option<Vec<Message>>, Error> {
        let (name, uid) = (surge.name_any(), surge.uid().unwrap_or_default());
        let namespace = surge.namespace().unwrap_or_default();
        let mut surge = surge.clone();
        if let Some(written) = self.memory.written.get(&uid) {
            surge.status = Some(written.clone());
        }
        let concerned = self.concerned(&surge, &namespace, table, now);
        let fresh = status(&surge, &concerned, now);
        if surge.status.as_ref() == Some(&fresh) {
            return Ok(Some(Vec::new()));
        }
        if self.memory.tried.contains_key(&uid) {
            return Ok(None);
        }
        self.memory.tried.insert(uid.clone(), now);
        let surges: Api<SurgeEvent> = Api::namespaced(self.client.clone(), &namespace);
        // What is not known is null in it, and so taken away from what is there.
        let patch = Patch::Merge(json!({ "status": fresh }));
        let manager = PatchParams { field_manager: Some(REPORTER.to_owned()), ..PatchParams::default() };
        let what = format!("the status of SurgeEvent {namespace}/{name} (the chart's crds/ define one)");
        bounded(&what, "patch", surges.patch_status(&name, &manager, &patch)).await?;
        let former = surge.status.clone().unwrap_or_default();
        let messages = news(&former, &fresh).into_iter().map(|(kind, reason, note)| Message {
            about: surge.object_ref(&()),
            kind,
            reason,
            note,
        });
        let messages = messages.collect();
        self.memory.written.insert(uid, fresh);
        Ok(Some(messages))
    }

    /// The targets of a `SurgeEvent` that there are in its namespace.
    fn concerned(
        &self,
        surge: &SurgeEvent,
        namespace: &str,
        table: &Table,
        now: Timestamp,
    ) -> Vec<Concerned> {
        // Each once, however often an object that is older than its definition names it.
        let names: BTreeSet<_> = surge.spec.targets.iter().collect();
        let named = names.into_iter().filter_map(|name| table.target(name));
        let own = named.filter(|target| target.scaled_object.namespace == namespace);
        let name = surge.name_any();
        let concerned = own.map(|target| {
            let learned =
                self.sight.lead_time(&target.scaled_object).filter(|_| target.lead_time == LeadTime::Learned);
            let published = table.published(&target.name).unwrap_or_default();
            Concerned {
                lead_time: learned.unwrap_or(target.policy.plan.lead_time),
                decision: published.at(now).ok().cloned(),
                left_out: self
                    .sight
                    .heeded(target)
                    .is_some_and(|heeded| heeded.leaves_out(&target.name, &name)),
                target: Arc::clone(target),
            }
        });
        concerned.collect()
    }

    /// What has changed of a target; nothing when it is seen for the first time.
    async fn news_of(&mut self, target: &Target, decision: &Decision, now: Timestamp) -> Vec<Message> {
        let mode = target.policy.guard.mode;
        let fresh = Told { rung: decision.rung, mode, short: decision.shortfall.is_some(), at: [None; 3] };
        let told = self.memory.targets.entry(Arc::clone(&target.name)).or_insert(fresh);
        let mut found = Vec::new();
        let mut due = |news: News| {
            let last = &mut told.at[news as usize];
            let is_due = last.is_none_or(|last| now - last >= APART);
            if is_due {
                *last = Some(now);
            }
            is_due
        };
        if told.rung != fresh.rung && due(News::Rung) {
            let kind = if fresh.rung > told.rung { EventType::Warning } else { EventType::Normal };
            let note = format!(
                "{} is decided on the rung {} now, and was on {}",
                target.name,
                fresh.rung.name(),
                told.rung.name()
            );
            found.push((kind, "RungChanged", note));
            told.rung = fresh.rung;
        }
        if told.mode != mode && due(News::Mode) {
            let note = match mode {
                Mode::Active => "the forecast moves its replicas now",
                Mode::Shadow => "the forecast is shown and does not move its replicas any more",
            };
            found.push((EventType::Normal, "ModeChanged", format!("{}: {note}", target.name)));
            told.mode = mode;
        }
        match decision.shortfall {
            Some(shortfall) if !told.short && due(News::Short) => {
                let note = format!(
                    "{} will lack {} replicas from {} on, for its {}",
                    target.name,
                    shortfall.missing,
                    shortfall.from.format("%Y-%m-%d %H:%MZ"),
                    match shortfall.limit {
                        Limit::Max => "maximum is too low",
                        Limit::Time => "climb is too long",
                    }
                );
                found.push((EventType::Warning, "ShortfallAhead", note));
                told.short = true;
            }
            Some(_) => {}
            None => told.short = false,
        }
        if found.is_empty() {
            return Vec::new();
        }
        let about = self.reference(&target.scaled_object).await;
        let messages = found.into_iter().map(|(kind, reason, note)| Message {
            about: about.clone(),
            kind,
            reason,
            note,
        });
        messages.collect()
    }

    /// A ScaledObject, as Events name it.
    async fn reference(&mut self, owner: &ScaledObject) -> ObjectReference {
        if !self.memory.uids.contains_key(owner) {
            let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("keda.sh", "v1alpha1", "ScaledObject"));
            let objects: Api<DynamicObject> =
                Api::namespaced_with(self.client.clone(), &owner.namespace, &kind);
            // Without it an Event is found by name only.
            if let Ok(object) = bounded("ScaledObject", "get", objects.get(&owner.name)).await
                && let Some(uid) = object.uid()
            {
                self.memory.uids.insert(owner.clone(), uid);
            }
        }
        ObjectReference {
            api_version: Some("keda.sh/v1alpha1".to_owned()),
            kind: Some("ScaledObject".to_owned()),
            name: Some(owner.name.clone()),
            namespace: Some(owner.namespace.clone()),
            uid: self.memory.uids.get(owner).cloned(),
            ..ObjectReference::default()
        }
    }
}

/// What is news between two statuses of a `SurgeEvent`.
fn news(former: &SurgeEventStatus, fresh: &SurgeEventStatus) -> Vec<(EventType, &'static str, String)> {
    let mut found = Vec::new();
    let needs = || match (&fresh.replicas_at_peak, &fresh.ready_at) {
        (Some(replicas), Some(by)) => format!("; {replicas} replicas at its peak, to be ready by {by}"),
        (Some(replicas), None) => format!("; {replicas} replicas"),
        (None, _) => String::new(),
    };
    if former.phase != fresh.phase {
        match fresh.phase {
            Some(Phase::Warming) => {
                found.push((EventType::Normal, "Warming", format!("pods for it are asked for{}", needs())));
            }
            Some(Phase::Active) => {
                found.push((EventType::Normal, "Active", format!("it is in force{}", needs())));
            }
            Some(Phase::Scheduled | Phase::Decaying | Phase::Done | Phase::Cancelled) | None => {}
        }
    }
    if let (None, Some(missing)) = (former.shortfall, fresh.shortfall) {
        let note = format!("{missing} replicas will be missing: see maxima and growth{}", needs());
        found.push((EventType::Warning, "ShortfallAhead", note));
    }
    let refusal = |status: &SurgeEventStatus| {
        status
            .conditions
            .iter()
            .find(|condition| condition.status == "False")
            .map(|condition| condition.message.clone())
    };
    if let Some(why) = refusal(fresh).filter(|why| refusal(former).as_ref() != Some(why)) {
        found.push((EventType::Warning, "Refused", why));
    }
    found
}
