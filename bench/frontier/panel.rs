//! The worst burst as an SVG file: what was needed, what each policy had ready, and who was late for how many pods.
//!
//! Drawn as the report of `tidetable backtest` draws its moments; light and dark follow the reader's system.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context;

use crate::burst::{Burst, QUANTILE, Shown, UTILIZATION};

const WIDTH: f64 = 1060.0;
const HEIGHT: f64 = 564.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 108.0;
const TOP: f64 = 140.0;
const FLOOR: f64 = 424.0;

/// Below the plot each policy has a strip of this height for the pods that were late.
const STRIP: f64 = 26.0;

/// A tick of time.
const TICK_SYNCS: usize = 40;

const STYLE: &str = "svg{--page:#fff;--ink:#1d2329;--soft:#5c6670;--faint:#e3e6e8;--demand:#c9cfd4;--tidetable:#0b6e8f;\
--reactive:#d98a2b;--foresight:#3d8b54;--alarm:#b3261e;background:var(--page)}\
@media (prefers-color-scheme:dark){svg{--page:#1a2026;--ink:#e6e9ec;--soft:#9aa5af;--faint:#2b333a;--demand:#3d474f;\
--tidetable:#5cc0e0;--reactive:#e6a55a;--foresight:#73c48b;--alarm:#ff8a80}}\
text{font:12px system-ui,-apple-system,'Segoe UI',Roboto,sans-serif;fill:var(--soft)}\
.title{font-size:19px;font-weight:620;fill:var(--ink)}.said{font-size:14px;fill:var(--ink)}\
.grid{stroke:var(--faint)}.demand{fill:var(--demand);opacity:.75}.missing{fill:var(--alarm);opacity:.28}\
.ready{fill:none;stroke:currentColor;stroke-width:1.6;stroke-linejoin:round}.ours{stroke-width:2.2}.ahead{stroke-dasharray:4 3}\
.late{fill:currentColor}.name{fill:currentColor;font-weight:600}\
.tidetable{color:var(--tidetable)}.reactive{color:var(--reactive)}.foresight{color:var(--foresight)}.alarm{color:var(--alarm)}";

pub(crate) fn write(out: &Path, burst: &Burst) -> anyhow::Result<()> {
    let path = out.join("burst.svg");
    std::fs::write(&path, drawn(burst)).with_context(|| format!("writing {}", path.display()))
}

fn drawn(burst: &Burst) -> String {
    let policies = [
        ("tidetable", "ready ours", &burst.tidetable),
        ("reactive", "ready", &burst.reactive),
        ("foresight", "ready ahead", &burst.foresight),
    ];
    let most = policies.iter().flat_map(|(_, _, shown)| &shown.ready).copied().map(f64::from);
    let most = burst.demand.iter().flatten().map(|(load, _)| *load).chain(most).fold(1.0, f64::max) * 1.05;
    let span = burst.demand.len() as f64;
    let plot = Plot { most, x: (WIDTH - LEFT - RIGHT) / span };

    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">\n<style>{STYLE}</style>\n\
         <text class=\"title\" x=\"{LEFT}\" y=\"30\">A burst without a sign before it</text>\n"
    );
    for (line, said) in sentences(burst).iter().enumerate() {
        let _ = writeln!(
            svg,
            "<text class=\"said\" x=\"{LEFT}\" y=\"{}\">{said}</text>",
            54.0 + 20.0 * line as f64
        );
    }
    plot.axes(&mut svg, burst);
    let demand: Vec<_> = burst.demand.iter().map(|demand| demand.map(|(load, _)| (0.0, load))).collect();
    let _ = writeln!(svg, "<path class=\"demand\" d=\"{}\"/>", plot.between(&demand));
    let missing: Vec<_> = burst
        .demand
        .iter()
        .zip(&burst.tidetable.ready)
        .map(|(demand, ready)| {
            let (ready, needed) = (f64::from(*ready), f64::from((*demand)?.1));
            (needed > ready).then_some((ready, needed))
        })
        .collect();
    let _ = writeln!(svg, "<path class=\"missing\" d=\"{}\"/>", plot.between(&missing));
    for (name, class, shown) in policies.iter().rev() {
        let _ = writeln!(svg, "<path class=\"{class} {name}\" d=\"{}\"/>", plot.stairs(&shown.ready));
    }
    plot.strips(&mut svg, policies.map(|(name, _, shown)| (name, shown)));
    svg.push_str("</svg>\n");
    svg
}

/// What is seen, line by line.
fn sentences(burst: &Burst) -> [String; 4] {
    let at_worst = |shown: &Shown| {
        let sync = shown.worst();
        let needed = burst.demand[sync].map_or(0, |(_, needed)| needed);
        format!(
            "{:.0} pod-minutes ({} of {needed} pods ready at worst)",
            shown.late_pod_minutes(),
            shown.ready[sync]
        )
    };
    let peak = burst.at(burst.tidetable.worst()).with_timezone(&burst.zone);
    let ready = &burst.tidetable.ready;
    let most = (0..ready.len()).rev().max_by_key(|sync| ready[*sync]).unwrap_or(0);
    [
        format!(
            "{}, {}, pods ready {} s after they are asked for. Whoever cannot see ahead is late:",
            burst.trace,
            peak.format("%A %-d %B %Y, %H:%M"),
            burst.lead
        ),
        format!("tidetable (quantile {QUANTILE}) for {};", at_worst(&burst.tidetable)),
        format!(
            "a reactive HPA at {:.0} % for {}. Perfect foresight is late for {:.0}.",
            100.0 * UTILIZATION,
            at_worst(&burst.reactive),
            burst.foresight.late_pod_minutes()
        ),
        format!(
            "At {} tidetable had the most pods, {}, and {} were needed.",
            burst.at(most).with_timezone(&burst.zone).format("%H:%M"),
            ready[most],
            burst.demand[most].map_or(0, |(_, needed)| needed)
        ),
    ]
}

