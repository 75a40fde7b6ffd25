//! What lateness costs: each policy over its setting, replica-hours against what went wrong.

use maud::{Markup, html};

use super::chart::{Frame, Shape, coordinate, line, short, ticks};
use crate::cli::backtest::summary::{Bill, Summary};
use crate::cli::backtest::table::level;

/// What goes wrong, of a policy's numbers.
type Wrong = fn(&Bill) -> f64;

/// The frontier in pods that were late, or in transactions that failed.
pub(super) fn picture(summary: &Summary, title: &str, wrong: Wrong) -> Markup {
    let frame = Frame { width: 520.0, height: 360.0, left: 66.0, right: 20.0, top: 14.0, bottom: 50.0 };
    let lines = ["reactive", "tidetable"].map(|policy| {
        let points = summary.frontier.iter().filter(|point| point.policy == policy);
        let mut points: Vec<(f64, f64, f64)> = points
            .filter_map(|point| Some((point.bill.hours_ratio?, wrong(&point.bill), point.setting)))
            .collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        (policy, points)
    });
    let singles: Vec<(&str, f64, f64)> = summary
        .policies
        .iter()
        .filter(|it| matches!(it.policy, "cron" | "foresight" | "static_peak"))
        .filter_map(|it| Some((it.policy, it.bill.hours_ratio?, wrong(&it.bill))))
        .collect();
    // A static peak may cost many times as much; it must not press all else into a corner.
    let on_lines =
        || lines.iter().flat_map(|(_, points)| points.iter().map(|(hours, wrong, _)| (*hours, *wrong)));
    let most_hours = on_lines().map(|(hours, _)| hours).fold(1.2, f64::max) * 1.03;
    let least_hours = singles.iter().map(|(_, hours, _)| *hours).chain(on_lines().map(|(hours, _)| hours));
    let least_hours = least_hours.fold(1.0, f64::min) * 0.97;
    let all = || on_lines().map(|(_, wrong)| wrong).chain(singles.iter().map(|(_, _, wrong)| *wrong));
    let scale = Decades::over(all());
    let place = |hours: f64, wrong: f64| {
        let share = ((hours - least_hours) / (most_hours - least_hours)).clamp(0.0, 1.0);
        (frame.x(share), frame.y(scale.share(wrong)))
    };
    let labels: Vec<Label> = lines
        .iter()
        .rev()
        .flat_map(|(policy, points)| points.iter().map(move |point| (*policy, point)))
        .map(|(policy, (hours, wrong, setting))| {
            let ((x, y), text) = (place(*hours, *wrong), shown(policy, *setting));
            // One curve is told on its left, the other on its right: where they run side by side both can be read.
            let beside = if policy == "tidetable" { -7.0 - LABEL.0 } else { 7.0 };
            Label { x: x + beside, y: y - 5.0, text }
        })
        .collect();
    html! {
        figure.frontier {
            figcaption { (title) }
            svg viewBox="0 0 520 360" role="img" aria-label=(title) {
                @for decade in scale.ticks() {
                    @let y = frame.y(scale.share(decade));
                    line.grid x1=(coordinate(frame.left)) x2=(coordinate(frame.x(1.0))) y1=(coordinate(y)) y2=(coordinate(y)) {}
                    text.tick x=(coordinate(frame.left - 8.0)) y=(coordinate(y + 4.0)) text-anchor="end" { (decade_shown(decade)) }
                }
                @for tick in ticks(most_hours).into_iter().chain([1.0]).filter(|tick| *tick >= least_hours) {
                    @let x = place(tick, 0.0).0;
                    text.tick x=(coordinate(x)) y=(coordinate(frame.floor() + 18.0)) text-anchor="middle" { (short(tick)) }
                }
                text.label x=(coordinate(frame.x(1.0))) y=(coordinate(frame.floor() + 36.0)) text-anchor="end" {
                    "replica-hours ÷ those of perfect foresight"
                }
                @for (policy, points) in &lines {
                    path class=(format!("ready s-{policy}")) d=(line(points.iter().map(|(x, y, _)| Some(place(*x, *y))), Shape::Straight)) {}
                    @for (hours, wrong, _) in points {
                        @let (x, y) = place(*hours, *wrong);
                        circle class=(format!("dot s-{policy}")) cx=(coordinate(x)) cy=(coordinate(y)) r="3.5" {}
                    }
                }
                @for (label, has_room) in labels.iter().zip(with_room(&labels)) {
                    @if has_room {
                        text.point x=(coordinate(label.x)) y=(coordinate(label.y)) { (label.text) }
                    }
                }
                @for (policy, hours, wrong) in &singles {
                    @if *hours <= most_hours {
                        @let (x, y) = place(*hours, *wrong);
                        circle class=(format!("dot single s-{policy}")) cx=(coordinate(x)) cy=(coordinate(y)) r="5" {}
                        text.point x=(coordinate(x + 8.0)) y=(coordinate(y + 4.0)) { (policy.replace('_', " ")) }
                    } @else {
                        text.point x=(coordinate(frame.x(1.0))) y=(coordinate(frame.top + 10.0)) text-anchor="end" {
                            (policy.replace('_', " ")) " → " (short(*hours)) "×"
                        }
                    }
                }
            }
        }
    }
}

