//! What is written to the cluster: a Lease, what becomes of `SurgeEvents`, and Kubernetes Events.

use std::time::Instant;

use serde_json::{Value, json};
use tidetable::cluster::{Candidacy, herald};
use tidetable::engine::Clock as _;
use tidetable::guard::{Mode, Rung};
use tidetable::plan::{EventNeed, Limit, Prospect, Shortfall};
use tidetable::time::Timestamp;
use tidetable::units::{Load, Replicas};

use super::*;
use stage::decision;

/// A replica that follows `api` and stands for the writing; ended with this value.
struct Telling {
    board: Arc<Board>,
    clock: Arc<HandClock>,
    shutdown: CancellationToken,
    task: AbortOnDropHandle<()>,
    _follower: AbortOnDropHandle<()>,
}

impl Telling {
    fn of(api: &Api, identity: &str) -> Self {
        let (board, clock) = (Arc::new(Board::default()), HandClock::at(nine()));
        board.replace([target()]);
        let sight = Arc::new(Sight::new(Metrics::default()));
        let shutdown = CancellationToken::new();
        let following = follow(
            api.client(),
            Arc::clone(&board),
            Arc::clone(&sight),
            None::<Arc<Kept>>,
            Arc::clone(&clock),
            CancellationToken::new(),
        );
        let candidacy = Candidacy { lease: "tidetable".into(), identity: identity.into() };
        let (client, board_too, clock_too) = (api.client(), Arc::clone(&board), Arc::clone(&clock));
        let telling = herald(client, board_too, sight, candidacy, clock_too, shutdown.clone());
        Self {
            board,
            clock,
            shutdown,
            task: AbortOnDropHandle::new(tokio::spawn(telling)),
            _follower: AbortOnDropHandle::new(tokio::spawn(following)),
        }
    }

