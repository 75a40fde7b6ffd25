//! Two replicas, real processes both, under load: restarted one after the other, and then one killed as a zone is lost.
//!
//! The client does what KEDA's does: a connection to each replica that the Service names, taken in turn, and a call that a
//! connection refuses because it is being drained goes to the other one. No other call may fail. A replica that is not ready is
//! not named by the Service, and not asked.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tidetable::keda::pb;
use tidetable::keda::pb::external_scaler_client::ExternalScalerClient;
use tonic::transport::{Channel, Endpoint};

use super::*;
use crate::prometheus::{Prometheus, free_address, get, signal};

/// Twelve days of a load that stands for each hour to come.
fn samples() -> String {
    let now = chrono::Utc::now().timestamp();
    let lines = (0..=12 * 288).map(|at| format!("load {} {}\n", 2300 + at % 7, now - 300 * (12 * 288 - at)));
    format!("# TYPE load gauge\n{}# EOF\n", lines.collect::<String>())
}

struct Replica {
    folder: tempfile::TempDir,
    grpc: SocketAddr,
    http: SocketAddr,
    child: Option<Child>,
}

impl Replica {
    fn start(prometheus: &Prometheus) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = format!(
            "\
sources: {{ main: {{ prometheus: {{ url: '{}' }} }} }}
targets:
  api:
    scaledObject: payments/api
    demand: {{ source: main, query: 'sum(last_over_time(load[1h]))' }}
    capacity: {{ perReplica: 120 }}
    replicas: {{ min: 3, max: 200 }}
    timezone: UTC
    mode: active
",
            prometheus.url()
        );
        std::fs::write(folder.path().join("tidetable.yaml"), config).unwrap();
        let mut replica = Self { folder, grpc: free_address(), http: free_address(), child: None };
        replica.start_again();
        replica
    }

    /// Starts it at its addresses and waits until it is ready.
    fn start_again(&mut self) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidetable"));
        command.env_clear().current_dir(self.folder.path()).args(["serve", "--config", "tidetable.yaml"]);
        command.args(["--grpc", &self.grpc.to_string(), "--http", &self.http.to_string()]);
        self.child = Some(command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        for _ in 0..900 {
            if get(self.http, "/readyz").is_ok_and(|page| page.contains(" 200 ")) {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("{} is not ready", self.http);
    }

    fn child(&mut self) -> &mut Child {
        self.child.as_mut().expect("it runs")
    }

    /// Waits until it has ended by itself.
    fn ends(&mut self) {
        let status = self.child().wait().unwrap();
        assert!(status.success(), "{status}");
        self.child = None;
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// What the client and the test know of a replica.
struct Peer {
    scaler: ExternalScalerClient<Channel>,
    /// It is not ready: the Service does not name it.
    absent: AtomicBool,
    /// It is going or has just come: its connection may refuse.
    away: AtomicBool,
    answered: AtomicUsize,
    refused: AtomicUsize,
}

impl Peer {
    fn new(replica: &Replica) -> Self {
        let endpoint = Endpoint::from_shared(format!("http://{}", replica.grpc)).unwrap();
        let channel = endpoint.connect_timeout(Duration::from_secs(1)).connect_lazy();
        Self {
            scaler: ExternalScalerClient::new(channel),
            absent: AtomicBool::new(false),
            away: AtomicBool::new(false),
            answered: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
        }
    }

    /// The replica count, asked as KEDA asks at each sync.
    async fn ask(&self) -> Result<f64, tonic::Status> {
        let mut scaler = self.scaler.clone();
        let reference = pb::ScaledObjectRef {
            name: "api".into(),
            namespace: "payments".into(),
            scaler_metadata: [("target".to_owned(), "api".to_owned())].into(),
        };
        let spec = scaler.get_metric_spec(reference.clone()).await?.into_inner();
        let metric_name = spec.metric_specs[0].metric_name.clone();
        let asked = pb::GetMetricsRequest { scaled_object_ref: Some(reference), metric_name };
        let metrics = scaler.get_metrics(asked).await?.into_inner();
        self.answered.fetch_add(1, Ordering::SeqCst);
        Ok(metrics.metric_values[0].metric_value_float)
    }
}

/// Asks them in turn until told to stop; what failed and must not.
async fn load(peers: Arc<[Peer; 2]>, stop: CancellationToken) -> Vec<String> {
    let mut failed = Vec::new();
    for turn in 0.. {
        if stop.is_cancelled() {
            break;
        }
        let (mut first, mut second) = (&peers[turn % 2], &peers[(turn + 1) % 2]);
        if first.absent.load(Ordering::SeqCst) {
            (first, second) = (second, first);
        }
        match first.ask().await {
            Ok(replicas) if replicas >= 20.0 => {}
            Ok(replicas) => failed.push(format!("{replicas} replicas are too few")),
            Err(status) if first.away.load(Ordering::SeqCst) => {
                first.refused.fetch_add(1, Ordering::SeqCst);
                // What the connection came to has a cause; what a handler says has none.
                if std::error::Error::source(&status).is_none() {
                    failed.push(format!("beyond a drain: {status:?}"));
                }
                if let Err(status) = second.ask().await {
                    failed.push(format!("and the other: {status:?}"));
                }
            }
            Err(status) => failed.push(format!("{status:?}")),
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    failed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_and_a_lost_replica_cost_no_answer() {
    let prometheus = Prometheus::start(&samples(), &[]);
    let mut replicas = [Replica::start(&prometheus), Replica::start(&prometheus)];
    let peers = Arc::new([Peer::new(&replicas[0]), Peer::new(&replicas[1])]);
    let stop = CancellationToken::new();
    let loads: Vec<_> = (0..4).map(|_| tokio::spawn(load(Arc::clone(&peers), stop.clone()))).collect();
    let answered = |peer: usize| peers[peer].answered.load(Ordering::SeqCst);
    let more = async |peer: usize, count| {
        let so_far = answered(peer);
        until("more answers", || answered(peer) >= so_far + count).await;
    };
    more(0, 100).await;
    more(1, 100).await;

    for (peer, replica) in replicas.iter_mut().enumerate() {
        peers[peer].away.store(true, Ordering::SeqCst);
        signal(replica.child(), "TERM");
        tokio::task::block_in_place(|| replica.ends());
        peers[peer].absent.store(true, Ordering::SeqCst);
        more(1 - peer, 100).await;
        tokio::task::block_in_place(|| replica.start_again());
        peers[peer].absent.store(false, Ordering::SeqCst);
        more(peer, 100).await;
        peers[peer].away.store(false, Ordering::SeqCst);
        more(peer, 100).await;
    }

    // A zone is lost: no signal, no drain.
    peers[0].away.store(true, Ordering::SeqCst);
    replicas[0].child().kill().unwrap();
    more(1, 200).await;

    stop.cancel();
    for load in loads {
        let failed = load.await.unwrap();
        assert!(failed.is_empty(), "{} failed, such as {:?}", failed.len(), failed.first());
    }
    assert!(peers[0].refused.load(Ordering::SeqCst) > 0, "the drain was seen, so the load was on");
}
