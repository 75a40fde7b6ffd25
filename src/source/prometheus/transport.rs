//! The HTTP client, made anew when the files of its certificates change.
//!
//! Certificates live for hours in a cluster that rotates them, a client lives for weeks. The files are looked at with the
//! calls, at most every few seconds. A rotation that is half written (a new certificate beside the old key) must not stop
//! anything: the former client goes on until a pair fits.

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::{Certificate, Client, ClientBuilder, Identity};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::Error;
use super::client::root_cause;
use super::settings::{Endpoints, Settings, Tls};

/// Files are looked at no more often. Whoever rotates certificates leaves minutes, not seconds, of overlap.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// A bundle of every public authority is a fifth of this.
const MOST_FILE_BYTES: usize = 1 << 20;

pub(super) struct Transport {
    settings: Settings,
    endpoints: Endpoints,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    client: Option<Client>,
    /// What the files held when they were last tried.
    files: Option<Files>,
    looked: Option<Instant>,
}

#[derive(Default, PartialEq)]
struct Files {
    ca: Option<Vec<u8>>,
    cert: Option<Vec<u8>>,
    key: Option<Vec<u8>>,
}

impl Transport {
    /// A transport for `settings`. Without files there is nothing to wait for, and the client is made at once.
    pub(super) fn try_new(settings: &Settings, endpoints: &Endpoints) -> Result<Self, Error> {
        let (settings, endpoints) = (settings.clone(), endpoints.clone());
        let mut transport = Self { settings, endpoints, state: Mutex::default() };
        // Headers are checked here also when the client is not made yet.
        let builder = transport.builder()?;
        if transport.settings.tls == Tls::default() {
            let client = transport.build(builder)?;
            transport.state.get_mut().client = Some(client);
        }
        Ok(transport)
    }

    /// The client for the next call.
    pub(super) async fn client(&self) -> Result<Client, Error> {
        let tls = &self.settings.tls;
        let mut state = self.state.lock().await;
        if let Some(client) = &state.client
            && (*tls == Tls::default() || state.looked.is_some_and(|looked| looked.elapsed() < LOOK_EVERY))
        {
            return Ok(client.clone());
        }
        let fresh = self.look(&mut state).await;
        match (fresh, &state.client) {
            (Ok(()), Some(client)) => Ok(client.clone()),
            (Err(error), Some(former)) => {
                let url = &self.endpoints.shown;
                tracing::warn!(url, %error, "the new certificates are of no use yet; the former ones go on");
                Ok(former.clone())
            }
            (Err(error), None) => Err(error),
            (Ok(()), None) => unreachable!("a look that succeeds leaves a client"),
        }
    }

    /// Reads the files, and makes a client of them if they hold something new.
    async fn look(&self, state: &mut State) -> Result<(), Error> {
        state.looked = Some(Instant::now());
        let Tls { ca, identity } = &self.settings.tls;
        let files = Files {
            ca: self.read(ca.as_deref()).await?,
            cert: self.read(identity.as_ref().map(|identity| identity.cert.as_path())).await?,
            key: self.read(identity.as_ref().map(|identity| identity.key.as_path())).await?,
        };
        if state.client.is_some() && state.files.as_ref() == Some(&files) {
            return Ok(());
        }
        let mut builder = self.builder()?;
        if let (Some(path), Some(pem)) = (ca, &files.ca) {
            let authorities = Certificate::from_pem_bundle(pem).ok().filter(|all| !all.is_empty());
            let authorities = authorities
                .ok_or_else(|| self.complaint(path, "holds no certificate; put the CA's there as PEM"))?;
            builder = builder.tls_certs_only(authorities);
        }
        if let (Some(paths), Some(cert), Some(key)) = (identity, &files.cert, &files.key) {
            let both = [cert.as_slice(), b"\n", key.as_slice()].concat();
            let identity = Identity::from_pem(&both).map_err(|_| {
                let problem =
                    "and the key beside it are no certificate with its private key; write both as PEM";
                self.complaint(&paths.cert, problem)
            })?;
            builder = builder.identity(identity);
        }
        let client = self.build(builder)?;
        if state.client.replace(client).is_some() {
            tracing::info!(url = self.endpoints.shown, "new certificates are in use");
        }
        state.files = Some(files);
        Ok(())
    }

    async fn read(&self, path: Option<&Path>) -> Result<Option<Vec<u8>>, Error> {
        let Some(path) = path else { return Ok(None) };
        let complaint = |problem: &str| self.complaint(path, problem);
        let bytes = tokio::fs::read(path)
            .await
            .map_err(|error| complaint(&format!("cannot be read ({error}); mount the secret there")))?;
        if bytes.len() > MOST_FILE_BYTES {
            return Err(complaint("is larger than 1 MiB, which no certificate is"));
        }
        Ok(Some(bytes))
    }

    fn builder(&self) -> Result<ClientBuilder, Error> {
        let builder = Client::builder()
            .user_agent(concat!("tidetable/", env!("CARGO_PKG_VERSION")))
            .default_headers(self.settings.header_map()?)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy();
        Ok(if self.endpoints.range.scheme() == "http" {
            // A plain-text source must not need the image to hold CA certificates.
            builder.tls_certs_only([])
        } else {
            builder
        })
    }

    fn build(&self, builder: ClientBuilder) -> Result<Client, Error> {
        let url = || self.endpoints.shown.clone();
        builder.build().map_err(|error| Error::Tls { url: url(), found: root_cause(&error) })
    }

    fn complaint(&self, path: &Path, problem: &str) -> Error {
        let (url, path) = (self.endpoints.shown.clone(), PathBuf::from(path));
        Error::Certificate { url, path, problem: problem.to_owned() }
    }
}
