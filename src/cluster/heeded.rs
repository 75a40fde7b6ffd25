//! What is heeded of all that is declared in a namespace: by target, and of surges no more than so many.
//!
//! Each surge is an occasion of every fit of its targets, and whoever may declare one may do so in a loop. So there is a bound for
//! a target and one for a namespace, which is one tenant's: none crowds out another's. Who declared first is heeded first, by the
//! API server's clock, so that every replica leaves out the same ones and nothing that was heeded stops being so. A hold costs no
//! fit and may be somebody's way out of an incident: it is heeded however many there are.
//!
//! Nothing is left out in silence: it stands in the object's own status, in the log, in a gauge and in `check --online`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kube::ResourceExt as _;
use kube::api::{Api, ListParams};

use super::{Error, SurgeEvent};
use crate::engine::{Declared, Target};

/// Surges of a target that are heeded, those that are over included, for they are learned from: one each day of half a year.
pub(super) const MOST_OF_TARGET: usize = 200;

/// Surges of a namespace that are heeded.
pub(super) const MOST_OF_NAMESPACE: usize = 1_000;

/// What is heeded.
#[derive(Debug, Default)]
pub(super) struct Heeded {
    by_target: BTreeMap<String, Declared>,
    /// Names of objects, by the target for which their surge is left out.
    left_out: BTreeMap<String, BTreeSet<String>>,
    /// Names that are no targets', as far as was known.
    strangers: BTreeSet<String>,
    /// How many surges are heeded for a target or more.
    surges: usize,
}

impl Heeded {
    /// What is heeded of `surges`, which are all of one namespace, for `targets`. One that cannot be read is left out, and the
    /// rest counts. What names no target takes no place.
    pub(super) fn of(mut surges: Vec<Arc<SurgeEvent>>, targets: &BTreeSet<Arc<str>>) -> Self {
        surges.sort_by_cached_key(|surge| {
            (surge.creation_timestamp().map(|created| created.0.as_second()), surge.name_any())
        });
        let mut heeded = Self::default();
        for surge in surges.iter().filter(|surge| !surge.spec.cancelled) {
            heeded.take_in(surge, targets);
        }
        // In an order that every replica sees, however a change came about.
        for declared in heeded.by_target.values_mut() {
            declared.events.sort_by(|a, b| (a.at, &a.name).cmp(&(b.at, &b.name)));
            declared
                .holds
                .sort_by(|a, b| (a.until, a.replicas, &a.reason).cmp(&(b.until, b.replicas, &b.reason)));
        }
        heeded
    }

    fn take_in(&mut self, surge: &SurgeEvent, targets: &BTreeSet<Arc<str>>) {
        let name = surge.name_any();
        let Ok((event, hold)) = surge.spec.read(&name) else { return };
        let full = self.surges >= MOST_OF_NAMESPACE;
        let mut counts = false;
        let named: BTreeSet<_> = surge.spec.targets.iter().collect();
        for target in named {
            if !targets.contains(target.as_str()) {
                self.strangers.insert(target.clone());
                continue;
            }
            let declared = self.by_target.entry(target.clone()).or_default();
            declared.holds.extend(hold.clone());
            let Some(event) = &event else { continue };
            if full || declared.events.len() >= MOST_OF_TARGET {
                self.left_out.entry(target.clone()).or_default().insert(name.clone());
                continue;
            }
            declared.events.push(event.clone());
            declared.since = declared.since.max(surge.changed_at());
            counts = true;
        }
        self.surges += usize::from(counts);
    }

    /// What is declared for `target`.
    pub(super) fn declared(&self, target: &str) -> Declared {
        self.by_target.get(target).cloned().unwrap_or_default()
    }

    /// Whether it would be another if `target` were known as one.
    pub(super) fn would_differ_with(&self, target: &str) -> bool {
        self.strangers.contains(target)
    }

    /// Whether the surge of the object `name` is left out for `target`.
    pub(super) fn leaves_out(&self, target: &str, name: &str) -> bool {
        self.left_out.get(target).is_some_and(|names| names.contains(name))
    }

    /// How many surges are heeded.
    pub(super) fn surges(&self) -> usize {
        self.surges
    }

    /// How many surges are left out for a target or more.
    pub(super) fn left_out(&self) -> usize {
        self.left_out.values().flatten().collect::<BTreeSet<_>>().len()
    }

    /// How many surges are left out for `target`.
    pub(super) fn left_out_for(&self, target: &str) -> usize {
        self.left_out.get(target).map_or(0, BTreeSet::len)
    }
}

