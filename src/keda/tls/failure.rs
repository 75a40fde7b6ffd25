//! What went wrong in a handshake, as one of the reasons for which a connection is refused.

use std::io;

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible};

use super::clients::WrongName;
use crate::keda::edge::Refusal;

/// Why the handshake that ended with `error` was refused, and what was found; `None` when the peer just went away.
pub(in crate::keda) fn refusal(error: &io::Error) -> Option<(Refusal, String)> {
    let error = error.get_ref()?.downcast_ref::<Error>()?;
    let refusal = match error {
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => Refusal::Plaintext,
        Error::PeerIncompatible(
            PeerIncompatible::SupportedVersionsExtensionRequired
            | PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled
            | PeerIncompatible::ServerDoesNotSupportTls12Or13
            // Came with TLS 1.2, and rustls looks for it before it looks at the version.
            | PeerIncompatible::SignatureAlgorithmsExtensionRequired,
        )
        | Error::InvalidMessage(InvalidMessage::UnknownProtocolVersion) => Refusal::TlsVersion,
        Error::NoApplicationProtocol => Refusal::NotHttp2,
        Error::NoCertificatesPresented => Refusal::NoCertificate,
        Error::InvalidCertificate(certificate) => return Some(of_certificate(certificate)),
        // The peer ended it: because of our certificate, or for a reason of its own.
        Error::AlertReceived(
            AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA,
        ) => Refusal::Distrusted,
        Error::AlertReceived(AlertDescription::CloseNotify | AlertDescription::UserCanceled) => return None,
        _ => Refusal::Handshake,
    };
    Some((refusal, error.to_string()))
}

fn of_certificate(error: &CertificateError) -> (Refusal, String) {
    let refusal = match error {
        // A stranger that borrowed the authority's name has its signature wrong.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => Refusal::UnknownCa,
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => Refusal::Expired,
        CertificateError::Other(other) if other.0.is::<WrongName>() => {
            return (Refusal::WrongName, other.0.to_string());
        }
        _ => Refusal::BadCertificate,
    };
    (refusal, error.to_string())
}
