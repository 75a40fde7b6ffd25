//! The tables for `bench/README.md`, and the scores as the kit writes them.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context;

use crate::kit::{Best, Track};
use crate::score::Score;

/// The scores of one trace on one track, beside the best baseline where the kit has any.
pub(crate) struct Line {
    pub(crate) trace: String,
    pub(crate) track: Track,
    pub(crate) score: Score,
    pub(crate) best: Option<Best>,
}

impl Line {
    fn ratio(&self) -> Option<f64> {
        self.best.as_ref().map(|best| self.score.wql / best.wql)
    }
}

pub(crate) fn tables(lines: &[Line]) -> String {
    let mut text = String::new();
    for track in Track::BOTH {
        let own: Vec<&Line> = lines.iter().filter(|line| line.track == track).collect();
        text += &table(track, &own);
    }
    text
}

fn table(track: Track, lines: &[&Line]) -> String {
    let mut text = format!(
        "\n| {} | wql | ratio | best baseline | cov 90 / 95 / 99 | busy bins alone | wape | bias | unmet 95 | over 95 |\n\
         |---|---|---|---|---|---|---|---|---|---|\n",
        track.name()
    );
    let levels = |coverage: &[f64; 4]| {
        coverage[1..].iter().map(|share| format!("{share:.3}")).collect::<Vec<_>>().join(" ")
    };
    for line in lines {
        let Score { wql, wape, bias, unmet, over, coverage, busy_coverage, .. } = &line.score;
        let ratio = line.ratio().map_or("-".to_owned(), |ratio| format!("{ratio:.3}"));
        let best = line.best.as_ref().map_or("-", |best| best.model.as_str());
        let _ = writeln!(
            text,
            "| {} | {wql:.5} | {ratio} | {best} | {} | {} | {wape:.4} | {bias:+.4} | {:.4} | {:.3} |",
            line.trace,
            levels(coverage),
            levels(busy_coverage),
            unmet[2],
            over[2],
        );
    }
    text + &verdict(track, lines)
}

/// The geometric mean, and on which traces it wins and loses.
fn verdict(track: Track, lines: &[&Line]) -> String {
    let ratios: Vec<(&str, f64)> =
        lines.iter().filter_map(|line| Some((line.trace.as_str(), line.ratio()?))).collect();
    if ratios.is_empty() {
        return format!("\n{}: the kit has no baselines of these traces\n", track.name());
    }
    let mean = (ratios.iter().map(|(_, ratio)| ratio.ln()).sum::<f64>() / ratios.len() as f64).exp();
    let lost: Vec<String> = ratios
        .iter()
        .filter(|(_, ratio)| *ratio >= 1.0)
        .map(|(trace, ratio)| format!("{trace} ({ratio:.3})"))
        .collect();
    let (won, of) = (ratios.len() - lost.len(), ratios.len());
    let lost = if lost.is_empty() {
        "it loses on none".to_owned()
    } else {
        format!("it loses on {}", lost.join(", "))
    };
    format!(
        "\n{}: geometric mean {mean:.4} of the best baseline of each trace; it wins on {won} of {of}, and {lost}\n",
        track.name()
    )
}

/// The columns of `score.py --all`, and the coverage of busy bins.
pub(crate) fn write_results(file: &Path, lines: &[Line]) -> anyhow::Result<()> {
    let mut text =
        "model,trace,track,n,wape,bias,mase_week,wape_peak5,pl50,pl90,pl95,pl99,wql,cov90,unmet90,over90,\
                    cov95,unmet95,over95,cov99,unmet99,over99,crossing,busy90,busy95,busy99\n"
            .to_owned();
    for Line { trace, track, score, .. } in lines {
        let mut cells = vec![score.wape, score.bias, score.mase_week, score.wape_peak5];
        cells.extend(score.pinball);
        cells.push(score.wql);
        for level in 1..score.coverage.len() {
            cells.extend([score.coverage[level], score.unmet[level], score.over[level]]);
        }
        cells.push(score.crossing);
        cells.extend(&score.busy_coverage[1..]);
        let cells: Vec<String> = cells.iter().map(ToString::to_string).collect();
        let _ = writeln!(text, "tidetable,{trace},{},{},{}", track.name(), score.bins, cells.join(","));
    }
    std::fs::write(file, text).with_context(|| format!("writing {}", file.display()))
}
