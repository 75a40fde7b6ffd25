//! What the operator says about a Prometheus server, and its check.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};

use super::Error;

/// Where a server is and how it is to be asked.
#[derive(Clone, PartialEq, Eq)]
pub struct Settings {
    /// Its address, with a path prefix if it has one (`http://mimir/prometheus`). Parameters that every call shall carry
    /// go behind a `?`: `dedup=true&partial_response=false` for Thanos, `nocache=1` for `VictoriaMetrics`.
    pub url: String,
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
}

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
    /// takes longer than this comes too late to act on), 16 MiB (10,000 points take 0.3) and 8 calls at a time
    /// (Prometheus runs 20 queries at once by default, and dashboards want some).
    pub fn for_url(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            auth: Auth::None,
            headers: Vec::new(),
            timeout: Duration::from_secs(30),
            max_body_bytes: 16 << 20,
            concurrency: 8,
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
    /// Everything but the contents of headers and the url's query string, which may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("url", &without_secrets(&self.url))
            .field("auth", &self.auth)
            .field("headers", &self.headers.iter().map(|(name, _)| name).collect::<Vec<_>>())
            .field("timeout", &self.timeout)
            .field("max_body_bytes", &self.max_body_bytes)
            .field("concurrency", &self.concurrency)
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
    /// Checks an address and puts the API's paths behind its prefix.
    pub(super) fn try_new(address: &str) -> Result<Self, Error> {
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
        let prefix = url.path().trim_end_matches('/').to_owned();
        let endpoint = |name: &str| {
            let mut endpoint = url.clone();
            endpoint.set_path(&format!("{prefix}/api/v1/{name}"));
            endpoint.set_fragment(None);
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

    #[test]
    fn the_api_stands_behind_the_prefix_and_before_the_parameters() {
        let endpoints = Endpoints::try_new("https://thanos:10902/team/a/?dedup=true").unwrap();
        assert_eq!(endpoints.range.as_str(), "https://thanos:10902/team/a/api/v1/query_range?dedup=true");
        assert_eq!(endpoints.instant.as_str(), "https://thanos:10902/team/a/api/v1/query?dedup=true");
        assert_eq!(endpoints.shown, "https://thanos:10902/team/a");
        assert_eq!(Endpoints::try_new("http://prometheus:9090").unwrap().instant.path(), "/api/v1/query");
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
            let message = Endpoints::try_new(address).unwrap_err().to_string();
            assert!(message.contains(remedy), "{address}: {message}");
            assert!(!message.contains("s3cret"), "{message}");
        }
    }

    #[test]
    fn no_secret_is_shown() {
        assert_eq!(without_secrets("http://a:b@c@host:1/p/?token=t#f"), "http://host:1/p");
        assert_eq!(without_secrets("a:b@host:1"), "host:1");
        let mut settings = Settings::for_url("http://a:s3cret@host/?token=s3cret");
        settings.headers = vec![("X-Api-Key".to_owned(), "s3cret".to_owned())];
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
