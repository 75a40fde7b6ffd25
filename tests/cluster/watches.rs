//! What API servers do to watches, and that pods are learned from all the same.

use super::*;
use crate::api::Fault;

/// A follower that has learned 50 s, and whose watch is open.
async fn settled(api: &Api) -> Following {
    let following = Following::of(api, &Arc::default());
    until("a watch", || api.watches() == 1).await;
    api.roll_out("v1", 0, [0, 20, 50]);
    following.learns(50).await;
    following
}

#[tokio::test]
async fn a_watch_that_ends_goes_on_where_a_bookmark_left_it() {
    let api = Api::start();
    let following = settled(&api).await;
    let version = api.bookmark();
    // The bookmark must have been read before its watch ends, and nothing else says so.
    tokio::time::sleep(Duration::from_millis(300)).await;
    api.end_watches();
    until("another watch", || api.watches() == 1).await;
    assert_eq!(api.requests().last().unwrap(), &format!("watch {version}"));
    assert_eq!(api.requests().iter().filter(|request| request.starts_with("list")).count(), 1);
    api.roll_out("v2", 60, [0, 180, 210]);
    following.learns(210).await;
}

#[tokio::test]
async fn a_history_that_is_gone_is_listed_anew() {
    let api = Api::start();
    let following = settled(&api).await;
    api.fault([Fault::Gone]);
    api.end_watches();
    // Nobody watches while these start: they are found by the list.
    api.roll_out("v2", 60, [0, 180, 210]);
    following.learns(210).await;
    assert_eq!(api.faults_left(), 0);
    assert!(api.requests().iter().filter(|request| request.starts_with("list")).count() >= 2);
}

#[tokio::test]
async fn throttling_is_waited_out_and_not_answered_with_more_requests() {
    let api = Api::start();
    let following = settled(&api).await;
    let before = api.requests().len();
    api.fault([Fault::Throttle; 3]);
    api.end_watches();
    api.roll_out("v2", 60, [0, 180, 210]);
    following.learns(210).await;
    let asked = api.requests().len() - before;
    assert!((4..=6).contains(&asked), "{:?}", api.requests());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_that_restarts_is_found_again() {
    let mut api = Api::start();
    let following = settled(&api).await;
    api.stop();
    tokio::time::sleep(Duration::from_millis(500)).await;
    api.roll_out("v2", 60, [0, 180, 210]);
    assert_eq!(following.lead_time(), Some(50), "what was learned stays");
    tokio::task::block_in_place(|| api.start_again());
    following.learns(210).await;
}

#[tokio::test]
async fn who_may_not_read_says_which_right_is_lacking_and_goes_on_when_it_is_given() {
    let api = Api::start();
    api.fault([Fault::Forbid]);
    let following = Following::of(&api, &Arc::default());
    until("the complaint", || following.sight.lacking(&owner()).is_some()).await;
    let lacking = following.sight.lacking(&owner()).unwrap();
    assert!(lacking.starts_with("may not list pods of payments (pods is forbidden"), "{lacking}");
    assert!(lacking.contains("give tidetable's service account that right"), "{lacking}");
    api.roll_out("v1", 0, [0, 20, 50]);
    following.learns(50).await;
    until("no complaint", || following.sight.lacking(&owner()).is_none()).await;
}

#[tokio::test]
async fn a_scaled_object_that_is_not_there_is_looked_for_again() {
    let api = Api::start();
    let board = Arc::new(Board::default());
    let missing = ScaledObject { name: "ledger".into(), ..owner() };
    let target = Target { scaled_object: missing.clone(), ..Target::clone(&target()) };
    board.replace([Arc::new(target)]);
    let sight = Arc::new(Sight::new(Metrics::default()));
    let clock = HandClock::at(nine());
    let (client, seen) = (api.client(), Arc::clone(&sight));
    let task = follow(client, board, seen, None::<Arc<Kept>>, clock, CancellationToken::new());
    let _task = AbortOnDropHandle::new(tokio::spawn(task));
    until("the complaint", || sight.lacking(&missing).is_some()).await;
    let lacking = sight.lacking(&missing).unwrap();
    assert!(lacking.starts_with("ScaledObject payments/ledger is not there"), "{lacking}");
}
