//! Why a connection was turned away: a closed set of reasons, each counted always and logged once a minute at most.
//!
//! A peer that cannot connect retries, and a port scanner never tires; the log must survive both. The first refusal of a
//! reason is logged at once with what was found and what to do, later ones of the same minute are counted in the next line.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use tokio::time::Instant;
use tracing::warn;

/// Between two lines of the same reason.
const QUIET: Duration = Duration::from_secs(60);

/// Why a connection was turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::keda) enum Refusal {
    /// All places are taken.
    TooMany,
    /// The greeting was not finished in time, or others needed the place.
    Silent,
    /// No TLS where TLS is due.
    Plaintext,
    /// TLS where none is spoken.
    TlsToPlaintext,
    /// The first words are not those of HTTP/2.
    NotHttp2,
    /// A version of TLS before 1.2.
    TlsVersion,
    /// No certificate where one is due.
    NoCertificate,
    /// A certificate of an authority that is not in the client CA file.
    UnknownCa,
    /// A certificate that is no longer valid, or not yet.
    Expired,
    /// A certificate without any of the allowed names.
    WrongName,
    /// A certificate that is wrong in another way.
    BadCertificate,
    /// The peer did not like our certificate.
    Distrusted,
    /// The handshake failed in another way.
    Handshake,
}

impl Refusal {
    /// All of them, in the order of their declaration.
    const ALL: [Self; 13] = [
        Self::TooMany,
        Self::Silent,
        Self::Plaintext,
        Self::TlsToPlaintext,
        Self::NotHttp2,
        Self::TlsVersion,
        Self::NoCertificate,
        Self::UnknownCa,
        Self::Expired,
        Self::WrongName,
        Self::BadCertificate,
        Self::Distrusted,
        Self::Handshake,
    ];

    /// Its name as a label.
    fn reason(self) -> &'static str {
        match self {
            Self::TooMany => "too_many",
            Self::Silent => "silent",
            Self::Plaintext => "plaintext",
            Self::TlsToPlaintext => "tls_to_plaintext",
            Self::NotHttp2 => "not_http2",
            Self::TlsVersion => "tls_version",
            Self::NoCertificate => "no_certificate",
            Self::UnknownCa => "unknown_ca",
            Self::Expired => "expired",
            Self::WrongName => "wrong_name",
            Self::BadCertificate => "bad_certificate",
            Self::Distrusted => "distrusted",
            Self::Handshake => "handshake",
        }
    }

    /// What an operator can do about it.
    fn remedy(self) -> &'static str {
        match self {
            Self::TooMany => "see who opens so many; KEDA needs one for each set of credentials",
            Self::Silent => "a gRPC client speaks first; see who connects and does not",
            Self::Plaintext => "set enableTLS: \"true\" in the trigger's metadata",
            Self::TlsToPlaintext => {
                "set server.tls, or remove enableTLS and the certificates from the trigger"
            }
            Self::NotHttp2 => "this port speaks gRPC; pages, metrics and health are at server.http",
            Self::TlsVersion => "the client must speak TLS 1.2 or newer",
            Self::NoCertificate => {
                "give tlsClientCert and tlsClientKey in the trigger's TriggerAuthentication"
            }
            Self::UnknownCa => {
                "add the issuer to the file server.tls.clientCa, or have the client use another certificate"
            }
            Self::Expired => "renew the client's certificate, and see whether both clocks are right",
            Self::WrongName => {
                "add one of the found names to server.tls.allowedNames, if this client is welcome"
            }
            Self::BadCertificate => "have the client's certificate issued for client authentication",
            Self::Distrusted => {
                "the client must trust the issuer of server.tls.cert (caCert), which must hold the host of scalerAddress as a name"
            }
            Self::Handshake => "see what the client offers",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

/// What one reason has said so far.
#[derive(Debug, Clone, Copy, Default)]
struct Said {
    last: Option<Instant>,
    unsaid: u64,
}

/// Counts and logs refusals; clones share both.
#[derive(Debug, Clone)]
pub(in crate::keda) struct Refusals {
    counted: Family<Reason, Counter>,
    said: Arc<Mutex<[Said; Refusal::ALL.len()]>>,
}

impl Default for Refusals {
    fn default() -> Self {
        let counted = Family::default();
        for refusal in Refusal::ALL {
            // The first refusal is an increase only if there was a 0 before it.
            drop(counted.get_or_create(&Reason { reason: refusal.reason() }));
        }
        Self { counted, said: Arc::default() }
    }
}

impl Refusals {
    /// The counter, to be registered.
    pub(in crate::keda) fn counter(&self) -> impl prometheus_client::registry::Metric + use<> {
        self.counted.clone()
    }

    /// Notes that `peer` was turned away; `found` is what was seen of it.
    pub(in crate::keda) fn note(&self, refusal: Refusal, peer: &str, found: &str) {
        let reason = refusal.reason();
        self.counted.get_or_create(&Reason { reason }).inc();
        if let Some(unsaid) = self.due(refusal) {
            let remedy = refusal.remedy();
            warn!(reason, peer, found, unsaid, remedy, "a connection was refused");
        }
    }

    /// How many went without a line since the last one, if it is time for another.
    fn due(&self, refusal: Refusal) -> Option<u64> {
        let now = Instant::now();
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let said = &mut said[refusal as usize];
        if said.last.is_some_and(|last| now - last < QUIET) {
            said.unsaid += 1;
            return None;
        }
        said.last = Some(now);
        Some(std::mem::take(&mut said.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_reason_has_a_line_a_minute_and_the_next_line_says_how_many_had_none() {
        let refusals = Refusals::default();
        assert_eq!(refusals.due(Refusal::Silent), Some(0));
        assert_eq!(refusals.due(Refusal::Silent), None);
        assert_eq!(refusals.due(Refusal::Handshake), Some(0), "another reason");
        tokio::time::advance(Duration::from_secs(59)).await;
        assert_eq!(refusals.due(Refusal::Silent), None);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(refusals.due(Refusal::Silent), Some(2));
    }

    #[test]
    fn every_reason_stands_at_its_own_place() {
        for (index, refusal) in Refusal::ALL.into_iter().enumerate() {
            assert_eq!(refusal as usize, index);
        }
    }
}
