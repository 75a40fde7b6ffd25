//! The binary as a process: started on ports of its own, asked as KEDA and as a person asks, ended by its id.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use tidetable::keda::pb::external_scaler_client::ExternalScalerClient;
use tidetable::keda::pb::{GetMetricsRequest, GetMetricsResponse, ScaledObjectRef};
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

use crate::server::{free_address, get, signal};

/// A rung takes two or three answers of 15 s to be reached, on a busy machine another.
const RUNG_WITHIN: Duration = Duration::from_secs(90);
const POLL_EVERY: Duration = Duration::from_millis(100);

/// `tidetable serve`, gone with this value.
pub(crate) struct Scaler {
    pub(crate) grpc: SocketAddr,
    http: SocketAddr,
    folder: TempDir,
    child: Child,
}

impl Scaler {
    /// Serves `targets`, and answers calls when this returns.
    pub(crate) fn start(prometheus: &str, targets: &str) -> Self {
        let (grpc, http) = (free_address(), free_address());
        let folder = tempfile::tempdir().unwrap();
        let child = spawn(folder.path(), &config(prometheus, grpc, http, targets));
        let mut scaler = Self { grpc, http, folder, child };
        let listening = |scaler: &mut Self| {
            let ended = scaler.child.try_wait().unwrap();
            assert!(ended.is_none(), "it ended with {ended:?}:\n{}", scaler.log());
            TcpStream::connect(grpc).is_ok() && TcpStream::connect(http).is_ok()
        };
        let deadline = Instant::now() + Duration::from_secs(20);
        while !listening(&mut scaler) {
            assert!(Instant::now() < deadline, "it does not listen:\n{}", scaler.log());
            thread::sleep(POLL_EVERY);
        }
        scaler
    }

    /// What it wrote to standard error.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Other targets in the file, swapped in as the kubelet swaps a `ConfigMap`: by renaming a link.
    pub(crate) fn swap_config(&self, prometheus: &str, targets: &str) {
        let folder = self.folder.path();
        let version = folder.join(format!("version-{}.yaml", fs::read_dir(folder).unwrap().count()));
        fs::write(&version, config(prometheus, self.grpc, self.http, targets)).unwrap();
        let link = folder.join("link");
        std::os::unix::fs::symlink(&version, &link).unwrap();
        fs::rename(link, folder.join("config.yaml")).unwrap();
    }

    /// The operator's way to have the configuration read.
    pub(crate) fn hang_up(&self) {
        signal(&self.child, "HUP");
    }

    /// Kubernetes' way to end it.
    pub(crate) fn terminate(&self) {
        signal(&self.child, "TERM");
    }

    /// How it ended, and after how long.
    pub(crate) fn ended_within(&mut self, patience: Duration) -> (ExitStatus, Duration) {
        let since = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status, since.elapsed());
            }
            assert!(since.elapsed() < patience, "it has not ended within {patience:?}:\n{}", self.log());
            thread::sleep(POLL_EVERY / 10);
        }
    }

    /// A page's status and body.
    pub(crate) fn page(&self, path: &str) -> (u16, String) {
        let page = get(self.http, path).unwrap_or_else(|error| panic!("{path}: {error}\n{}", self.log()));
        let (head, body) =
            page.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{path}: {page}\n{}", self.log()));
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    /// The decision in force for a target, as people see it; null when there is none.
    pub(crate) fn decision(&self, target: &str) -> Value {
        let (status, page) = self.page("/api/decisions");
        assert_eq!(status, 200, "{page}\n{}", self.log());
        let page: Value = serde_json::from_str(&page).unwrap();
        let entry = page["targets"].as_array().unwrap().iter().find(|entry| entry["target"] == target);
        entry.expect("the target is shown")["decision"].clone()
    }

    /// Waits until a target stands on `rung`, and returns the first decision there.
    pub(crate) fn reaches(&self, target: &str, rung: &str) -> Value {
        let deadline = Instant::now() + RUNG_WITHIN;
        loop {
            let decision = self.decision(target);
            if decision["rung"] == rung {
                return decision;
            }
            assert!(Instant::now() < deadline, "{target} is not {rung} but {decision}\n{}", self.log());
            thread::sleep(POLL_EVERY);
        }
    }

    /// A connection that is open.
    pub(crate) async fn channel(&self) -> Channel {
        Endpoint::from_shared(format!("http://{}", self.grpc)).unwrap().connect().await.unwrap()
    }

    /// A client as KEDA's.
    pub(crate) async fn keda(&self) -> ExternalScalerClient<Channel> {
        ExternalScalerClient::new(self.channel().await)
    }
}

impl Drop for Scaler {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A configuration for a test.
pub(crate) fn config(prometheus: &str, grpc: SocketAddr, http: SocketAddr, targets: &str) -> String {
    format!(
        "server: {{ grpc: \"{grpc}\", http: \"{http}\" }}\n\
         sources:\n  main:\n    prometheus: {{ url: \"{prometheus}\" }}\n\
         targets:\n{targets}"
    )
}

/// One target of a configuration, with what else it says.
pub(crate) fn target(name: &str, query: &str, per_replica: u32, max: u32, more: &str) -> String {
    format!(
        "  {name}:\n    scaledObject: payments/{name}\n    demand: {{ source: main, query: {query}, history: 21d }}\n    \
         capacity: {{ perReplica: {per_replica} }}\n    replicas: {{ min: 3, max: {max} }}\n    leadTime: 10m\n    \
         timezone: Etc/UTC\n    mode: active\n    {more}\n"
    )
}

/// Starts the binary with this configuration; its log goes to `folder`.
pub(crate) fn spawn(folder: &Path, config: &str) -> Child {
    fs::write(folder.join("config.yaml"), config).unwrap();
    Command::new(env!("CARGO_BIN_EXE_tidetable"))
        .args(["serve", "--config"])
        .arg(folder.join("config.yaml"))
        .stdout(Stdio::null())
        .stderr(fs::File::create(folder.join("log")).unwrap())
        .spawn()
        .unwrap()
}

/// What KEDA sends for the trigger of `target` in the ScaledObject of that name.
pub(crate) fn trigger(target: &str) -> ScaledObjectRef {
    let metadata = [("scalerAddress", "tidetable.scaling.svc:50051"), ("target", target)];
    ScaledObjectRef {
        name: target.into(),
        namespace: "payments".into(),
        scaler_metadata: metadata.map(|(key, text)| (key.into(), text.into())).into(),
    }
}

/// The replicas that KEDA reads, which both fields of the one value must say.
pub(crate) async fn replicas(keda: &mut ExternalScalerClient<Channel>, target: &str) -> Result<u64, Status> {
    let request = GetMetricsRequest { scaled_object_ref: Some(trigger(target)), metric_name: target.into() };
    let GetMetricsResponse { metric_values } = keda.get_metrics(request).await?.into_inner();
    assert_eq!(metric_values.len(), 1, "the HPA adds them up");
    let value = &metric_values[0];
    assert_eq!(format!("{}", value.metric_value), format!("{}", value.metric_value_float));
    Ok(value.metric_value.try_into().unwrap())
}
