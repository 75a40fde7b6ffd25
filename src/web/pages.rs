//! The pages, and what bounds them.
//!
//! Rendering ten thousand targets takes tens of milliseconds of a core. That happens on the blocking pool and two pages
//! at a time, so that an answer to KEDA on the same runtime never stands behind a scrape.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::registry::Registry;
use tokio::sync::Semaphore;

use super::readiness::Readiness;
use super::{model, view};
use crate::engine::{Board, Clock};

/// A page takes milliseconds; Prometheus gives up after 10 s.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Pages rendered at a time.
const MOST_RENDERED: usize = 2;

const TEXT: &str = "text/plain; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What the pages show.
#[derive(Debug)]
pub(super) struct Shown<C> {
    board: Arc<Board>,
    registry: Arc<Registry>,
    clock: Arc<C>,
    readiness: Readiness,
    rendering: Arc<Semaphore>,
}

impl<C: Clock> Shown<C> {
    /// Pages about a replica that starts now.
    pub(super) fn new(board: Arc<Board>, registry: Arc<Registry>, clock: Arc<C>, grace: Duration) -> Self {
        let readiness = Readiness::new(clock.now(), grace);
        Self { board, registry, clock, readiness, rendering: Arc::new(Semaphore::new(MOST_RENDERED)) }
    }
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("the page could not be rendered: {0}")]
    Metrics(#[from] std::fmt::Error),
    #[error("the page could not be rendered: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the page was given up; see whether this process is short of CPU")]
    GivenUp,
    #[error("there is no target {0:?}; / lists those there are")]
    NoSuchTarget(String),
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let code = match self {
            Self::Metrics(_) | Self::Json(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::GivenUp => StatusCode::SERVICE_UNAVAILABLE,
            Self::NoSuchTarget(_) => StatusCode::NOT_FOUND,
        };
        (code, [(CONTENT_TYPE, TEXT)], format!("{self}\n")).into_response()
    }
}

/// The routes.
pub(super) fn router<C: Clock>(shown: Shown<C>) -> Router {
    Router::new()
        .route("/", get(overview::<C>))
        .route("/api/decisions", get(decisions::<C>))
        .route("/api/targets/{name}/model", get(models::<C>))
        .route("/metrics", get(metrics::<C>))
        .route("/readyz", get(readyz::<C>))
        .route("/healthz", get(async || ([(CONTENT_TYPE, TEXT)], "alive\n")))
        .fallback(async || {
            let pages = "/, /api/decisions, /api/targets/NAME/model, /metrics, /healthz or /readyz";
            (StatusCode::NOT_FOUND, format!("try {pages}\n"))
        })
        .layer(middleware::from_fn(bounded))
        .with_state(Arc::new(shown))
}

/// Every page is of this moment, and is there soon or not at all.
async fn bounded(request: Request, next: Next) -> Response {
    let answered = tokio::time::timeout(ANSWER_WITHIN, next.run(request)).await;
    let mut response = answered.unwrap_or_else(|_| Error::GivenUp.into_response());
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Renders off the runtime's threads.
async fn rendered<C: Clock>(
    shown: Arc<Shown<C>>,
    render: impl FnOnce(&Shown<C>) -> Result<String, Error> + Send + 'static,
) -> Result<String, Error> {
    let place = Arc::clone(&shown.rendering).acquire_owned().await.map_err(|_| Error::GivenUp)?;
    let rendering = move || {
        // Held by the work and not by who waits for it: a page that is given up is still being rendered.
        let _place = place;
        render(&shown)
    };
    tokio::task::spawn_blocking(rendering).await.map_err(|_| Error::GivenUp)?
}

async fn overview<C: Clock>(State(shown): State<Arc<Shown<C>>>) -> Result<impl IntoResponse, Error> {
    let page = rendered(shown, |shown| {
        let now = shown.clock.now();
        let mut page =
            format!("tidetable {} at {}\n\n", env!("CARGO_PKG_VERSION"), now.format("%Y-%m-%dT%H:%M:%SZ"));
        let table = shown.board.table();
        for target in table.targets() {
            let published = table.published(&target.name).unwrap_or_default();
            page.push_str(&view::line(target, &published, now));
            page.push('\n');
        }
        Ok(page)
    });
    Ok(([(CONTENT_TYPE, TEXT)], page.await?))
}

async fn decisions<C: Clock>(State(shown): State<Arc<Shown<C>>>) -> Result<impl IntoResponse, Error> {
    let page = rendered(shown, |shown| {
        let now = shown.clock.now();
        let table = shown.board.table();
        let published: Vec<_> = table
            .targets()
            .map(|target| (target, table.published(&target.name).unwrap_or_default()))
            .collect();
        let targets =
            published.iter().map(|(target, published)| view::Entry::new(target, published, now)).collect();
        Ok(serde_json::to_string(&view::Board { at: now, targets })?)
    });
    Ok(([(CONTENT_TYPE, "application/json")], page.await?))
}

async fn models<C: Clock>(
    State(shown): State<Arc<Shown<C>>>,
    Path(name): Path<String>,
) -> Result<impl IntoResponse, Error> {
    let page = rendered(shown, |shown| {
        let table = shown.board.table();
        let Some(target) = table.target(&name) else { return Err(Error::NoSuchTarget(name)) };
        Ok(serde_json::to_string(&model::Models::new(shown.clock.now(), target, &table))?)
    });
    Ok(([(CONTENT_TYPE, "application/json")], page.await?))
}

async fn metrics<C: Clock>(State(shown): State<Arc<Shown<C>>>) -> Result<impl IntoResponse, Error> {
    let page = rendered(shown, |shown| {
        let mut page = String::new();
        prometheus_client::encoding::text::encode(&mut page, &shown.registry)?;
        Ok(page)
    });
    Ok(([(CONTENT_TYPE, OPEN_METRICS)], page.await?))
}

async fn readyz<C: Clock>(State(shown): State<Arc<Shown<C>>>) -> impl IntoResponse {
    let verdict = shown.readiness.at(shown.clock.now(), &shown.board);
    let code = if verdict.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, [(CONTENT_TYPE, TEXT)], verdict.detail)
}
