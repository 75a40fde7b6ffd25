//! A configuration that changes under the running binary.

use std::thread;
use std::time::{Duration, Instant};

use tonic::Code;

use super::process::{Scaler, target, trigger};

/// The file is looked at every five seconds.
const SEEN_WITHIN: Duration = Duration::from_secs(20);

fn until(what: &str, scaler: &Scaler, seen: impl Fn() -> bool) {
    let deadline = Instant::now() + SEEN_WITHIN;
    while !seen() {
        assert!(Instant::now() < deadline, "{what} was not seen:\n{}", scaler.log());
        thread::sleep(Duration::from_millis(100));
    }
}

fn metric(scaler: &Scaler, line: &str) -> bool {
    scaler.page("/metrics").1.lines().any(|shown| shown == line)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_configuration_is_in_force_without_a_restart_and_a_wrong_one_changes_nothing() {
    let (api, ledger, fraud) = ("payments-api", "ledger", "fraud-check");
    let written =
        |names: &[&str]| names.iter().map(|name| target(name, "up", 100, 40, "")).collect::<String>();
    let mut scaler = Scaler::start("http://127.0.0.1:9", &written(&[api, ledger]));
    let mut keda = scaler.keda().await;

    // A ConfigMap is swapped as a whole: a link is renamed over the old one.
    scaler.swap_config("http://127.0.0.1:9", &written(&[api, ledger]).replace("max: 40", "mx: 40"));
    until("the wrong configuration", &scaler, || metric(&scaler, "tidetable_config_refused 1"));
    let (status, detail) = scaler.page("/readyz");
    assert!(
        detail.contains("the former one is in force") && detail.contains("did you mean \"max\"?"),
        "{status} {detail}"
    );
    assert!(scaler.log().contains("did you mean \"max\"?"), "{}", scaler.log());
    assert!(keda.get_metric_spec(trigger(ledger)).await.is_ok(), "the former one is in force");

    scaler.swap_config("http://127.0.0.1:9", &written(&[api, fraud]));
    until("the new configuration", &scaler, || metric(&scaler, "tidetable_config_refused 0"));
    assert!(keda.get_metric_spec(trigger(fraud)).await.is_ok());
    assert!(keda.get_metric_spec(trigger(api)).await.is_ok());
    assert_eq!(keda.get_metric_spec(trigger(ledger)).await.unwrap_err().code(), Code::NotFound);
    assert!(scaler.log().contains("kept=1 started=1 stopped=1"), "{}", scaler.log());
    assert!(!scaler.page("/readyz").1.contains("former"), "the notice is gone");

    // SIGHUP is seen at once, and a file that has not changed changes nothing.
    scaler.hang_up();
    until("SIGHUP", &scaler, || scaler.log().contains("kept=2 started=0 stopped=0"));
    scaler.terminate();
    assert!(scaler.ended_within(Duration::from_secs(20)).0.success());
}
