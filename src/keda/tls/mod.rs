//! TLS for the gRPC port: our certificate, whose certificates we take, and both anew when their files change.
//!
//! ```text
//! files      paths → contents, read as one
//! identity   contents → what rustls serves with, or what is wrong with which file
//! clients    the client's certificate: issuer, dates, names
//! keeper     the files every few seconds; a new certificate for new connections, a bad file for none
//! failure    what went wrong in a handshake, as a refusal
//! ```
//!
//! rustls with ring, TLS 1.2 and 1.3, ALPN h2. It stands on our own listener and not inside tonic, whose TLS is set once and
//! for all, and whose failed handshakes nobody sees. Sessions are not resumed: a resumed one would pass by the check of
//! the client's certificate, and KEDA's connections live for days.

mod clients;
mod failure;
mod files;
mod identity;
mod keeper;

use std::path::PathBuf;
use std::time::Duration;

pub(super) use clients::names_of;
pub(super) use failure::refusal;
pub use identity::{Error, certificate_end};
pub(super) use keeper::Current;
pub use keeper::Keeper;

/// Kubernetes takes up to a minute to bring a changed Secret to a pod, and issuers renew days ahead.
const CHECK_EVERY: Duration = Duration::from_secs(5);

/// Which certificate to show and whom to let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// PEM file with the server's certificate and its intermediates.
    pub cert: PathBuf,
    /// PEM file with its private key.
    pub key: PathBuf,
    /// PEM file with the authorities whose client certificates are taken; without it nobody is asked for one.
    pub client_ca: Option<PathBuf>,
    /// Names of which a client's certificate must hold one (DNS or URI, as a subject alternative name), exactly; with none,
    /// every certificate of the authorities is taken.
    pub allowed_names: Vec<String>,
    /// How often the files are looked at.
    pub check_every: Duration,
}

impl Settings {
    /// TLS with the certificate in `cert`, to which `key` belongs; anybody may connect.
    pub fn new(cert: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self {
            cert: cert.into(),
            key: key.into(),
            client_ca: None,
            allowed_names: Vec::new(),
            check_every: CHECK_EVERY,
        }
    }
}
