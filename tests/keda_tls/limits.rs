//! Peers that are slow, silent or many, and what they cost the others: nothing.

use std::time::{Duration, Instant};

use tidetable::keda::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::certificates::{Authority, Mounted};
use crate::peers::{activity, ask, start, within};
use crate::stage::seconds;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// HTTP/2's SETTINGS, empty.
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_silent_peers_and_slow_ones_leave_an_honest_client_fast() {
    let authority = Authority::new("ours");
    let mounted = Mounted::new(&authority.server(), None);
    let server = start(Some(mounted.settings()), Limits::default()).await;
    let tls = authority.trusted(None);
    let mut kept = server.client(Some(&tls)).await;

    let mut silent = Vec::new();
    for _ in 0..200 {
        silent.push(server.connect().await);
    }
    // One that sends its handshake byte by byte, and one that never ends its headers.
    let mut slow = server.connect().await;
    let mut endless = server.handshake(&tls).await.unwrap();
    endless.write_all(&[PREFACE, SETTINGS].concat()).await.unwrap();
    // HEADERS of stream 1, 16,000 bytes of which few come, and without END_HEADERS.
    endless.write_all(&[0, 0x3e, 0x80, 1, 0, 0, 0, 0, 1, 0x82]).await.unwrap();
    let sending = tokio::spawn(async move {
        for byte in [22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3].into_iter().cycle() {
            if slow.write_all(&[byte]).await.is_err() || endless.write_all(&[0x82]).await.is_err() {
                return;
            }
            let _ = endless.flush().await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });

    let mut took = Vec::new();
    for _ in 0..500 {
        let since = Instant::now();
        assert_eq!(ask(&mut kept).await.unwrap(), 34);
        took.push(since.elapsed());
    }
    let since = Instant::now();
    assert_eq!(ask(&mut server.client(Some(&tls)).await).await.unwrap(), 34);
    let connected = since.elapsed();
    took.sort_unstable();
    println!("p50 {:?}, p99 {:?}, a new connection with its first call {connected:?}", took[250], took[495]);
    assert!(took[495] < Duration::from_millis(50), "the contract with KEDA is a p99 below 50 ms");
    assert!(connected < Duration::from_secs(1));
    // Of the silent ones the oldest made room.
    assert!(server.refused("silent") >= 200 - 128, "{}", server.refused("silent"));
    assert!(server.scraped("open_connections").unwrap() <= 128 + 4);
    sending.abort();
    drop(silent);
    server.end().await;
}

#[tokio::test]
async fn one_connection_too_many_is_closed_at_once_and_counted() {
    let server = start(None, Limits { connections: 3, ..Limits::default() }).await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(server.client(None).await);
        assert_eq!(ask(clients.last_mut().unwrap()).await.unwrap(), 34);
    }
    let mut one_more = server.connect().await;
    assert_eq!(within(one_more.read(&mut [0])).await.unwrap(), 0, "closed, before HTTP/2 begins");
    assert_eq!(server.refused("too_many"), 1);
    for client in &mut clients {
        assert_eq!(ask(client).await.unwrap(), 34);
    }
    drop(clients.pop());
    server.until("a free place", |server| server.scraped("open_connections") == Some(2)).await;
    assert_eq!(ask(&mut server.client(None).await).await.unwrap(), 34);
    server.end().await;
}

#[tokio::test]
async fn of_those_that_say_nothing_the_oldest_makes_room() {
    let server = start(None, Limits { greeting: 4, ..Limits::default() }).await;
    let mut silent = Vec::new();
    for _ in 0..4 {
        silent.push(server.connect().await);
    }
    server.until("all are in", |server| server.scraped("open_connections") == Some(4)).await;
    assert_eq!(ask(&mut server.client(None).await).await.unwrap(), 34);
    assert_eq!(within(silent[0].read(&mut [0])).await.unwrap(), 0, "the oldest is closed");
    assert_eq!(server.refused("silent"), 1);
    server.end().await;
}

#[tokio::test]
async fn first_words_that_come_too_slowly_are_not_waited_for() {
    let limits = Limits { greeting_within: Duration::from_millis(300), ..Limits::default() };
    let server = start(None, limits).await;
    let mut slow = server.connect().await;
    let since = Instant::now();
    for byte in PREFACE {
        if slow.write_all(&[*byte]).await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let _ = within(slow.read(&mut [0])).await;
    assert!(since.elapsed() < Duration::from_secs(3));
    assert_eq!(server.refused("silent"), 1);
    server.end().await;
}

#[tokio::test]
async fn a_connection_without_calls_is_ended_and_one_with_an_open_stream_is_not() {
    let limits = Limits { idle_for: Duration::from_millis(1_000), ..Limits::default() };
    let server = start(None, limits).await;
    let mut streaming = server.client(None).await;
    let mut stream = activity(&mut streaming).await;

    // Asking now and then keeps a connection.
    let mut asking = server.client(None).await;
    for _ in 0..15 {
        assert_eq!(ask(&mut asking).await.unwrap(), 34);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(server.scraped("open_connections"), Some(2));

    // One that speaks HTTP/2, answers nothing and asks nothing.
    let mut idle = server.connect().await;
    idle.write_all(&[PREFACE, SETTINGS].concat()).await.unwrap();
    let mut read = Vec::new();
    within(idle.read_to_end(&mut read)).await.unwrap();
    assert!(!read.is_empty(), "HTTP/2 had begun");

    server.until("the asking one is idle now", |server| server.scraped("open_connections") == Some(1)).await;
    server.clock.advance(seconds(30));
    assert!(within(stream.message()).await.unwrap().unwrap().result, "renewed, as every 30 s");
    drop(stream);
    server.until("nothing is open", |server| server.scraped("open_connections") == Some(0)).await;
    // KEDA asks a second time at once; the channel has connected again by then.
    let answer = match ask(&mut streaming).await {
        Err(_) => ask(&mut streaming).await,
        answer => answer,
    };
    assert_eq!(answer.unwrap(), 34);
    server.end().await;
}

#[tokio::test]
async fn unfinished_greetings_do_not_hold_up_the_end() {
    let authority = Authority::new("ours");
    let mounted = Mounted::new(&authority.server(), None);
    let server = start(Some(mounted.settings()), Limits::default()).await;
    let silent = server.connect().await;
    let shaken = server.handshake(&authority.trusted(None)).await.unwrap();
    server.until("both are in", |server| server.scraped("open_connections") == Some(2)).await;
    let since = Instant::now();
    server.end().await;
    assert!(since.elapsed() < Duration::from_secs(2));
    drop((silent, shaken));
}
