//! Who gets in and who does not, and that each refusal is counted under its reason and hurts nobody else.

use std::sync::Arc;
use std::time::Duration;

use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, HandshakeKind};
use tidetable::keda::Limits;
use tidetable::keda::tls::Keeper;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::certificates::{Authority, END_SECONDS, Mounted, Pair};
use crate::peers::{Running, TARGET, activity, ask, start, within};
use crate::stage::{decision, nine};

const OPERATOR: &str = "keda-operator.keda.svc";
const SPIFFE: &str = "spiffe://cluster.local/ns/keda/sa/keda-operator";

/// What a client reads after its handshake, which in TLS 1.3 is where a refused one learns of it.
async fn told(server: &Running, tls: &Arc<ClientConfig>) -> String {
    let mut stream = match server.handshake(tls).await {
        Ok(stream) => stream,
        Err(error) => return error.to_string(),
    };
    let _ = stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
    let mut read = Vec::new();
    match within(stream.read_to_end(&mut read)).await {
        Ok(_) => "closed".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn polls_and_streams_go_over_tls_1_2_and_1_3() {
    let authority = Authority::new("ours");
    let mounted = Mounted::new(&authority.server(), None);
    let server = start(Some(mounted.settings()), Limits::default()).await;
    for version in [&TLS12, &TLS13] {
        let mut client = server.client(Some(&authority.trusted_with(None, &[version]))).await;
        assert_eq!(ask(&mut client).await.unwrap(), 34);
        let mut stream = activity(&mut client).await;
        server.board.publish(decision(TARGET, nine(), Some(0)));
        assert!(!within(stream.message()).await.unwrap().unwrap().result);
        server.board.publish(decision(TARGET, nine(), Some(34)));
    }
    assert_eq!(server.scraped("tls_certificate_expiry_timestamp_seconds"), Some(END_SECONDS));
    server.end().await;
}

#[tokio::test]
async fn no_session_is_resumed_so_every_certificate_is_looked_at() {
    let authority = Authority::new("ours");
    let mounted = Mounted::new(&authority.server(), Some(&authority.pem));
    let server = start(Some(mounted.mutual(&[])), Limits::default()).await;
    for version in [&TLS12, &TLS13] {
        let tls = authority.trusted_with(Some(&authority.client(&[])), &[version]);
        for _ in 0..2 {
            let mut stream = server.handshake(&tls).await.unwrap();
            assert_eq!(stream.get_ref().1.handshake_kind(), Some(HandshakeKind::Full));
            // HTTP/2 answers, and a ticket would have come before that.
            stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
            within(stream.read_exact(&mut [0; 9])).await.unwrap();
        }
    }
    server.end().await;
}

#[tokio::test]
async fn without_tls_there_is_no_certificate_to_watch() {
    let server = start(None, Limits::default()).await;
    assert_eq!(ask(&mut server.client(None).await).await.unwrap(), 34);
    assert_eq!(server.scraped("tls_certificate_expiry_timestamp_seconds"), None);
    assert_eq!(server.scraped("open_connections"), Some(1));
    server.end().await;
}

#[tokio::test]
async fn a_client_with_an_allowed_name_gets_in() {
    let authority = Authority::new("ours");
    let mounted = Mounted::new(&authority.server(), Some(&authority.pem));
    let server = start(Some(mounted.mutual(&[OPERATOR, SPIFFE])), Limits::default()).await;
    for names in [&[OPERATOR][..], &["other.svc", OPERATOR], &["Keda-Operator.keda.svc"], &[SPIFFE]] {
        for version in [&TLS12, &TLS13] {
            let tls = authority.trusted_with(Some(&authority.client(names)), &[version]);
            assert_eq!(ask(&mut server.client(Some(&tls)).await).await.unwrap(), 34, "{names:?}");
        }
    }
    server.end().await;
}

#[tokio::test]
async fn without_a_list_of_names_every_certificate_of_the_authorities_is_taken() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let bundle = format!("{}\n# the other one\n{}", theirs.pem, ours.pem);
    let mounted = Mounted::new(&ours.server(), Some(&bundle));
    let server = start(Some(mounted.mutual(&[])), Limits::default()).await;
    for issuer in [&ours, &theirs] {
        let tls = ours.trusted(Some(&issuer.client(&[])));
        assert_eq!(ask(&mut server.client(Some(&tls)).await).await.unwrap(), 34);
    }
    assert_eq!(told(&server, &ours.trusted(None)).await, "received fatal alert: CertificateRequired");
    server.end().await;
}

#[tokio::test]
async fn each_wrong_client_is_refused_counted_and_told_why() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let namesake = Authority::new("ours");
    let mounted = Mounted::new(&ours.server(), Some(&ours.pem));
    let server = start(Some(mounted.mutual(&[OPERATOR, SPIFFE])), Limits::default()).await;
    let good = ours.trusted(Some(&ours.client(&[OPERATOR])));
    let mut client = server.client(Some(&good)).await;

    let wildcard = ours.client(&["*.keda.svc"]);
    let longer = ours.client(&[&format!("{SPIFFE}-2")]);
    let cases = [
        (None, "no_certificate", "CertificateRequired"),
        (Some(theirs.client(&[OPERATOR])), "unknown_ca", "UnknownCA"),
        (Some(namesake.client(&[OPERATOR])), "unknown_ca", "DecryptError"),
        (Some(ours.client_between(&[OPERATOR], 2000, 2001)), "expired", "CertificateExpired"),
        (Some(ours.client_between(&[OPERATOR], 2098, 2099)), "expired", "CertificateExpired"),
        (Some(ours.client(&["prometheus.monitoring.svc"])), "wrong_name", "CertificateUnknown"),
        (Some(wildcard), "wrong_name", "CertificateUnknown"),
        (Some(longer), "wrong_name", "CertificateUnknown"),
        (Some(ours.client(&[])), "wrong_name", "CertificateUnknown"),
        (Some(ours.server()), "bad_certificate", "UnsupportedCertificate"),
    ];
    for (own, reason, alert) in cases {
        let before = server.refused(reason);
        for (version, count) in [(&TLS12, 1), (&TLS13, 2)] {
            let words = told(&server, &ours.trusted_with(own.as_ref(), &[version])).await;
            if own.is_some() || version.version == rustls::ProtocolVersion::TLSv1_3 {
                assert!(words.contains(alert), "{reason}: {words}");
            }
            server.until(reason, |server| server.refused(reason) == before + count).await;
        }
        assert_eq!(ask(&mut client).await.unwrap(), 34, "the others notice nothing");
    }
    server.end().await;
}

