//! A real Prometheus: found, back-filled, started, frozen, stopped and started again.
//!
//! It fails when Prometheus is missing and never skips: a test that did not run is no evidence. It ends only the process
//! it started.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

/// Long enough for a cold start on a busy machine with two cores.
const READY_WITHIN: Duration = Duration::from_secs(60);
const POLL_EVERY: Duration = Duration::from_millis(50);
/// Longer than a machine stands still that others compile on, and than the 5 s after which our own pages are given up.
const READ_WITHIN: Duration = Duration::from_secs(10);

/// A running (or frozen, or stopped) server on the loopback interface, gone with this value.
pub(crate) struct Prometheus {
    binaries: PathBuf,
    folder: TempDir,
    address: SocketAddr,
    child: Option<Child>,
}

impl Prometheus {
    /// A server that knows `samples` (OpenMetrics text, ending in `# EOF`) and scrapes `scraped` each second.
    pub(crate) fn start(samples: &str, scraped: &[SocketAddr]) -> Self {
        let binaries = binaries();
        let folder = tempfile::tempdir().unwrap();
        if !samples.is_empty() {
            back_fill(&binaries, folder.path(), samples);
        }
        fs::write(folder.path().join("prometheus.yml"), scrape_config(scraped)).unwrap();
        let mut server = Self { binaries, folder, address: free_address(), child: None };
        server.start_again();
        server
    }

    /// Its url.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Starts it on its address, with its data, and waits until it is ready.
    pub(crate) fn start_again(&mut self) {
        let folder = self.folder.path();
        let log = fs::File::create(folder.join("log")).unwrap();
        let mut child = Command::new(self.binaries.join("prometheus"))
            .arg(format!("--config.file={}", folder.join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg("--storage.tsdb.retention.time=10y")
            .arg(format!("--web.listen-address={}", self.address))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        for _ in 0..READY_WITHIN.as_millis() / POLL_EVERY.as_millis() {
            if let Some(status) = child.try_wait().unwrap() {
                panic!("prometheus ended with {status}:\n{}", self.log());
            }
            if is_ready(self.address) {
                self.child = Some(child);
                return;
            }
            thread::sleep(POLL_EVERY);
        }
        let _ = child.kill();
        panic!("prometheus was not ready within {READY_WITHIN:?}:\n{}", self.log());
    }

    /// Ends it; its address stays its own.
    pub(crate) fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Lets it accept connections and answer none.
    pub(crate) fn freeze(&self) {
        self.signal("STOP");
    }

    /// Lets a frozen one go on.
    pub(crate) fn thaw(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        signal(self.child.as_ref().expect("the server runs"), name);
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Sends a signal to a process that we started.
pub(crate) fn signal(child: &Child, name: &str) {
    // The shell's own `kill`: slim images have no other.
    let status = Command::new("sh").arg("-c").arg(format!("kill -{name} {}", child.id())).status();
    assert!(status.unwrap().success(), "kill -{name}");
}

/// The folder that holds `prometheus` and `promtool`.
fn binaries() -> PathBuf {
    let given = std::env::var_os("PROMETHEUS_BIN_DIR").map(PathBuf::from);
    let unpacked = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/prometheus/usr/bin");
    let path = std::env::var_os("PATH").unwrap_or_default();
    given
        .into_iter()
        .chain([unpacked])
        .chain(std::env::split_paths(&path))
        .find(|folder| folder.join("prometheus").is_file() && folder.join("promtool").is_file())
        .expect("prometheus and promtool are missing; run tests/run.sh, which fetches them, or set PROMETHEUS_BIN_DIR")
}

/// Writes `samples` as blocks, as if they had been scraped in their time.
fn back_fill(binaries: &Path, folder: &Path, samples: &str) {
    let file = folder.join("samples.txt");
    fs::write(&file, samples).unwrap();
    let output = Command::new(binaries.join("promtool"))
        // One block for all: with one for each two hours, three weeks take 17 s instead of a fifth of one.
        .args(["tsdb", "create-blocks-from", "--max-block-duration=10000h", "openmetrics", "--quiet"])
        .args([&file, &folder.join("data")])
        .output()
        .unwrap();
    assert!(output.status.success(), "promtool: {}", String::from_utf8_lossy(&output.stderr));
}

fn scrape_config(scraped: &[SocketAddr]) -> String {
    let targets: Vec<String> = scraped.iter().map(|address| format!("'{address}'")).collect();
    format!(
        "global: {{ scrape_interval: 1s, scrape_timeout: 1s }}\n\
         scrape_configs:\n- job_name: pay\n  static_configs: [{{ targets: [{}] }}]\n",
        targets.join(", ")
    )
}

/// An address nobody listens on. Somebody may take it before the server does; then the server says so and the test fails.
pub(crate) fn free_address() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

fn is_ready(address: SocketAddr) -> bool {
    get(address, "/-/ready").is_ok_and(|answer| answer.starts_with("HTTP/1.0 200"))
}

/// A page with its status line and headers.
pub(crate) fn get(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut connection = TcpStream::connect(address)?;
    connection.set_read_timeout(Some(READ_WITHIN))?;
    // In one piece, or the second would wait for the first to be acknowledged.
    connection.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    Ok(answer)
}
