//! Collects complaints about values, and finds the line of each.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::complaint::{Complaint, KeyPath};
use super::duration;
use super::node::Node;

/// The file's tree and what has been complained of so far.
pub(super) struct Checker<'a> {
    tree: &'a Node,
    structural: Vec<Complaint>,
    complaints: Vec<Complaint>,
}

impl<'a> Checker<'a> {
    /// A checker for the values of `tree`, of whose shape `structural` is said already.
    pub(super) fn new(tree: &'a Node, structural: Vec<Complaint>) -> Self {
        Self { tree, structural, complaints: Vec::new() }
    }

    /// The file's tree.
    pub(super) fn tree(&self) -> &'a Node {
        self.tree
    }

    /// Complains about the value at `path`.
    pub(super) fn complain(&mut self, path: &KeyPath, message: impl Into<String>) {
        let (place, path) = (self.tree.place_of(path), path.clone());
        self.complaints.push(Complaint { place, path, message: message.into() });
    }

    /// Complains that something lacks at `path`, unless a key's shape is complained of there: then it was tried, and one
    /// mistake is named once.
    pub(super) fn complain_of_absence(&mut self, path: &KeyPath, message: impl Into<String>) {
        let tried = |earlier: &Complaint| earlier.path.segments().starts_with(path.segments());
        if !self.structural.iter().any(tried) {
            self.complain(path, message);
        }
    }

    /// `checked` without its error, which becomes a complaint.
    pub(super) fn accept<T, E: std::fmt::Display>(
        &mut self,
        path: &KeyPath,
        checked: Result<T, E>,
    ) -> Option<T> {
        checked.map_err(|error| self.complain(path, error.to_string())).ok()
    }

    /// The duration that `text` says, or `default` when there is no text.
    pub(super) fn duration(
        &mut self,
        path: &KeyPath,
        text: Option<&str>,
        default: Duration,
        legal: &RangeInclusive<Duration>,
    ) -> Option<Duration> {
        let Some(text) = text else { return Some(default) };
        match humantime::parse_duration(text) {
            Ok(duration) if legal.contains(&duration) => Some(duration),
            Ok(_) => {
                let (least, most) = (duration::text(*legal.start()), duration::text(*legal.end()));
                self.complain(path, format!("{text} is not between {least} and {most}"));
                None
            }
            Err(_) => {
                let message = format!("{text:?} is not a duration; write it like 90s, 5m or 1h30m");
                self.complain(path, message);
                None
            }
        }
    }

    /// All complaints, those about the shape first.
    pub(super) fn into_complaints(mut self) -> Vec<Complaint> {
        self.structural.append(&mut self.complaints);
        self.structural
    }
}
