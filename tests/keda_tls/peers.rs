//! A server with one target that has an answer, and peers of every kind.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use prometheus_client::registry::Registry;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tidetable::engine::Board;
use tidetable::keda::pb::external_scaler_client::ExternalScalerClient;
use tidetable::keda::pb::{GetMetricsRequest, IsActiveResponse, ScaledObjectRef};
use tidetable::keda::tls::{Keeper, Settings};
use tidetable::keda::{self, Edge, Limits, Listener, Metrics};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;
use tonic::codegen::{Service, http::Uri};
use tonic::transport::{Channel, Endpoint};
use tonic::{Status, Streaming};

use crate::certificates::HOST;
use crate::stage::{HandClock, decision, nine, seconds, target};

pub(crate) const TARGET: &str = "payments-api";

/// A server on a port or a path of its own.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) board: Arc<Board>,
    pub(crate) clock: Arc<HandClock>,
    registry: Registry,
    shutdown: CancellationToken,
    served: JoinHandle<Result<(), keda::Error>>,
}

/// A server on a free port.
pub(crate) async fn start(tls: Option<Settings>, limits: Limits) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let tls = tls.map(|settings| Keeper::try_new(settings).unwrap());
    serve(Edge { listener: listener.into(), tls, limits }, address)
}

/// A server at a listener that has no address.
pub(crate) fn start_at(listener: Listener) -> Running {
    serve(listener.into(), SocketAddr::from(([0, 0, 0, 0], 0)))
}

fn serve(edge: Edge, address: SocketAddr) -> Running {
    let board = Arc::new(Board::new([target(TARGET)]));
    board.publish(decision(TARGET, nine(), Some(34)));
    let (metrics, mut registry) = (Metrics::default(), Registry::with_prefix("tidetable"));
    metrics.register(&mut registry);
    let shutdown = CancellationToken::new();
    let clock = HandClock::at(nine());
    let serving = keda::serve(edge, Arc::clone(&board), Arc::clone(&clock), metrics, shutdown.clone());
    Running { address, board, clock, registry, shutdown, served: tokio::spawn(serving) }
}

impl Running {
    /// The number behind the sample that begins with `series`.
    pub(crate) fn scraped(&self, series: &str) -> Option<u64> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        let samples = text.lines().filter_map(|line| line.rsplit_once(' '));
        let mut found =
            samples.filter(|(name, _)| name.trim_end_matches("{}") == format!("tidetable_{series}"));
        found.next().and_then(|(_, number)| number.parse().ok())
    }

    pub(crate) fn refused(&self, reason: &str) -> u64 {
        self.scraped(&format!("connections_refused_total{{reason=\"{reason}\"}}")).unwrap()
    }

    pub(crate) fn reloads(&self, outcome: &str) -> u64 {
        self.scraped(&format!("tls_reloads_total{{outcome=\"{outcome}\"}}")).unwrap_or_default()
    }

    /// Waits until `seen` holds; what should become so does within seconds.
    pub(crate) async fn until(&self, what: &str, seen: impl Fn(&Self) -> bool) {
        for _ in 0..800 {
            if seen(self) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("not within 8 s: {what}");
    }

    /// A client over plaintext, or over TLS with `tls`.
    pub(crate) async fn client(&self, tls: Option<&Arc<ClientConfig>>) -> Client {
        self.try_client(tls).await.unwrap()
    }

    pub(crate) async fn try_client(
        &self,
        tls: Option<&Arc<ClientConfig>>,
    ) -> Result<Client, tonic::transport::Error> {
        Dial::Tcp(self.address, tls.cloned()).client().await
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// A finished handshake, with nothing said after it.
    pub(crate) async fn handshake(&self, tls: &Arc<ClientConfig>) -> std::io::Result<TlsStream<TcpStream>> {
        let host = ServerName::try_from(HOST).unwrap();
        within(TlsConnector::from(Arc::clone(tls)).connect(host, self.connect().await)).await
    }

    pub(crate) async fn end(self) {
        self.shutdown.cancel();
        within(self.served).await.unwrap().unwrap();
    }
}

pub(crate) type Client = ExternalScalerClient<Channel>;

/// Nothing here takes long; what hangs must not hang the lane.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(seconds(8), future).await.expect("an answer within 8 s")
}

fn trigger() -> ScaledObjectRef {
    ScaledObjectRef {
        name: TARGET.into(),
        namespace: "payments".into(),
        scaler_metadata: [("target".to_owned(), TARGET.to_owned())].into(),
    }
}

/// Asks for replicas.
pub(crate) async fn ask(client: &mut Client) -> Result<i64, Status> {
    let request = GetMetricsRequest { scaled_object_ref: Some(trigger()), metric_name: TARGET.into() };
    let answer = within(client.get_metrics(request)).await?;
    Ok(answer.into_inner().metric_values[0].metric_value)
}

/// Opens a stream, and reads the state that comes on open.
pub(crate) async fn activity(client: &mut Client) -> Streaming<IsActiveResponse> {
    let mut stream = within(client.stream_is_active(trigger())).await.unwrap().into_inner();
    assert!(within(stream.message()).await.unwrap().unwrap().result);
    stream
}

/// Asks for the metric's name, which the configuration alone says.
pub(crate) async fn spec(client: &mut Client) -> Result<String, Status> {
    let answer = within(client.get_metric_spec(trigger())).await?;
    Ok(answer.into_inner().metric_specs.remove(0).metric_name)
}

/// How a channel of tonic's reaches a server of ours, with TLS or without.
pub(crate) enum Dial {
    Tcp(SocketAddr, Option<Arc<ClientConfig>>),
    Unix(PathBuf, Option<Arc<ClientConfig>>),
}

impl Dial {
    pub(crate) async fn client(self) -> Result<Client, tonic::transport::Error> {
        let endpoint = Endpoint::from_static("http://tidetable");
        within(endpoint.connect_with_connector(self)).await.map(ExternalScalerClient::new)
    }
}

pub(crate) trait Bytes: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Bytes for S {}

impl Service<Uri> for Dial {
    type Response = TokioIo<Box<dyn Bytes>>;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = std::io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        match self {
            Self::Tcp(address, tls) => {
                let (address, tls) = (*address, tls.clone());
                Box::pin(async move {
                    let stream = TcpStream::connect(address).await?;
                    stream.set_nodelay(true)?;
                    secured(Box::new(stream), tls).await
                })
            }
            Self::Unix(path, tls) => {
                let (path, tls) = (path.clone(), tls.clone());
                Box::pin(async move { secured(Box::new(UnixStream::connect(path).await?), tls).await })
            }
        }
    }
}

async fn secured(
    stream: Box<dyn Bytes>,
    tls: Option<Arc<ClientConfig>>,
) -> std::io::Result<TokioIo<Box<dyn Bytes>>> {
    let Some(tls) = tls else { return Ok(TokioIo::new(stream)) };
    let host = ServerName::try_from(HOST).unwrap();
    let stream = TlsConnector::from(tls).connect(host, stream).await?;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    Ok(TokioIo::new(Box::new(stream)))
}
