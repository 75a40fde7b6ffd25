//! Spans of history that a target does not learn from, checked into [`Exclusion`]s, and back.

use std::sync::Arc;

use chrono::{DateTime, SecondsFormat};

use super::checker::Checker;
use super::complaint::KeyPath;
use super::raw;
use crate::forecast::Exclusion;
use crate::time::Timestamp;

/// `None` only when something was complained of.
pub(super) fn check(
    raw: Option<&[raw::Exclusion]>,
    path: &KeyPath,
    checker: &mut Checker<'_>,
) -> Option<Arc<[Exclusion]>> {
    let spans: Vec<Option<Exclusion>> = raw
        .unwrap_or_default()
        .iter()
        .enumerate()
        .map(|(index, raw)| exclusion(raw, &path.item(index), checker))
        .collect();
    spans.into_iter().collect()
}

fn exclusion(raw: &raw::Exclusion, path: &KeyPath, checker: &mut Checker<'_>) -> Option<Exclusion> {
    let why = raw.why.as_deref().map(str::trim);
    if why == Some("") {
        checker
            .complain(&path.key("why"), "is empty; say why, such as load test, for those who come after you");
    }
    let from = instant(raw.from.as_deref(), &path.key("from"), checker);
    let to = instant(raw.to.as_deref(), &path.key("to"), checker);
    let (from, to) = (from?, to?);
    if from >= to {
        let message = format!("{} is not after from, which is {}; swap the two", text(to), text(from));
        checker.complain(&path.key("to"), message);
        return None;
    }
    Some(Exclusion { from, to, why: why.filter(|why| !why.is_empty())?.into() })
}

fn instant(text: Option<&str>, path: &KeyPath, checker: &mut Checker<'_>) -> Option<Timestamp> {
    let text = text?.trim();
    let at = DateTime::parse_from_rfc3339(text);
    if at.is_err() {
        let message = format!(
            "{text:?} is not an instant; write it with its offset, like 2026-03-02T10:00:00Z or 2026-03-02T10:00:00-05:00"
        );
        checker.complain(path, message);
    }
    at.ok().map(|at| at.to_utc())
}

fn text(at: Timestamp) -> String {
    at.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// As the file would write them.
pub(super) fn to_raw(exclude: &[Exclusion]) -> Vec<raw::Exclusion> {
    let written = exclude.iter().map(|Exclusion { from, to, why }| raw::Exclusion {
        from: Some(text(*from)),
        to: Some(text(*to)),
        why: Some(why.to_string()),
    });
    written.collect()
}
