//! One planned event: something that somebody announced, with a name, an owner and an expectation.

use std::sync::Arc;

use super::window::{Envelope, Uplift, Window, WindowSource};
use crate::time::Timestamp;
use crate::units::Load;

/// An event as it was declared.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// What it is called; events of one name are learned together.
    pub name: Arc<str>,
    /// Its instant.
    pub at: Timestamp,
    /// How its effect comes and goes.
    pub envelope: Envelope,
    /// How many times the usual demand is expected; `None` leaves it to past occurrences of the same name.
    pub uplift: Option<Uplift>,
    /// The demand it is expected to peak at, in the unit of the query, instead of a multiple.
    pub peak: Option<Load>,
    /// Who answers for it.
    pub owner: Option<Arc<str>>,
    /// The change it belongs to.
    pub ticket: Option<Arc<str>>,
    /// Called off: it has not happened and will not.
    pub cancelled: bool,
    /// Ended before its time, at this instant: nothing of it is left from there on.
    pub cut_short: Option<Timestamp>,
}

impl Event {
    /// The span in which it moves demand; none when it was called off, or ended before it began.
    pub fn window(&self) -> Option<Window> {
        let whole = Window::around(self.name.clone(), WindowSource::Event, self.at, &self.envelope);
        let end = self.cut_short.unwrap_or(whole.until).min(whole.until);
        let happens = !self.cancelled && whole.from < end;
        happens.then(|| Window {
            full: whole.full.min(end),
            fade: whole.fade.min(end),
            until: end,
            uplift: self.uplift,
            peak: self.peak,
            ..whole
        })
    }
}
