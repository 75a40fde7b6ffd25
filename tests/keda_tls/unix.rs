//! A socket in the file system: who may connect, what becomes of a stale one, what is left at the end.

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;

use tidetable::keda::{BindError, Listener};
use tokio::io::AsyncWriteExt;

use crate::peers::{Client, Dial, activity, ask, start_at};

async fn client(path: &Path) -> Client {
    Dial::Unix(path.to_owned(), None).client().await.unwrap()
}

#[tokio::test]
async fn polls_and_streams_go_over_a_socket_and_its_file_goes_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("grpc.sock");
    let server = start_at(Listener::bind_unix(&path).await.unwrap());
    let file = fs::symlink_metadata(&path).unwrap();
    assert!(file.file_type().is_socket());
    assert_eq!(file.permissions().mode() & 0o777, 0o660);

    let mut client = client(&path).await;
    assert_eq!(ask(&mut client).await.unwrap(), 34);
    let stream = activity(&mut client).await;
    drop(stream);
    let mut browser = tokio::net::UnixStream::connect(&path).await.unwrap();
    browser.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    server.until("a browser", |server| server.refused("not_http2") == 1).await;
    server.end().await;
    assert!(!path.exists());
}

#[tokio::test]
async fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("grpc.sock");
    // A process that was killed leaves its file, or the one that it was about to name.
    let unnamed = folder.path().join("grpc.sock.new");
    for left in [&path, &unnamed] {
        drop(std::os::unix::net::UnixListener::bind(left).unwrap());
        assert!(left.exists());
    }
    let server = start_at(Listener::bind_unix(&path).await.unwrap());
    assert_eq!(ask(&mut client(&path).await).await.unwrap(), 34);

    let taken = Listener::bind_unix(&path).await.expect_err("somebody answers there");
    assert!(matches!(taken, BindError::Taken { .. }), "{taken}");
    assert_eq!(ask(&mut client(&path).await).await.unwrap(), 34);
    server.end().await;
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left");
}

#[tokio::test]
async fn what_is_not_a_socket_is_never_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    fs::write(&path, "money").unwrap();
    let refused = Listener::bind_unix(&path).await.expect_err("a file is there");
    assert!(matches!(refused, BindError::NotASocket { .. }), "{refused}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "money");

    let link = folder.path().join("link.sock");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    Listener::bind_unix(&link).await.expect_err("a link is there");
    assert_eq!(fs::read_to_string(&path).unwrap(), "money");

    let nowhere = Listener::bind_unix(&folder.path().join("no/such/folder.sock")).await.unwrap_err();
    assert!(matches!(nowhere, BindError::Refused { .. }), "{nowhere}");
}

#[tokio::test]
async fn the_file_of_a_successor_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("grpc.sock");
    let first = start_at(Listener::bind_unix(&path).await.unwrap());
    fs::remove_file(&path).unwrap();
    let second = start_at(Listener::bind_unix(&path).await.unwrap());
    first.end().await;
    assert_eq!(ask(&mut client(&path).await).await.unwrap(), 34);
    second.end().await;
    assert!(!path.exists());
}
