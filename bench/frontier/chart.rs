//! A cell's curves as an SVG file: replica-hours over foresight to the right, late pod-minutes upward in the logarithm.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context;

use crate::curve::{Cell, Point};

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 46.0;

/// How much dearer than foresight is still shown.
const DEAREST: f64 = 1.6;
/// Less lateness than this is drawn at the bottom.
const LEAST: f64 = 0.5;

pub(crate) fn write(out: &Path, cell: &Cell) -> anyhow::Result<()> {
    let path = out.join(format!("{}-{}.svg", cell.trace, cell.lead));
    std::fs::write(&path, drawn(cell)).with_context(|| format!("writing {}", path.display()))
}

fn drawn(cell: &Cell) -> String {
    let curves = [
        ("reactive, utilisation 1.1 to 0.3", "#b3423a", "", &cell.reactive),
        ("reactive, dead band 0.1", "#b3423a", "3 3", &cell.reactive_in_band),
        ("tidetable, quantile 0.1 to 0.99999", "#1f6fb2", "", &cell.ours),
        ("tidetable over a dead band of 0.1", "#1f6fb2", "3 3", &cell.ours_over_band),
    ];
    let most = curves.iter().flat_map(|curve| curve.3).map(|point| point.late).fold(10.0, f64::max);
    let decades = (most / LEAST).log10();
    let x = |point: &Point| {
        LEFT + (point.hours / cell.foresight.hours - 0.95) / (DEAREST - 0.95) * (WIDTH - LEFT - RIGHT)
    };
    let y =
        |late: f64| HEIGHT - BOTTOM - (late.max(LEAST) / LEAST).log10() / decades * (HEIGHT - TOP - BOTTOM);

    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"11\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"18\" font-size=\"13\">{}: pods ready after {} s</text>\n",
        cell.trace, cell.lead
    );
    let mut decade = 1.0;
    while decade <= most {
        let _ = writeln!(
            svg,
            "<path d=\"M{LEFT} {0:.1}H{1}\" stroke=\"#ddd\"/><text x=\"{2}\" y=\"{3:.1}\" text-anchor=\"end\">{decade}</text>",
            y(decade),
            WIDTH - RIGHT,
            LEFT - 6.0,
            y(decade) + 4.0
        );
        decade *= 10.0;
    }
    for tenth in 10..=15 {
        let share = f64::from(tenth) / 10.0;
        let at = LEFT + (share - 0.95) / (DEAREST - 0.95) * (WIDTH - LEFT - RIGHT);
        let _ = writeln!(
            svg,
            "<path d=\"M{at:.1} {TOP}V{0}\" stroke=\"#eee\"/><text x=\"{at:.1}\" y=\"{1}\" text-anchor=\"middle\">{share:.1}</text>",
            HEIGHT - BOTTOM,
            HEIGHT - BOTTOM + 16.0
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{LEFT}\" y=\"{0}\">replica-hours as a multiple of perfect foresight (diamond: never late)</text>\
         <text x=\"14\" y=\"{1}\" transform=\"rotate(-90 14 {1})\">late pod-minutes</text>",
        HEIGHT - 10.0,
        HEIGHT - BOTTOM
    );
    for (index, (name, colour, dash, curve)) in curves.into_iter().enumerate() {
        let shown: Vec<String> = curve
            .iter()
            .filter(|point| point.hours / cell.foresight.hours <= DEAREST)
            .map(|point| format!("{:.1},{:.1}", x(point), y(point.late)))
            .collect();
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.6\" stroke-dasharray=\"{dash}\"/>\
             <text x=\"{1}\" y=\"{2}\" fill=\"{colour}\">{3}{name}</text>",
            shown.join(" "),
            WIDTH - 250.0,
            TOP + 14.0 + 15.0 * index as f64,
            if dash.is_empty() { "" } else { "(dashed) " }
        );
    }
    let (at, floor) = (x(&cell.foresight), y(LEAST));
    let _ =
        writeln!(svg, "<path d=\"M{at:.1} {:.1}l5 5l-5 5l-5 -5z\" fill=\"#2d7d46\"/>\n</svg>", floor - 5.0);
    svg
}
