//! Which targets an event is meant for: those it names, and those that bear all of its labels.

use std::collections::BTreeMap;

use super::checker::Checker;
use super::complaint::KeyPath;
use super::models::{Complained, each, reference};
use super::raw;

/// What a target is called by beside its name.
pub(super) type Labels = BTreeMap<String, String>;

/// The targets of a configuration.
#[derive(Debug, Default)]
pub(super) struct Roster {
    names: Vec<String>,
    labels: Vec<Labels>,
}

impl Roster {
    pub(super) fn of(targets: &BTreeMap<String, raw::Target>) -> Self {
        let labels = targets.values().map(|target| target.labels.clone().unwrap_or_default());
        Self { names: targets.keys().cloned().collect(), labels: labels.collect() }
    }

    /// The names of the targets that are meant, every target when `None`.
    pub(super) fn meant(
        &self,
        targets: Option<&Vec<String>>,
        labels: Option<&Labels>,
        path: &KeyPath,
        checker: &mut Checker<'_>,
    ) -> Result<Option<Vec<String>>, Complained> {
        let named = each(targets, &path.key("targets"), checker, |name, path, checker| {
            reference(Some(name), &self.names, "target", path, checker).ok()?
        });
        let labelled = match labels {
            Some(labels) => self.labelled(labels, &path.key("labels"), checker),
            None => Some(Vec::new()),
        };
        let (mut meant, labelled) = (named.ok_or(Complained)?, labelled.ok_or(Complained)?);
        meant.extend(labelled);
        Ok((targets.is_some() || labels.is_some()).then_some(meant))
    }

    fn labelled(&self, labels: &Labels, path: &KeyPath, checker: &mut Checker<'_>) -> Option<Vec<String>> {
        let bears = |borne: &Labels| labels.iter().all(|(key, content)| borne.get(key) == Some(content));
        let members = self.names.iter().zip(&self.labels).filter(|(_, borne)| bears(borne));
        let members: Vec<String> = members.map(|(name, _)| name.clone()).collect();
        if members.is_empty() {
            let mut borne: Vec<String> =
                self.labels.iter().map(written).filter(|text| !text.is_empty()).collect();
            borne.sort_unstable();
            borne.dedup();
            let there = if borne.is_empty() {
                "no target has labels; give them under targets.NAME.labels".to_owned()
            } else {
                format!("targets have: {}", borne.join("; "))
            };
            checker.complain(path, format!("no target bears {}; {there}", written(labels)));
            return None;
        }
        Some(members)
    }
}

fn written(labels: &Labels) -> String {
    labels.iter().map(|(key, content)| format!("{key}={content}")).collect::<Vec<_>>().join(", ")
}
