//! The binary itself, which reaches the cluster by a kubeconfig, or not at all.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, ChildStderr, Command, Stdio};

use super::*;

/// `tidetable serve` on ports of its own choice, ended with this value.
struct Serve {
    child: Child,
    said: BufReader<ChildStderr>,
    folder: tempfile::TempDir,
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Serve {
    /// A process that has one target with `leadTime: auto` and the kubeconfig for `api`, if there is one.
    fn start(api: Option<&Api>) -> Self {
        Self::start_with(api, &[])
    }

    /// The same with more arguments.
    fn start_with(api: Option<&Api>, more: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = format!(
            "\
sources: {{ main: {{ prometheus: {{ url: http://127.0.0.1:9 }} }} }}
history: {{ archive: 'file://{}/archive' }}
targets:
  api:
    scaledObject: payments/api
    demand: {{ source: main, query: up }}
    capacity: {{ perReplica: 1 }}
    replicas: {{ min: 1, max: 2 }}
    leadTime: auto
    timezone: UTC
",
            folder.path().display()
        );
        std::fs::write(folder.path().join("tidetable.yaml"), config).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidetable"));
        // Nothing of the caller's: no cluster of theirs is read.
        command.env_clear().env("HOME", folder.path()).current_dir(folder.path());
        if let Some(api) = api {
            std::fs::write(folder.path().join("kubeconfig"), kubeconfig(api)).unwrap();
            command.env("KUBECONFIG", folder.path().join("kubeconfig"));
        }
        command.args([
            "serve",
            "--config",
            "tidetable.yaml",
            "--grpc",
            "127.0.0.1:0",
            "--http",
            "127.0.0.1:0",
        ]);
        let mut child = command
            .args(["--log-format", "json"])
            .args(more)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stderr.take().unwrap());
        Self { child, said, folder }
    }

    /// The next line of the log with `words`, as it was written.
    fn says(&mut self, words: &str) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            assert!(self.said.read_line(&mut line).unwrap() > 0, "it ended and never said {words:?}");
            if line.contains(words) {
                return line;
            }
        }
    }
}

/// A kubeconfig that leads to `api`.
pub(crate) fn kubeconfig(api: &Api) -> String {
    format!(
        "\
apiVersion: v1
kind: Config
current-context: here
contexts: [{{ name: here, context: {{ cluster: here, user: me }} }}]
clusters: [{{ name: here, cluster: {{ server: '{}' }} }}]
users: [{{ name: me, user: {{}} }}]
",
        api.url()
    )
}

fn page(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .write_all(format!("GET {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n").as_bytes())
        .unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    page
}

#[test]
fn a_lead_time_is_learned_by_the_binary_shown_and_kept() {
    let api = Api::start();
    api.roll_out("v1", 0, [0, 180, 210]);
    let mut serve = Serve::start(Some(&api));
    let event: serde_json::Value = serde_json::from_str(&serve.says("showing metrics")).unwrap();
    let address = event["address"].as_str().unwrap().to_owned();
    serve.says("a lead time was learned");
    let metrics = page(&address, "/metrics");
    let expected = "tidetable_learned_lead_time_seconds{namespace=\"payments\",scaled_object=\"api\"} 210";
    assert!(metrics.contains(expected), "{metrics}");
    let kept = serve.folder.path().join("archive/_starts/payments/api.json");
    for _ in 0..600 {
        let text = std::fs::read_to_string(&kept).unwrap_or_default();
        if text.matches("uid-v1").count() == 3 {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("{} does not hold the three starts", kept.display());
}

#[test]
fn outside_a_cluster_it_says_what_is_lacking_and_serves() {
    let mut serve = Serve::start(None);
    let line = serve.says("the cluster is not seen");
    assert!(line.contains("neither a service account's token nor a kubeconfig"), "{line}");
    assert_eq!(serve.child.try_wait().unwrap(), None, "it goes on");
}

#[test]
fn the_binary_writes_what_becomes_of_a_surge_event_where_a_lease_is_named_and_only_there() {
    let api = Api::start();
    let until = chrono::Utc::now() + chrono::TimeDelta::hours(1);
    let hold = serde_json::json!({ "replicas": 2, "until": until.to_rfc3339(), "reason": "INC-7" });
    api.declare("incident", Some(&serde_json::json!({ "targets": ["api"], "hold": hold })));
    let mut silent = Serve::start(Some(&api));
    silent.says("a SurgeEvent is declared");
    let mut serve = Serve::start_with(Some(&api), &["--lease", "tidetable"]);
    let event: serde_json::Value = serde_json::from_str(&serve.says("showing metrics")).unwrap();
    let address = event["address"].as_str().unwrap().to_owned();
    let began = std::time::Instant::now();
    while api.status("incident")["phase"] != "Active" {
        assert!(began.elapsed() < PATIENCE, "{}", api.status("incident"));
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(api.status("incident")["replicasAtPeak"], 2);
    let holder = api.lease()["spec"]["holderIdentity"].as_str().unwrap().to_owned();
    assert!(holder.ends_with(&format!("_{}", serve.child.id())), "{holder}");
    assert!(page(&address, "/metrics").contains("tidetable_lease_held 1"));

    // It is told to go, and gives the Lease up.
    let told = Command::new("kill").args(["-TERM", &serve.child.id().to_string()]).status().unwrap();
    assert!(told.success());
    assert!(serve.child.wait().unwrap().success());
    assert!(api.lease()["spec"]["holderIdentity"].is_null(), "{}", api.lease());
}
