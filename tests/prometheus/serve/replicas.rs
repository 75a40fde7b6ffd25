//! Replicas behind one Service: KEDA asks whichever comes next, so they must answer alike.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tidetable::decision::{DECIDE_EVERY, PUBLISH_DELAY};

use super::PAYMENTS;
use super::process::{Scaler, replicas, target};
use super::traffic::{Shop, Traffic};

const APART: Duration = Duration::from_secs(90);
const QUESTIONS: usize = 10_000;
const PACE: Duration = Duration::from_millis(17);
/// After so many the younger one is ended and started anew.
const RESTART_AFTER: usize = 7_000;

/// The span of time in which one decision is the answer, by the clock that all replicas share.
fn slot() -> i64 {
    let millis = |duration: Duration| i64::try_from(duration.as_millis()).unwrap();
    (chrono::Utc::now().timestamp_millis() - millis(PUBLISH_DELAY)).div_euclid(millis(DECIDE_EVERY))
}

/// What a replica decided, by the instant it decided for.
fn collect(scaler: &Scaler, decisions: &mut BTreeMap<String, Value>) {
    let decision = scaler.decision(PAYMENTS);
    if !decision.is_null() {
        decisions.insert(decision["at"].as_str().unwrap().to_owned(), decision);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_questions_to_replicas_that_started_apart_find_one_answer_for_each_slot() {
    // Noise that changes with every decision, and a replica for each tx/s, so that no difference is rounded away.
    let shop = Shop::open(Traffic::starting_now().with_noise(0.2, 15)).await;
    let fine = target(PAYMENTS, "payments_per_second", 1, 100_000, "leadTime: 1m\n").replacen(
        "    leadTime: 10m\n",
        "",
        1,
    );
    let older = Scaler::start(&shop.prometheus.url(), &fine);
    let started = Instant::now();
    older.reaches(PAYMENTS, "planned");
    thread::sleep(APART.saturating_sub(started.elapsed()));
    let mut younger = Scaler::start(&shop.prometheus.url(), &fine);
    younger.reaches(PAYMENTS, "planned");
    let (mut ask_older, mut ask_younger) = (older.keda().await, younger.keda().await);

    let (mut by_older, mut by_younger) = (BTreeMap::new(), BTreeMap::new());
    let mut answers: BTreeMap<i64, BTreeSet<u64>> = BTreeMap::new();
    let (mut between, mut asked_in) = (0, [BTreeSet::new(), BTreeSet::new()]);
    let mut pace = tokio::time::interval(PACE);
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for question in 0..QUESTIONS {
        if question == RESTART_AFTER {
            younger.terminate();
            younger.ended_within(Duration::from_secs(20));
            younger = Scaler::start(&shop.prometheus.url(), &fine);
            younger.reaches(PAYMENTS, "planned");
            ask_younger = younger.keda().await;
        }
        pace.tick().await;
        let before = slot();
        let answer = match question % 2 {
            0 => replicas(&mut ask_older, PAYMENTS).await.unwrap(),
            _ => replicas(&mut ask_younger, PAYMENTS).await.unwrap(),
        };
        // Asked on one side of the switch and answered on the other, a question belongs to neither.
        if slot() == before {
            answers.entry(before).or_default().insert(answer);
            asked_in[question % 2].insert(before);
        } else {
            between += 1;
        }
        if question % 100 == 0 {
            collect(&older, &mut by_older);
            collect(&younger, &mut by_younger);
        }
    }

    let both = asked_in[0].intersection(&asked_in[1]).count();
    let different: BTreeSet<_> = answers.values().flatten().collect();
    println!(
        "{QUESTIONS} questions in {} slots, {both} of them to both, {between} between two; {} different answers",
        answers.len(),
        different.len()
    );
    let with_two: Vec<_> = answers.iter().filter(|(_, answers)| answers.len() > 1).collect();
    if !with_two.is_empty() {
        for (at, decision) in by_younger.iter().filter(|(at, decision)| by_older.get(*at) != Some(*decision))
        {
            println!(
                "{at}, the younger: {decision}\nthe older: {:?}",
                by_older.get(at).map(Value::to_string)
            );
        }
    }
    assert!(with_two.is_empty(), "{with_two:?}");
    assert!(both >= 10 && different.len() >= 4, "{answers:?}");
    assert!(between < QUESTIONS / 100, "{between}");
    assert!(by_younger.len() >= 10, "{by_younger:?}");
    for (at, decision) in &by_younger {
        // The younger one is looked at a moment after the older, which may be in the next slot.
        if let Some(by_older) = by_older.get(at) {
            assert_eq!(decision, by_older, "at {at}");
        }
    }
}