#[tokio::test]
async fn a_client_that_does_not_trust_us_is_counted() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let mounted = Mounted::new(&ours.server(), None);
    let server = start(Some(mounted.settings()), Limits::default()).await;
    assert!(told(&server, &theirs.trusted(None)).await.contains("UnknownIssuer"));
    server.until("distrusted", |server| server.refused("distrusted") == 1).await;
    server.end().await;
}

#[tokio::test]
async fn plaintext_to_tls_and_tls_to_plaintext_are_told_apart() {
    let authority = Authority::new("ours");
    let mounted = Mounted::new(&authority.server(), None);
    let server = start(Some(mounted.settings()), Limits::default()).await;
    assert!(ask_fails(&server, None).await);
    server.until("plaintext", |server| server.refused("plaintext") >= 1).await;
    server.end().await;

    let server = start(None, Limits::default()).await;
    assert!(ask_fails(&server, Some(&authority.trusted(None))).await);
    server.until("TLS to plaintext", |server| server.refused("tls_to_plaintext") >= 1).await;

    let mut browser = server.connect().await;
    browser.write_all(b"GET / HTTP/1.1\r\nHost: tidetable\r\n\r\n").await.unwrap();
    assert_eq!(within(browser.read(&mut [0])).await.unwrap(), 0, "closed, and at once");
    server.until("a browser", |server| server.refused("not_http2") == 1).await;

    // A probe of the port connects, says nothing and goes.
    drop(server.connect().await);
    assert_eq!(ask(&mut server.client(None).await).await.unwrap(), 34);
    assert_eq!(server.refused("silent"), 0);
    server.end().await;
}

async fn ask_fails(server: &Running, tls: Option<&Arc<ClientConfig>>) -> bool {
    match server.try_client(tls).await {
        Ok(mut client) => ask(&mut client).await.is_err(),
        Err(_) => true,
    }
}

/// A `ClientHello` that offers this version and none above, with these extensions.
fn client_hello(version: [u8; 2], extensions: &[u8]) -> Vec<u8> {
    let mut hello = version.to_vec();
    hello.extend([7; 32]);
    // No session; three suites that TLS 1.0 to 1.2 know; no compression.
    hello.extend([0, 0, 6, 0xc0, 0x13, 0xc0, 0x2f, 0xc0, 0x2b, 1, 0, 0]);
    hello.push(u8::try_from(extensions.len()).unwrap());
    hello.extend(extensions);
    let length = u8::try_from(hello.len()).unwrap();
    let mut record = vec![22, 3, 1, 0, length + 4, 1, 0, 0, length];
    record.extend(hello);
    record
}

