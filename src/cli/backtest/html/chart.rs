//! The little that a chart needs: a frame, scales, round ticks and paths. Coordinates have one decimal, so that the same
//! numbers give the same bytes and a year fits into a page.

use std::fmt::Write as _;

use maud::{Markup, html};

use crate::time::{LocalClock, Timestamp, epoch_seconds, from_epoch_seconds};

/// Where the plot lies within its picture.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) top: f64,
    pub(super) bottom: f64,
}

impl Frame {
    pub(super) fn plot_width(&self) -> f64 {
        self.width - self.left - self.right
    }

    pub(super) fn floor(&self) -> f64 {
        self.height - self.bottom
    }

    /// A share of the width, from the left.
    pub(super) fn x(&self, share: f64) -> f64 {
        self.left + share * self.plot_width()
    }

    /// A share of the height, from below.
    pub(super) fn y(&self, share: f64) -> f64 {
        self.floor() - share * (self.floor() - self.top)
    }
}

/// Round numbers from 0 to about `most`, at most six of them.
pub(super) fn ticks(most: f64) -> Vec<f64> {
    let step = round_step(most / 5.0);
    let mut ticks = Vec::new();
    let mut tick = 0.0;
    while tick <= most * 1.000_001 {
        ticks.push(tick);
        tick += step;
    }
    ticks
}

/// The smallest of 1, 2, 5, 10, … that is not below `least`.
fn round_step(least: f64) -> f64 {
    if least <= 0.0 || !least.is_finite() {
        return 1.0;
    }
    let power = 10_f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|step| step * power).find(|step| *step >= least).unwrap_or(least)
}

/// Spacings of time, in seconds, at which a wall clock shows something round.
const TIME_STEPS: [i64; 14] =
    [300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800, 1_209_600, 2_419_200];

/// Instants at which the wall clock shows something round, with what it shows; at most `most` of them.
pub(super) fn time_ticks(
    clock: &LocalClock,
    from: Timestamp,
    to: Timestamp,
    most: i64,
) -> Vec<(Timestamp, String)> {
    let span = epoch_seconds(to) - epoch_seconds(from);
    let step = TIME_STEPS.into_iter().find(|step| span / step <= most).unwrap_or(7_257_600);
    let probe = step.min(900);
    let mut ticks = Vec::new();
    let mut at = (epoch_seconds(from) + probe - 1).div_euclid(probe) * probe;
    while at <= epoch_seconds(to) {
        let local = clock.local_seconds(from_epoch_seconds(at));
        if local.rem_euclid(step) == 0 {
            let shown = from_epoch_seconds(local);
            // Midnight says which day begins.
            let format = if local.rem_euclid(86_400) == 0 { "%-d %b" } else { "%H:%M" };
            ticks.push((from_epoch_seconds(at), shown.format(format).to_string()));
        }
        at += probe;
    }
    ticks
}

/// A line through points, or a staircase; where there is no point it breaks.
pub(super) fn line(points: impl IntoIterator<Item = Option<(f64, f64)>>, shape: Shape) -> String {
    let mut path = String::new();
    let mut last: Option<(f64, f64)> = None;
    for point in points {
        let Some((x, y)) = point else {
            if let (Some((x, _)), Shape::Stairs) = (last, shape) {
                let _ = write!(path, "H{x:.1}");
            }
            last = None;
            continue;
        };
        let _ = match (last, shape) {
            (None, _) => write!(path, "M{x:.1} {y:.1}"),
            (Some((_, before)), Shape::Stairs) if (before - y).abs() < 0.05 => Ok(()),
            (Some(_), Shape::Stairs) => write!(path, "H{x:.1}V{y:.1}"),
            (Some(_), Shape::Straight) => write!(path, "L{x:.1} {y:.1}"),
        };
        last = Some((x, y));
    }
    if let (Some((x, _)), Shape::Stairs) = (last, shape) {
        let _ = write!(path, "H{x:.1}");
    }
    path
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Straight,
    Stairs,
}

/// The area between two lines; where either has no point it breaks.
pub(super) fn area(points: &[Option<(f64, f64, f64)>]) -> String {
    let mut path = String::new();
    for run in points.split(Option::is_none) {
        let run: Vec<_> = run.iter().flatten().collect();
        let upper = run.iter().map(|(x, _, upper)| (x, upper));
        let lower = run.iter().rev().map(|(x, lower, _)| (x, lower));
        for (place, (x, y)) in upper.chain(lower).enumerate() {
            let _ = write!(path, "{}{x:.1} {y:.1}", if place == 0 { 'M' } else { 'L' });
        }
        if !run.is_empty() {
            path.push('Z');
        }
    }
    path
}