/// Where things lie: the top of the scale in replicas, and the width of a sync.
struct Plot {
    most: f64,
    x: f64,
}

impl Plot {
    fn at(&self, sync: usize) -> f64 {
        LEFT + self.x * sync as f64
    }

    fn y(&self, replicas: f64) -> f64 {
        FLOOR - (FLOOR - TOP) * (replicas / self.most)
    }

    fn axes(&self, svg: &mut String, burst: &Burst) {
        let step =
            [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0].into_iter().find(|step| self.most / step <= 6.0);
        let step = step.unwrap_or(500.0);
        let mut tick = 0.0;
        while tick <= self.most {
            let (y, right) = (self.y(tick), WIDTH - RIGHT);
            let _ = writeln!(
                svg,
                "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{right}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{tick}</text>",
                LEFT - 8.0,
                y + 4.0
            );
            tick += step;
        }
        let middle = f64::midpoint(TOP, FLOOR);
        let _ = writeln!(
            svg,
            "<text transform=\"translate(14 {middle:.1}) rotate(-90)\" text-anchor=\"middle\">replicas</text>"
        );
        // Ten minutes apart, on the round minute.
        let first = (0..burst.demand.len())
            .find(|sync| burst.at(*sync).timestamp().rem_euclid(600) < 15)
            .unwrap_or(0);
        for sync in (first..burst.demand.len()).step_by(TICK_SYNCS) {
            let (x, shown) = (self.at(sync), burst.at(sync).with_timezone(&burst.zone).format("%H:%M"));
            let _ = writeln!(
                svg,
                "<path class=\"grid\" d=\"M{x:.1} {FLOOR}v4\"/><text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{shown}</text>",
                FLOOR + 18.0
            );
        }
        let _ = writeln!(
            svg,
            "<text x=\"{LEFT}\" y=\"{0}\">late pods, by policy. Above: grey is demand, lines are ready replicas, red is what tidetable lacked</text>\
             <text x=\"{1}\" y=\"{0}\" text-anchor=\"end\">{2}</text>",
            FLOOR + 38.0,
            WIDTH - RIGHT,
            burst.zone.name()
        );
    }

    /// Ready replicas as a staircase.
    fn stairs(&self, ready: &[u32]) -> String {
        let mut path = String::new();
        let mut last = None;
        for (sync, ready) in ready.iter().enumerate() {
            if last != Some(*ready) {
                let (x, y) = (self.at(sync), self.y(f64::from(*ready)));
                let _ = if last.is_none() {
                    write!(path, "M{x:.1} {y:.1}")
                } else {
                    write!(path, "H{x:.1}V{y:.1}")
                };
                last = Some(*ready);
            }
        }
        let _ = write!(path, "H{:.1}", self.at(ready.len()));
        path
    }

    /// The area between two numbers of replicas, a step for each sync; nothing where there are none.
    fn between(&self, area: &[Option<(f64, f64)>]) -> String {
        area.iter().enumerate().fold(String::new(), |mut path, (sync, span)| {
            if let Some((low, high)) = span {
                let (left, right, low, high) =
                    (self.at(sync), self.at(sync + 1), self.y(*low), self.y(*high));
                let _ = write!(path, "M{left:.1} {low:.1}V{high:.1}H{right:.1}V{low:.1}Z");
            }
            path
        })
    }

    /// Late pods of each policy, sync by sync; one scale for all of them.
    fn strips(&self, svg: &mut String, policies: [(&str, &Shown); 3]) {
        let most = policies.iter().flat_map(|(_, shown)| &shown.late).copied().max().unwrap_or(0).max(1);
        for (place, (name, shown)) in policies.into_iter().enumerate() {
            let floor = FLOOR + 48.0 + STRIP * (place + 1) as f64;
            let bars = shown.late.iter().enumerate().filter(|(_, late)| **late > 0).fold(
                String::new(),
                |mut path, (sync, late)| {
                    let height = (STRIP - 4.0) * f64::from(*late) / f64::from(most);
                    let _ = write!(
                        path,
                        "M{:.1} {floor:.1}v-{height:.1}h{:.2}v{height:.1}Z",
                        self.at(sync),
                        self.x
                    );
                    path
                },
            );
            let right = WIDTH - RIGHT;
            let _ = writeln!(
                svg,
                "<path class=\"grid\" d=\"M{LEFT} {floor:.1}H{right}\"/><path class=\"late {name}\" d=\"{bars}\"/>\
                 <text class=\"name {name}\" x=\"{:.1}\" y=\"{floor:.1}\">{name} {:.0}</text>",
                right + 8.0,
                shown.late_pod_minutes()
            );
        }
    }
}
