//! From the contents of the files to what rustls serves with, or to what is wrong with which file.
//!
//! A certificate is not parsed here a second time: when it ends is asked of the verifier, which says so when asked whether
//! it is valid at the end of time.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use webpki::{EndEntityCert, KeyUsage};

use super::Settings;
use super::clients::Named;
use super::files::Contents;

/// What gRPC is called in a TLS handshake; grpc-go connects to nobody who does not say it.
const ALPN: &[u8] = b"h2";

/// Why the files cannot be served with.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error("cannot read {}; is the Secret mounted there, and may this user read it?", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file changed with each look.
    #[error("the files beside {} change all the time; write them once and together", path.display())]
    Unsteady {
        /// The certificate's file.
        path: PathBuf,
    },
    /// A file is not PEM, or what it should hold is not in it.
    #[error("{} holds no {wanted} in PEM; {}", path.display(), found(source))]
    NotPem {
        /// Which file.
        path: PathBuf,
        /// What it should hold.
        wanted: &'static str,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// Certificate and key are not of one pair, or of no use to a server.
    #[error("the certificate in {} and the key in {} cannot be served with", cert.display(), key.display())]
    Unusable {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What is wrong with them.
        source: rustls::Error,
    },
    /// A certificate of an authority that none can be.
    #[error("{} holds a certificate that no authority can have", path.display())]
    NotAnAuthority {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::Error,
    },
    /// The certificate has expired.
    #[error("the certificate in {} expired at {}; renew it", path.display(), rfc3339(*at))]
    Expired {
        /// Which file.
        path: PathBuf,
        /// When, in seconds since 1970.
        at: u64,
    },
}

fn found(error: &pem::Error) -> String {
    match error {
        pem::Error::NoItemsFound => "it may hold something else".to_owned(),
        error => format!("it is damaged ({error:?})"),
    }
}

fn rfc3339(seconds: u64) -> String {
    i64::try_from(seconds)
        .ok()
        .and_then(|seconds| DateTime::<Utc>::from_timestamp(seconds, 0))
        .map_or_else(|| format!("{seconds} s"), |at| at.to_rfc3339_opts(SecondsFormat::Secs, true))
}

/// What rustls serves with.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    pub(super) config: Arc<ServerConfig>,
    /// When the first certificate of the chain ends, in seconds since 1970.
    pub(super) expires_at: u64,
}

impl Identity {
    /// What `contents`, read from where `settings` say, amount to.
    pub(super) fn try_new(settings: &Settings, contents: &Contents) -> Result<Self, Error> {
        let Settings { cert, key, .. } = settings;
        let chain = certificates(cert, &contents.cert)?;
        let private = PrivateKeyDer::from_pem_slice(&contents.key).map_err(|source| Error::NotPem {
            path: key.clone(),
            wanted: "private key",
            source,
        })?;
        let unusable = |source| Error::Unusable { cert: cert.clone(), key: key.clone(), source };
        let expires_at = chain.iter().filter_map(expiry).min().unwrap_or(u64::MAX);

        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(unusable)?;
        let builder = match (&settings.client_ca, &contents.client_ca) {
            (Some(path), Some(authorities)) => {
                let mut roots = RootCertStore::empty();
                let not_an_authority = |source| Error::NotAnAuthority { path: path.clone(), source };
                for authority in certificates(path, authorities)? {
                    roots.add(authority).map_err(not_an_authority)?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider)
                    .build()
                    .map_err(|error| not_an_authority(rustls::Error::General(error.to_string())))?;
                builder.with_client_cert_verifier(Arc::new(Named::new(verifier, &settings.allowed_names)))
            }
            _ => builder.with_no_client_auth(),
        };
        let mut config = builder.with_single_cert(chain, private).map_err(unusable)?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Self { config: Arc::new(config), expires_at })
    }

    /// Refuses what no client would take any more.
    pub(super) fn unless_expired(self, settings: &Settings) -> Result<Self, Error> {
        if self.has_expired() {
            return Err(Error::Expired { path: settings.cert.clone(), at: self.expires_at });
        }
        Ok(self)
    }

    /// Whether it has ended, by the wall clock as everywhere in TLS.
    pub(super) fn has_expired(&self) -> bool {
        UnixTime::now().as_secs() > self.expires_at
    }

    /// When it ends, for people.
    pub(super) fn expiry(&self) -> String {
        rfc3339(self.expires_at)
    }
}

fn certificates(path: &Path, contents: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let not_pem = |source| Error::NotPem { path: path.to_owned(), wanted: "certificate", source };
    let all: Vec<_> = CertificateDer::pem_slice_iter(contents).collect::<Result<_, _>>().map_err(not_pem)?;
    if all.is_empty() { Err(not_pem(pem::Error::NoItemsFound)) } else { Ok(all) }
}

/// When the first certificate of a chain in PEM ends, in seconds since 1970; `None` for one that rustls would refuse. `path` is
/// for the complaint.
///
/// # Errors
/// [`Error::NotPem`] when there is no certificate in it.
pub fn certificate_end(path: &Path, pem: &[u8]) -> Result<Option<u64>, Error> {
    Ok(certificates(path, pem)?.iter().filter_map(expiry).min())
}

/// When `certificate` ends, in seconds since 1970; `None` for one that rustls will refuse anyway.
fn expiry(certificate: &CertificateDer<'_>) -> Option<u64> {
    let certificate = EndEntityCert::try_from(certificate).ok()?;
    let end_of_time = UnixTime::since_unix_epoch(Duration::from_secs(u64::MAX));
    let verified =
        certificate.verify_for_usage(&[], &[], &[], end_of_time, KeyUsage::server_auth(), None, None);
    match verified.err()? {
        webpki::Error::CertExpired { not_after, .. } => Some(not_after.as_secs()),
        _ => None,
    }
}
