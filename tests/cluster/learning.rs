//! What is learned of pods, and what outlives a restart.

use super::*;

#[tokio::test]
async fn init_containers_from_20_to_180_seconds_move_the_lead_time_by_160_within_three_roll_outs() {
    let api = Api::start();
    let following = Following::of(&api, &Arc::default());
    until("a watch", || api.watches() == 1).await;
    assert_eq!(following.lead_time(), None);
    api.roll_out("v1", 0, [0, 20, 50]);
    following.learns(50).await;
    api.roll_out("v2", 60, [0, 180, 210]);
    following.learns(210).await;
    api.roll_out("v3", 120, [0, 20, 50]);
    following.learns(50).await;
    let learned = following.sight.learned(&owner()).unwrap();
    assert_eq!((&*learned.template, learned.warm.unwrap().starts, learned.cold), ("v3", 3, None));
}

#[tokio::test]
async fn pods_that_are_there_already_teach_too_and_what_is_learned_outlives_the_process() {
    let api = Api::start();
    api.roll_out("v1", 0, [0, 20, 50]);
    let memory = Arc::new(Kept::default());
    let following = Following::of(&api, &memory);
    following.learns(50).await;
    until("what was learned is kept", || memory.0.lock().unwrap().len() == 3).await;
    drop(following);

    // Another cluster, say, in which nothing has started yet.
    let empty = Api::start();
    Following::of(&empty, &memory).learns(50).await;
}

#[tokio::test]
async fn a_pod_that_waited_for_a_node_is_told_apart() {
    let api = Api::start();
    let following = Following::of(&api, &Arc::default());
    until("a watch", || api.watches() == 1).await;
    api.roll_out("v1", 0, [0, 20, 50]);
    for seen in 1..=3 {
        api.pod("v1", 10, &[100, 120, 150][..seen]);
    }
    until("a cold start", || following.sight.learned(&owner()).is_some_and(|learned| learned.cold.is_some()))
        .await;
    let learned = following.sight.learned(&owner()).unwrap();
    assert_eq!(learned.warm.unwrap().q95, seconds(50));
    assert_eq!(learned.cold.unwrap().q95, seconds(150));
    assert_eq!(learned.lead_time, seconds(150), "one of four is usual");
}
