//! Pods are there when payments come: pay days, opening bells and launches of a year whose truth is known.
//!
//! Here are five days of it, those around both changes of the clock and those on which pay day was moved among them; all of
//! the year is in `cargo bench --bench punctual`.

mod world;

use chrono::NaiveDate;
use world::{Found, found};

/// The Mondays after both nights in which the clock was changed; pay days, of which that of 15 March was paid on the Friday
/// before and that of 19 June on the 18th, for banks rest; and a launch.
const DAYS: [&str; 5] = ["2026-03-09", "2026-03-13", "2026-06-12", "2026-06-18", "2026-11-02"];

/// Where a late pod costs 199 times an idle one.
const QUANTILE: f64 = 0.99;

#[test]
fn what_pay_days_bells_and_launches_need_is_ready_from_two_minutes_before_them() {
    let days: Vec<NaiveDate> = DAYS.iter().map(|day| day.parse().unwrap()).collect();
    let found = found(|day| days.contains(&day), QUANTILE);
    let (bells, others): (Vec<&Found>, Vec<&Found>) =
        found.iter().partition(|found| found.kind == "market open");
    assert_eq!((bells.len(), others.len()), (5, 4), "{found:#?}");
    for Found { kind, at, late_minutes, .. } in others {
        assert!(*late_minutes <= 0.0, "{kind} at {at}: {late_minutes}");
    }
    // A bell's peak lasts a minute or two and is another one every day: one of them may lack a tenth for a minute.
    let late: Vec<&&Found> = bells.iter().filter(|bell| bell.late_minutes > 0.0).collect();
    assert!(late.len() <= 1, "{late:#?}");
    assert!(late.iter().all(|bell| bell.late_minutes <= 1.0 && bell.missing <= 0.1), "{late:#?}");
    assert!(
        bells.iter().all(|bell| bell.reactive_late_minutes > 1.5),
        "a reactive HPA is late at each of them"
    );
    // Half as many again as perfect foresight, launches aside: their size was declared as twice what it is.
    let paid: Vec<&Found> = found.iter().filter(|found| found.kind != "launch").collect();
    let replicas = |who: usize| paid.iter().map(|found| found.replicas[who]).sum::<f64>();
    assert!(replicas(0) <= 1.5 * replicas(1), "{} for {}", replicas(0), replicas(1));
}
