//! New files under load: nothing that is open notices, what comes next is served with them, and bad ones are not used.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tidetable::keda::Limits;
use tidetable::keda::tls::Settings;

use crate::certificates::{Authority, Mounted, Pair};
use crate::peers::{Dial, Running, TARGET, activity, ask, start, within};
use crate::stage::{decision, nine};

/// Whether a new connection is shown `pair`.
async fn is_shown(server: &Running, tls: &Arc<ClientConfig>, pair: &Pair) -> bool {
    let stream = server.handshake(tls).await.unwrap();
    let shown = stream.get_ref().1.peer_certificates().unwrap();
    shown[0] == CertificateDer::from_pem_slice(pair.cert.as_bytes()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_rotations_under_load_cost_no_call_and_no_stream() {
    let authority = Authority::new("ours");
    let first = authority.server();
    let mut mounted = Mounted::new(&first, Some(&authority.pem));
    let server = start(Some(mounted.mutual(&["keda-operator.keda.svc"])), Limits::default()).await;
    let tls = authority.trusted(Some(&authority.client(&["keda-operator.keda.svc"])));
    let mut kept = server.client(Some(&tls)).await;
    let mut stream = activity(&mut kept).await;
    assert!(is_shown(&server, &tls, &first).await);

    // 500 calls: four of five on the connection that was there before, one on a connection of its own.
    let mut calls = tokio::spawn({
        let (address, tls) = (server.address, Arc::clone(&tls));
        async move {
            for index in 0..500 {
                if index % 5 == 0 {
                    let mut fresh = Dial::Tcp(address, Some(Arc::clone(&tls))).client().await.unwrap();
                    assert_eq!(ask(&mut fresh).await.unwrap(), 34, "call {index}, on a new connection");
                } else {
                    assert_eq!(ask(&mut kept).await.unwrap(), 34, "call {index}");
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            kept
        }
    });
    let mut during = 0;
    for rotation in 1..=5 {
        let renewed = authority.server();
        mounted.swap(&renewed, Some(&authority.pem));
        server.until("a new certificate", |server| server.reloads("renewed") == rotation).await;
        assert!(is_shown(&server, &tls, &renewed).await);
        during += u32::from(!calls.is_finished());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(during, 5, "the calls ended before the rotations did");
    let mut kept = within(&mut calls).await.unwrap();
    assert_eq!(ask(&mut kept).await.unwrap(), 34);

    server.board.publish(decision(TARGET, nine(), Some(0)));
    let pushed = within(stream.message()).await.unwrap().unwrap();
    assert!(!pushed.result, "the stream of before the first rotation lives");
    assert_eq!(server.reloads("failed"), 0);
    server.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_are_being_changed_are_never_read_as_a_mixture() {
    let authority = Authority::new("ours");
    let pairs: Vec<_> = (0..20).map(|_| authority.server()).collect();
    let mut mounted = Mounted::new(&pairs[0], None);
    let settings = Settings { check_every: Duration::from_micros(100), ..mounted.settings() };
    let server = start(Some(settings), Limits::default()).await;
    for index in 1..=400 {
        mounted.swap(&pairs[index % pairs.len()], None);
        tokio::task::yield_now().await;
    }
    let tls = authority.trusted(None);
    server.until("the last of them", |server| server.reloads("renewed") >= 1).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(is_shown(&server, &tls, &pairs[0]).await, "400 is a multiple of 20");
    assert_eq!(server.reloads("failed"), 0);
    server.end().await;
}

#[tokio::test]
async fn bad_files_are_counted_once_each_and_leave_the_old_certificate_in_force() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let good = ours.server();
    let mut mounted = Mounted::new(&good, None);
    let server = start(Some(mounted.settings()), Limits::default()).await;
    let tls = ours.trusted(None);
    let mut kept = server.client(Some(&tls)).await;

    let mismatched = Pair { key: theirs.server().key, ..ours.server() };
    let garbage = Pair { cert: "not a certificate".into(), ..ours.server() };
    let empty = Pair { cert: String::new(), key: String::new() };
    let expired = ours.server_until((2001, 1, 1));
    for (count, bad) in (1..).zip([&mismatched, &garbage, &empty, &expired]) {
        mounted.swap(bad, None);
        server.until("a bad file", |server| server.reloads("failed") == count).await;
        // Looked at many times more, and counted no more.
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(server.reloads("failed"), count);
        assert!(is_shown(&server, &tls, &good).await);
        assert_eq!(ask(&mut kept).await.unwrap(), 34);
    }
    fs::remove_file(mounted.path("tls.key")).unwrap();
    server.until("a missing file", |server| server.reloads("failed") == 5).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(server.reloads("failed"), 5);
    assert!(is_shown(&server, &tls, &good).await);

    fs::write(mounted.path("tls.key"), "").unwrap();
    let healed = ours.server();
    fs::write(mounted.path("tls.key"), &healed.key).unwrap();
    mounted.swap(&healed, None);
    server.until("a good file", |server| server.reloads("renewed") == 1).await;
    assert!(is_shown(&server, &tls, &healed).await);
    server.end().await;
}

#[tokio::test]
async fn a_new_authority_counts_for_new_connections_and_ends_no_old_one() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let pair = old.server();
    let mut mounted = Mounted::new(&pair, Some(&old.pem));
    let server = start(Some(mounted.mutual(&[])), Limits::default()).await;
    let (before, after) = (old.trusted(Some(&old.client(&[]))), old.trusted(Some(&new.client(&[]))));
    let mut kept = server.client(Some(&before)).await;
    assert_eq!(ask(&mut kept).await.unwrap(), 34);

    mounted.swap(&pair, Some(&new.pem));
    server.until("a new authority", |server| server.reloads("renewed") == 1).await;
    assert_eq!(ask(&mut server.client(Some(&after)).await).await.unwrap(), 34);
    // The same session, had it been resumed, would have let this one in.
    if let Ok(mut client) = server.try_client(Some(&before)).await {
        ask(&mut client).await.unwrap_err();
    }
    server.until("a refusal", |server| server.refused("unknown_ca") >= 1).await;
    assert_eq!(ask(&mut kept).await.unwrap(), 34);
    server.end().await;
}
