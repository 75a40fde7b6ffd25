//! How to reach a metrics source: an address, a way to log in, and bounds.
//!
//! Secrets are named by the files that hold them, so that no configuration, log or page can show one.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::checker::Checker;
use super::complaint::KeyPath;
use super::{defaults, duration, raw};

/// How to reach a Prometheus, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrometheusSettings {
    /// Base URL, `http` or `https`, without user, query or fragment; a path prefix is kept.
    pub url: String,
    /// Parameters to send with each request.
    pub parameters: BTreeMap<String, String>,
    /// How a query is sent.
    pub method: Method,
    /// Whom to trust and what to show.
    pub tls: ClientTls,
    /// How to log in.
    pub auth: Auth,
    /// Headers to send with each request.
    pub headers: BTreeMap<String, String>,
    /// Patience with one request.
    pub timeout: Duration,
    /// A larger answer is refused.
    pub max_body_bytes: u64,
    /// The most requests under way at once.
    pub concurrency: u32,
    /// The most requests begun in a second, or as many as there are.
    pub queries_per_second: Option<NonZeroU32>,
}

/// How a query is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// By POST, and by GET where POST is not allowed.
    Auto,
    /// By POST.
    Post,
    /// By GET.
    Get,
}

/// Certificates and keys, by the files that hold them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClientTls {
    /// The only authorities that are trusted; the system's own when there is no file.
    pub ca: Option<PathBuf>,
    /// What is shown to a server that asks.
    pub identity: Option<Identity>,
}

/// A client certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The certificate and its chain.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// How to log in. Files are read anew when they change; that is the adapter's matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    /// Not at all.
    None,
    /// With the token in this file.
    BearerTokenFile(PathBuf),
    /// With a user name, and the password in a file.
    Basic {
        /// The user name.
        username: String,
        /// The file that holds the password.
        password_file: PathBuf,
    },
}

/// A request that takes longer than five minutes has been forgotten by its server; Prometheus gives up after two.
const TIMEOUTS: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(300);

/// Below 64 KiB not even a day fits; above 1 GiB the process would be killed before the bound is met.
const MAX_BODY_BYTES: RangeInclusive<u64> = (64 << 10)..=(1 << 30);

/// Parameters that are part of the question itself.
const OURS: [&str; 6] = ["query", "time", "start", "end", "step", "timeout"];

/// Headers that carry secrets.
const SECRET: [&str; 3] = ["authorization", "proxy-authorization", "cookie"];

/// Headers that belong to the connection.
const CONNECTION: [&str; 4] = ["connection", "content-length", "host", "transfer-encoding"];

pub(super) fn check(
    raw: &raw::Source,
    path: &KeyPath,
    checker: &mut Checker<'_>,
) -> Option<PrometheusSettings> {
    let path = path.key("prometheus");
    let raw = raw.prometheus.as_ref()?;

    let url = raw.url.as_deref().and_then(|text| url(text, &path.key("url"), checker));
    let auth = match &raw.auth {
        Some(raw) => auth(raw, &path.key("auth"), checker),
        None => Some(Auth::None),
    };
    let headers = raw.headers.clone().unwrap_or_default();
    check_headers(&headers, &path.key("headers"), checker);
    let timeout =
        checker.duration(&path.key("timeout"), raw.timeout.as_deref(), defaults::TIMEOUT, &TIMEOUTS);
    let max_body_bytes = raw.max_body_bytes.unwrap_or(defaults::MAX_BODY_BYTES);
    if !MAX_BODY_BYTES.contains(&max_body_bytes) {
        let (least, most) = (MAX_BODY_BYTES.start(), MAX_BODY_BYTES.end());
        let message = format!("{max_body_bytes} is not between {least} (64 KiB) and {most} (1 GiB)");
        checker.complain(&path.key("maxBodyBytes"), message);
    }
    let parameters = raw.parameters.clone().unwrap_or_default();
    check_parameters(&parameters, &path.key("parameters"), checker);
    let tls = match &raw.tls {
        Some(raw) => tls(raw, url.as_deref(), &path.key("tls"), checker),
        None => Some(ClientTls::default()),
    };
    let method = raw.method.map_or(Method::Auto, |method| match method {
        raw::Method::Auto => Method::Auto,
        raw::Method::Post => Method::Post,
        raw::Method::Get => Method::Get,
    });
    let concurrency = raw.concurrency.unwrap_or(defaults::CONCURRENCY);
    Some(PrometheusSettings {
        url: url?,
        parameters,
        method,
        tls: tls?,
        auth: auth?,
        headers,
        timeout: timeout?,
        max_body_bytes,
        concurrency,
        queries_per_second: raw.queries_per_second.and_then(NonZeroU32::new),
    })
}

fn check_parameters(parameters: &BTreeMap<String, String>, path: &KeyPath, checker: &mut Checker<'_>) {
    for name in parameters.keys() {
        if OURS.contains(&name.as_str()) {
            checker.complain(&path.key(name), "is set with each request; remove it");
        } else if name.is_empty() {
            checker.complain(path, "has a parameter without a name; write it like dedup: \"true\"");
        }
    }
}

