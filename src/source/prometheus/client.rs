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
use reqwest::header::{AUTHORIZATION, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::answer::{self, Answer, Question, When};
use super::error::excerpt;
use super::settings::{Endpoints, without_secrets};
use super::{Auth, Error, Settings};
use crate::engine::{Demand, MetricSource, Sample};
use crate::time::{Slot, Timestamp};

/// Points per range query. Prometheus refuses above 11,000; a round number below it leaves room for servers that count
/// the ends differently.
const MOST_POINTS: i64 = 10_000;

/// Tries per call. Three, because what a second and a third do not mend is an outage, and the engine asks again anyway.
const TRIES: u32 = 3;

/// The wait before the second try; it doubles from there, and half of it is chance. A restarted sidecar or an election
/// takes about this long.
const FIRST_WAIT: Duration = Duration::from_millis(250);

/// Whatever is configured, no call lasts longer: the engine would be blind for all that time.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(3600);

/// So much is read of a body that only explains a failure.
const COMPLAINT_BYTES: usize = 16 << 10;

/// One Prometheus server, or what speaks like one.
pub struct Source {
    client: Client,
    endpoints: Endpoints,
    settings: Settings,
    /// One for each call in flight.
    seats: Semaphore,
    /// History may take no more than half of the seats, or a cold start would starve the newest values.
    history_seats: Semaphore,
    /// Set when the server, or a proxy before it, allows no POST.
    only_get: AtomicBool,
}

impl Source {
    /// A source with these settings. No call is made yet.
    ///
    /// # Errors
    /// [`Error::Url`], [`Error::Header`] or [`Error::Tls`] when the settings cannot work.
    ///
    /// # Panics
    /// When no TLS provider has been installed; `main` does that first.
    pub fn try_new(mut settings: Settings) -> Result<Self, Error> {
        settings.timeout = settings.timeout.min(LONGEST_TIMEOUT);
        let endpoints = Endpoints::try_new(&settings.url)?;
        let mut builder = Client::builder()
            .user_agent(concat!("tidetable/", env!("CARGO_PKG_VERSION")))
            .default_headers(settings.header_map()?)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy();
        if endpoints.range.scheme() == "http" {
            // A plain-text source must not need the image to hold CA certificates.
            builder = builder.tls_certs_only([]);
        }
        let client = builder
            .build()
            .map_err(|error| Error::Tls { url: endpoints.shown.clone(), found: root_cause(&error) })?;
        let seats = settings.concurrency.clamp(1, Semaphore::MAX_PERMITS);
        Ok(Self {
            client,
            endpoints,
            settings,
            seats: Semaphore::new(seats),
            history_seats: Semaphore::new((seats / 2).max(1)),
            only_get: AtomicBool::new(false),
        })
    }

    /// Asks one question, with as many tries as fit into `budget`, which ends at `deadline`.
    async fn ask(
        &self,
        question: &Question<'_>,
        budget: Duration,
        deadline: Instant,
    ) -> Result<Answer, Error> {
        let mut chance = Pcg32::seed_from_u64(RandomState::new().hash_one(question.query));
        let (mut tries, mut wait) = (0, FIRST_WAIT);
        loop {
            let failure = match timeout_at(deadline, self.attempt(question, budget)).await {
                Ok(Ok(body)) => return answer::read(&body, question),
                Ok(Err(failure)) => failure,
                Err(_) => return Err(Error::Timeout { url: self.shown(), after: budget }),
            };
            tries += 1;
            // Chance comes on top of what the server asks for, or all clients would come back at once.
            let pause =
                failure.retry_after().unwrap_or_default() + wait.mul_f64(chance.random_range(0.5..1.0));
            let in_time = Instant::now().checked_add(pause).is_some_and(|then| then < deadline);
            if tries >= TRIES || !failure.may_pass() || !in_time {
                return Err(failure);
            }
            tracing::debug!(url = self.endpoints.shown, tries, %failure, "a call to the metrics source is repeated");
            #[expect(
                clippy::disallowed_methods,
                reason = "a server recovers in real time, whatever time is simulated"
            )]
            tokio::time::sleep(pause).await;
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
        if no_post && !only_get {
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
        let request = if get {
            self.client.get(endpoint.clone()).query(form)
        } else {
            self.client.post(endpoint.clone()).form(form)
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
        let retry_after =
            header(RETRY_AFTER).and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
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

    fn shown(&self) -> String {
        self.endpoints.shown.clone()
    }

    /// Tells the log, once per call, what makes the measurements doubtful.
    fn warn(&self, demand: &Demand, answer: &Answer) {
        if answer.warnings.is_empty() && answer.negative == 0 {
            return;
        }
        tracing::warn!(
            url = self.endpoints.shown,
            query = excerpt(&demand.query),
            warnings = ?answer.warnings,
            negative = answer.negative,
            "the metrics source warns, or gave loads below zero, which count as missing"
        );
    }
}

impl MetricSource for Source {
    type Error = Error;

    /// One sample for each slot of `from..until`, in order, fetched in chunks of at most 10,000. The timeout of the
    /// settings is for each chunk; waiting for a seat does not count, because a cold start of many targets queues here.
    async fn range(&self, demand: &Demand, from: Slot, until: Slot) -> Result<Vec<Sample>, Error> {
        let mut whole = Answer::default();
        let mut begin = from;
        while begin < until {
            let end = begin.plus(MOST_POINTS).min(until);
            let question = Question {
                url: &self.endpoints.shown,
                query: &demand.query,
                step: demand.step,
                when: When::Range { from: begin, until: end },
            };
            let _history = self.history_seats.acquire().await.expect("the semaphore is never closed");
            let _seat = self.seats.acquire().await.expect("the semaphore is never closed");
            let budget = self.settings.timeout;
            whole.append(self.ask(&question, budget, Instant::now() + budget).await?);
            begin = end;
        }
        self.warn(demand, &whole);
        Ok(whole.samples)
    }

    /// The sample at `at`, within the smaller of `patience` and the timeout of the settings, waiting for a seat included.
    async fn instant(&self, demand: &Demand, at: Timestamp, patience: Duration) -> Result<Sample, Error> {
        let budget = patience.min(self.settings.timeout);
        let deadline = Instant::now() + budget;
        let question = Question {
            url: &self.endpoints.shown,
            query: &demand.query,
            step: demand.step,
            when: When::Instant(at),
        };
        let _seat = timeout_at(deadline, self.seats.acquire())
            .await
            .map_err(|_| Error::Crowded {
                url: self.shown(),
                concurrency: self.settings.concurrency,
                after: budget,
            })?
            .expect("the semaphore is never closed");
        let answer = self.ask(&question, budget, deadline).await?;
        self.warn(demand, &answer);
        Ok(answer.samples.first().copied().unwrap_or(Sample { at, load: None }))
    }
}

/// As much of a body as was read.
enum Body {
    Whole(Vec<u8>),
    Beginning(Vec<u8>),
}

/// What the API is asked, as a form. `timeout` lets the server stop working when we have stopped waiting.
fn form(question: &Question<'_>, budget: Duration) -> Vec<(&'static str, String)> {
    let mut form = vec![("query", question.query.to_owned()), ("timeout", seconds(budget.as_millis()))];
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
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = match error.source() {
        Some(cause) => cause,
        None => return "the request failed".to_owned(),
    };
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    excerpt(&cause.to_string())
}
