//! Payments with a known week, written down for three weeks and measured live from there on.
//!
//! ```text
//!   load                  ┌──┐ SURGE, this weekday only
//!            ┌──┐ LESSER  │  │
//!   CALM ────┘  └──── … ──┘  └───       `began + SURGE_AFTER` is the start of the next one
//! ```
//!
//! A test begins in the calm before its surge. So what is measured asks for [`CALM`], what repeats daily for
//! [`LESSER`], and only a forecast that knows the week asks for [`SURGE`].

use std::fmt::Write as _;
use std::net::SocketAddr;

use wiremock::matchers::path;
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use crate::server::Prometheus;

/// Load in tx/s between surges, on the surge of this weekday, and on those of the others.
pub(crate) const CALM: f64 = 950.0;
pub(crate) const SURGE: f64 = 3_050.0;
pub(crate) const LESSER: f64 = 2_000.0;

/// Refunds have been counted for minutes only: too short to forecast from.
pub(crate) const REFUNDS: f64 = 42.0;

/// Longer than a test lasts (`.config/nextest.toml` ends it after 300 s), so that it stays calm.
const SURGE_AFTER: i64 = 330;
const SURGE_SECONDS: i64 = 1_800;

const DAY: i64 = 86_400;
const MINUTE: i64 = 60;
const WRITTEN: i64 = 21 * DAY;
const REFUNDS_WRITTEN: i64 = 3 * MINUTE;

/// A week that repeats but for noise.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Traffic {
    began: i64,
    surge_at: i64,
    /// The noise as a share of the load, and for how long it stays the same.
    noise: (f64, i64),
}

impl Traffic {
    /// Traffic with 1 % of noise that changes every minute.
    pub(crate) fn starting_now() -> Self {
        let began = chrono::Utc::now().timestamp();
        Self { began, surge_at: (began + SURGE_AFTER).div_euclid(MINUTE) * MINUTE, noise: (0.01, MINUTE) }
    }

    /// The same with so much noise, changing so often.
    pub(crate) fn with_noise(self, share: f64, seconds: i64) -> Self {
        Self { noise: (share, seconds), ..self }
    }

    fn load(&self, second: i64) -> f64 {
        let (day, since) =
            ((second - self.surge_at).div_euclid(DAY), (second - self.surge_at).rem_euclid(DAY));
        let usual = match (since < SURGE_SECONDS, day.rem_euclid(7)) {
            (false, _) => CALM,
            (true, 0) => SURGE,
            (true, _) => LESSER,
        };
        let (share, constant_for) = self.noise;
        let mixed = second.div_euclid(constant_for).cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        usual * (1.0 + share * (mixed as f64 / f64::from(1 << 23) - 1.0))
    }

    /// The largest and the smallest load that was written for the surges of this weekday.
    pub(crate) fn recorded_surge(&self) -> (f64, f64) {
        let weeks = (1..=3).map(|week| self.surge_at - 7 * week * DAY);
        let minutes = weeks.flat_map(|surge| (0..SURGE_SECONDS / MINUTE).map(move |k| surge + k * MINUTE));
        let recorded = minutes.filter(|at| *at > self.began - WRITTEN).map(|at| self.load(at));
        recorded.fold((f64::MAX, f64::MIN), |(least, most), load| (least.min(load), most.max(load)))
    }

    /// What a scrape of this moment gets.
    fn page(&self) -> String {
        let now = chrono::Utc::now().timestamp();
        format!("payments_per_second {}\nrefunds_per_second {REFUNDS}\n", self.load(now))
    }

    /// Three weeks up to the last whole minute, as series that a scrape of `instance` continues.
    fn recorded(&self, instance: SocketAddr) -> String {
        let labels = format!("{{instance=\"{instance}\",job=\"pay\"}}");
        let minutes =
            |seconds: i64| ((self.began - seconds) / MINUTE + 1..=self.began / MINUTE).map(|k| k * MINUTE);
        let mut text = "# TYPE payments_per_second gauge\n".to_owned();
        for at in minutes(WRITTEN) {
            writeln!(text, "payments_per_second{labels} {} {at}", self.load(at)).unwrap();
        }
        text.push_str("# TYPE refunds_per_second gauge\n");
        for at in minutes(REFUNDS_WRITTEN) {
            writeln!(text, "refunds_per_second{labels} {REFUNDS} {at}").unwrap();
        }
        text + "# EOF\n"
    }
}

/// A service whose traffic a Prometheus has known for three weeks and scrapes each second.
pub(crate) struct Shop {
    pub(crate) prometheus: Prometheus,
    pub(crate) traffic: Traffic,
    _service: MockServer,
}

impl Shop {
    pub(crate) async fn open(traffic: Traffic) -> Self {
        let service = MockServer::start().await;
        let page = move |_: &Request| {
            ResponseTemplate::new(200).set_body_raw(traffic.page(), "text/plain; version=0.0.4")
        };
        Mock::given(path("/metrics")).respond_with(page).mount(&service).await;
        let address = *service.address();
        let prometheus = Prometheus::start(&traffic.recorded(address), &[address]);
        Self { prometheus, traffic, _service: service }
    }
}