#[tokio::test]
async fn versions_of_tls_before_1_2_are_refused() {
    let authority = Authority::new("ours");
    let mounted = Mounted::new(&authority.server(), None);
    let server = start(Some(mounted.settings()), Limits::default()).await;
    let (x25519, rsa_sha256) = ([0, 10, 0, 4, 0, 2, 0, 29], [0, 13, 0, 4, 0, 2, 4, 1]);
    // One that knows of signature algorithms, as TLS 1.2 does, is told which version is due; OpenSSL's 1.1 does not.
    let (told, untold) = (70, 40);
    let cases = [([3, 1], told), ([3, 2], told), ([3, 1], untold), ([3, 2], untold)];
    for (count, (version, alert)) in (1..).zip(cases) {
        let extensions = if alert == told { [x25519, rsa_sha256].concat() } else { x25519.to_vec() };
        let mut old = server.connect().await;
        old.write_all(&client_hello(version, &extensions)).await.unwrap();
        let mut read = Vec::new();
        within(old.read_to_end(&mut read)).await.unwrap();
        assert_eq!((read[0], &read[5..]), (21, &[2, alert][..]), "a fatal alert");
        server.until("an old version", |server| server.refused("tls_version") == count).await;
    }
    server.end().await;
}

#[tokio::test]
async fn a_client_of_another_protocol_is_refused_in_its_handshake() {
    let authority = Authority::new("ours");
    let mounted = Mounted::new(&authority.server(), None);
    let server = start(Some(mounted.settings()), Limits::default()).await;
    let mut browser = ClientConfig::clone(&authority.trusted(None));
    browser.alpn_protocols = vec![b"http/1.1".to_vec()];
    let words = told(&server, &Arc::new(browser)).await;
    assert!(words.contains("NoApplicationProtocol"), "{words}");
    server.until("a browser", |server| server.refused("not_http2") == 1).await;
    server.end().await;
}

#[tokio::test]
async fn a_handshake_that_stops_is_ended() {
    let authority = Authority::new("ours");
    let mounted = Mounted::new(&authority.server(), None);
    let limits = Limits { greeting_within: Duration::from_millis(200), ..Limits::default() };
    let server = start(Some(mounted.settings()), limits).await;
    let (mut silent, mut half) = (server.connect().await, server.connect().await);
    half.write_all(&client_hello([3, 3], &[])[..20]).await.unwrap();
    let mut shaken = server.handshake(&authority.trusted(None)).await.unwrap();
    for peer in [&mut silent, &mut half] {
        assert_eq!(within(peer.read(&mut [0])).await.unwrap(), 0);
    }
    let _ = within(shaken.read(&mut [0])).await;
    server.until("three silent peers", |server| server.refused("silent") == 3).await;
    server.until("no place is held", |server| server.scraped("open_connections") == Some(0)).await;
    server.end().await;
}

#[tokio::test]
async fn files_that_cannot_be_served_with_are_named_at_start() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let (pair, other) = (ours.server(), theirs.server());
    let mounted = Mounted::new(&pair, Some(&ours.pem));
    let said = |settings| {
        let error = Keeper::try_new(settings).expect_err("a mistake");
        std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source())
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(": ")
    };
    let check = |pair: &Pair, ca: &str, words: &[&str]| {
        let mounted = Mounted::new(pair, Some(ca));
        let said = said(mounted.mutual(&[]));
        for word in words {
            assert!(said.contains(word), "{word:?} is not in: {said}");
        }
    };
    let with = |cert: &str, key: &str| Pair { cert: cert.into(), key: key.into() };
    check(&with(&pair.cert, &other.key), &ours.pem, &["tls.crt and the key in", "cannot be served with"]);
    check(&with("", &pair.key), &ours.pem, &["tls.crt holds no certificate in PEM"]);
    check(&with(&pair.key, &pair.key), &ours.pem, &["tls.crt holds no certificate"]);
    check(&with(&pair.cert, &pair.cert), &ours.pem, &["tls.key holds no private key"]);
    check(&pair, "", &["ca.crt holds no certificate in PEM"]);
    check(&pair, &ours.pem.replace("MII", "?II"), &["ca.crt holds no certificate", "damaged"]);
    let mut settings = mounted.settings();
    settings.cert = mounted.path("nowhere.crt");
    assert!(said(settings).contains("nowhere.crt; is the Secret mounted there"));
}
