//! How many pay days, opening bells and launches of a year find their pods ready from two minutes before:
//! `cargo bench --bench punctual [-- QUANTILE]`.
//!
//! Each is replayed under ours and, as the peer, under a reactive HPA at 80 %; replicas are told beside those of perfect
//! foresight in the same minutes. The first eight weeks are history.

#[path = "../tests/punctual/world.rs"]
mod world;

use std::collections::BTreeMap;

use chrono::NaiveDate;
use world::{Found, found};

fn main() {
    // Cargo hands its own flags on.
    let quantile = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(0.99);
    let from: NaiveDate = "2026-01-26".parse().expect("a date");
    let found = found(|day| day >= from, quantile);
    let punctual = |found: &&Found| found.late_minutes <= 0.0;
    println!(
        "quantile {quantile}: pods of {} of {} instants are ready from two minutes before",
        found.iter().filter(punctual).count(),
        found.len()
    );
    let mut kinds: BTreeMap<&str, Vec<&Found>> = BTreeMap::new();
    for found in &found {
        kinds.entry(found.kind).or_default().push(found);
    }
    for (kind, found) in kinds {
        let sum = |number: fn(&Found) -> f64| found.iter().map(|found| number(found)).sum::<f64>();
        println!(
            "  {kind:<17} {:>3} of {:>3} (reactive at 80 %: {:>3}), {:.2} late minutes, {:.2} × foresight",
            found.iter().filter(|found| punctual(found)).count(),
            found.len(),
            found.iter().filter(|found| found.reactive_late_minutes <= 0.0).count(),
            sum(|found| found.late_minutes),
            sum(|found| found.replicas[0]) / sum(|found| found.replicas[1]),
        );
    }
    let mut late: Vec<&Found> = found.iter().filter(|found| !punctual(found)).collect();
    late.sort_by(|a, b| b.late_minutes.total_cmp(&a.late_minutes));
    for Found { kind, at, late_minutes, missing, .. } in late.into_iter().take(10) {
        println!("  late: {kind}, {at}: {late_minutes} min, {:.0} % missing at most", 100.0 * missing);
    }
}
