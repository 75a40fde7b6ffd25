//! The calls themselves: seats, tries, time and bytes, all bounded.
//!
//! A call has one deadline for all its tries. A failure that may pass is tried again while there is time for it; when
//! there is none, the failure itself is reported, which says more than "timeout".

use std::error::Error as _;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg32;
use reqwest::header::{AUTHORIZATION, DATE, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{RequestBuilder, Response, StatusCode};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};

use super::answer::{self, Doubts, Question, When};
use super::error::excerpt;
use super::settings::{Endpoints, without_secrets};
use super::sizes::{FEWEST_POINTS, Sizes};
use super::transport::Transport;
use super::turns::{TooLate, Turns};
use super::{Auth, Error, Method, Settings};
use crate::time::{Slot, Step, Timestamp};

/// Tries per call. Three, because what a second and a third do not mend is an outage, and the engine asks again anyway.
const TRIES: u32 = 3;

/// The wait before the second try; it doubles from there, and half of it is chance. A restarted sidecar or an election
/// takes about this long.
const FIRST_WAIT: Duration = Duration::from_millis(250);

/// The wait between ever smaller chunks does not double beyond this: there may be eight of them.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// Whatever is configured, no call lasts longer: the engine would be blind for all that time.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(3600);

/// So much is read of a body that only explains a failure.
const COMPLAINT_BYTES: usize = 16 << 10;

/// The server is told this much of the time that we have, so that its own word for "too long" still reaches us.
const SERVERS_SHARE: f64 = 0.9;

/// One Prometheus server, or what speaks like one, and the calls to it.
pub(super) struct Api {
    transport: Transport,
    pub(super) endpoints: Endpoints,
    pub(super) settings: Settings,
    pub(super) sizes: Sizes,
    turns: Option<Turns>,
    /// One for each call in flight.
    seats: Semaphore,
    /// History may take no more than half of the seats, or a cold start would starve the newest values.
    history_seats: Semaphore,
    /// Set when the server, or a proxy before it, allows no POST.
    only_get: AtomicBool,
}

/// A part of a range, from its beginning, and the body of its answer.
pub(super) struct Chunk {
    pub(super) until: Slot,
    pub(super) body: Vec<u8>,
}

impl Api {
    /// The calls with these settings. None is made yet.
    pub(super) fn try_new(mut settings: Settings) -> Result<Self, Error> {
        settings.timeout = settings.timeout.min(LONGEST_TIMEOUT);
        let endpoints = Endpoints::try_new(&settings.url, &settings.parameters)?;
        let seats = settings.concurrency.clamp(1, Semaphore::MAX_PERMITS);
        Ok(Self {
            transport: Transport::try_new(&settings, &endpoints)?,
            endpoints,
            turns: settings.queries_per_second.map(Turns::new),
            seats: Semaphore::new(seats),
            history_seats: Semaphore::new((seats / 2).max(1)),
            only_get: AtomicBool::new(settings.method == Method::Get),
            sizes: Sizes::default(),
            settings,
        })
    }

    /// The body of the answer at one instant, within `budget`, which waiting for a seat and a turn counts against.
    pub(super) async fn instant(
        &self,
        query: &str,
        step: Step,
        at: Timestamp,
        budget: Duration,
    ) -> Result<Vec<u8>, Error> {
        let deadline = Instant::now() + budget;
        let question = self.question(query, step, When::Instant(at));
        self.turn(budget, Some(deadline)).await?;
        let _seat = timeout_at(deadline, self.seats.acquire())
            .await
            .map_err(|_| Error::Crowded {
                url: self.shown(),
                concurrency: self.settings.concurrency,
                after: budget,
            })?
            .expect("the semaphore is never closed");
        self.ask(&question, budget, deadline).await
    }

