//! A week of generated payments, as ours and the others scaled it. A changed snapshot is a changed product: the commit says why.

use std::fmt::Write as _;

use tidetable::simulate::backtest::Outcome;

use super::fixture::at;
use super::fortnight::{recorded, replayed, to_the_end};

/// A line per policy, and every half hour what was needed, asked for and ready.
fn told(outcome: &Outcome) -> String {
    let mut text = String::new();
    for contender in &outcome.contenders {
        let score = &contender.score;
        writeln!(
            text,
            "{:<14} {:<8} late pod-minutes {:>7.2}, failed {:>8.0} of {:.0}, replica-hours {:>7.1}, changes {}",
            contender.who.name(),
            contender.setting.map(|setting| setting.to_string()).unwrap_or_default(),
            score.tally.late_pod_minutes,
            score.failed,
            score.transactions,
            score.tally.replica_hours,
            score.scale_changes,
        )
        .unwrap();
    }
    writeln!(text, "\nasked for and ready, every half hour").unwrap();
    for sync in (0..outcome.syncs).step_by(120) {
        let stood = outcome.contenders.iter().map(|it| {
            let (asked, ready) = it.replicas[sync];
            format!("{asked:>3}/{ready:<3}")
        });
        let at = at("2026-05-13T04:00:00Z") + chrono::TimeDelta::seconds(15 * i64::try_from(sync).unwrap());
        writeln!(text, "{} {}", at.format("%m-%d %H:%M"), stood.collect::<Vec<_>>().join(" ").trim_end())
            .unwrap();
    }
    text
}

#[test]
fn a_week_with_a_pay_day() {
    let outcome =
        replayed(&recorded(19), at("2026-05-13T04:00:00Z")..at("2026-05-20T04:00:00Z"), &to_the_end);
    insta::with_settings!({ snapshot_path => "../snapshots", prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("backtest_week", told(&outcome));
    });
}
