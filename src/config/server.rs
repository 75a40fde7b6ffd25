//! Where tidetable listens, and what it shows and asks of those who connect.
//!
//! Files are named here and opened by nobody but the server: they may change while it runs.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::checker::Checker;
use super::complaint::KeyPath;
use super::{defaults, raw};

/// How an address begins that is a socket in the file system. KEDA takes the same as a `scalerAddress`.
const UNIX: &str = "unix://";

/// The kernel's 108 bytes for the path of a socket, without the byte that ends it and the `.new` that it begins with.
const MOST_SOCKET_PATH: usize = 103;

/// A DNS name in text.
const MOST_DNS_NAME: usize = 253;

/// Where calls arrive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// At a TCP port.
    Tcp(SocketAddr),
    /// At a socket in the file system, by its absolute path.
    Unix(PathBuf),
}

/// Why a text says no place to listen at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListenError {
    /// It is none of the forms.
    #[error(
        "{0:?} is not an IP address with a port, such as 0.0.0.0:50051 or [::]:50051, nor a socket such as \
         unix:///run/tidetable/grpc.sock"
    )]
    Neither(String),
    /// It is a socket whose path is not absolute.
    #[error(
        "{0:?} has no absolute path; write it with three slashes, such as unix:///run/tidetable/grpc.sock"
    )]
    Relative(String),
    /// It is a socket whose path cannot be one.
    #[error("the path of a socket has at most {MOST_SOCKET_PATH} bytes and names a file; give another")]
    BadPath,
}

impl FromStr for Listen {
    type Err = ListenError;

    fn from_str(text: &str) -> Result<Self, ListenError> {
        let Some(path) = text.strip_prefix(UNIX) else {
            if text.starts_with("unix:") {
                return Err(ListenError::Relative(text.to_owned()));
            }
            return text.parse().map(Self::Tcp).map_err(|_| ListenError::Neither(text.to_owned()));
        };
        if !path.starts_with('/') {
            return Err(ListenError::Relative(text.to_owned()));
        }
        if path.len() > MOST_SOCKET_PATH || path.ends_with('/') || path.contains(['\0', '\n']) {
            return Err(ListenError::BadPath);
        }
        Ok(Self::Unix(PathBuf::from(path)))
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "{UNIX}{}", path.display()),
        }
    }
}

/// The certificate of the gRPC server, and whose certificates it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// PEM file with the certificate and its intermediates.
    pub cert: PathBuf,
    /// PEM file with the private key.
    pub key: PathBuf,
    /// PEM file with the authorities whose client certificates are taken; without it nobody is asked for one.
    pub client_ca: Option<PathBuf>,
    /// Names of which a client's certificate must hold one; with none, each certificate of the authorities is taken.
    pub allowed_names: Vec<String>,
}

/// What the server section says.
pub(super) struct Server {
    pub(super) grpc: Listen,
    pub(super) http: SocketAddr,
    pub(super) tls: Option<Tls>,
}

/// `None` only when something was complained of.
pub(super) fn check(raw: &raw::Server, path: &KeyPath, checker: &mut Checker<'_>) -> Option<Server> {
    let grpc = match raw.grpc.as_deref() {
        Some(text) => checker.accept(&path.key("grpc"), text.parse()),
        None => Some(Listen::Tcp(defaults::GRPC)),
    };
    let http = address(raw.http.as_deref(), &path.key("http"), checker);
    if let (Some(Listen::Tcp(grpc)), Some(http)) = (&grpc, http)
        && *grpc == http
        && http.port() != 0
    {
        checker.complain(&path.key("http"), "is the address of grpc too; give another port");
    }
    let tls = match &raw.tls {
        Some(raw) => Some(tls(raw, &path.key("tls"), checker)?),
        None => None,
    };
    Some(Server { grpc: grpc?, http: http?, tls })
}

fn address(text: Option<&str>, path: &KeyPath, checker: &mut Checker<'_>) -> Option<SocketAddr> {
    let Some(text) = text else { return Some(defaults::HTTP) };
    let address = text.parse();
    if address.is_err() {
        let (default, port) = (defaults::HTTP, defaults::HTTP.port());
        let message = format!("{text:?} is not an IP address with a port, such as {default} or [::]:{port}");
        checker.complain(path, message);
    }
    address.ok()
}

fn tls(raw: &raw::Tls, path: &KeyPath, checker: &mut Checker<'_>) -> Option<Tls> {
    let mut file = |key: &str, given: &Option<String>| {
        let given = given.as_deref()?;
        if given.is_empty() || given.contains(['\n', '\0']) {
            let message = "is not the path of a file; write it like /var/run/secrets/tidetable/tls.crt";
            checker.complain(&path.key(key), message);
            return None;
        }
        Some(PathBuf::from(given))
    };
    let (cert, key) = (file("cert", &raw.cert), file("key", &raw.key));
    let client_ca = raw.client_ca.is_some().then(|| file("clientCa", &raw.client_ca));

    let names_path = path.key("allowedNames");
    let allowed_names = raw.allowed_names.clone().unwrap_or_default();
    if raw.allowed_names.is_some() && client_ca.is_none() {
        let message =
            "missing; without it no client is asked for a certificate, and allowedNames mean nothing";
        checker.complain_of_absence(&path.key("clientCa"), message);
    }
    for (index, name) in allowed_names.iter().enumerate() {
        if let Some(wrong) = wrong_name(name) {
            checker.complain(&names_path.item(index), format!("{name:?} {wrong}"));
        }
    }
    Some(Tls {
        cert: cert?,
        key: key?,
        client_ca: client_ca.map_or(Some(None), |given| given.map(Some))?,
        allowed_names,
    })
}

/// Why no certificate can have this name, or ours could not tell.
fn wrong_name(name: &str) -> Option<&'static str> {
    const REMEDY: &str = "is neither a DNS name, such as keda-operator.keda.svc, nor a URI, such as \
                          spiffe://cluster.local/ns/keda/sa/keda-operator";
    if name.contains('*') {
        return Some("has a wildcard; names are compared as a whole, so list each");
    }
    if name.parse::<IpAddr>().is_ok() {
        return Some("is an address; clients are told apart by DNS names and URIs");
    }
    let is_uri = name.split_once("://").is_some_and(|(scheme, rest)| {
        let plain = |sign: u8| sign.is_ascii_alphanumeric() || b"+-.".contains(&sign);
        !scheme.is_empty()
            && scheme.bytes().all(plain)
            && !rest.is_empty()
            && rest.bytes().all(|sign| sign.is_ascii_graphic())
    });
    let is_dns_name = name.len() <= MOST_DNS_NAME
        && name.split('.').all(|label| {
            let plain = |sign: u8| sign.is_ascii_alphanumeric() || sign == b'-' || sign == b'_';
            (1..=63).contains(&label.len()) && label.bytes().all(plain)
        });
    (!is_uri && !is_dns_name).then_some(REMEDY)
}

/// The section as the file would write it, with nothing left out.
pub(super) fn to_raw(grpc: &Listen, http: SocketAddr, tls: Option<&Tls>) -> raw::Server {
    let written = |file: &Path| Some(file.to_string_lossy().into_owned());
    let tls = tls.map(|tls| raw::Tls {
        cert: written(&tls.cert),
        key: written(&tls.key),
        client_ca: tls.client_ca.as_deref().and_then(written),
        allowed_names: (!tls.allowed_names.is_empty()).then(|| tls.allowed_names.clone()),
    });
    raw::Server { grpc: Some(grpc.to_string()), http: Some(http.to_string()), tls }
}