    /// A place among those who read history, to be kept for all chunks of a range: of a thousand targets that start
    /// together, a few hold much at a time and are done, rather than all holding half.
    pub(super) async fn history(&self) -> SemaphorePermit<'_> {
        self.history_seats.acquire().await.expect("the semaphore is never closed")
    }

    /// The answer for as much of `from..until` as the server bears, and at most `points` of it. The timeout of the settings
    /// is for each try at a size; waiting for a seat or a turn does not count, because a cold start of many targets
    /// queues here.
    pub(super) async fn chunk(
        &self,
        query: &str,
        step: Step,
        (from, until): (Slot, Slot),
        mut points: i64,
    ) -> Result<Chunk, Error> {
        let budget = self.settings.timeout;
        let mut wait = FIRST_WAIT;
        let mut halved = false;
        loop {
            let end = from.plus(points).min(until);
            let question = self.question(query, step, When::Range { from, until: end });
            let asked = {
                self.turn(budget, None).await?;
                let _seat = self.seats.acquire().await.expect("the semaphore is never closed");
                self.ask(&question, budget, Instant::now() + budget).await
            };
            match asked {
                Ok(body) => {
                    if halved {
                        self.sizes.bears(query, points);
                    }
                    return Ok(Chunk { until: end, body });
                }
                Err(failure) if failure.is_too_heavy() && question.when.count() > FEWEST_POINTS => {
                    points = (end.since(from) / 2).max(FEWEST_POINTS);
                    halved = true;
                    tracing::debug!(url = self.endpoints.shown, points, %failure, "fewer points are asked for");
                    if failure.may_pass() {
                        pause(failure.retry_after().unwrap_or_default().min(budget) + wait).await;
                        wait = (wait * 2).min(LONGEST_WAIT);
                    }
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    /// The question in the words of the reader of its answer.
    pub(super) fn question<'a>(&'a self, query: &'a str, step: Step, when: When) -> Question<'a> {
        Question { url: &self.endpoints.shown, query, step, when }
    }

    /// Waits for a turn, when turns are counted.
    async fn turn(&self, budget: Duration, deadline: Option<Instant>) -> Result<(), Error> {
        let (Some(turns), Some(per_second)) = (&self.turns, self.settings.queries_per_second) else {
            return Ok(());
        };
        turns.take(deadline).await.map_err(|TooLate| Error::Throttled {
            url: self.shown(),
            per_second: per_second.get(),
            after: budget,
        })
    }

    /// Asks one question, with as many tries as fit into `budget`, which ends at `deadline`. What is too heavy and can be
    /// asked for in parts is not tried again as a whole.
    async fn ask(
        &self,
        question: &Question<'_>,
        budget: Duration,
        deadline: Instant,
    ) -> Result<Vec<u8>, Error> {
        let mut chance = Pcg32::seed_from_u64(RandomState::new().hash_one(question.query));
        let (mut tries, mut wait) = (0, FIRST_WAIT);
        loop {
            let failure = match timeout_at(deadline, self.attempt(question, budget)).await {
                Ok(Ok(body)) => return Ok(body),
                Ok(Err(failure)) => failure,
                Err(_) => return Err(Error::Timeout { url: self.shown(), after: budget }),
            };
            tries += 1;
            // Chance comes on top of what the server asks for, or all clients would come back at once.
            let rest =
                failure.retry_after().unwrap_or_default() + wait.mul_f64(chance.random_range(0.5..1.0));
            let in_time = Instant::now().checked_add(rest).is_some_and(|then| then < deadline);
            let in_parts = failure.is_too_heavy() && question.when.count() > FEWEST_POINTS;
            if tries >= TRIES || !failure.may_pass() || in_parts || !in_time {
                return Err(failure);
            }
            tracing::debug!(url = self.endpoints.shown, tries, %failure, "a call to the metrics source is repeated");
            pause(rest).await;
            self.turn(budget, Some(deadline)).await?;
            wait *= 2;
        }
    }

    /// One try: the body of a 200.
    async fn attempt(&self, question: &Question<'_>, budget: Duration) -> Result<Vec<u8>, Error> {
        let form = form(question, budget);
        let only_get = self.only_get.load(Ordering::Relaxed);
        let mut response = self.send(question, &form, only_get).await?;
        let no_post =
            matches!(response.status(), StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED);
        if no_post && !only_get && self.settings.method == Method::Auto {
            // As Prometheus' own client does: read-only proxies let only GET through.
            response = self.send(question, &form, true).await?;
            self.only_get.store(response.status().is_success(), Ordering::Relaxed);
        }
        if response.status() == StatusCode::OK {
            let limit = self.settings.max_body_bytes;
            return match self.read(response, limit).await? {
                Body::Whole(bytes) => Ok(bytes),
                Body::Beginning(_) => {
                    let query = excerpt(question.query);
                    Err(Error::TooLarge { url: self.shown(), query, limit })
                }
            };
        }
        Err(self.failure(response, question).await)
    }

    async fn send(
        &self,
        question: &Question<'_>,
        form: &[(&str, String)],
        get: bool,
    ) -> Result<Response, Error> {
        let endpoint = match question.when {
            When::Range { .. } => &self.endpoints.range,
            When::Instant(_) => &self.endpoints.instant,
        };
        let client = self.transport.client().await?;
        let request = if get {
            client.get(endpoint.clone()).query(form)
        } else {
            client.post(endpoint.clone()).form(form)
        };
        let request = self.authorized(request).await?;
        request.send().await.map_err(|error| self.unreachable(&error))
    }

    /// The request with what proves who we are. Files are read each time, so that a rotated secret works at once.
    async fn authorized(&self, request: RequestBuilder) -> Result<RequestBuilder, Error> {
        let path = match &self.settings.auth {
            Auth::None => return Ok(request),
            Auth::BearerTokenFile(path) | Auth::Basic { password_file: path, .. } => path,
        };
        let complaint =
            |problem: String| Error::Credentials { url: self.shown(), path: path.clone(), problem };
        let secret = tokio::fs::read_to_string(path)
            .await
            .map_err(|error| complaint(format!("cannot be read ({error}); mount the secret there")))?;
        // Files end in a newline that is no part of the secret.
        let secret = secret.trim_end_matches(['\r', '\n']);
        if secret.is_empty() {
            return Err(complaint("is empty; put the secret into it".to_owned()));
        }
        let Auth::Basic { username, .. } = &self.settings.auth else {
            let mut bearer = HeaderValue::try_from(format!("Bearer {secret}")).map_err(|_| {
                complaint("holds more than one line of ASCII; put the token alone into it".to_owned())
            })?;
            bearer.set_sensitive(true);
            return Ok(request.header(AUTHORIZATION, bearer));
        };
        Ok(request.basic_auth(username, Some(secret)))
    }

    /// The body as far as `limit` bytes go; the rest stays unread.
    async fn read(&self, mut response: Response, limit: usize) -> Result<Body, Error> {
        let mut body = Vec::new();
        while let Some(bytes) = response.chunk().await.map_err(|error| self.unreachable(&error))? {
            let room = limit - body.len();
            if bytes.len() > room {
                body.extend_from_slice(&bytes[..room]);
                return Ok(Body::Beginning(body));
            }
            body.extend_from_slice(&bytes);
        }
        Ok(Body::Whole(body))
    }

    /// What a status other than 200 means.
    async fn failure(&self, response: Response, question: &Question<'_>) -> Error {
        let (url, status) = (self.shown(), response.status());
        let header = |name| response.headers().get(name).and_then(|content| content.to_str().ok());
        let retry_after = header(RETRY_AFTER).and_then(|after| time_until(after, header(DATE)));
        let to = header(LOCATION).map_or_else(|| "nowhere".to_owned(), |to| excerpt(&without_secrets(to)));
        let found = match self.read(response, COMPLAINT_BYTES).await {
            Ok(Body::Whole(body) | Body::Beginning(body)) => answer::complaint(&body),
            Err(_) => answer::complaint(&[]),
        };
        let remedy = match status {
            StatusCode::UNPROCESSABLE_ENTITY => {
                "record the query as a rule, or make it lighter: a shorter range, fewer series"
            }
            StatusCode::NOT_FOUND => "check the path prefix of the source's url",
            StatusCode::METHOD_NOT_ALLOWED => "set the source's method to auto or get",
            _ => "correct the query",
        };
        let code = status.as_u16();
        match code {
            401 | 403 => Error::Unauthorized { url, status: code, found },
            300..=399 => Error::Redirected { url, status: code, to },
            429 | 500.. => Error::Unavailable { url, status: code, found, retry_after },
            _ => Error::Refused { url, query: excerpt(question.query), status: code, found, remedy },
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> Error {
        Error::Unreachable { url: self.shown(), found: root_cause(error) }
    }

    /// Tells the log of loads that cannot be.
    pub(super) fn tell(&self, query: &str, doubts: &Doubts) {
        if doubts.negative > 0 {
            let (url, query, negative) = (&self.endpoints.shown, excerpt(query), doubts.negative);
            tracing::warn!(url, query, negative, "loads are below zero and count as missing");
        }
    }

    pub(super) fn shown(&self) -> String {
        self.endpoints.shown.clone()
    }
}

/// As much of a body as was read.
enum Body {
    Whole(Vec<u8>),
    Beginning(Vec<u8>),
}

async fn pause(rest: Duration) {
    #[expect(
        clippy::disallowed_methods,
        reason = "a server recovers in real time, whatever time is simulated"
    )]
    tokio::time::sleep(rest).await;
}

/// How long `Retry-After` asks us to wait: seconds, or an HTTP-date, which is measured from the server's own `Date`, so that
/// two clocks that differ do no harm.
fn time_until(after: &str, date: Option<&str>) -> Option<Duration> {
    if let Ok(seconds) = after.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let instant = |text: &str| chrono::DateTime::parse_from_rfc2822(text.trim()).ok();
    #[expect(
        clippy::disallowed_methods,
        reason = "a date of the real world, from a server that says not what time it is"
    )]
    let now = || chrono::Utc::now().fixed_offset();
    let wait = instant(after)? - date.and_then(instant).unwrap_or_else(now);
    // A date that has passed is no wait at all.
    Some(wait.to_std().unwrap_or_default())
}

/// What the API is asked, as a form. `timeout` lets the server stop working when we have stopped waiting.
fn form(question: &Question<'_>, budget: Duration) -> Vec<(&'static str, String)> {
    let mut form = vec![
        ("query", question.query.to_owned()),
        ("timeout", seconds(budget.mul_f64(SERVERS_SHARE).as_millis())),
    ];
    match question.when {
        When::Range { from, until } => {
            let end = |slot| question.step.end(slot).timestamp().to_string();
            // Both ends are evaluated, so the last instant is the end of the last slot.
            form.extend([("start", end(from)), ("end", end(until.plus(-1)))]);
            form.push(("step", question.step.seconds().to_string()));
        }
        When::Instant(at) => {
            form.push(("time", seconds(at.timestamp_millis().max(0).unsigned_abs().into())));
        }
    }
    form
}

/// Milliseconds as the float seconds of the API.
fn seconds(millis: u128) -> String {
    format!("{}.{:03}", millis / 1000, millis % 1000)
}

/// The innermost cause, which is the one an operator can act on ("connection refused"). The outer ones repeat the url,
/// query string and all.
pub(super) fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = match error.source() {
        Some(cause) => cause,
        None => return "the request failed".to_owned(),
    };
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    excerpt(&cause.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_given_in_seconds_or_as_a_date() {
        let date = Some("Fri, 27 Nov 2026 09:30:00 GMT");
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(time_until("7", None), seconds(7));
        assert_eq!(time_until("Fri, 27 Nov 2026 09:30:20 GMT", date), seconds(20));
        assert_eq!(time_until("Fri, 27 Nov 2026 09:29:00 GMT", date), seconds(0));
        assert_eq!(time_until("Sun, 06 Nov 1994 08:49:37 GMT", None), seconds(0));
        assert!(time_until("Tue, 01 Jan 2999 00:00:00 GMT", None) > seconds(86_400));
        assert_eq!(time_until("soon", date), None);
        assert_eq!(time_until("-1", date), None);
    }
}
