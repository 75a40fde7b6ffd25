//! What is seen of the HPA that answers are written for.

use serde_json::{Value, json};
use tidetable::engine::ScaleUpFrom;
use tidetable::guard::Tolerance;
use tidetable::guard::tolerance::{Mode, Seen};
use tidetable::plan::{ScaleUp, ScaleUpPolicy, Select, Unit};
use tidetable::units::Replicas;

use super::*;

/// Looks at the HPA of `api` until `expected` is seen of it.
async fn sees(api: &Api, expected: Seen) -> (Arc<Sight>, Arc<HandClock>, AbortOnDropHandle<()>) {
    let auto = Tolerance { mode: Mode::Auto, ..Tolerance::default() };
    sees_for(api, Target { tolerance: auto, ..Target::clone(&stage::target("api")) }, expected).await
}

async fn sees_for(
    api: &Api,
    target: Target,
    expected: Seen,
) -> (Arc<Sight>, Arc<HandClock>, AbortOnDropHandle<()>) {
    let board = Arc::new(Board::new([Arc::new(target)]));
    let sight = Arc::new(Sight::new(Metrics::default()));
    assert_eq!(sight.hpa(&owner(), nine()), None, "no cluster is looked at");
    let clock = HandClock::at(nine());
    let (seen, ticking) = (Arc::clone(&sight), Arc::clone(&clock));
    let task = follow(api.client(), board, seen, None::<Arc<Kept>>, ticking, CancellationToken::new());
    let task = AbortOnDropHandle::new(tokio::spawn(task));
    until("the HPA is seen", || sight.hpa(&owner(), nine()) == Some(expected)).await;
    (sight, clock, task)
}

fn hpa(up: &Value, down: &Value) -> Value {
    json!({ "behavior": { "scaleUp": { "tolerance": up }, "scaleDown": { "tolerance": down } } })
}

fn scaled() -> Value {
    json!({ "scaleTargetRef": { "name": "api-server" }, "triggers": [] })
}

#[tokio::test]
async fn where_the_hpa_has_a_tolerance_replicas_are_counted_as_often_as_it_looks() {
    let api = Api::start();
    api.set_scaling(scaled(), hpa(&json!("50m"), &Value::Null));
    let expected = Seen { current: Some(Replicas(18)), up: Some(0.05), down: None };
    let (sight, clock, _task) = sees(&api, expected).await;
    for counted in 2..5 {
        clock.advance(seconds(15));
        until("another count", || api.counts() == counted).await;
    }
    // What nobody counts any more is forgotten; the tolerance is not.
    let later = nine() + seconds(3600);
    assert_eq!(sight.hpa(&owner(), later), Some(Seen { current: None, ..expected }));
}

#[tokio::test]
async fn where_it_has_none_nothing_is_counted() {
    let api = Api::start();
    api.set_scaling(scaled(), hpa(&json!("0"), &json!(0)));
    let (_sight, clock, _task) = sees(&api, Seen { current: None, up: Some(0.0), down: Some(0.0) }).await;
    clock.advance(seconds(60));
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(api.counts(), 0);
}

#[tokio::test]
async fn who_may_not_read_the_hpa_counts_all_the_same() {
    let api = Api::start();
    api.set_scaling(scaled(), Value::Null);
    let _seen = sees(&api, Seen { current: Some(Replicas(18)), up: None, down: None }).await;
}

#[tokio::test]
async fn how_it_lets_replicas_climb_is_seen_and_stands_while_it_cannot_be_read() {
    let api = Api::start();
    let pods = json!({ "type": "Pods", "value": 4, "periodSeconds": 60 });
    let hpa = json!({ "behavior": { "scaleUp": { "tolerance": "0", "selectPolicy": "Max", "policies": [pods] },
        "scaleDown": { "tolerance": "0" } } });
    api.set_scaling(scaled(), hpa);
    let (sight, clock, _task) = sees(&api, Seen { current: None, up: Some(0.0), down: Some(0.0) }).await;
    let four_a_minute = ScaleUpPolicy { unit: Unit::Pods, amount: 4, period: Duration::from_secs(60) };
    let expected = Some(ScaleUp::Policies { select: Select::Max, policies: vec![four_a_minute] });
    assert_eq!(sight.scale_up(&owner()), expected);

    api.set_scaling(scaled(), Value::Null);
    let later = |holds: &dyn Fn() -> bool| {
        clock.advance(seconds(60));
        holds()
    };
    let not_read = || sight.hpa(&owner(), nine()).is_some_and(|seen| seen.up.is_none());
    until("it is not read any more", || later(&not_read)).await;
    assert_eq!(sight.scale_up(&owner()), expected);

    api.set_scaling(scaled(), json!({ "minReplicas": 1 }));
    until("it is read again", || later(&|| sight.scale_up(&owner()) == Some(ScaleUp::Doubling))).await;
}

#[tokio::test]
async fn who_needs_it_for_climbs_alone_reads_it_and_counts_nothing() {
    let api = Api::start();
    api.set_scaling(scaled(), hpa(&Value::Null, &Value::Null));
    // Exact answers depend on nothing that is seen.
    let target = Target { scale_up: ScaleUpFrom::Hpa, ..Target::clone(&stage::target("api")) };
    let (sight, clock, _task) = sees_for(&api, target, Seen::default()).await;
    until("its rules are seen", || sight.scale_up(&owner()).is_some()).await;
    clock.advance(seconds(60));
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(api.counts(), 0);
}
