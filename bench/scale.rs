//! A thousand targets with weeks of history on a real Prometheus, and KEDA's calls from another process.
//!
//! ```text
//! this process                          Prometheus ◀── promtool, back-filled: targets × days at 1 min
//!   exporter, scraped each 15 s ──────▶    ▲ one shared query
//!   2,000 calls a second ─────────▶ tidetable serve
//!   200 bare health checks a second, to a server of its own: the peer
//! ```
//!
//! It says how long the start takes, what memory and CPU each process uses, how many queries a minute there are by the
//! server's own account, and how long calls take. Everything is on loopback and ends with this process.
//!
//!     cargo bench --bench scale -- --targets 1000 --days 60 --minutes 10
//!
//! `--archive` gives the targets an archive, as production would; `--serve-with PATH` measures another binary than the one that was built with this bench; `--keep FOLDER` keeps the
//! back-filled history there and finds it there the next time.

#![expect(clippy::unwrap_used, reason = "a bench that cannot go on has failed")]
#![expect(clippy::disallowed_methods, reason = "a bench measures real time")]

#[path = "calls.rs"]
mod calls;

use std::fmt::Write as _;
use std::fs;
use std::io::{BufWriter, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use calls::call;

const MINUTE: i64 = 60;
const DAY: i64 = 86_400;
/// A thousand models take minutes on a machine that does other things too.
const PLANNED_WITHIN: Duration = Duration::from_secs(1_800);

struct Options {
    targets: usize,
    days: i64,
    minutes: u64,
    serve_with: PathBuf,
    keep: Option<PathBuf>,
    archive: bool,
}

fn options() -> Options {
    let mut options = Options {
        targets: 1_000,
        days: 60,
        minutes: 10,
        serve_with: env!("CARGO_BIN_EXE_tidetable").into(),
        keep: None,
        archive: false,
    };
    let mut words = std::env::args().skip(1).filter(|word| word != "--bench");
    while let Some(word) = words.next() {
        let mut number = || words.next().and_then(|number| number.parse().ok()).expect("a number follows");
        match word.as_str() {
            "--targets" => options.targets = number(),
            "--days" => options.days = i64::try_from(number()).unwrap(),
            "--minutes" => options.minutes = number() as u64,
            "--serve-with" => options.serve_with = words.next().expect("a path follows").into(),
            "--keep" => options.keep = Some(words.next().expect("a path follows").into()),
            "--archive" => options.archive = true,
            other => panic!("{other} is not an option; see the head of bench/scale.rs"),
        }
    }
    options
}

/// Transactions per second of a target at an instant: a day's wave with a weekend and 5 % of noise, in whole numbers.
fn load(target: usize, second: i64) -> i64 {
    let mixed = (second / MINUTE).cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15)
        ^ (target as u64).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let noise = (mixed.wrapping_mul(0x94d0_49bb_1331_11eb) >> 40) as f64 / f64::from(1 << 24);
    let hour = second.rem_euclid(DAY) as f64 / 3_600.0;
    let weekend = (second.div_euclid(DAY) + 3).rem_euclid(7) >= 5;
    let wave = 1.0 + ((hour - 9.0 + (target % 7) as f64) * std::f64::consts::PI / 12.0).sin();
    let level = (300 + target % 900) as f64;
    let loaded = level * (1.0 + if weekend { 0.5 } else { 2.0 } * wave) * (0.95 + 0.1 * noise);
    #[expect(clippy::cast_possible_truncation, reason = "a few thousand")]
    let rounded = loaded.round() as i64;
    rounded
}