    /// Publishes what is decided now, moves the clock to `minutes` after nine, and waits until `holds`, turn after turn.
    async fn at(&self, minutes: i64, what: &str, holds: impl Fn() -> bool) {
        let to = nine() + chrono::TimeDelta::minutes(minutes);
        let ahead = (to - self.clock.now()).to_std().unwrap_or_default();
        self.decide(to, |_| {});
        self.clock.advance(ahead);
        let began = Instant::now();
        while !holds() {
            assert!(began.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
            tokio::time::sleep(Duration::from_millis(100)).await;
            self.decide(self.clock.now(), |_| {});
            self.clock.advance(seconds(1));
        }
    }

    /// Turns for so many minutes, after which nothing need have happened.
    async fn turns(&self, minutes: std::ops::RangeInclusive<i64>) {
        for minute in minutes {
            self.at(minute, "nothing", || true).await;
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    /// Publishes a decision from `at` on, which foresees a launch at ten that needs 150 of at most 200 replicas.
    fn decide(&self, at: Timestamp, change: impl FnOnce(&mut tidetable::decision::Decision)) {
        let mut decision = Arc::unwrap_or_clone(decision("api", at, Some(34)));
        decision.prospects = Arc::new([Prospect {
            name: "launch".into(),
            from: nine() + chrono::TimeDelta::hours(1),
            until: nine() + chrono::TimeDelta::hours(2),
            replicas: Replicas(if at < nine() + chrono::TimeDelta::minutes(75) { 150 } else { 60 }),
            ready_by: nine() + chrono::TimeDelta::minutes(65),
        }]);
        change(&mut decision);
        self.board.publish(Arc::new(decision));
    }
}

/// A launch at ten that grows for five minutes, stays for 25 and fades for 30.
fn launch() -> Value {
    let surge = json!({ "at": "2026-11-27T10:00:00Z", "uplift": { "expected": 3.0, "upper": 5.0 },
                        "ramp": "5m", "stay": "25m", "decay": "30m" });
    json!({ "targets": ["api"], "surge": surge })
}

fn phase(api: &Api, name: &str) -> Option<String> {
    api.status(name)["phase"].as_str().map(str::to_owned)
}

#[tokio::test]
async fn a_surge_goes_through_its_life_and_is_written_only_when_something_changed() {
    let api = Api::start();
    api.declare("launch", Some(&launch()));
    let telling = Telling::of(&api, "a");
    telling.at(0, "a phase", || phase(&api, "launch").as_deref() == Some("Scheduled")).await;
    telling.at(1, "what it needs", || !api.status("launch")["replicasAtPeak"].is_null()).await;
    let status = api.status("launch");
    let whole =
        json!({ "name": "api", "replicasAtPeak": 150, "readyAt": "2026-11-27T10:05:00Z", "shortfall": null });
    assert_eq!(status["targets"], json!([whole]));
    assert_eq!(
        (&status["replicasAtPeak"], &status["readyAt"]),
        (&json!(150), &json!("2026-11-27T10:05:00Z"))
    );
    assert!(status["shortfall"].is_null(), "{status}");
    let condition = &status["conditions"][0];
    assert_eq!(
        [&condition["type"], &condition["status"], &condition["reason"]],
        ["Accepted", "True", "Declared"]
    );
    assert_eq!(status["observedGeneration"], condition["observedGeneration"]);

    let written = api.patches().len();
    telling.turns(2..=40).await;
    assert_eq!(api.patches().len(), written, "nothing has changed: {:?}", api.patches());
    assert_eq!(api.events(), Vec::<[String; 4]>::new());

    // A lead time of 90 s and a renewal before ten.
    telling.at(58, "warming", || phase(&api, "launch").as_deref() == Some("Warming")).await;
    telling.at(61, "active", || phase(&api, "launch").as_deref() == Some("Active")).await;
    telling.at(80, "active", || phase(&api, "launch").as_deref() == Some("Active")).await;
    assert_eq!(api.status("launch")["replicasAtPeak"], 150, "its peak has passed, and is not forgotten");
    telling.at(91, "decaying", || phase(&api, "launch").as_deref() == Some("Decaying")).await;
    telling.at(121, "done", || phase(&api, "launch").as_deref() == Some("Done")).await;
    let about = "SurgeEvent launch uid-launch".to_owned();
    let peak = "150 replicas at its peak, to be ready by 2026-11-27T10:05:00Z";
    let expected = [
        ["Normal".into(), "Warming".into(), about.clone(), format!("pods for it are asked for; {peak}")],
        ["Normal".into(), "Active".into(), about, format!("it is in force; {peak}")],
    ];
    assert_eq!(api.events(), expected);
}

#[tokio::test]
async fn a_surge_that_is_climbed_to_by_its_declaration_alone_warms_from_there_on() {
    let api = Api::start();
    api.declare("launch", Some(&launch()));
    let telling = Telling::of(&api, "a");
    telling.at(0, "a phase", || phase(&api, "launch").as_deref() == Some("Scheduled")).await;
    let now = telling.clock.now() + seconds(600);
    telling.decide(now, |decision| {
        let (name, load) = ("launch".into(), Load::try_new(18_000.0).unwrap());
        let at = nine() + chrono::TimeDelta::minutes(65);
        decision.claims[0].event_need =
            Some(EventNeed { replicas: Replicas(40), name, load, at, needed: Replicas(150) });
    });
    telling.clock.advance(seconds(600));
    until("warming, fifty minutes before", || phase(&api, "launch").as_deref() == Some("Warming")).await;
}

#[tokio::test]
async fn what_is_refused_and_what_will_be_missing_is_said_on_the_object() {
    let api = Api::start();
    let hold =
        |replicas: u32| json!({ "replicas": replicas, "until": "2026-11-27T09:30:00Z", "reason": "INC-7" });
    let elsewhere = json!({ "targets": ["ledger"], "hold": hold(3) });
    api.declare("elsewhere", Some(&elsewhere));
    api.declare("both", Some(&json!({ "targets": ["api", "ledger"], "hold": hold(230) })));
    let mut endless = launch();
    endless["surge"]["stay"] = json!("100000000d");
    api.declare("endless", Some(&endless));
    let mut off = launch();
    off["cancelled"] = json!(true);
    api.declare("off", Some(&off));
    let telling = Telling::of(&api, "a");
    let names = ["elsewhere", "both", "endless", "off"];
    telling.at(0, "four statuses", || names.iter().all(|name| !api.status(name).is_null())).await;
    let accepted = |name: &str| {
        let condition = &api.status(name)["conditions"][0];
        let text = |key: &str| condition[key].as_str().unwrap().to_owned();
        (text("status"), text("reason"), text("message"))
    };
    let (status, reason, message) = accepted("elsewhere");
    assert_eq!((&*status, &*reason), ("False", "NoSuchTarget"));
    assert!(message.ends_with("is called ledger"), "{message}");
    let (status, reason, message) = accepted("endless");
    assert_eq!((&*status, &*reason), ("False", "Unreadable"));
    assert!(message.starts_with("surge.stay \"100000000d\" is not a duration of at most 31d"), "{message}");
    assert!(api.status("endless")["phase"].is_null());
    assert_eq!(accepted("both").1, "SomeTargetsUnknown");
    let both = api.status("both");
    assert_eq!(
        (&both["phase"], &both["replicasAtPeak"], &both["shortfall"]),
        (&json!("Active"), &json!(230), &json!(30))
    );
    assert_eq!(phase(&api, "off").as_deref(), Some("Cancelled"));
    until("an Event for each", || api.events().len() >= 4).await;
    let mut told: Vec<_> =
        api.events().into_iter().map(|[kind, reason, about, _]| (kind, reason, about)).collect();
    told.sort();
    let line = |kind: &str, reason: &str, name: &str| {
        (kind.to_owned(), reason.to_owned(), format!("SurgeEvent {name} uid-{name}"))
    };
    let expected = [
        line("Normal", "Active", "both"),
        line("Warning", "Refused", "elsewhere"),
        line("Warning", "Refused", "endless"),
        line("Warning", "ShortfallAhead", "both"),
    ];
    assert_eq!(told, expected);

    // It is mended, and the refusal is taken back.
    api.declare("endless", Some(&launch()));
    telling.at(1, "a phase", || phase(&api, "endless").as_deref() == Some("Scheduled")).await;
    assert_eq!(accepted("endless").0, "True");
    telling.at(31, "the end of the hold", || phase(&api, "both").as_deref() == Some("Done")).await;
    assert!(api.status("both")["shortfall"].is_null());
}

#[tokio::test]
async fn a_rung_a_mode_and_a_shortfall_are_told_of_the_scaled_object_and_what_flaps_is_not() {
    let api = Api::start();
    let telling = Telling::of(&api, "a");
    let reasons = || api.events().into_iter().map(|event| event[1].clone()).collect::<Vec<_>>();
    telling.at(0, "the Lease", || !api.lease().is_null()).await;
    telling.at(1, "a first look", || true).await;
    telling.clock.advance(seconds(30));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(reasons().is_empty(), "what is seen first is no change: {:?}", api.events());

    // Measurements stop and come back three times in as many minutes.
    let rung = |rung| move |decision: &mut tidetable::decision::Decision| decision.rung = rung;
    for turn in 0..6 {
        let now = telling.clock.now() + seconds(30);
        telling.decide(now, rung(if turn % 2 == 0 { Rung::PlanOnly } else { Rung::Planned }));
        telling.clock.advance(seconds(30));
        if turn == 0 {
            until("the fall", || reasons() == ["RungChanged"]).await;
        } else {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    assert_eq!(reasons(), ["RungChanged"], "once");
    let [kind, _, about, note] = api.events().remove(0);
    assert_eq!((&*kind, &*about), ("Warning", "ScaledObject api "), "nobody knows its UID here");
    assert_eq!(note, "api is decided on the rung plan_only now, and was on planned");

    let now = telling.clock.now() + seconds(600);
    telling.decide(now, |decision| {
        let (from, worst_at) = (now + seconds(3600), now + seconds(3660));
        let limit = Limit::Max;
        decision.shortfall =
            Some(Shortfall { from, missing: Replicas(12), worst_at, needed: Replicas(212), limit });
    });
    let mut shadow = Target::clone(&target());
    shadow.policy.guard.mode = Mode::Shadow;
    telling.board.replace([Arc::new(shadow)]);
    telling.clock.advance(seconds(600));
    until("the rest", || reasons().len() == 4).await;
    let mut rest = reasons().split_off(1);
    rest.sort();
    // The rung that it was left on at last is told when its time has come.
    assert_eq!(rest, ["ModeChanged", "RungChanged", "ShortfallAhead"]);
    let short = api.events().into_iter().find(|event| event[1] == "ShortfallAhead").unwrap();
    assert_eq!(
        (&*short[0], short[3].split(" from ").next().unwrap()),
        ("Warning", "api will lack 12 replicas")
    );
}

#[tokio::test]
async fn of_two_replicas_one_writes_and_the_other_takes_over_when_it_goes() {
    let api = Api::start();
    api.declare("launch", Some(&launch()));
    let (one, other) = (Telling::of(&api, "one"), Telling::of(&api, "other"));
    one.at(0, "a holder", || phase(&api, "launch").is_some()).await;
    let holder = api.lease()["spec"]["holderIdentity"].as_str().unwrap().to_owned();
    let (first, second) = if holder == "one" { (one, other) } else { (other, one) };
    second.turns(2..=12).await;
    first.turns(2..=12).await;
    let spec = api.lease()["spec"].clone();
    assert_eq!((&spec["holderIdentity"], &spec["leaseTransitions"]), (&json!(holder), &json!(0)));
    let phases: Vec<_> = api.patches().iter().map(|(_, patch)| patch["status"]["phase"].clone()).collect();
    assert!(phases.len() <= 2, "one wrote it, with and without what it needs: {phases:?}");

    // It goes in order, and the other need not wait.
    first.shutdown.cancel();
    first.task.await.unwrap();
    second.at(58, "the other", || phase(&api, "launch").as_deref() == Some("Warming")).await;
    let spec = api.lease()["spec"].clone();
    assert_ne!(spec["holderIdentity"], json!(holder));
    assert_eq!(spec["leaseTransitions"], 1);
}

#[tokio::test]
async fn a_holder_that_died_is_respected_for_as_long_as_its_lease_says() {
    let api = Api::start();
    api.declare("launch", Some(&launch()));
    api.set_lease(&json!({ "holderIdentity": "gone", "leaseDurationSeconds": 2, "leaseTransitions": 4,
                           "renewTime": "2026-11-27T08:59:59.000000Z" }));
    let telling = Telling::of(&api, "a");
    let began = Instant::now();
    telling.at(0, "its end", || phase(&api, "launch").is_some()).await;
    assert!(began.elapsed() >= Duration::from_secs(2), "{:?}", began.elapsed());
    let spec = api.lease()["spec"].clone();
    assert_eq!((&spec["holderIdentity"], &spec["leaseTransitions"]), (&json!("a"), &json!(5)));
    assert_eq!(spec["leaseDurationSeconds"], 60);
}

#[tokio::test]
async fn who_may_not_have_the_lease_writes_nothing_until_the_right_is_given() {
    let api = Api::start();
    api.forbid_lease(true);
    api.declare("launch", Some(&launch()));
    let telling = Telling::of(&api, "a");
    telling.turns(1..=12).await;
    assert_eq!((api.patches().len(), api.events().len()), (0, 0));
    api.forbid_lease(false);
    telling.at(14, "a status", || phase(&api, "launch").is_some()).await;
}

#[tokio::test]
async fn a_definition_without_a_status_is_waited_for_and_costs_nothing_else() {
    let api = Api::start();
    api.set_statusless(true);
    api.declare("launch", Some(&launch()));
    let telling = Telling::of(&api, "a");
    telling.at(0, "a try", || !api.patches().is_empty()).await;
    telling.turns(1..=4).await;
    assert!(api.status("launch").is_null() && api.events().is_empty());
    api.set_statusless(false);
    telling.at(5, "a status", || phase(&api, "launch").is_some()).await;
}

#[tokio::test]
async fn a_status_follows_what_is_decided_within_seconds_and_is_written_no_oftener_than_each_ten() {
    let api = Api::start();
    api.declare("launch", Some(&launch()));
    let telling = Telling::of(&api, "a");
    let needs = |replicas: u32| {
        move |decision: &mut tidetable::decision::Decision| {
            let mut prospect = decision.prospects[0].clone();
            prospect.replicas = Replicas(replicas);
            decision.prospects = Arc::new([prospect]);
        }
    };
    telling.at(1, "what it needs", || api.status("launch")["replicasAtPeak"] == 150).await;

    // Something else is decided a quarter minute after the last look, and the next one is five seconds later.
    telling.clock.advance(seconds(30));
    tokio::time::sleep(Duration::from_millis(100)).await;
    telling.decide(telling.clock.now(), needs(170));
    for _ in 0..2 {
        telling.clock.advance(seconds(5));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    until("the other number", || api.status("launch")["replicasAtPeak"] == 170).await;

    // What changes each second is written each ten.
    let (written, began) = (api.patches().len(), telling.clock.now());
    for second in 0..60 {
        telling.decide(telling.clock.now(), needs(171 + second));
        telling.clock.advance(seconds(1));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let passed = (telling.clock.now() - began).num_seconds();
    let more = api.patches().len() - written;
    assert!((2..=7).contains(&more), "{more} patches in {passed} s");
    telling.clock.advance(seconds(10));
    until("the last number", || api.status("launch")["replicasAtPeak"] == 230).await;
}

#[tokio::test]
async fn a_target_that_is_named_twice_counts_once_and_a_surge_too_many_is_refused_where_it_is_looked_for() {
    let api = Api::start();
    let mut twice = launch();
    twice["targets"] = json!(["api", "api"]);
    api.declare("launch", Some(&twice));
    let surge = json!({ "targets": ["api"], "surge": { "at": "2026-11-29T10:00:00Z" } });
    for number in 0..200 {
        api.declare(&format!("other-{number:03}"), Some(&surge));
    }
    let telling = Telling::of(&api, "a");
    telling.at(1, "what it needs", || api.status("launch")["replicasAtPeak"] == 150).await;
    telling.at(2, "every status", || !api.status("other-199").is_null()).await;
    let refused = |name: &str| api.status(name)["conditions"][0]["reason"] == "TooMany";
    assert!(
        refused("other-199") && !refused("other-198") && !refused("launch"),
        "200 are heeded, and one is not"
    );
    assert!(api.status("other-199")["phase"].is_null());
    let message = api.status("other-199")["conditions"][0]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("the first 200 are") && message.contains("delete SurgeEvents"), "{message}");

    // One is taken back, and the next in the row is heeded.
    api.declare("other-000", None);
    telling.at(3, "its turn", || phase(&api, "other-199").as_deref() == Some("Scheduled")).await;
}
