//! How to reach a metrics source: an address, a way to log in, and bounds.
//!
//! Secrets are named by the files that hold them, so that no configuration, log or page can show one.

use std::collections::BTreeMap;
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
    /// How to log in.
    pub auth: Auth,
    /// Headers to send with each request.
    pub headers: BTreeMap<String, String>,
    /// Patience with one request.
    pub timeout: Duration,
    /// A larger answer is refused.
    pub max_body_bytes: u64,
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
    Some(PrometheusSettings { url: url?, auth: auth?, headers, timeout: timeout?, max_body_bytes })
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
    let prometheus = raw::Prometheus {
        url: Some(settings.url.clone()),
        auth,
        headers: Some(settings.headers.clone()),
        timeout: Some(duration::text(settings.timeout)),
        max_body_bytes: Some(settings.max_body_bytes),
    };
    raw::Source { prometheus: Some(prometheus) }
}
