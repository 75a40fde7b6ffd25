//! The tables for `bench/README.md`.

use crate::curve::{Cell, Point};

/// A way to read a cell at the hours of a reactive HPA of some utilisation.
type Reading = fn(&Cell, f64) -> f64;

pub(crate) fn print(cells: &[Cell]) {
    println!(
        "| trace, lead | reactive .9, .8: late pod-minutes | tidetable at those hours | ratio .9, .8 | over a dead band | \
         in ramps .9 |\n|---|---|---|---|---|---|"
    );
    for cell in cells {
        let (nine, eight) = (cell.reactive_at(0.9), cell.reactive_at(0.8));
        let [at_nine, at_eight] = [0.9, 0.8].map(|utilization| cell.ratio(&cell.ours, utilization));
        println!(
            "| {} {} | {:.0}, {:.0} | {:.0}, {:.0} | {at_nine:.2}, {at_eight:.2} | {:.2}, {:.2} | {} |",
            cell.trace,
            cell.lead,
            nine.late,
            eight.late,
            at_nine * nine.late,
            at_eight * eight.late,
            cell.ratio(&cell.ours_over_band, 0.9),
            cell.ratio(&cell.ours_over_band, 0.8),
            cell.ramp_ratio(0.9).map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}")),
        );
    }
    let readings: [(&str, Reading); 2] = [
        ("tolerance 0", |cell, utilization| cell.ratio(&cell.ours, utilization)),
        ("over a dead band of 0.1", |cell, utilization| cell.ratio(&cell.ours_over_band, utilization)),
    ];
    for (name, reading) in readings {
        for utilization in [1.0, 0.9, 0.8] {
            println!(
                "{name}, at the hours of reactive {utilization:.1}: {}",
                summed(cells, reading, utilization)
            );
        }
    }

    println!(
        "\n| trace, lead | hours at .95 over foresight | late there | coverage .90, .95, .99 at busy moments |\n|---|---|---|---|"
    );
    for cell in cells {
        let (ours, _) = cell.ours_at(0.95);
        let [low, middle, high] = [0.9, 0.95, 0.99].map(|level| cell.ours_at(level).1.share());
        println!(
            "| {} {} | {:.3} | {:.0} pod-minutes, {:.2} % | {low:.3}, {middle:.3}, {high:.3} |",
            cell.trace,
            cell.lead,
            ours.hours / cell.foresight.hours,
            ours.late,
            100.0 * ours.late / ours.needed_minutes,
        );
    }

    println!(
        "\n| cost of a late pod over an idle one | best quantile, by cell | 1 - 2 / (1 + ratio) |\n|---|---|---|"
    );
    for kappa in [10.0, 30.0, 100.0, 300.0] {
        let best: Vec<String> = cells
            .iter()
            .map(|cell| {
                let cost = |point: &&Point| point.hours + kappa * point.late / 60.0;
                let best = cell.ours.iter().min_by(|a, b| cost(a).total_cmp(&cost(b)));
                best.map_or_else(String::new, |best| best.knob.to_string())
            })
            .collect();
        println!("| {kappa} | {} | {:.3} |", best.join(" "), 1.0 - 2.0 / (1.0 + kappa));
    }
}

/// The ratios of all cells in a line. Those that cannot be as cheap as the reactive HPA are lost, and have no ratio that could go into a
/// mean.
fn summed(cells: &[Cell], reading: Reading, utilization: f64) -> String {
    let ratios: Vec<f64> = cells.iter().map(|cell| reading(cell, utilization)).collect();
    let finite = || ratios.iter().copied().filter(|ratio| ratio.is_finite());
    let count = finite().count();
    let mean = (finite().map(f64::ln).sum::<f64>() / count as f64).exp();
    let mean =
        if count > 0 { format!("geometric mean {mean:.3} of {count} cells") } else { "no mean".into() };
    let worst = ratios.iter().copied().fold(0.0, f64::max);
    let lost = ratios.iter().filter(|ratio| **ratio > 1.0).count();
    let dearer = ratios.len() - count;
    let never = if dearer > 0 { format!("; {dearer} are never so cheap") } else { String::new() };
    format!("{mean}, {lost} lost, worst {worst:.2}{never}")
}
