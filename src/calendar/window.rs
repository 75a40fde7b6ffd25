//! A span in which demand is expected to move, how far, and how the movement comes and goes.

use std::sync::Arc;

use chrono::TimeDelta;

use crate::time::Timestamp;
use crate::units::Load;

/// Why an expectation was refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// The three multiples must be finite, above zero and ascending.
    #[error("uplift lower {lower}, expected {expected}, upper {upper} must be above 0 and ascend")]
    Uplift {
        /// The multiple that is as good as always exceeded.
        lower: f64,
        /// The median.
        expected: f64,
        /// The multiple that is hardly ever exceeded.
        upper: f64,
    },
}

/// Multiples of the demand there would be without it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Uplift {
    /// The median.
    pub expected: f64,
    /// The 0.05 quantile.
    pub lower: f64,
    /// The 0.95 quantile, which the event floor stands on.
    pub upper: f64,
}

impl Uplift {
    /// Checks multiples from outside.
    ///
    /// # Errors
    /// [`Error::Uplift`] unless all are finite and above zero and `lower <= expected <= upper`.
    pub fn try_new(lower: f64, expected: f64, upper: f64) -> Result<Self, Error> {
        if upper.is_finite() && lower > 0.0 && lower <= expected && expected <= upper {
            Ok(Self { expected, lower, upper })
        } else {
            Err(Error::Uplift { lower, expected, upper })
        }
    }
}

/// How an effect comes and goes around its instant: it begins `lead` before it, grows for `ramp`, lasts for `hold`, and
/// fades for `decay`.
///
/// ```text
///              ┌────────┐
///           ╱  │        │ ╲
///   ───────╱   │  hold  │   ╲─────
///        from full    fade  until         from = at - lead, full = from + ramp, …
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Envelope {
    /// How long before its instant the effect begins to grow; zero for what begins at its instant.
    pub lead: TimeDelta,
    /// How long it grows.
    pub ramp: TimeDelta,
    /// How long it lasts in full.
    pub hold: TimeDelta,
    /// How long it fades.
    pub decay: TimeDelta,
}

/// Who says that demand will move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WindowSource {
    /// A rule of a calendar: it has occurred before and will occur again.
    Calendar,
    /// A declared event: the floor stands on its `upper`, in shadow too.
    Event,
}

/// One occurrence of a calendar's rule, or one event, as a span of instants.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    /// What it is called; windows of one name are occurrences of one effect and are learned together.
    pub name: Arc<str>,
    /// Who says so.
    pub source: WindowSource,
    /// The instant it is about: the opening bell, the launch.
    pub at: Timestamp,
    /// Where the effect begins to grow.
    pub from: Timestamp,
    /// Where it has grown.
    pub full: Timestamp,
    /// Where it begins to fade.
    pub fade: Timestamp,
    /// Where it is over.
    pub until: Timestamp,
    /// What was declared of its size, a calendar profile's prior included; `None` when only history can tell.
    pub uplift: Option<Uplift>,
    /// The demand it is declared to peak at, in the unit of the query, instead of a multiple.
    pub peak: Option<Load>,
}

impl Window {
    /// The window that `envelope` opens around `at`.
    pub fn around(name: Arc<str>, source: WindowSource, at: Timestamp, envelope: &Envelope) -> Self {
        let from = at - envelope.lead;
        let full = from + envelope.ramp;
        let fade = full + envelope.hold;
        let until = fade + envelope.decay;
        Self { name, source, at, from, full, fade, until, uplift: None, peak: None }
    }

    /// How much of the effect is in force at an instant, from 0 (none) to 1 (all of it).
    pub fn share(&self, at: Timestamp) -> f64 {
        if at < self.from || at >= self.until {
            0.0
        } else if at < self.full {
            part(at - self.from, self.full - self.from)
        } else if at <= self.fade {
            1.0
        } else {
            1.0 - part(at - self.fade, self.until - self.fade)
        }
    }

    /// Whether it touches the span `from..until`.
    pub fn touches(&self, from: Timestamp, until: Timestamp) -> bool {
        self.from < until && self.until > from
    }
}

/// `elapsed` as a part of `whole`, which is not zero where this is asked.
fn part(elapsed: TimeDelta, whole: TimeDelta) -> f64 {
    elapsed.as_seconds_f64() / whole.as_seconds_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launch() -> Window {
        let minutes = TimeDelta::minutes;
        let envelope =
            Envelope { lead: minutes(10), ramp: minutes(20), hold: minutes(30), decay: minutes(60) };
        let at = "2026-11-27T11:00:00Z".parse().unwrap();
        Window::around("launch".into(), WindowSource::Event, at, &envelope)
    }

    #[test]
    fn an_effect_grows_lasts_and_fades() {
        let share = |time: &str| launch().share(format!("2026-11-27T{time}Z").parse().unwrap());
        let expected = [
            ("10:49:59", 0.0),
            ("10:50:00", 0.0),
            ("11:00:00", 0.5),
            ("11:10:00", 1.0),
            ("11:40:00", 1.0),
            ("12:10:00", 0.5),
            ("12:40:00", 0.0),
        ];
        for (time, expected) in expected {
            assert!((share(time) - expected).abs() < 1e-12, "{time}: {}", share(time));
        }
    }

    #[test]
    fn without_a_ramp_and_a_decay_it_is_a_step() {
        let at: Timestamp = "2026-11-27T11:00:00Z".parse().unwrap();
        let envelope = Envelope { hold: TimeDelta::minutes(5), ..Envelope::default() };
        let window = Window::around("step".into(), WindowSource::Event, at, &envelope);
        let shares = [-1, 0, 299, 300].map(|seconds| window.share(at + TimeDelta::seconds(seconds)));
        assert_eq!(shares.map(|share| share > 0.5), [false, true, true, false]);
    }

    #[test]
    fn multiples_ascend() {
        assert!(Uplift::try_new(2.0, 6.0, 12.0).is_ok());
        for (lower, expected, upper) in
            [(7.0, 6.0, 12.0), (2.0, 13.0, 12.0), (0.0, 1.0, 2.0), (1.0, 2.0, f64::INFINITY)]
        {
            assert!(Uplift::try_new(lower, expected, upper).is_err());
        }
    }
}
