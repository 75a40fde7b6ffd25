//! The numbers for a terminal.

use std::fmt::Write as _;

use super::summary::{PolicySummary, Summary};
use crate::simulate::{FINE_SECONDS, MOST_VARIATION, VARIATION_AT_PEAK};

/// What a policy is, beside its name.
pub(super) fn described(policy: &PolicySummary) -> String {
    let setting = policy.setting.unwrap_or_default();
    match policy.policy {
        "tidetable" => format!("tidetable, quantile {}", level(setting)),
        "reactive" => format!("reactive HPA at {} %", percent(setting)),
        "reactive_tuned" => format!("reactive HPA, tuned: {} %", percent(setting)),
        "cron" => "KEDA cron, mean week".to_owned(),
        "static_peak" => "static, training peak".to_owned(),
        "foresight" => "perfect foresight".to_owned(),
        other => other.to_owned(),
    }
}

/// A quantile with no more digits than anybody means.
pub(super) fn level(quantile: f64) -> f64 {
    (1e4 * quantile).round() / 1e4
}

fn percent(share: f64) -> String {
    format!("{:.0}", 100.0 * share)
}

/// Thousands apart by commas, with so many decimals.
pub(super) fn grouped(number: f64, decimals: usize) -> String {
    let text = format!("{number:.decimals$}");
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let mut grouped = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) && !grouped.ends_with('-') {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if fraction.is_empty() { grouped } else { format!("{grouped}.{fraction}") }
}

/// One target.
pub(super) fn table(summary: &Summary) -> String {
    let mut text = String::new();
    let days = (summary.to - summary.from).num_minutes() as f64 / 1440.0;
    let partial = if summary.partial { ", PARTIAL: ended before its end" } else { "" };
    let _ = writeln!(
        text,
        "{}: {days:.1} days, {} to {}{partial}",
        summary.target,
        summary.from.format("%Y-%m-%d %H:%M"),
        summary.to.format("%Y-%m-%d %H:%M UTC"),
    );
    let with_cost = summary.settings.price.is_some();
    let mut header =
        vec!["policy", "late pod-min", "late min", "failed", "replica-h", "× foresight", "changes"];
    if with_cost {
        header.push("cost");
    }
    header.push("worst hour");
    let rows: Vec<Vec<String>> = std::iter::once(header.into_iter().map(str::to_owned).collect())
        .chain(summary.policies.iter().map(|policy| row(policy, with_cost)))
        .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let last = rows.first().map_or(0, |row| row.len() - 1);
    for row in &rows {
        for (column, cell) in row.iter().enumerate() {
            let pad = " ".repeat(width(column) - cell.chars().count());
            let _ = match column {
                0 => write!(text, "  {cell}{pad}"),
                _ if column == last => write!(text, "  {cell}"),
                _ => write!(text, "  {pad}{cell}"),
            };
        }
        text.push('\n');
    }
    for note in notes(summary) {
        let _ = writeln!(text, "  {note}");
    }
    text
}

fn row(policy: &PolicySummary, with_cost: bool) -> Vec<String> {
    let bill = &policy.bill;
    let mut row = vec![
        described(policy),
        grouped(bill.late_pod_minutes, 1),
        grouped(bill.under_minutes, 1),
        format!("{:.4} %", 100.0 * bill.failed_share),
        grouped(bill.replica_hours, 1),
        bill.hours_ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.3}")),
        grouped(f64::from(bill.scale_changes), 0),
    ];
    if with_cost {
        row.push(bill.cost.map_or("-".to_owned(), |cost| grouped(cost, 2)));
    }
    row.push(policy.worst_hour.map_or("-".to_owned(), |hour| {
        format!("{} ({:.1} late)", hour.from.format("%m-%d %H:%M"), hour.late_pod_minutes)
    }));
    row
}

/// What has to be known to read the numbers.
pub(super) fn notes(summary: &Summary) -> Vec<String> {
    let settings = &summary.settings;
    let mut notes = Vec::new();
    notes.push(forecast(summary));
    if let Some(covered) = summary.forecast.plan_coverage {
        notes.push(format!(
            "plan: quantile {} holds {:.1} % of the moments that plans spoke of",
            level(settings.quantile),
            100.0 * covered
        ));
    }
    notes.push(format!(
        "settings of the others chosen on {} to {}, at {:.1} pod-hours for a late one",
        summary.training_from.format("%Y-%m-%d"),
        summary.from.format("%Y-%m-%d"),
        settings.cost_ratio
    ));
    if let Some(target) = settings.cpu_target {
        notes.push(format!("each policy beside a cpu trigger at {} %", percent(target)));
    }
    notes.extend(settings.remarks.iter().cloned());
    let step = summary.input_step_seconds;
    let scatters = format!(
        "scatters by {} % at the busiest and up to {} % below, as recorded traffic does, with each step's sum kept",
        percent(VARIATION_AT_PEAK),
        percent(MOST_VARIATION)
    );
    if summary.interpolated {
        notes.push(format!(
            "the input has a step of {step} s: what load does within a step is interpolated, and {scatters}; lateness and misses \
             within a step rest on that"
        ));
    } else if step > FINE_SECONDS {
        notes.push(format!("the input has a step of {step} s: within it load {scatters}"));
    }
    if summary.unmeasured_minutes > 0.0 {
        notes.push(format!(
            "{} minutes were not recorded; nobody is late in them",
            grouped(summary.unmeasured_minutes, 0)
        ));
    }
    let doubts = summary.doubts.iter().map(|why| format!("a doubt about the load, from {why}"));
    notes.extend(doubts);
    if summary.forecast.unfit > 0 && summary.forecast.wql.is_some() {
        notes.push(format!("{} fits found too short a history", summary.forecast.unfit));
    }
    notes
}

/// How well the forecast did, or why there was none.
fn forecast(summary: &Summary) -> String {
    let forecast = &summary.forecast;
    let coverage: Vec<String> = forecast
        .coverage
        .iter()
        .map(|it| format!("{} holds {:.1} %", it.level, 100.0 * it.covered))
        .collect();
    match forecast.wql {
        Some(wql) => format!("forecast: wql {wql:.4}; quantile {}", coverage.join(", ")),
        None if forecast.scored_slots > 0 => {
            format!("forecast: nothing came in what it spoke of, so it has no wql; quantile {}", coverage.join(", "))
        }
        None if forecast.unfit > 0 => {
            "forecast: none, the history was too short; tidetable scaled reactively".to_owned()
        }
        None => "forecast: none could be held against what came: no fit of this time lasted for long enough (--refit, --from, --to)".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart() {
        for (number, decimals, text) in [
            (0.04, 1, "0.0"),
            (999.95, 1, "1,000.0"),
            (1_234_567.0, 0, "1,234,567"),
            (-1234.5, 1, "-1,234.5"),
        ] {
            assert_eq!(grouped(number, decimals), text);
        }
    }
}