fn main() {
    let options = options();
    let Options { targets, days, minutes, .. } = options;
    println!("{targets} targets, {days} days at 1 min, {minutes} min of 2,000 calls a second");
    let exporter = export(targets);
    let temporary = tempfile::tempdir().unwrap();
    let folder = options.keep.clone().unwrap_or_else(|| temporary.path().to_owned());
    let tools = tools();
    if !folder.join("data").is_dir() {
        timed("history written", || write_history(&folder, targets, days));
        timed("history back-filled by promtool", || back_fill(&tools, &folder));
    }
    let prometheus = start_prometheus(&tools, &folder, exporter);
    until("prometheus is ready", Duration::from_secs(300), || {
        get(prometheus.address, "/-/ready").is_some_and(|page| page.starts_with("HTTP/1.0 200"))
    });

    let began = Instant::now();
    let before = queries(prometheus.address);
    let (scaler, grpc) = start_scaler(&options, &folder, prometheus.address);
    let ready = || get(scaler.address, "/readyz").is_some_and(|page| page.starts_with("HTTP/1.0 200"));
    until("tidetable is ready", Duration::from_secs(120), ready);
    report(&format!("ready after {:.1} s", began.elapsed().as_secs_f64()), &[&scaler, &prometheus]);
    let planned = || {
        let rungs = get(scaler.address, "/metrics").unwrap_or_default();
        rungs
            .lines()
            .filter(|line| line.starts_with("tidetable_rung{") && line.contains("\"planned\""))
            .count()
    };
    until("every target has a plan", PLANNED_WITHIN, || planned() == targets);
    let asked = queries(prometheus.address) - before;
    let took = began.elapsed().as_secs_f64();
    report(&format!("every target planned after {took:.1} s, {asked} queries"), &[&scaler, &prometheus]);

    let (cpu, asked) = ((scaler.cpu_seconds(), prometheus.cpu_seconds()), queries(prometheus.address));
    call(grpc, targets, Duration::from_secs(60 * minutes));
    let per_minute = |before: f64, after: f64| (after - before) / minutes as f64;
    println!(
        "a minute: {:.1} queries, {:.2} s of CPU here, {:.2} s at prometheus",
        per_minute(asked, queries(prometheus.address)),
        per_minute(cpu.0, scaler.cpu_seconds()),
        per_minute(cpu.1, prometheus.cpu_seconds()),
    );
    report("at the end", &[&scaler, &prometheus]);
    let still = planned();
    assert_eq!(still, targets, "every target still has a plan");
}

fn timed(what: &str, work: impl FnOnce()) {
    let began = Instant::now();
    work();
    println!("{what}: {:.1} s", began.elapsed().as_secs_f64());
}

fn until(what: &str, patience: Duration, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + patience;
    while !done() {
        assert!(Instant::now() < deadline, "{what}: not within {patience:?}");
        thread::sleep(Duration::from_millis(500));
    }
}

fn report(when: &str, processes: &[&Process]) {
    let each = processes.iter().map(|process| {
        let (resident, peak) = (process.status("VmRSS:"), process.status("VmHWM:"));
        format!("{} {resident} MiB (peak {peak}), {:.1} s of CPU", process.name, process.cpu_seconds())
    });
    println!("{when}: {}", each.collect::<Vec<_>>().join("; "));
}

/// A process of ours, gone with this value.
struct Process {
    name: &'static str,
    address: SocketAddr,
    child: Child,
}

impl Process {
    /// A size of `/proc/PID/status`, in MiB.
    fn status(&self, field: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with(field)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1_024
    }

    /// What it has computed so far; Linux counts in hundredths of a second.
    fn cpu_seconds(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        fields[11..13].iter().map(|ticks| ticks.parse::<f64>().unwrap()).sum::<f64>() / 100.0
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Serves the present loads, as a service of ours would, on a thread of its own.
fn export(targets: usize) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for connection in listener.incoming() {
            let Ok(mut connection) = connection else { continue };
            let _ = connection.read(&mut [0; 4_096]);
            let now = chrono::Utc::now().timestamp();
            let mut page = "# TYPE load gauge\n".to_owned();
            for target in 0..targets {
                writeln!(page, "load{{target=\"t{target}\"}} {}", load(target, now)).unwrap();
            }
            let head = "HTTP/1.0 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\n\r\n";
            let _ = connection.write_all((head.to_owned() + &page).as_bytes());
        }
    });
    address
}

/// The past as OpenMetrics, in series that a scrape of the exporter continues.
fn write_history(folder: &Path, targets: usize, days: i64) {
    fs::create_dir_all(folder).unwrap();
    let now = chrono::Utc::now().timestamp() / MINUTE;
    let mut file = BufWriter::new(fs::File::create(folder.join("samples")).unwrap());
    writeln!(file, "# TYPE load gauge").unwrap();
    for target in 0..targets {
        for at in (now - days * DAY / MINUTE + 1..=now).map(|minute| minute * MINUTE) {
            let load = load(target, at);
            writeln!(file, "load{{instance=\"bench\",job=\"bench\",target=\"t{target}\"}} {load} {at}")
                .unwrap();
        }
    }
    writeln!(file, "# EOF").unwrap();
    file.flush().unwrap();
}

