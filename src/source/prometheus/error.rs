//! Why there is no measurement, in words for whoever is on call.

use std::path::PathBuf;
use std::time::Duration;

use crate::time::{Step, Timestamp};

/// Why a source could not be set up or did not answer. Urls are shown without user, password and query string.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// The address cannot work.
    #[error("url {url} {problem}")]
    Url {
        /// The address.
        url: String,
        /// What is wrong with it and what to do.
        problem: &'static str,
    },
    /// A header cannot be sent.
    #[error("header {name:?} {problem}")]
    Header {
        /// Its name.
        name: String,
        /// What is wrong with it and what to do.
        problem: &'static str,
    },
    /// A parameter cannot be sent.
    #[error("parameter {name:?} is set with each call; remove it")]
    Parameter {
        /// Its name.
        name: String,
    },
    /// No client could be made, which is a matter of TLS.
    #[error(
        "cannot set up TLS for {url}: {found}; name the server's CA in tls.ca, put CA certificates into the image, \
             or use http://"
    )]
    Tls {
        /// The address.
        url: String,
        /// What the TLS library says.
        found: String,
    },
    /// A file with a secret is of no use.
    #[error("credentials for {url}: file {} {problem}", path.display())]
    Credentials {
        /// The address.
        url: String,
        /// The file.
        path: PathBuf,
        /// What is wrong with it and what to do.
        problem: String,
    },
    /// A file with a certificate or a key is of no use.
    #[error("TLS for {url}: file {} {problem}", path.display())]
    Certificate {
        /// The address.
        url: String,
        /// The file.
        path: PathBuf,
        /// What is wrong with it and what to do.
        problem: String,
    },
    /// No connection, or one that broke off before the answer was whole.
    #[error(
        "{url} cannot be reached: {found}; check that it runs, its Service, and the network policy between"
    )]
    Unreachable {
        /// The address.
        url: String,
        /// The last cause.
        found: String,
    },
    /// It took too long.
    #[error(
        "{url} did not answer within {after:?}; raise the source's timeout, or record the query as a rule"
    )]
    Timeout {
        /// The address.
        url: String,
        /// The time it had.
        after: Duration,
    },
    /// All seats were taken by our own calls.
    #[error(
        "{url} has {concurrency} calls in flight and none ended within {after:?}; raise the source's concurrency"
    )]
    Crowded {
        /// The address.
        url: String,
        /// How many calls may be in flight.
        concurrency: usize,
        /// The time it had.
        after: Duration,
    },
    /// 400, 422 and other 4xx: the same question will get the same answer.
    #[error("{url} refused the query {query:?} with {status}: {found}; {remedy}")]
    Refused {
        /// The address.
        url: String,
        /// The query, shortened.
        query: String,
        /// The HTTP status.
        status: u16,
        /// What the server says.
        found: String,
        /// What to do.
        remedy: &'static str,
    },
    /// 401 and 403.
    #[error("{url} did not let us in ({status}: {found}); check the source's auth and its tenant header")]
    Unauthorized {
        /// The address.
        url: String,
        /// The HTTP status.
        status: u16,
        /// What the server says.
        found: String,
    },
    /// 3xx.
    #[error(
        "{url} redirects ({status}) to {to}; redirects are not followed, so configure the address it should be"
    )]
    Redirected {
        /// The address.
        url: String,
        /// The HTTP status.
        status: u16,
        /// Where to.
        to: String,
    },
    /// 429 and 5xx, after the last try.
    #[error("{url} cannot answer now ({status}: {found}); look at its load and limits")]
    Unavailable {
        /// The address.
        url: String,
        /// The HTTP status.
        status: u16,
        /// What the server says.
        found: String,
        /// How long it asks us to wait.
        retry_after: Option<Duration>,
    },
    /// HTTP says fine, the body says error.
    #[error(
        "{url} reports an error for the query {query:?}: {found}; try the query in the server's own page"
    )]
    Reported {
        /// The address.
        url: String,
        /// The query, shortened.
        query: String,
        /// What the server says.
        found: String,
    },
    /// What came is not an answer of the Prometheus API.
    #[error(
        "{url} does not answer as Prometheus does: {problem}, it begins with {begins:?}; \
             check the url (a missing path prefix?) and what stands between"
    )]
    NotPrometheus {
        /// The address.
        url: String,
        /// What is wrong with it.
        problem: String,
        /// The beginning of the body.
        begins: String,
    },
    /// More bytes than one answer may have.
    #[error(
        "{url} answered the query {query:?} with more than {limit} bytes; wrap it in sum(...), \
             or raise the source's body limit"
    )]
    TooLarge {
        /// The address.
        url: String,
        /// The query, shortened.
        query: String,
        /// The bound.
        limit: usize,
    },
    /// A native histogram is a distribution, not a load.
    #[error("the query {query:?} gives native histograms, not a load; wrap it in histogram_count(rate(...))")]
    Histogram {
        /// The query, shortened.
        query: String,
    },
    /// A kind of answer that is no load.
    #[error("the query {query:?} gives a {found}, not a load; {remedy}")]
    Kind {
        /// The query, shortened.
        query: String,
        /// The kind of answer.
        found: String,
        /// What to do.
        remedy: &'static str,
    },
    /// A load is one series.
    #[error("the query {query:?} gives {count} series{differing}; wrap it in sum(...)")]
    ManySeries {
        /// The query, shortened.
        query: String,
        /// How many series.
        count: usize,
        /// The names of some labels in which they differ, as a phrase.
        differing: String,
    },
    /// Series are told apart by a label that none of them has.
    #[error(
        "none of the {count} series of the query {query:?} has the label {label:?}; \
             write sum by ({label}) (...), or correct the demand's `by`"
    )]
    NoLabel {
        /// The query, shortened.
        query: String,
        /// How many series.
        count: usize,
        /// The label.
        label: String,
    },
    /// Two series have the same content of the label that should tell them apart.
    #[error(
        "the query {query:?} gives {count} series of one {label}{differing}; write sum by ({label}) (...)"
    )]
    Ambiguous {
        /// The query, shortened.
        query: String,
        /// How many series.
        count: usize,
        /// The label.
        label: String,
        /// The names of some other labels in which they differ, as a phrase.
        differing: String,
    },
    /// Our own limit of calls per second leaves no turn in time.
    #[error(
        "{url} is asked {per_second} times a second and the next turn is not within {after:?}; \
             raise the source's queriesPerSecond, or let targets share a query with `by`"
    )]
    Throttled {
        /// The address.
        url: String,
        /// Calls per second.
        per_second: u32,
        /// The time it had.
        after: Duration,
    },
    /// A call that several targets wait for came to nothing.
    #[error(
        "the call to {url} that several targets wait for was given up; it is made again with the next tick"
    )]
    GivenUp {
        /// The address.
        url: String,
    },
    /// The server moved the instants.
    #[error(
        "{url} answered for {at}, which is not on the {step} grid that was asked for; \
             for VictoriaMetrics add nocache: \"1\" to the source's parameters"
    )]
    OffGrid {
        /// The address.
        url: String,
        /// The instant.
        at: Timestamp,
        /// The spacing asked for.
        step: Step,
    },
}

impl Error {
    /// Whether the same call may succeed a moment later. A timeout may too, but it has used up its time.
    pub(super) fn may_pass(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Unavailable { .. })
    }

    /// Whether a part of the same question may be answered where the whole was not: 422, 503 and an answer too large.
    pub(super) fn is_too_heavy(&self) -> bool {
        match self {
            Self::Refused { status: 422, found, .. } => {
                // What the series cannot do together in ten thousand points they cannot do in sixty either.
                !["matching", "duplicate series", "same labelset"].iter().any(|words| found.contains(words))
            }
            Self::Unavailable { status: 503, .. } | Self::TooLarge { .. } => true,
            _ => false,
        }
    }

    /// How long the server asks us to wait.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unavailable { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// The beginning of a text that a stranger wrote, on one line, short enough for a log.
pub(super) fn excerpt(text: &str) -> String {
    /// A PromQL parse error with its position fits; a page of HTML does not.
    const MOST_CHARS: usize = 240;
    let mut line: String =
        text.trim().chars().take(MOST_CHARS).map(|sign| if sign.is_control() { ' ' } else { sign }).collect();
    if text.trim().chars().nth(MOST_CHARS).is_some() {
        line.push('…');
    }
    line
}