/// Grid lines with their numbers on the left, and on the right the same times `factor`.
pub(super) fn value_axis(frame: &Frame, most: f64, left: &str, right: Option<(f64, &str)>) -> Markup {
    let middle = f64::midpoint(frame.top, frame.floor());
    let turned = |x: f64| format!("translate({x:.1} {middle:.1}) rotate(-90)");
    html! {
        @for tick in ticks(most) {
            @let y = frame.y(tick / most);
            line.grid x1=(coordinate(frame.left)) x2=(coordinate(frame.width - frame.right)) y1=(coordinate(y)) y2=(coordinate(y)) {}
            text.tick x=(coordinate(frame.left - 8.0)) y=(coordinate(y + 4.0)) text-anchor="end" { (short(tick)) }
            @if let Some((factor, _)) = right {
                text.tick x=(coordinate(frame.width - frame.right + 8.0)) y=(coordinate(y + 4.0)) { (short(tick * factor)) }
            }
        }
        text.label transform=(turned(14.0)) text-anchor="middle" { (left) }
        @if let Some((_, label)) = right {
            text.label transform=(turned(frame.width - 4.0)) text-anchor="middle" { (label) }
        }
    }
}

/// Ticks of time below the plot.
pub(super) fn time_axis(
    frame: &Frame,
    clock: &LocalClock,
    from: Timestamp,
    to: Timestamp,
    label: &str,
) -> Markup {
    let span = (to - from).num_seconds().max(1) as f64;
    html! {
        @for (at, shown) in time_ticks(clock, from, to, 10) {
            @let x = frame.x((at - from).num_seconds() as f64 / span);
            line.grid.upright x1=(coordinate(x)) x2=(coordinate(x)) y1=(coordinate(frame.floor())) y2=(coordinate(frame.floor() + 4.0)) {}
            text.tick x=(coordinate(x)) y=(coordinate(frame.floor() + 18.0)) text-anchor="middle" { (shown) }
        }
        text.label x=(coordinate(frame.x(1.0))) y=(coordinate(frame.floor() + 34.0)) text-anchor="end" { (label) }
    }
}

/// One decimal.
pub(super) fn coordinate(number: f64) -> String {
    format!("{number:.1}")
}

/// A number of an axis, short.
pub(super) fn short(number: f64) -> String {
    let digits = |number: f64| {
        let text = format!("{number:.2}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    match number.abs() {
        size if size >= 1e9 => format!("{}G", digits(number / 1e9)),
        size if size >= 1e6 => format!("{}M", digits(number / 1e6)),
        size if size >= 1e4 => format!("{}k", digits(number / 1e3)),
        size if size >= 0.01 || size == 0.0 => digits(number),
        _ => format!("{number:.0e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_few() {
        assert_eq!(ticks(48.0), [0.0, 10.0, 20.0, 30.0, 40.0]);
        assert_eq!(ticks(0.7), [0.0, 0.2, 0.4, 0.600_000_000_000_000_1]);
        assert_eq!(short(12_500.0), "12.5k");
        assert_eq!(short(0.600_000_000_000_000_1), "0.6");
        assert_eq!(short(0.0), "0");
    }

    #[test]
    fn a_line_breaks_where_nothing_was_recorded() {
        let points = [Some((0.0, 1.0)), Some((1.0, 2.0)), None, Some((3.0, 4.0))];
        assert_eq!(line(points, Shape::Straight), "M0.0 1.0L1.0 2.0M3.0 4.0");
        assert_eq!(line(points, Shape::Stairs), "M0.0 1.0H1.0V2.0H1.0M3.0 4.0H3.0");
        assert_eq!(
            area(&[Some((0.0, 0.0, 2.0)), Some((1.0, 0.0, 3.0)), None]),
            "M0.0 2.0L1.0 3.0L1.0 0.0L0.0 0.0Z"
        );
    }

    #[test]
    fn days_begin_at_local_midnight_on_both_sides_of_a_clock_change() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let (from, to) = (at("2026-10-30T00:00:00Z"), at("2026-11-03T12:00:00Z"));
        let clock = LocalClock::over(chrono_tz::Tz::America__New_York, from, to);
        let ticks = time_ticks(&clock, from, to, 6);
        assert_eq!(ticks[1], (at("2026-10-31T04:00:00Z"), "31 Oct".to_owned()));
        assert_eq!(ticks[3], (at("2026-11-02T05:00:00Z"), "2 Nov".to_owned()));
        let half_days = time_ticks(&clock, from, to, 10).into_iter().map(|(_, shown)| shown);
        assert_eq!(half_days.take(3).collect::<Vec<_>>(), ["30 Oct", "12:00", "31 Oct"]);
    }
}