/// The folder that holds `prometheus` and `promtool`; `tests/run.sh` fetches them.
fn tools() -> PathBuf {
    let given = std::env::var_os("PROMETHEUS_BIN_DIR").map(PathBuf::from);
    let unpacked = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/prometheus/usr/bin");
    let there = given.into_iter().chain([unpacked]).find(|folder| folder.join("promtool").is_file());
    there.expect("prometheus and promtool are missing; run tests/run.sh, or set PROMETHEUS_BIN_DIR")
}

fn back_fill(tools: &Path, folder: &Path) {
    let samples = folder.join("samples");
    let status = Command::new(tools.join("promtool"))
        .args(["tsdb", "create-blocks-from", "--max-block-duration=10000h", "openmetrics", "--quiet"])
        .args([&samples, &folder.join("data")])
        .status();
    assert!(status.unwrap().success(), "promtool");
    fs::remove_file(samples).unwrap();
}

fn free_address() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

fn start_prometheus(tools: &Path, folder: &Path, exporter: SocketAddr) -> Process {
    let address = free_address();
    let scrape = format!(
        "scrape_configs:\n- job_name: bench\n  scrape_interval: 15s\n  \
         relabel_configs: [{{ target_label: instance, replacement: bench }}]\n  static_configs: [{{ targets: ['{exporter}'] }}]\n"
    );
    fs::write(folder.join("prometheus.yml"), scrape).unwrap();
    let child = Command::new(tools.join("prometheus"))
        .arg(format!("--config.file={}", folder.join("prometheus.yml").display()))
        .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
        .args(["--storage.tsdb.retention.time=10y", &format!("--web.listen-address={address}")])
        .stdout(Stdio::null())
        .stderr(fs::File::create(folder.join("prometheus.log")).unwrap())
        .spawn();
    Process { name: "prometheus", address, child: child.unwrap() }
}

/// The process, which knows its HTTP address, and where it answers KEDA.
fn start_scaler(options: &Options, folder: &Path, prometheus: SocketAddr) -> (Process, SocketAddr) {
    let (grpc, address) = (free_address(), free_address());
    let archive = if options.archive {
        format!("history: {{ archive: 'file://{}', retention: 400d }}\n", folder.join("archive").display())
    } else {
        String::new()
    };
    let mut config = format!(
        "server: {{ grpc: '{grpc}', http: '{address}' }}\nsources: {{ main: {{ prometheus: {{ url: 'http://{prometheus}' }} }} }}\n\
         {archive}targets:\n"
    );
    for target in 0..options.targets {
        write!(
            config,
            "  t{target}:\n    scaledObject: payments/t{target}\n    demand: {{ source: main, query: sum by (target) (load), by: target }}\n    \
             capacity: {{ perReplica: 50 }}\n    replicas: {{ min: 1, max: 10000 }}\n    timezone: UTC\n    mode: active\n"
        )
        .unwrap();
    }
    let file = folder.join("tidetable.yaml");
    fs::write(&file, config).unwrap();
    let child = Command::new(&options.serve_with)
        .args(["serve", "--config"])
        .arg(file)
        .stdout(Stdio::null())
        .stderr(fs::File::create(folder.join("tidetable.log")).unwrap())
        .spawn();
    (Process { name: "tidetable", address, child: child.unwrap() }, grpc)
}

fn get(address: SocketAddr, path: &str) -> Option<String> {
    let mut connection = TcpStream::connect(address).ok()?;
    connection.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    connection.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).ok()?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).ok()?;
    Some(answer)
}

/// How many queries the server has answered, by its own account.
fn queries(prometheus: SocketAddr) -> f64 {
    let page = get(prometheus, "/metrics").unwrap();
    let counts = page.lines().filter(|line| {
        line.starts_with("prometheus_http_requests_total{") && line.contains("handler=\"/api/v1/query")
    });
    counts.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}
