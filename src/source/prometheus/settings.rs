//! What the operator says about a Prometheus server, and its check.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};

use super::Error;

/// Where a server is and how it is to be asked.
#[derive(Clone, PartialEq, Eq)]
pub struct Settings {
    /// Its address, with a path prefix if it has one (`http://mimir/prometheus`).
    pub url: String,
    /// Parameters that every call carries: `dedup`, `partial_response` and `max_source_resolution` for Thanos, `nocache`
    /// for `VictoriaMetrics`.
    pub parameters: BTreeMap<String, String>,
    /// How a question is sent.
    pub method: Method,
    /// Whom to trust and what to show, on `https`.
    pub tls: Tls,
    /// Who we say we are.
    pub auth: Auth,
    /// Headers of every call, such as `X-Scope-OrgID`.
    pub headers: Vec<(String, String)>,
    /// The most time that one call may take, its tries together.
    pub timeout: Duration,
    /// The most bytes that one answer may have.
    pub max_body_bytes: usize,
    /// The most calls in flight.
    pub concurrency: usize,
    /// The most calls begun in a second, or as many as there are.
    pub queries_per_second: Option<NonZeroU32>,
}

/// How a question is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Method {
    /// As a form, however long the query; from then on as `Get` if the server allows no POST.
    #[default]
    Auto,
    /// As a form.
    Post,
    /// In the address, which some proxies cut at 8 KiB.
    Get,
}

/// Certificates and keys, which stay in files and are read again when those change.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tls {
    /// The only authorities that are trusted, as PEM; those of the system when there is no file.
    pub ca: Option<PathBuf>,
    /// What is shown to a server that asks.
    pub identity: Option<Identity>,
}

/// A client certificate with its chain, and its key, as PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The certificate and those between it and the authority.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Parameters that are part of the question itself.
const OURS: [&str; 6] = ["query", "time", "start", "end", "step", "timeout"];

/// Who we say we are. Secrets stay in files and are read on each call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    /// Nobody.
    None,
    /// `Authorization: Bearer`, with the content of a file.
    BearerTokenFile(PathBuf),
    /// `Authorization: Basic`.
    Basic {
        /// The name.
        username: String,
        /// The file that holds the password.
        password_file: PathBuf,
    },
}

impl Settings {
    /// A server without credentials, with bounds that suit one: 30 s (Prometheus gives up after 2 min, and an answer that
    /// takes longer than this comes too late to act on), 16 MiB (10,000 points take 0.3) and 16 calls at a time
    /// (Prometheus runs 20 queries at once by default, and dashboards want some).
    pub fn for_url(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            parameters: BTreeMap::new(),
            method: Method::Auto,
            tls: Tls::default(),
            auth: Auth::None,
            headers: Vec::new(),
            timeout: Duration::from_secs(30),
            max_body_bytes: 16 << 20,
            concurrency: 16,
            queries_per_second: None,
        }
    }

    /// The headers of every call.
    pub(super) fn header_map(&self) -> Result<HeaderMap, Error> {
        let complaint = |name: &str, problem| Error::Header { name: name.to_owned(), problem };
        let mut headers = HeaderMap::new();
        for (name, content) in &self.headers {
            let parsed = HeaderName::try_from(name.as_str())
                .map_err(|_| complaint(name, "is not a header name; use letters, digits and dashes"))?;
            if parsed == AUTHORIZATION {
                return Err(complaint(
                    name,
                    "would put a secret into the configuration; use the source's auth",
                ));
            }
            let mut content = HeaderValue::try_from(content.as_str()).map_err(|_| {
                complaint(name, "has content that a header cannot carry; use one line of ASCII")
            })?;
            content.set_sensitive(true);
            headers.append(parsed, content);
        }
        Ok(headers)
    }
}

impl fmt::Debug for Settings {
    /// Everything but the contents of headers, of parameters and the url's query string, which may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("url", &without_secrets(&self.url))
            .field("parameters", &self.parameters.keys().collect::<Vec<_>>())
            .field("method", &self.method)
            .field("tls", &self.tls)
            .field("auth", &self.auth)
            .field("headers", &self.headers.iter().map(|(name, _)| name).collect::<Vec<_>>())
            .field("timeout", &self.timeout)
            .field("max_body_bytes", &self.max_body_bytes)
            .field("concurrency", &self.concurrency)
            .field("queries_per_second", &self.queries_per_second)
            .finish()
    }
}

/// The two addresses that are called, and the one that is shown.
#[derive(Debug, Clone)]
pub(super) struct Endpoints {
    pub(super) range: Url,
    pub(super) instant: Url,
    pub(super) shown: String,
}

