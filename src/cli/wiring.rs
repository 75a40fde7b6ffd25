//! The adapters and the engine, put together: the same for `serve` and for `demo`, which differ in clock and addresses.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::{self, Config, Listen, PrometheusSettings};
use crate::engine::{self, Board, Clock, ClusterView, Demand, FitPool, Forecasters, Shared, Supply, Target};
use crate::forecast::{Exclusion, forecaster};
use crate::history::{Archive, Recent};
use crate::keda;
use crate::source::prometheus;
use crate::telemetry::{self, DecisionLog};
use crate::web;

/// The owner of one target, with the adapters of this product.
pub(super) type Worker<C> = engine::Worker<prometheus::Source, Recent, C, DecisionLog, Archive>;

/// Everything but workers and listeners.
pub(super) struct Assembly<C> {
    pub(super) shared: Arc<Shared<C, DecisionLog, Archive>>,
    registry: Arc<Registry>,
    keda_metrics: keda::Metrics,
    cluster: Option<Arc<dyn ClusterView>>,
}

impl<C: Clock> Assembly<C> {
    /// Puts together what all targets share, with the metrics of every part and those that `register` brings.
    pub(super) fn new(
        clock: Arc<C>,
        archive: Option<Archive>,
        register: impl FnOnce(&mut Registry),
    ) -> anyhow::Result<Self> {
        let shared = Arc::new(Shared {
            board: Arc::new(Board::default()),
            log: DecisionLog::default(),
            archive: archive.map(Arc::new),
            fits: FitPool::try_new().context("cannot start the threads that fit")?,
            metrics: engine::Metrics::default(),
            clock,
        });
        let mut registry = telemetry::registry();
        let keda_metrics = keda::Metrics::default();
        keda_metrics.register(&mut registry);
        shared.metrics.register(&mut registry);
        telemetry::Decisions::new(Arc::clone(&shared.board), Arc::clone(&shared.clock))
            .register(&mut registry);
        register(&mut registry);
        Ok(Self { shared, registry: Arc::new(registry), keda_metrics, cluster: None })
    }

    /// The same, whose workers plan with the lead times that `cluster` shows, and which answers for the HPAs there.
    pub(super) fn watching(self, cluster: Arc<dyn ClusterView>) -> Self {
        self.shared.board.watch(Arc::clone(&cluster));
        Self { cluster: Some(cluster), ..self }
    }

    /// The worker of one target, which has not begun. `sources` are those of its demands, in their order.
    pub(super) fn worker(
        &self,
        target: Arc<Target>,
        sources: impl IntoIterator<Item = Arc<prometheus::Source>>,
    ) -> Worker<C> {
        let supply = |(demand, source): (&Demand, _)| Supply {
            source,
            history: Recent::new(demand.step, demand.recent_span()),
            forecasters: forecasters(&target.exclude),
        };
        let supplies: Vec<_> = target.demands.iter().zip(sources).map(supply).collect();
        engine::Worker::new(target, supplies, Arc::clone(&self.shared)).watching(self.cluster.clone())
    }

    /// Starts answering at both. Each task that ends before `shutdown` is a reason to stop.
    pub(super) fn answer(
        &self,
        grpc: impl Into<keda::Edge>,
        http: TcpListener,
        tasks: &mut JoinSet<anyhow::Result<()>>,
        shutdown: &CancellationToken,
    ) {
        let Shared { board, clock, .. } = &*self.shared;
        let (board, clock) = (Arc::clone(board), Arc::clone(clock));
        let keda = keda::serve(
            grpc.into(),
            Arc::clone(&board),
            Arc::clone(&clock),
            self.keda_metrics.clone(),
            shutdown.clone(),
        );
        tasks.spawn(async move { keda.await.map_err(anyhow::Error::from) });
        let registry = Arc::clone(&self.registry);
        let web = web::serve(http, board, registry, clock, engine::START_UP_GRACE, shutdown.clone());
        tasks.spawn(async move { web.await.map_err(anyhow::Error::from) });
    }
}

/// What learns from demand without the spans of `exclude`.
fn forecasters(exclude: &Arc<[Exclusion]>) -> Forecasters {
    let exclude = Arc::clone(exclude);
    Arc::new(move |almanac| forecaster(almanac, &exclude))
}

/// A listener, or an error that says whose address it is.
pub(super) async fn bind(key: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address} ({key}); is another process there? choose another address")
    })
}

/// The archive of `config`, if it has one. Blocks; to be called before there is a runtime.
pub(super) fn archive(config: &Config) -> anyhow::Result<Option<Archive>> {
    let Some(history) = &config.history else { return Ok(None) };
    Ok(Some(Archive::try_new(&history.archive, history.retention)?))
}

/// A client with these settings; nothing is contacted yet.
pub(super) fn source(name: &str, settings: &PrometheusSettings) -> anyhow::Result<Arc<prometheus::Source>> {
    let source = prometheus::Source::try_new(source_settings(settings));
    Ok(Arc::new(source.with_context(|| format!("source {name:?} cannot be used"))?))
}

/// Where KEDA's calls arrive, and who may make them.
pub(super) async fn edge(config: &Config, grpc: &Listen) -> anyhow::Result<keda::Edge> {
    let tls = config.tls.as_ref().map(|tls| {
        let settings = keda::tls::Settings {
            client_ca: tls.client_ca.clone(),
            allowed_names: tls.allowed_names.clone(),
            ..keda::tls::Settings::new(&tls.cert, &tls.key)
        };
        keda::tls::Keeper::try_new(settings).context("server.tls cannot be served with")
    });
    let tls = tls.transpose()?;
    let listener = match grpc {
        Listen::Tcp(address) => bind("server.grpc", *address).await?.into(),
        Listen::Unix(path) => keda::Listener::bind_unix(path).await.context("server.grpc")?,
    };
    Ok(keda::Edge { listener, tls, limits: keda::Limits::default() })
}

/// The same settings, in the words of the adapter: adapters do not know each other.
fn source_settings(settings: &PrometheusSettings) -> prometheus::Settings {
    let auth = match &settings.auth {
        config::Auth::None => prometheus::Auth::None,
        config::Auth::BearerTokenFile(path) => prometheus::Auth::BearerTokenFile(path.clone()),
        config::Auth::Basic { username, password_file } => {
            prometheus::Auth::Basic { username: username.clone(), password_file: password_file.clone() }
        }
    };
    let identity = settings.tls.identity.as_ref();
    let identity = identity
        .map(|identity| prometheus::Identity { cert: identity.cert.clone(), key: identity.key.clone() });
    prometheus::Settings {
        url: settings.url.clone(),
        parameters: settings.parameters.clone(),
        method: match settings.method {
            config::Method::Auto => prometheus::Method::Auto,
            config::Method::Post => prometheus::Method::Post,
            config::Method::Get => prometheus::Method::Get,
        },
        tls: prometheus::Tls { ca: settings.tls.ca.clone(), identity },
        auth,
        headers: settings.headers.clone().into_iter().collect(),
        timeout: settings.timeout,
        max_body_bytes: usize::try_from(settings.max_body_bytes).unwrap_or(usize::MAX),
        concurrency: usize::try_from(settings.concurrency).unwrap_or(usize::MAX),
        queries_per_second: settings.queries_per_second,
    }
}
