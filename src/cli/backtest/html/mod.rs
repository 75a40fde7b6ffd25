//! The report: one HTML file that needs nothing else, neither a network nor a font.
//!
//! Pictures are drawn here, as SVG, and readable without a script; the script adds a reading under the pointer, a legend
//! that hides, and the choice of a moment. Light and dark follow the reader's system.

mod chart;
mod frontier;
mod history;

use std::collections::HashMap;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use self::history::View;
use super::subject::Subject;
use super::summary::{Bill, Moment, PolicySummary, Summary, Whole};
use super::table::{described, grouped, notes};
use crate::simulate::backtest::{Outcome, Who};
use crate::time::{LocalClock, Slot, Timestamp, from_epoch_seconds};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// The page.
pub(super) fn page(subjects: &[Subject], outcomes: &[Outcome], whole: &Whole) -> String {
    let names: Vec<&str> = whole.targets.iter().map(|target| target.target.as_str()).collect();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "Backtest of " (names.join(", ")) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                @for ((subject, outcome), summary) in subjects.iter().zip(outcomes).zip(&whole.targets) {
                    (target(subject, outcome, summary))
                }
                footer {
                    "tidetable " (whole.tidetable) ", seed " (whole.targets.first().map_or(0, |it| it.settings.seed))
                    ". The same input gives the same report."
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    page.into_string()
}

fn target(subject: &Subject, outcome: &Outcome, summary: &Summary) -> Markup {
    let clock = LocalClock::over(subject.zone, summary.from, summary.to + chrono::TimeDelta::days(1));
    let band: HashMap<Slot, (f64, f64)> =
        outcome.accuracy.band.iter().map(|(slot, median, high)| (*slot, (*median, *high))).collect();
    let view = View::whole(subject, outcome, &clock, &band);
    let local = |at| from_epoch_seconds(clock.local_seconds(at));
    html! {
        main {
            header {
                p.over { "Backtest" }
                h1 { (summary.target) }
                p.span {
                    (local(summary.from).format("%-d %B %Y")) " to " (local(summary.to).format("%-d %B %Y"))
                    ", " (subject.zone.name())
                    @if summary.partial { " " strong.partial { "partial: ended before its end" } }
                }
                (verdict(summary))
            }
            (policies(summary, &clock))
            section {
                h2 { "Demand and replicas" }
                p.lead {
                    "Grey is demand, as the replicas that would just bear it; the band reaches from the forecast's median to its 0.95 \
                     quantile, as it was known at most one refit before. Numbers mark the worst moments. Lines are ready replicas."
                    @if let Some(minutes) = view.minutes_a_point() {
                        " A point of them is the mean of " (minutes) " minutes, in which a peak is flatter than in the moments below."
                    }
                }
                (legend(summary))
                (view.picture("overview", &summary.worst))
            }
            @if !summary.worst.is_empty() {
                section.moments {
                    h2 { "The worst moments of tidetable" }
                    nav.choice {
                        @for number in 1..=summary.worst.len() {
                            button type="button" data-moment=(number) { (number) }
                        }
                    }
                    @for (number, it) in (1..).zip(&summary.worst) {
                        (moment(&view, &clock, number, it))
                    }
                }
            }
            section {
                h2 { "What less lateness costs" }
                p.lead {
                    "Each point is a whole run. tidetable over its quantile, the reactive HPA over its utilisation; further left is \
                     cheaper, further down is better."
                }
                div.pair {
                    (frontier::picture(summary, "Late pod-minutes", |bill: &Bill| bill.late_pod_minutes))
                    (frontier::picture(summary, "Failed transactions, in percent", |bill: &Bill| 100.0 * bill.failed_share))
                }
            }
            (small_print(summary))
        }
    }
}

/// The outcome in a sentence, whoever it favours.
fn verdict(summary: &Summary) -> Markup {
    let of = |who: Who| summary.policies.iter().find(|policy| policy.policy == who.name());
    let (Some(ours), Some(tuned)) = (of(Who::Tidetable), of(Who::ReactiveTuned)) else { return html! {} };
    let late = |policy: &PolicySummary| grouped(policy.bill.late_pod_minutes, 0);
    let hours = 100.0 * (ours.bill.replica_hours / tuned.bill.replica_hours.max(f64::MIN_POSITIVE) - 1.0);
    let compared = match hours {
        hours if hours.abs() < 0.05 => "as many replica-hours".to_owned(),
        hours if hours > 0.0 => format!("{hours:.1} % more replica-hours"),
        hours => format!("{:.1} % fewer replica-hours", -hours),
    };
    html! {
        p.verdict {
            "tidetable would have been late for " strong { (late(ours)) " pod-minutes" }
            ", a reactive HPA tuned on the weeks before for " strong { (late(tuned)) }
            ", with " (compared) " for tidetable. "
            (grouped(ours.bill.failed, 0)) " of " (grouped(ours.bill.transactions, 0))
            " transactions would have failed, against " (grouped(tuned.bill.failed, 0)) "."
        }
    }
}

fn policies(summary: &Summary, clock: &LocalClock) -> Markup {
    let priced = summary.settings.price.is_some();
    html! {
        section {
            h2 { "Policies" }
            div.wide {
                table {
                    thead {
                        tr {
                            th { "Policy" }
                            th { "Late pod-minutes" }
                            th { "Late minutes" }
                            th { "Most missing" }
                            th { "Failed" }
                            th { "Replica-hours" }
                            th { "÷ foresight" }
                            @if priced { th { "Cost" } }
                            th { "Changes" }
                            th { "Worst hour" }
                        }
                    }
                    tbody {
                        @for policy in &summary.policies {
                            tr.ours[policy.policy == "tidetable"] {
                                td { span class=(format!("key s-{}", policy.policy)) {} (described(policy)) }
                                td { (grouped(policy.bill.late_pod_minutes, 1)) }
                                td { (grouped(policy.bill.under_minutes, 1)) }
                                td { (policy.bill.worst_shortfall) }
                                td { (format!("{:.4} %", 100.0 * policy.bill.failed_share)) }
                                td { (grouped(policy.bill.replica_hours, 0)) }
                                td { (policy.bill.hours_ratio.map_or("–".to_owned(), |ratio| format!("{ratio:.3}"))) }
                                @if priced { td { (policy.bill.cost.map_or("–".to_owned(), |cost| grouped(cost, 2))) } }
                                td { (grouped(f64::from(policy.bill.scale_changes), 0)) }
                                td {
                                    @if let Some(hour) = policy.worst_hour {
                                        (from_epoch_seconds(clock.local_seconds(hour.from)).format("%-d %b %H:%M"))
                                        " · " (grouped(hour.late_pod_minutes, 1))
                                    } @else { "–" }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn legend(summary: &Summary) -> Markup {
    html! {
        div.legend {
            span { span.key.k-demand {} "demand" }
            span { span.key.k-band {} "forecast, 0.5 to 0.95" }
            @for policy in &summary.policies {
                button type="button" data-series=(policy.policy) aria-pressed="true" {
                    span class=(format!("key s-{}", policy.policy)) {} (policy.policy.replace('_', " "))
                }
            }
        }
    }
}

fn moment(view: &View<'_>, clock: &LocalClock, number: usize, moment: &Moment) -> Markup {
    let id = format!("moment-{number}");
    let local = |at: Timestamp| from_epoch_seconds(clock.local_seconds(at));
    // What is late again soon after is one moment, and its worst may come long after it began.
    let (begun, ended, worst) = (local(moment.from), local(moment.to), local(moment.worst_at));
    html! {
        article data-number=(number) {
            h3 {
                (number) ". " (begun.format("%A %-d %B %Y, %H:%M")) " to " (ended.format("%H:%M")) " · "
                (grouped(moment.late_pod_minutes, 1)) " late pod-minutes"
            }
            p {
                "At worst, at " (worst.format("%H:%M")) ", " (moment.needed) " were needed and "
                (moment.ready) " were ready. " (moment.why)
            }
            @if let Some(decision) = moment.decision.as_ref().filter(|decision| !decision.applied.is_empty()) {
                p.rules { "Rules that changed the number: " (decision.applied.join("; ")) "." }
            }
            (view.around(moment).picture(&id, &[]))
        }
    }
}

fn small_print(summary: &Summary) -> Markup {
    let settings = &summary.settings;
    html! {
        section.small {
            h2 { "How to read it" }
            ul {
                @for note in notes(summary) { li { (note) } }
                li {
                    "one replica bears " (settings.capacity) " " (summary.unit) "; lead time " (settings.lead_time_seconds)
                    " s; " (settings.min) " to " (settings.max) " replicas; HPA behavior: " (settings.behavior)
                    @if let Some(pods) = settings.pods_per_minute { "; the cluster starts " (pods) " pods a minute" }
                }
                li {
                    "a replica is late when the mean load of the last minute needed it and it was not ready; a transaction over \
                     capacity waits " (settings.queue_seconds) " s at most, and then has failed"
                }
                li {
                    "every policy sees a one-minute rate that is " (settings.scrape_delay_seconds)
                    " s old, and an HPA that syncs every 15 s; tidetable's answers are read 13 s after the instant they are decided for"
                }
                li {
                    "perfect foresight knows all of the future under the same lead time and growth; reactive utilisations tried: "
                    (settings.utilizations.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
                }
            }
        }
    }
}