fn tls(
    raw: &raw::ClientTls,
    url: Option<&str>,
    path: &KeyPath,
    checker: &mut Checker<'_>,
) -> Option<ClientTls> {
    if url.is_some_and(|url| url.starts_with("http://")) {
        checker.complain(path, "is for https, and the url begins with http://; change one of the two");
    }
    let mut file = |key: &str, file: &Option<String>| {
        let file = file.as_deref()?;
        Some(secret_file(file, &path.key(key), checker))
    };
    let (ca, cert, key) = (file("ca", &raw.ca), file("cert", &raw.cert), file("key", &raw.key));
    let identity = match (cert, key) {
        (Some(cert), Some(key)) => Some(Identity { cert: cert?, key: key? }),
        (None, None) if ca.is_none() => {
            checker.complain_of_absence(path, "is empty; give ca, or cert and key, or remove the key");
            return None;
        }
        (None, None) => None,
        (Some(_), None) => {
            checker.complain_of_absence(path, "has a cert without its key; give both");
            return None;
        }
        (None, Some(_)) => {
            checker.complain_of_absence(path, "has a key without its cert; give both");
            return None;
        }
    };
    let ca = match ca {
        Some(ca) => Some(ca?),
        None => None,
    };
    Some(ClientTls { ca, identity })
}

/// The URL as it is written. It is never repeated in a complaint: it may hold a password.
fn url(text: &str, path: &KeyPath, checker: &mut Checker<'_>) -> Option<String> {
    let complaint = match reqwest::Url::parse(text) {
        Err(error) => {
            format!("is not a URL ({error}); write it like http://prometheus.monitoring:9090")
        }
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            "holds a user name or password; move them to auth.basic: { username, passwordFile }".to_owned()
        }
        Ok(url) if !matches!(url.scheme(), "http" | "https") || !url.has_host() => {
            "is not an http or https URL; write it like http://prometheus.monitoring:9090".to_owned()
        }
        Ok(url) if url.query().is_some() || url.fragment().is_some() => {
            "has a query or a fragment; give the base only, /api/v1/... is appended".to_owned()
        }
        Ok(_) => return Some(text.to_owned()),
    };
    checker.complain(path, complaint);
    None
}

fn auth(raw: &raw::Auth, path: &KeyPath, checker: &mut Checker<'_>) -> Option<Auth> {
    match (&raw.bearer_token_file, &raw.basic) {
        (Some(file), None) => {
            secret_file(file, &path.key("bearerTokenFile"), checker).map(Auth::BearerTokenFile)
        }
        (None, Some(basic)) => {
            let path = path.key("basic");
            let password_file = basic.password_file.as_deref();
            let password_file =
                password_file.and_then(|file| secret_file(file, &path.key("passwordFile"), checker));
            let username = basic.username.clone()?;
            if username.is_empty() || username.contains(':') {
                checker.complain(&path.key("username"), "a user name is not empty and has no colon");
                return None;
            }
            Some(Auth::Basic { username, password_file: password_file? })
        }
        (Some(_), Some(_)) => {
            checker.complain(path, "names two ways to log in; keep bearerTokenFile or basic");
            None
        }
        (None, None) => {
            checker.complain_of_absence(
                path,
                "names no way to log in; give bearerTokenFile or basic, or remove the key",
            );
            None
        }
    }
}

fn secret_file(file: &str, path: &KeyPath, checker: &mut Checker<'_>) -> Option<PathBuf> {
    if file.is_empty() || file.contains(['\n', '\0']) {
        checker.complain(path, "is not the path of a file; write it like /var/run/secrets/prometheus/token");
        return None;
    }
    Some(PathBuf::from(file))
}

fn check_headers(headers: &BTreeMap<String, String>, path: &KeyPath, checker: &mut Checker<'_>) {
    let mut seen = BTreeMap::new();
    for (name, value) in headers {
        let path = path.key(name);
        let lower = name.to_ascii_lowercase();
        if reqwest::header::HeaderName::from_bytes(name.as_bytes()).is_err() {
            checker.complain(&path, "is not a header name; write it like X-Scope-OrgID");
        } else if SECRET.contains(&lower.as_str()) {
            checker.complain(&path, "is not set here; use auth, with the secret in a file");
        } else if CONNECTION.contains(&lower.as_str()) {
            checker.complain(&path, "belongs to the connection; remove it");
        } else if !value.bytes().all(|byte| matches!(byte, b' '..=b'~')) || value.trim() != value {
            checker.complain(&path, "has a value that is not plain ASCII text without surrounding spaces");
        } else if let Some(other) = seen.insert(lower, name) {
            checker.complain(&path, format!("is the same header as {other:?}; keep one of the two"));
        }
    }
}

/// The settings as the file would write them, with nothing left out.
pub(super) fn to_raw(settings: &PrometheusSettings) -> raw::Source {
    let written = |file: &PathBuf| Some(file.to_string_lossy().into_owned());
    let auth = match &settings.auth {
        Auth::None => None,
        Auth::BearerTokenFile(file) => Some(raw::Auth { bearer_token_file: written(file), basic: None }),
        Auth::Basic { username, password_file } => {
            let basic =
                raw::Basic { username: Some(username.clone()), password_file: written(password_file) };
            Some(raw::Auth { bearer_token_file: None, basic: Some(basic) })
        }
    };
    let identity = settings.tls.identity.as_ref();
    let tls = raw::ClientTls {
        ca: settings.tls.ca.as_ref().and_then(written),
        cert: identity.and_then(|identity| written(&identity.cert)),
        key: identity.and_then(|identity| written(&identity.key)),
    };
    let prometheus = raw::Prometheus {
        url: Some(settings.url.clone()),
        parameters: Some(settings.parameters.clone()),
        method: Some(match settings.method {
            Method::Auto => raw::Method::Auto,
            Method::Post => raw::Method::Post,
            Method::Get => raw::Method::Get,
        }),
        tls: (settings.tls != ClientTls::default()).then_some(tls),
        auth,
        headers: Some(settings.headers.clone()),
        timeout: Some(duration::text(settings.timeout)),
        max_body_bytes: Some(settings.max_body_bytes),
        concurrency: Some(settings.concurrency),
        queries_per_second: settings.queries_per_second.map(NonZeroU32::get),
    };
    raw::Source { prometheus: Some(prometheus) }
}