/// How many surges of the cluster, as it stands, are left out for `target`; `targets` are all of its namespace. `None` where the
/// cluster has no definition of `SurgeEvent`s.
///
/// # Errors
/// [`Error`], when they cannot be read.
pub async fn left_out(
    client: &kube::Client,
    target: &Target,
    targets: &BTreeSet<Arc<str>>,
) -> Result<Option<usize>, Error> {
    let namespace = &target.scaled_object.namespace;
    let surges: Api<SurgeEvent> = Api::namespaced(client.clone(), namespace);
    let listed = surges.list(&ListParams::default()).await;
    match listed.map_err(|error| Error::of("list", format!("surgeevents of {namespace}"), error)) {
        Ok(listed) => {
            let surges = listed.items.into_iter().map(Arc::new).collect();
            Ok(Some(Heeded::of(surges, targets).left_out_for(&target.name)))
        }
        Err(Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// An object of that number, declared at that second.
    fn surge(number: usize, second: usize, targets: &[&str]) -> Arc<SurgeEvent> {
        let created = chrono::DateTime::from_timestamp(1_800_000_000 + i64::try_from(second).unwrap(), 0);
        let object = json!({
            "apiVersion": "tidetable.dev/v1alpha1", "kind": "SurgeEvent",
            "metadata": { "name": format!("surge-{number:04}"), "creationTimestamp": created.unwrap().to_rfc3339() },
            "spec": {
                "targets": targets,
                "surge": { "at": "2026-11-27T11:00:00Z" },
                "hold": { "replicas": number + 1, "until": "2026-11-27T12:00:00Z", "reason": "INC-7" },
            },
        });
        Arc::new(serde_json::from_value(object).unwrap())
    }

    fn targets<'a>(names: impl IntoIterator<Item = &'a str>) -> BTreeSet<Arc<str>> {
        names.into_iter().map(Into::into).collect()
    }

    #[test]
    fn a_target_has_so_many_surges_the_first_declared_first_and_every_hold() {
        let over = MOST_OF_TARGET + 2;
        let mut surges: Vec<_> = (0..over).map(|number| surge(number, over - number, &["api"])).collect();
        surges.push(surge(9_000, 9_000, &["ledger", "api", "api"]));
        let heeded = Heeded::of(surges, &targets(["api", "ledger"]));
        let declared = heeded.declared("api");
        assert_eq!((declared.events.len(), declared.holds.len()), (MOST_OF_TARGET, over + 1));
        assert!(
            heeded.leaves_out("api", "surge-0000") && heeded.leaves_out("api", "surge-0001"),
            "the youngest"
        );
        assert!(!heeded.leaves_out("api", "surge-0002"));
        assert_eq!((heeded.left_out_for("api"), heeded.left_out_for("ledger")), (3, 0));
        assert_eq!(heeded.declared("ledger").events.len(), 1, "the other target has room");
        assert_eq!((heeded.surges(), heeded.left_out()), (MOST_OF_TARGET + 1, 3));
    }

    #[test]
    fn a_namespace_has_so_many_whatever_they_are_of() {
        let of = |number: usize| format!("target-{}", number % 10);
        let surges = (0..MOST_OF_NAMESPACE + 5).map(|number| surge(number, number, &[&of(number)]));
        let strangers = (0..10).map(|number| surge(number, 0, &["elsewhere"]));
        let known = targets((0..10).map(of).collect::<Vec<_>>().iter().map(String::as_str));
        let heeded = Heeded::of(surges.chain(strangers).collect(), &known);
        assert_eq!((heeded.surges(), heeded.left_out()), (MOST_OF_NAMESPACE, 5));
        assert!(heeded.leaves_out("target-4", "surge-1004"));
        assert_eq!(heeded.declared("target-4").holds.len(), MOST_OF_NAMESPACE / 10 + 1);
        assert!(heeded.would_differ_with("elsewhere") && !heeded.would_differ_with("target-4"));
    }

    #[test]
    fn what_is_called_off_takes_no_place() {
        let mut off = SurgeEvent::clone(&surge(0, 0, &["api"]));
        off.spec.cancelled = true;
        let heeded = Heeded::of(vec![Arc::new(off), surge(1, 1, &["api"])], &targets(["api"]));
        assert_eq!((heeded.surges(), heeded.declared("api").holds.len()), (1, 1));
        assert_eq!(heeded.declared("other"), Declared::default());
    }
}
