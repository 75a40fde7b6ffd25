//! The pages over a real socket, and the gauges behind `/metrics`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod stage;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use stage::{HandClock, decision, nine, seconds, target};
use tidetable::calendar::Almanac;
use tidetable::decision::{Claim, Decision};
use tidetable::engine::{Board, Demand, Learned, Target};
use tidetable::forecast::{Exclusion, Observation, forecaster};
use tidetable::guard::Rung;
use tidetable::guard::surge::Surge;
use tidetable::plan::{Climb, EventNeed, Limit, Prospect, Shortfall, Watched};
use tidetable::series::Series;
use tidetable::time::{Slot, Step};
use tidetable::units::{Load, LoadPerReplica, Replicas};
use tidetable::{telemetry, web};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

struct Running {
    address: SocketAddr,
    board: Arc<Board>,
    clock: Arc<HandClock>,
    shutdown: CancellationToken,
    served: JoinHandle<Result<(), web::Error>>,
}

/// A server with a grace of 60 s.
async fn start(targets: &[&str]) -> Running {
    let board = Arc::new(Board::new(targets.iter().map(|name| target(name))));
    let clock = HandClock::at(nine());
    let mut registry = telemetry::registry();
    telemetry::Decisions::new(Arc::clone(&board), Arc::clone(&clock)).register(&mut registry);
    let shutdown = CancellationToken::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = web::serve(
        listener,
        Arc::clone(&board),
        Arc::new(registry),
        Arc::clone(&clock),
        seconds(60),
        shutdown.clone(),
    );
    Running { address, board, clock, shutdown, served: tokio::spawn(serving) }
}

/// A page: status, header lines, body.
struct Page {
    status: u16,
    headers: String,
    body: String,
}