impl Endpoints {
    /// Checks an address, and puts the API's paths behind its prefix and the parameters behind those.
    pub(super) fn try_new(address: &str, parameters: &BTreeMap<String, String>) -> Result<Self, Error> {
        let shown = without_secrets(address);
        let complaint = |problem| Err(Error::Url { url: shown.clone(), problem });
        let Ok(url) = Url::parse(address) else {
            return complaint("is not a url; write it like http://prometheus.monitoring:9090");
        };
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
            return complaint("must begin with http:// or https:// and name a host");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return complaint(
                "carries a user or password; use the source's auth, which reads it from a file",
            );
        }
        if url.path().contains("/api/v1") {
            return complaint("names the API itself; give only what stands before /api/v1");
        }
        if let Some(name) = parameters.keys().find(|name| OURS.contains(&name.as_str())) {
            return Err(Error::Parameter { name: name.clone() });
        }
        let prefix = url.path().trim_end_matches('/').to_owned();
        let endpoint = |name: &str| {
            let mut endpoint = url.clone();
            endpoint.set_path(&format!("{prefix}/api/v1/{name}"));
            endpoint.set_fragment(None);
            if !parameters.is_empty() {
                endpoint.query_pairs_mut().extend_pairs(parameters);
            }
            endpoint
        };
        Ok(Self { range: endpoint("query_range"), instant: endpoint("query"), shown })
    }
}

/// An address as it may be shown: without user, password, query string and fragment. All before the last `@` goes, even
/// if it stands in the path: of an address that is no url, nobody can say where the password ends.
pub(super) fn without_secrets(address: &str) -> String {
    let address = address.split(['?', '#']).next().unwrap_or_default();
    let (scheme, rest) = address.split_once("://").unwrap_or(("", address));
    let rest = rest.rsplit_once('@').map_or(rest, |(_, host)| host).trim_end_matches('/');
    if scheme.is_empty() { rest.to_owned() } else { format!("{scheme}://{rest}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoints(address: &str) -> Result<Endpoints, Error> {
        Endpoints::try_new(address, &BTreeMap::new())
    }

    #[test]
    fn the_api_stands_behind_the_prefix_and_before_the_parameters() {
        let parameters = [("dedup", "true"), ("match", "a b&c")];
        let parameters = parameters.map(|(name, content)| (name.to_owned(), content.to_owned())).into();
        let endpoints = Endpoints::try_new("https://thanos:10902/team/a/", &parameters).unwrap();
        let range = "https://thanos:10902/team/a/api/v1/query_range?dedup=true&match=a+b%26c";
        assert_eq!(endpoints.range.as_str(), range);
        assert_eq!(endpoints.instant.path(), "/team/a/api/v1/query");
        assert_eq!(endpoints.shown, "https://thanos:10902/team/a");
    }

    #[test]
    fn the_prefix_of_every_kind_of_server_is_kept() {
        for (address, path) in [
            ("http://prometheus:9090", "/api/v1/query"),
            ("http://thanos-query:9090/", "/api/v1/query"),
            ("http://mimir/prometheus", "/prometheus/api/v1/query"),
            ("http://vmselect:8481/select/0/prometheus", "/select/0/prometheus/api/v1/query"),
            (
                "https://monitoring.googleapis.com/v1/projects/pay/location/global/prometheus",
                "/v1/projects/pay/location/global/prometheus/api/v1/query",
            ),
        ] {
            let endpoints = endpoints(address).unwrap();
            assert_eq!(endpoints.instant.path(), path);
            assert_eq!(endpoints.instant.query(), None);
            assert_eq!(endpoints.range.path(), format!("{path}_range"));
        }
    }

    #[test]
    fn an_address_that_cannot_work_is_refused_with_a_remedy() {
        for (address, remedy) in [
            ("prometheus:9090", "must begin with http://"),
            ("prometheus", "write it like http://"),
            ("file:///etc/passwd", "must begin with http://"),
            ("http://pay:s3cret@prometheus", "use the source's auth"),
            ("http://prometheus/api/v1", "before /api/v1"),
        ] {
            let message = endpoints(address).unwrap_err().to_string();
            assert!(message.contains(remedy), "{address}: {message}");
            assert!(!message.contains("s3cret"), "{message}");
        }
        let ours = [("step".to_owned(), "1s".to_owned())].into();
        let message = Endpoints::try_new("http://prometheus", &ours).unwrap_err().to_string();
        assert_eq!(message, r#"parameter "step" is set with each call; remove it"#);
    }

    #[test]
    fn no_secret_is_shown() {
        assert_eq!(without_secrets("http://a:b@c@host:1/p/?token=t#f"), "http://host:1/p");
        assert_eq!(without_secrets("a:b@host:1"), "host:1");
        let mut settings = Settings::for_url("http://a:s3cret@host/?token=s3cret");
        settings.headers = vec![("X-Api-Key".to_owned(), "s3cret".to_owned())];
        settings.parameters = [("token".to_owned(), "s3cret".to_owned())].into();
        let shown = format!("{settings:?}");
        assert!(!shown.contains("s3cret") && shown.contains("X-Api-Key"), "{shown}");
    }

    #[test]
    fn headers_are_checked_when_the_source_is_made() {
        for (name, content, remedy) in [
            ("X Scope", "pay", "not a header name"),
            ("X-Scope-OrgID", "pay\n", "one line of ASCII"),
            ("authorization", "Bearer s3cret", "use the source's auth"),
        ] {
            let mut settings = Settings::for_url("http://host");
            settings.headers = vec![(name.to_owned(), content.to_owned())];
            let message = settings.header_map().unwrap_err().to_string();
            assert!(message.contains(remedy), "{message}");
            assert!(!message.contains("s3cret"), "{message}");
        }
    }
}