/// A label is about so wide and high.
const LABEL: (f64, f64) = (28.0, 12.0);

/// The setting of a point, and where it is told.
struct Label {
    x: f64,
    y: f64,
    text: String,
}

/// Which labels lie on none before them: ours come first, and of a curve the cheaper ones.
fn with_room(labels: &[Label]) -> Vec<bool> {
    let apart = |a: &Label, b: &Label| (a.x - b.x).abs() >= LABEL.0 || (a.y - b.y).abs() >= LABEL.1;
    let mut told: Vec<&Label> = Vec::new();
    let mut rooms = Vec::new();
    for label in labels {
        let has_room = told.iter().all(|before| apart(before, label));
        told.extend(has_room.then_some(label));
        rooms.push(has_room);
    }
    rooms
}

/// A quantile as it is written, a utilisation in percent.
fn shown(policy: &str, setting: f64) -> String {
    if policy == "tidetable" { level(setting).to_string() } else { format!("{:.0} %", 100.0 * setting) }
}

/// A logarithmic scale with a place for nothing at its foot.
struct Decades {
    lowest: f64,
    highest: f64,
}

/// The share of the height that is kept for zero.
const FOOT: f64 = 0.08;

/// More decades than this show nothing but their number.
const MOST_DECADES: f64 = 5.0;

impl Decades {
    fn over(numbers: impl Iterator<Item = f64>) -> Self {
        let positive: Vec<f64> = numbers.filter(|number| *number > 0.0).collect();
        let highest = positive.iter().copied().fold(f64::MIN_POSITIVE, f64::max).log10().ceil();
        let lowest = positive.iter().copied().fold(f64::INFINITY, f64::min).log10().floor();
        let highest = if positive.is_empty() { 1.0 } else { highest };
        Self { lowest: lowest.clamp(highest - MOST_DECADES, highest - 1.0), highest }
    }

    fn share(&self, number: f64) -> f64 {
        if number <= 0.0 {
            return 0.0;
        }
        let share = (number.log10() - self.lowest) / (self.highest - self.lowest);
        FOOT + (1.0 - FOOT) * share.clamp(0.0, 1.0)
    }

    fn ticks(&self) -> Vec<f64> {
        let mut ticks = vec![0.0];
        let mut decade = self.lowest;
        while decade <= self.highest {
            ticks.push(10_f64.powf(decade));
            decade += 1.0;
        }
        ticks
    }
}

/// A decade in few characters.
fn decade_shown(number: f64) -> String {
    if number > 0.0 && number < 0.01 { format!("{number:.0e}") } else { short(number) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_that_would_lie_on_another_are_left_out() {
        let label = |(x, y)| Label { x, y, text: "0.9".to_owned() };
        let labels = [(0.0, 0.0), (5.0, 5.0), (5.0, 20.0), (12.0, 14.0), (60.0, 14.0)].map(label);
        assert_eq!(with_room(&labels), [true, false, true, false, true]);
    }
}
