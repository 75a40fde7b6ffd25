//! Calendars that were looked up until a date only: said before that date has come, by `check`, in the log and as a metric.
//!
//! A table that has run out says nothing, and silence looks like a working day. Rules go on, but what was announced since is
//! missing.

use chrono::{NaiveTime, TimeDelta};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::calendar::{Calendar, Edge, instant};
use crate::config::Config;
use crate::time::{Timestamp, epoch_seconds};

/// Long enough before for somebody to look up the next year, and for an exchange to have published it.
const WARNED_BEFORE: TimeDelta = TimeDelta::days(30);

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Name {
    calendar: String,
}

/// Until when the calendars in use were looked up.
#[derive(Debug, Clone, Default)]
pub(super) struct Metrics {
    valid_until: Family<Name, Gauge>,
}

impl Metrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "calendar_valid_until_timestamp_seconds",
            "When a calendar that some target listens to runs out of what was looked up",
            self.valid_until.clone(),
        );
    }

    /// Says it of the calendars of a configuration, and of no others.
    pub(super) fn set(&self, config: &Config) {
        self.valid_until.clear();
        for calendar in in_use(config) {
            if let Some(end) = end(calendar) {
                let name = Name { calendar: calendar.name.to_string() };
                self.valid_until.get_or_create(&name).set(epoch_seconds(end));
            }
        }
    }
}

/// A line for each calendar in use that runs out within a month, or has run out.
pub(super) fn warnings(config: &Config, now: Timestamp) -> Vec<String> {
    let soon = in_use(config).into_iter().filter(|calendar| calendar.expired(now + WARNED_BEFORE));
    let lines = soon.filter_map(|calendar| {
        let (name, until) = (&calendar.name, calendar.valid_until?);
        let when = if calendar.expired(now) { "was looked up until" } else { "is looked up until" };
        Some(format!(
            "calendar {name:?} {when} {until} only; what is announced for later is not in it: take a newer version, or \
             add to it with calendars: {name}: {{ extends: {name}, validUntil: … }}"
        ))
    });
    lines.collect()
}

/// The calendars that targets name, each once.
fn in_use(config: &Config) -> Vec<&Calendar> {
    let targets = config.targets.iter();
    let mut calendars: Vec<_> =
        targets.flat_map(|target| target.almanac.calendars()).map(|calendar| &**calendar).collect();
    calendars.sort_by(|a, b| a.name.cmp(&b.name));
    calendars.dedup_by(|a, b| a.name == b.name);
    calendars
}

/// The end of the last day for which a calendar was looked up.
fn end(calendar: &Calendar) -> Option<Timestamp> {
    let next = calendar.valid_until?.succ_opt()?;
    Some(instant(next.and_time(NaiveTime::MIN), calendar.zone, Edge::Start))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        let target = "scaledObject: payments/api, demand: { source: main, query: up }, capacity: { perReplica: 120 }, \
                      replicas: { min: 3, max: 200 }, timezone: Asia/Kolkata";
        let text = format!(
            "sources: {{ main: {{ prometheus: {{ url: 'http://127.0.0.1:9' }} }} }}\n\
             targets:\n  a: {{ {target}, calendars: [nse, cn-commerce] }}\n  b: {{ {target}, calendars: [nse] }}\n"
        );
        crate::config::parse("tidetable.yaml", &text).unwrap()
    }

    #[test]
    fn a_calendar_that_runs_out_is_named_a_month_before_and_after() {
        let at = |text: &str| warnings(&config(), text.parse().unwrap());
        assert!(at("2026-11-30T00:00:00Z").is_empty());
        let before = at("2026-12-02T00:00:00Z");
        assert_eq!(before.len(), 1, "each calendar once: {before:?}");
        assert!(before[0].starts_with("calendar \"nse\" is looked up until 2026-12-31 only"), "{before:?}");
        assert!(at("2027-01-01T00:00:00Z")[0].contains("was looked up until 2026-12-31"));
    }

    #[test]
    fn the_metric_tells_when_and_only_of_what_is_in_use() {
        let (metrics, mut registry) = (Metrics::default(), Registry::default());
        metrics.register(&mut registry);
        metrics.set(&config());
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        // Midnight in Mumbai after 2026-12-31.
        assert!(
            text.contains("calendar_valid_until_timestamp_seconds{calendar=\"nse\"} 1798741800"),
            "{text}"
        );
        assert!(!text.contains("nyse") && !text.contains("cn-commerce"), "{text}");
    }
}