impl Running {
    async fn ask(&self, request: &str) -> Page {
        let (address, request) = (self.address, request.to_owned());
        let asking = tokio::task::spawn_blocking(move || {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.set_read_timeout(Some(seconds(8))).unwrap();
            write!(stream, "{request} HTTP/1.1\r\nHost: tidetable\r\nConnection: close\r\n\r\n").unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        });
        let answer = asking.await.unwrap();
        let (headers, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = headers.split(' ').nth(1).unwrap().parse().unwrap();
        Page { status, headers: headers.to_lowercase(), body: body.to_owned() }
    }

    async fn get(&self, path: &str) -> Page {
        self.ask(&format!("GET {path}")).await
    }

    async fn end(self) {
        self.shutdown.cancel();
        tokio::time::timeout(seconds(8), self.served).await.unwrap().unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_replica_is_ready_when_each_target_has_had_its_first_decision() {
    let server = start(&["ledger", "payments-api"]).await;
    server.board.publish(decision("ledger", nine(), Some(3)));
    let page = server.get("/readyz").await;
    assert_eq!(page.status, 503);
    assert_eq!(
        page.body,
        "not ready: 1 of 2 targets wait for their first decision\n\
         payments-api: not ready, no decision has been made yet; the target's history is being fetched\n\
         ledger: ready\n"
    );
    server.board.publish(decision("payments-api", nine(), None));
    let page = server.get("/readyz").await;
    assert_eq!(
        (page.status, page.body.lines().next()),
        (200, Some("ready: each of 2 targets has been decided"))
    );

    // A pod that leaves its Service takes GetMetricSpec with it, so a stuck worker is said and nothing more.
    server.clock.advance(seconds(400));
    let page = server.get("/readyz").await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains("ledger: ready, but the last decision is 400 s old"), "{}", page.body);
    server.end().await;
}

#[tokio::test]
async fn not_ready_ends_with_the_grace_and_does_not_come_back() {
    let server = start(&["ledger", "payments-api"]).await;
    assert_eq!(server.get("/readyz").await.status, 503);
    server.clock.advance(seconds(59));
    assert_eq!(server.get("/readyz").await.status, 503);
    server.clock.advance(seconds(1));
    let page = server.get("/readyz").await;
    assert_eq!(page.status, 200);
    assert!(page.body.starts_with("ready: the start-up grace of 60 s is over; 2 of 2"), "{}", page.body);
    server.end().await;
}

#[tokio::test]
async fn the_process_is_alive_whatever_else_is_not() {
    let server = start(&["ledger"]).await;
    let page = server.get("/healthz").await;
    assert_eq!((page.status, page.body.as_str()), (200, "alive\n"));
    server.end().await;
}

#[tokio::test]
async fn a_scrape_is_open_metrics_and_what_is_not_known_is_absent() {
    let server = start(&["ledger", "payments-api", "young"]).await;
    server.board.publish(decision("payments-api", nine(), Some(34)));
    server.board.publish(decision("ledger", nine(), None));
    server.clock.advance(seconds(5));
    let page = server.get("/metrics").await;
    assert_eq!(page.status, 200);
    assert!(
        page.headers.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8"),
        "{}",
        page.headers
    );
    assert!(page.body.ends_with("# EOF\n"));
    let of = |target: &str| -> Vec<String> {
        let label = format!("target=\"{target}\"");
        page.body
            .lines()
            .filter(|line| line.contains(&label))
            .map(|line| line.replace(&format!("{{{label}}}"), "").replace(&format!("{label},"), ""))
            .collect()
    };
    assert_eq!(
        of("payments-api"),
        [
            "tidetable_answering 1.0",
            "tidetable_guarded_replicas 34.0",
            "tidetable_planned_replicas 34.0",
            "tidetable_reactive_need_replicas 32.0",
            "tidetable_shortfall_replicas 0.0",
            "tidetable_min_replicas 0.0",
            "tidetable_max_replicas 200.0",
            "tidetable_planned_quantile 0.95",
            "tidetable_decision_age_seconds 5.0",
            "tidetable_lead_time_seconds 90.0",
            "tidetable_observed_load{demand=\"demand\"} 3840.0",
            "tidetable_capacity_load{demand=\"demand\"} 120.0",
            "tidetable_observed_age_seconds{demand=\"demand\"} 15.0",
            "tidetable_plan_origin_age_seconds{demand=\"demand\"} 65.0",
            "tidetable_forecast_load{demand=\"demand\",quantile=\"planned\"} 4080.0",
            "tidetable_forecast_load{demand=\"demand\",quantile=\"median\"} 3960.0",
            "tidetable_demand_rung{demand=\"demand\",rung=\"planned\"} 1.0",
            "tidetable_rung{rung=\"planned\"} 1.0",
            "tidetable_rule_applied{rule=\"scale_down_hold\"} 1.0",
            "tidetable_target_info{namespace=\"payments\",scaled_object=\"payments-api\",mode=\"active\"} 1.0",
        ]
    );
    assert_eq!(
        of("ledger"),
        [
            "tidetable_answering 0.0",
            "tidetable_min_replicas 0.0",
            "tidetable_max_replicas 200.0",
            "tidetable_planned_quantile 0.95",
            "tidetable_decision_age_seconds 5.0",
            "tidetable_lead_time_seconds 90.0",
            "tidetable_capacity_load{demand=\"demand\"} 120.0",
            "tidetable_demand_rung{demand=\"demand\",rung=\"unavailable\"} 1.0",
            "tidetable_rung{rung=\"unavailable\"} 1.0",
            "tidetable_target_info{namespace=\"payments\",scaled_object=\"ledger\",mode=\"active\"} 1.0",
        ]
    );
    assert_eq!(of("young").len(), 7, "{:?}", of("young"));

    // A decision that expires takes its gauges with it; only its age goes on.
    server.clock.advance(seconds(400));
    let page = server.get("/metrics").await;
    assert!(!page.body.contains("tidetable_guarded_replicas{"), "{}", page.body);
    assert!(page.body.contains("tidetable_decision_age_seconds{target=\"payments-api\"} 405.0"));
    server.end().await;
}

#[tokio::test]
async fn the_overview_has_a_line_per_target() {
    let server = start(&["ledger", "payments-api", "young"]).await;
    server.board.publish(decision("payments-api", nine(), Some(34)));
    server.board.publish(decision("ledger", nine(), None));
    server.clock.advance(seconds(5));
    let page = server.get("/").await;
    let lines: Vec<_> = page.body.lines().skip(2).collect();
    assert_eq!(
        lines,
        [
            "ledger: no answer; unavailable (active)",
            "payments-api: 34 replicas; planned (active); planned 34 for 4080 tx/s at 09:02:00Z (quantile 0.95); \
         observed 3840 tx/s 15 s ago, which need 32; by scale_down_hold",
            "young: no answer, no decision has been made yet; the target's history is being fetched",
        ]
    );
    server.end().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_source_is_shown_beside_what_is_waited_for_and_what_is_answered() {
    let server = start(&["payments-api", "young"]).await;
    server.board.publish(decision("payments-api", nine(), Some(34)));
    let trouble = "http://prometheus:9090/ cannot be reached: Connection refused (os error 111)";
    for target in ["payments-api", "young"] {
        server.board.set_trouble(target, Some(trouble.into()));
    }
    let waiting = format!(
        "no decision has been made yet; the target's history is being fetched; its source: {trouble}"
    );
    let readiness = server.get("/readyz").await.body;
    assert!(readiness.contains(&format!("young: not ready, {waiting}\n")), "{readiness}");
    assert!(readiness.contains(&format!("payments-api: ready; its source: {trouble}\n")), "{readiness}");
    let overview = server.get("/").await.body;
    assert!(overview.contains(&format!("young: no answer, {waiting}\n")), "{overview}");
    assert!(overview.contains(&format!("; by scale_down_hold; its source: {trouble}\n")), "{overview}");
    let shown = |page: &str| -> serde_json::Value { serde_json::from_str(page).unwrap() };
    let decisions = shown(&server.get("/api/decisions").await.body);
    for target in 0..2 {
        assert_eq!(decisions["targets"][target]["sourceTrouble"], trouble);
    }

    // It answers again.
    server.board.set_trouble("payments-api", None);
    let decisions = shown(&server.get("/api/decisions").await.body);
    assert!(decisions["targets"][0]["sourceTrouble"].is_null(), "{decisions}");
    server.end().await;
}

#[tokio::test]
async fn decisions_are_shown_with_their_reasons() {
    let server = start(&["payments-api", "young"]).await;
    server.board.publish(decision("payments-api", nine(), Some(34)));
    let page = server.get("/api/decisions").await;
    assert!(page.headers.contains("content-type: application/json"));
    let shown: serde_json::Value = serde_json::from_str(&page.body).unwrap();
    let observed = serde_json::json!({ "at": "2026-11-27T08:59:50Z", "load": 3840.0 });
    let plan = serde_json::json!({
        "replicas": 34, "quantile": 0.95, "origin": "2026-11-27T08:59:00Z",
        "peakAt": "2026-11-27T09:02:00Z", "peakLoad": 4080.0, "medianLoad": 3960.0,
        "unlikelyLoad": null, "components": { "profile": 0.0, "day": 0.0, "level": 0.0, "effect": 0.0 },
        "cause": null, "climb": null, "absurdLoad": null,
    });
    let expected = serde_json::json!({
        "at": "2026-11-27T09:00:00Z",
        "targets": [
            {
                "target": "payments-api", "scaledObject": "payments/payments-api", "mode": "active",
                "decision": {
                    "at": "2026-11-27T09:00:00Z", "effectiveFrom": "2026-11-27T09:00:00Z", "rung": "planned",
                    "needsMost": "demand", "observed": observed, "reactiveNeedReplicas": 32,
                    "plansMost": "demand", "plan": plan,
                    "demands": [
                        {
                            "demand": "demand", "unit": "tx/s", "rung": "planned", "observed": observed,
                            "reactiveNeedReplicas": 32, "plan": plan, "eventNeed": null, "surge": null,
                        },
                    ],
                    "shortfall": null, "eventsAhead": [],
                    "applied": [
                        { "rule": "scale_down_hold", "from": 34, "to": 34, "why": "34 were proposed 15 s ago" },
                    ],
                    "guardedReplicas": 34, "active": true,
                },
                "noDecision": null, "sourceTrouble": null,
            },
            {
                "target": "young", "scaledObject": "payments/young", "mode": "active",
                "decision": null,
                "noDecision": "no decision has been made yet; the target's history is being fetched",
                "sourceTrouble": null,
            },
        ],
    });
    assert_eq!(shown, expected);
    server.end().await;
}

#[tokio::test]
async fn what_is_out_of_the_ordinary_is_shown_where_it_is_looked_for() {
    let server = start(&["payments-api"]).await;
    let at = |seconds| nine() + chrono::TimeDelta::seconds(seconds);
    let load = |load| Load::try_new(load).unwrap();
    let mut decision = Arc::unwrap_or_clone(decision("payments-api", nine(), Some(34)));
    decision.shortfall = Some(Shortfall {
        from: at(7200),
        missing: Replicas(12),
        worst_at: at(7260),
        needed: Replicas(212),
        limit: Limit::Max,
    });
    decision.prospects = Arc::new([Prospect {
        name: "launch".into(),
        from: at(3600),
        until: at(9000),
        replicas: Replicas(212),
        ready_by: at(3900),
    }]);
    let claim = &mut decision.claims[0];
    claim.event_need = Some(EventNeed {
        replicas: Replicas(30),
        name: "launch".into(),
        load: load(3600.0),
        at: at(120),
        needed: Replicas(36),
    });
    claim.surge = Some(Surge { observed: load(3840.0), expected: load(3000.0), reaches: load(5000.0) });
    let plan = claim.plan.as_mut().unwrap();
    plan.climb = Some(Climb { at: at(3600), to: Replicas(90) });
    plan.absurd = Some(load(1e9));
    plan.watched = Some(Watched {
        at: plan.peak_at,
        middle: plan.median,
        for_long: load(3900.0),
        unlikely: load(4200.0),
    });
    plan.components.effect = 100.0;
    server.board.publish(Arc::new(decision));

    let shown: serde_json::Value = serde_json::from_str(&server.get("/api/decisions").await.body).unwrap();
    let shown = &shown["targets"][0]["decision"];
    let missing = serde_json::json!({
        "from": "2026-11-27T11:00:00Z", "missingReplicas": 12, "worstAt": "2026-11-27T11:01:00Z",
        "neededReplicas": 212, "limit": "max",
    });
    assert_eq!(shown["shortfall"], missing);
    let ahead = serde_json::json!([{
        "event": "launch", "from": "2026-11-27T10:00:00Z", "until": "2026-11-27T11:30:00Z", "replicas": 212,
        "readyBy": "2026-11-27T10:05:00Z",
    }]);
    assert_eq!(shown["eventsAhead"], ahead);
    let claimed = &shown["demands"][0];
    let event = serde_json::json!({
        "event": "launch", "at": "2026-11-27T09:02:00Z", "load": 3600.0, "replicas": 30, "neededReplicas": 36,
    });
    assert_eq!(claimed["eventNeed"], event);
    let surge = serde_json::json!({ "observedLoad": 3840.0, "expectedLoad": 3000.0, "reachesLoad": 5000.0 });
    assert_eq!(claimed["surge"], surge);
    let plan = &shown["plan"];
    assert_eq!(plan["climb"], serde_json::json!({ "at": "2026-11-27T10:00:00Z", "replicas": 90 }));
    assert_eq!((&plan["absurdLoad"], &plan["unlikelyLoad"]), (&1e9.into(), &4200.0.into()));
    assert_eq!(plan["components"]["effect"], 100.0);

    let metrics = server.get("/metrics").await.body;
    for line in [
        "tidetable_shortfall_replicas{target=\"payments-api\"} 12.0",
        "tidetable_shortfall_start_timestamp_seconds{target=\"payments-api\"} 1795777200.0",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} in {metrics}");
    }
    let page = server.get("/").await.body;
    assert!(page.contains("12 will be missing from 2026-11-27 11:00Z on, because max is too low"), "{page}");
    server.end().await;
}

/// A target with a second demand, of which a replica bears 10 jobs.
fn target_with_queue(name: &str) -> Arc<Target> {
    let mut target = Arc::unwrap_or_clone(target(name));
    let queue = Demand {
        name: "queue".into(),
        query: "sum(queued_jobs)".into(),
        unit: "jobs".into(),
        capacity: LoadPerReplica::try_new(10.0).unwrap(),
        ..target.demands[0].clone()
    };
    target.demands.push(queue);
    Arc::new(target)
}

/// The same decision with a claim of that second demand: stale for five minutes and without a plan.
fn with_blind_queue(decision: &Decision, jobs: f64) -> Arc<Decision> {
    let mut decision = decision.clone();
    decision.claims.push(Claim {
        demand: "queue".into(),
        rung: Rung::Unavailable,
        observed: Some(Observation { at: decision.at - seconds(300), load: Load::try_new(jobs).unwrap() }),
        reactive_need: Some(Replicas::bearing(
            Load::try_new(jobs).unwrap(),
            LoadPerReplica::try_new(10.0).unwrap(),
        )),
        plan: None,
        event_need: None,
        surge: None,
    });
    Arc::new(decision)
}

#[tokio::test]
async fn of_several_demands_each_is_shown_and_the_largest_named() {
    let server = start(&[]).await;
    server.board.replace([target_with_queue("payments-api")]);
    let answered = decision("payments-api", nine(), Some(34));
    server.board.publish(with_blind_queue(&answered, 395.0));
    server.clock.advance(seconds(5));

    let shown: serde_json::Value = serde_json::from_str(&server.get("/api/decisions").await.body).unwrap();
    let shown = &shown["targets"][0]["decision"];
    assert_eq!((&shown["needsMost"], &shown["reactiveNeedReplicas"]), (&"queue".into(), &40.into()));
    assert_eq!((&shown["plansMost"], &shown["plan"]["replicas"]), (&"demand".into(), &34.into()));
    assert_eq!(shown["observed"]["load"], 395.0);
    let queue = serde_json::json!({
        "demand": "queue", "unit": "jobs", "rung": "unavailable", "reactiveNeedReplicas": 40, "plan": null,
        "observed": { "at": "2026-11-27T08:55:00Z", "load": 395.0 }, "eventNeed": null, "surge": null,
    });
    assert_eq!(shown["demands"][1], queue);

    let page = server.get("/").await.body;
    let line = "; demand planned 34 for 4080 tx/s at 09:02:00Z (quantile 0.95); demand observed 3840 tx/s 15 s ago, which \
                need 32; queue observed 395 jobs 305 s ago, which need 40; by scale_down_hold";
    assert!(page.contains(line), "{page}");

    let page = server.get("/metrics").await.body;
    for line in [
        "tidetable_reactive_need_replicas{target=\"payments-api\"} 40.0",
        "tidetable_planned_replicas{target=\"payments-api\"} 34.0",
        "tidetable_observed_load{target=\"payments-api\",demand=\"queue\"} 395.0",
        "tidetable_capacity_load{target=\"payments-api\",demand=\"queue\"} 10.0",
        "tidetable_demand_rung{target=\"payments-api\",demand=\"queue\",rung=\"unavailable\"} 1.0",
        "tidetable_rung{target=\"payments-api\",rung=\"planned\"} 1.0",
    ] {
        assert!(page.lines().any(|said| said == line), "{line} is not in {page}");
    }
    assert!(!page.contains("forecast_load{target=\"payments-api\",demand=\"queue\""), "{page}");
    server.end().await;
}

/// What comes of a fit of ten days by the minute, with a load test left out and a holiday coming that nobody has seen.
fn learned() -> Learned {
    let until = Step::MINUTE.slot_of(nine()).next();
    let mut history = Series::empty(Step::MINUTE, until.plus(-10 * 1_440));
    for slot in history.first().0..until.0 {
        let noise = (slot.wrapping_mul(2_654_435_761) % 101) as f64;
        history.put(Slot(slot), Load::try_new(1_000.0 + noise).unwrap());
    }
    let test = nine() - chrono::TimeDelta::hours(5);
    let exclude =
        [Exclusion { from: test, to: test + chrono::TimeDelta::minutes(30), why: "load test".into() }];
    let almanac = Almanac::none(chrono_tz::Europe::London);
    let model = forecaster(&almanac, &exclude.into()).fit(&history, until).unwrap();
    Learned { until: Step::MINUTE.start(until), outcome: Ok(model.explanation()) }
}

#[tokio::test]
async fn what_stands_behind_a_forecast_has_a_page_for_each_target() {
    let server = start(&["payments-api", "young"]).await;
    let path = "/api/targets/payments-api/model";
    let shown = |page: &Page| -> serde_json::Value { serde_json::from_str(&page.body).unwrap() };
    let page = server.get(path).await;
    assert_eq!(page.status, 200);
    assert_eq!(
        shown(&page)["demands"][0]["noModel"],
        "no fit has come to an end yet; the history is being read"
    );

    server.board.explain("payments-api", &"demand".into(), learned());
    let error = tidetable::forecast::Error::TooShort { measured_hours: 5, needed_hours: 24 };
    server.board.explain("young", &"demand".into(), Learned { until: nine(), outcome: Err(error) });
    server.board.explain("gone", &"demand".into(), learned());
    let page = server.get(path).await;
    assert!(page.headers.contains("content-type: application/json"));
    let model = &shown(&page)["demands"][0];
    assert_eq!((&model["dataUntil"], &model["noModel"]), (&"2026-11-27T09:00:00Z".into(), &().into()));
    let history = serde_json::json!({
        "from": "2026-11-17T09:00:00Z", "to": "2026-11-27T09:00:00Z", "measuredSlots": 14_400,
        "leftOutSlots": { "excluded": 30, "absurd": 0, "reset": 0, "spike": 0, "outage": 0, "surge": 0, "slump": 0 },
        "levelShifts": [],
    });
    assert_eq!(model["explanation"]["history"], history);
    let parts = model["explanation"]["blends"].as_array().unwrap();
    assert_eq!(parts.iter().map(|part| &part["part"]).collect::<Vec<_>>(), ["days", "hours", "minutes"]);
    for lead in parts.iter().flat_map(|part| part["leads"].as_array().unwrap()) {
        let sum: f64 =
            lead["shares"].as_object().unwrap().values().map(|share| share.as_f64().unwrap()).sum();
        assert!((sum - 1.0).abs() < 0.1, "{lead}");
    }

    let young = shown(&server.get("/api/targets/young/model").await);
    let why = young["demands"][0]["noModel"].as_str().unwrap();
    assert!(why.contains("5 h of 24 h are measured"), "{why}");
    let page = server.get("/api/targets/gone/model").await;
    assert_eq!(
        (page.status, page.body.as_str()),
        (404, "there is no target \"gone\"; / lists those there are\n")
    );
    server.end().await;
}

#[tokio::test]
async fn what_is_not_a_page_is_refused() {
    let server = start(&[]).await;
    assert_eq!(server.get("/admin").await.status, 404);
    assert_eq!(server.ask("POST /metrics").await.status, 405);
    assert_eq!(server.get("/readyz").await.status, 200, "nothing to wait for");
    server.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_wait_in_line_and_do_not_take_every_place() {
    let server = start(&["ledger"]).await;
    let mut idle: Vec<_> = (0..256).map(|_| TcpStream::connect(server.address).unwrap()).collect();
    let mut asked = Box::pin(server.get("/healthz"));
    let early = tokio::time::timeout(std::time::Duration::from_millis(200), &mut asked).await;
    assert!(early.is_err(), "all places are taken");
    idle.pop();
    assert_eq!(asked.await.status, 200);
    drop(idle);
    server.end().await;
}
