//! A source that is down is complained of at once and then once a minute, not with every tick.

use super::MetricSource;
use crate::time::Timestamp;

/// No trouble is shown with more characters: it stands in a line beside others.
const SHOWN: usize = 300;

/// How often a trouble that lasts is told again.
const COMPLAIN_EVERY: chrono::TimeDelta = chrono::TimeDelta::minutes(1);

/// What a feed asks its source for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    /// The newest measurement.
    Instant,
    /// Slots that have ended.
    Range,
    /// What a state remembers, at the start.
    Replay,
}

impl Call {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Instant => "instant",
            Self::Range => "range",
            Self::Replay => "replay",
        }
    }
}

/// Why a measurement is not there.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble<E> {
    #[error(transparent)]
    Source(E),
    #[error("there was no answer in the time that a decision has")]
    Late,
    #[error("reading died: {0}")]
    Died(tokio::task::JoinError),
}

/// The troubles of one feed.
pub(super) type TroubleOf<S> = Trouble<<S as MetricSource>::Error>;

/// When each kind of call was last complained of, and of what, while it fails; and when its answer was last called doubtful.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    last: [Option<Timestamp>; 3],
    /// What each kind of call came to, while it fails.
    said: [Option<String>; 3],
    doubted: [Option<Timestamp>; 3],
    /// What is doubtful about the newest answer of each kind of call.
    doubts: [Option<String>; 3],
}

impl Complaints {
    /// Takes down how a call went.
    pub(super) fn note<E: std::error::Error>(
        &mut self,
        target: &str,
        demand: &str,
        call: Call,
        at: Timestamp,
        trouble: Option<&Trouble<E>>,
    ) {
        self.said[call as usize] = trouble.map(ToString::to_string);
        let last = &mut self.last[call as usize];
        match (trouble, *last) {
            (None, Some(_)) => {
                *last = None;
                tracing::info!(target, demand, call = call.name(), "the metrics source answers again");
            }
            (Some(error), complained) if complained.is_none_or(|then| at - then >= COMPLAIN_EVERY) => {
                *last = Some(at);
                let call = call.name();
                tracing::warn!(target, demand, call, %error, "the metrics source gives nothing; deciding without");
            }
            _ => {}
        }
    }

    /// What is wrong now; history first, which nothing can do without, and an answer that is doubtful last.
    pub(super) fn trouble(&self) -> Option<&str> {
        let calls = [Call::Range, Call::Replay, Call::Instant];
        let found = [&self.said, &self.doubts]
            .into_iter()
            .flat_map(|of| calls.map(|call| of[call as usize].as_deref()));
        found.flatten().next()
    }

    /// Takes down that an answer may be incomplete.
    pub(super) fn doubt(
        &mut self,
        target: &str,
        demand: &str,
        call: Call,
        at: Timestamp,
        degraded: Option<&str>,
    ) {
        self.doubts[call as usize] = degraded.map(str::to_owned);
        let last = &mut self.doubted[call as usize];
        if let Some(why) = degraded
            && last.is_none_or(|then| at - then >= COMPLAIN_EVERY)
        {
            *last = Some(at);
            tracing::warn!(
                target,
                demand,
                call = call.name(),
                why,
                "the metrics source answers less than was asked for"
            );
        }
    }
}

/// A trouble as it is shown beside others.
pub(super) fn in_short(trouble: &str) -> String {
    match trouble.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &trouble[..end]),
        None => trouble.to_owned(),
    }
}
