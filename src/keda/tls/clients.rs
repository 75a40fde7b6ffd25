//! Whose certificates are taken: webpki says whether one is genuine and in date, the list of names says whether it is meant.
//!
//! Names are compared as a whole: a list that somebody reads in a review must not mean more than it says, so there are no
//! wildcards on either side. A certificate's common name does not count, as nowhere since RFC 6125.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, OtherError, SignatureScheme};
use webpki::EndEntityCert;

/// Names of one certificate that are shown in a log line.
const MOST_SHOWN: usize = 8;

/// A certificate that is genuine and whose names are not on the list.
#[derive(Debug, thiserror::Error)]
#[error("a certificate with the names {found:?}, of which none is in server.tls.allowedNames")]
pub(super) struct WrongName {
    found: Vec<String>,
}

/// Takes what `genuine` takes, if one of its names is allowed.
#[derive(Debug)]
pub(super) struct Named {
    genuine: Arc<dyn ClientCertVerifier>,
    allowed: Vec<String>,
}

impl Named {
    /// With no name `allowed`, every name is.
    pub(super) fn new(genuine: Arc<dyn ClientCertVerifier>, allowed: &[String]) -> Self {
        Self { genuine, allowed: allowed.to_vec() }
    }

    fn is_allowed(&self, certificate: &EndEntityCert<'_>) -> bool {
        let allowed = |same: &dyn Fn(&str) -> bool| self.allowed.iter().any(|allowed| same(allowed));
        self.allowed.is_empty()
            || certificate
                .valid_dns_names()
                .any(|name| allowed(&|allowed| allowed.eq_ignore_ascii_case(name)))
            || certificate.valid_uri_names().any(|name| allowed(&|allowed| allowed == name))
    }
}

impl ClientCertVerifier for Named {
    fn offer_client_auth(&self) -> bool {
        self.genuine.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.genuine.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.genuine.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let verified = self.genuine.verify_client_cert(end_entity, intermediates, now)?;
        let certificate = EndEntityCert::try_from(end_entity)
            .map_err(|_| rustls::Error::from(CertificateError::BadEncoding))?;
        if self.is_allowed(&certificate) {
            return Ok(verified);
        }
        let wrong = WrongName { found: names(&certificate) };
        Err(CertificateError::Other(OtherError(Arc::new(wrong))).into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.genuine.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.genuine.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.genuine.supported_verify_schemes()
    }
}

/// The names in the first certificate of a chain, for people.
pub(in crate::keda) fn names_of(chain: &[CertificateDer<'_>]) -> Vec<String> {
    let certificate = chain.first().and_then(|first| EndEntityCert::try_from(first).ok());
    certificate.as_ref().map(names).unwrap_or_default()
}

fn names(certificate: &EndEntityCert<'_>) -> Vec<String> {
    let names = certificate.valid_dns_names().chain(certificate.valid_uri_names());
    names.take(MOST_SHOWN).map(|name| name.chars().take(253).collect()).collect()
}
