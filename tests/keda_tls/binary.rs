//! The same through the configuration file and the binary: what a process makes of `server.grpc` and `server.tls`.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use crate::certificates::{Authority, Mounted};
use crate::peers::{Dial, spec, within};

fn serve(folder: &Path, server: &str) -> Child {
    let path = folder.join("tidetable.yaml");
    let text = format!(
        "server: {{ http: 127.0.0.1:0, {server} }}
sources: {{ main: {{ prometheus: {{ url: 'http://127.0.0.1:9' }} }} }}
targets:
  payments-api:
    scaledObject: payments/payments-api
    demand: {{ source: main, query: up }}
    capacity: {{ perReplica: 120 }}
    replicas: {{ min: 3, max: 200 }}
    timezone: UTC
"
    );
    fs::write(&path, text).unwrap();
    Command::new(env!("CARGO_BIN_EXE_tidetable"))
        .args(["serve", "--config"])
        .arg(path)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

async fn ended(process: Child) -> Output {
    within(tokio::task::spawn_blocking(|| process.wait_with_output().unwrap())).await.unwrap()
}

#[tokio::test]
async fn serve_takes_mutual_tls_over_a_socket_and_removes_it_on_sigterm() {
    let authority = Authority::new("ours");
    let mounted = Mounted::new(&authority.server(), Some(&authority.pem));
    let socket = mounted.path("grpc.sock");
    let file = |name| mounted.path(name).display().to_string();
    let (cert, key, ca, path) = (file("tls.crt"), file("tls.key"), file("ca.crt"), file("grpc.sock"));
    let section = format!(
        "grpc: 'unix://{path}', tls: {{ cert: {cert}, key: {key}, clientCa: {ca}, allowedNames: [keda.svc] }}"
    );
    let process = serve(socket.parent().unwrap(), &section);
    for _ in 0..500 {
        if socket.exists() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let tls = authority.trusted(Some(&authority.client(&["keda.svc"])));
    let mut client = Dial::Unix(socket.clone(), Some(tls)).client().await.unwrap();
    assert_eq!(spec(&mut client).await.unwrap(), "payments-api");
    let stranger = authority.trusted(Some(&authority.client(&["stranger.svc"])));
    if let Ok(mut client) = Dial::Unix(socket.clone(), Some(stranger)).client().await {
        spec(&mut client).await.unwrap_err();
    }

    let killed = Command::new("kill").args(["-TERM", &process.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let Output { status, stderr, .. } = ended(process).await;
    let said = String::from_utf8_lossy(&stderr);
    assert!(status.success(), "{said}");
    assert!(said.contains("wrong_name") && said.contains("stranger.svc"), "{said}");
    assert!(!socket.exists());
}

#[tokio::test]
async fn serve_says_which_file_it_cannot_serve_with() {
    let folder = tempfile::tempdir().unwrap();
    let process =
        serve(folder.path(), "grpc: 127.0.0.1:0, tls: { cert: /nowhere/tls.crt, key: /nowhere/tls.key }");
    let Output { status, stderr, .. } = ended(process).await;
    let said = String::from_utf8_lossy(&stderr);
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("server.tls cannot be served with: cannot read /nowhere/tls.crt"), "{said}");
}
