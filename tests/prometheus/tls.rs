//! Certificates: whom we trust, what we show, and that both may change while we run.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tempfile::TempDir;
use tidetable::engine::{MetricSource, Sample};
use tidetable::source::prometheus::{Error, Identity, Settings, Source, Tls};
use tidetable::time::from_epoch_seconds;
use tidetable::units::Load;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use crate::{connect, demand};

const ONE: &str =
    r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[6000,"1"]}]}}"#;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate of `authority` for `name`, and its key.
fn certificate(authority: &Authority, name: &str) -> (rcgen::Certificate, KeyPair) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, authority).unwrap();
    (certificate, key)
}

/// A server that answers every call with a 1 and takes down which certificate it was shown.
struct Server {
    url: String,
    shown: Arc<Mutex<Vec<CertificateDer<'static>>>>,
}

impl Server {
    async fn start(authority: &Authority) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut clients = RootCertStore::empty();
        clients.add(authority.der().clone()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(clients), Arc::clone(&provider));
        let (certificate, key) = certificate(authority, "localhost");
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der())),
            )
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let shown = Arc::new(Mutex::new(Vec::new()));
        let (acceptor, seen) = (TlsAcceptor::from(Arc::new(config)), Arc::clone(&shown));
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(answer(acceptor.clone(), connection, Arc::clone(&seen)));
            }
        });
        Self { url, shown }
    }

    fn last_shown(&self) -> Option<CertificateDer<'static>> {
        self.shown.lock().unwrap().last().cloned()
    }
}

async fn answer(
    acceptor: TlsAcceptor,
    connection: TcpStream,
    seen: Arc<Mutex<Vec<CertificateDer<'static>>>>,
) {
    let Ok(mut connection) = acceptor.accept(connection).await else { return };
    let certificate = connection.get_ref().1.peer_certificates().map(|chain| chain[0].clone().into_owned());
    let mut request = [0; 8192];
    // One call for each connection, so that each shows what we have at the time.
    if connection.read(&mut request).await.is_ok_and(|count| count > 0) {
        seen.lock().unwrap().extend(certificate);
        let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", ONE.len());
        let _ = connection.write_all((head + ONE).as_bytes()).await;
        let _ = connection.shutdown().await;
    }
}

struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn identity(&self) -> Identity {
        Identity { cert: self.path("tls.crt"), key: self.path("tls.key") }
    }
}

fn source(server: &Server, ca: Option<&Path>, identity: Option<Identity>) -> Source {
    let tls = Tls { ca: ca.map(Path::to_path_buf), identity };
    connect(Settings { tls, ..Settings::for_url(&server.url) })
}

async fn ask(source: &Source) -> Result<Sample, Error> {
    let patience = Duration::from_secs(10);
    Ok(source.instant(&demand("sum(x)"), from_epoch_seconds(6000), patience).await?.measured)
}

#[tokio::test]
async fn a_server_is_trusted_by_its_ca_alone_and_is_shown_who_we_are() {
    let authority = authority();
    let server = Server::start(&authority).await;
    let files = Files::new();
    let (certificate, key) = certificate(&authority, "tidetable");
    files.write("ca.crt", &authority.pem());
    files.write("tls.crt", &certificate.pem());
    files.write("tls.key", &key.serialize_pem());

    let ca = files.path("ca.crt");
    let sample = ask(&source(&server, Some(&ca), Some(files.identity()))).await.unwrap();
    assert_eq!(sample.load.map(Load::get), Some(1.0));
    assert_eq!(server.last_shown().as_ref(), Some(certificate.der()));

    let error = ask(&source(&server, Some(&ca), None)).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "shows nothing: {error}");
    files.write("other.crt", &self::authority().pem());
    let error =
        ask(&source(&server, Some(&files.path("other.crt")), Some(files.identity()))).await.unwrap_err();
    assert!(error.to_string().contains("invalid peer certificate"), "{error}");
}

#[tokio::test]
async fn files_that_are_of_no_use_are_named_and_their_content_is_not() {
    let authority = authority();
    let server = Server::start(&authority).await;
    let files = Files::new();
    let ca = files.path("ca.crt");
    let source = source(&server, Some(&ca), Some(files.identity()));
    let message = ask(&source).await.unwrap_err().to_string();
    assert!(message.contains("ca.crt cannot be read") && message.contains("mount the secret"), "{message}");

    files.write("ca.crt", "s3cret");
    files.write("tls.crt", "s3cret");
    files.write("tls.key", "s3cret");
    let message = ask(&source).await.unwrap_err().to_string();
    assert!(message.contains("ca.crt holds no certificate") && !message.contains("s3cret"), "{message}");
    files.write("ca.crt", &authority.pem());
    let message = ask(&source).await.unwrap_err().to_string();
    assert!(message.contains("tls.crt and the key beside it") && !message.contains("s3cret"), "{message}");

    let (certificate, key) = certificate(&authority, "tidetable");
    files.write("tls.crt", &certificate.pem());
    files.write("tls.key", &key.serialize_pem());
    ask(&source).await.expect("what was missing at the start may come later");
}

#[tokio::test]
async fn a_rotated_certificate_is_shown_within_seconds_and_half_a_rotation_does_no_harm() {
    let authority = authority();
    let server = Server::start(&authority).await;
    let files = Files::new();
    let (former, former_key) = certificate(&authority, "tidetable");
    let (new, new_key) = certificate(&authority, "tidetable");
    files.write("ca.crt", &authority.pem());
    files.write("tls.crt", &former.pem());
    files.write("tls.key", &former_key.serialize_pem());
    let source = source(&server, Some(&files.path("ca.crt")), Some(files.identity()));
    ask(&source).await.unwrap();

    files.write("tls.crt", &new.pem());
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_millis(2500) {
        ask(&source).await.expect("the former pair goes on");
        assert_eq!(server.last_shown().as_ref(), Some(former.der()));
    }
    files.write("tls.key", &new_key.serialize_pem());
    while server.last_shown().as_ref() != Some(new.der()) {
        assert!(begin.elapsed() < Duration::from_secs(20), "the new certificate is never shown");
        ask(&source).await.unwrap();
    }
}
