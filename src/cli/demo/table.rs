//! The demo's table, as text: each row once in a pipe, the last rows redrawn in place on a terminal.
//!
//! It writes nothing. [`Table::push`] gives back what the caller should write next, so that a test can read it, and the
//! terminal's control codes appear only where the caller said there is one.

use std::collections::VecDeque;
use std::fmt::Write as _;

use chrono_tz::Tz;

use super::world::{Moment, Standing};
use crate::simulate::Tally;
use crate::units::Replicas;

/// Rows shown on a terminal that has room for them.
const ROWS: usize = 20;

/// Lines of a terminal that are not rows: the sparkline, the header, and the one the cursor is left on.
const OTHER_LINES: usize = 4;

/// Moments in the sparkline: five hours, at one a minute.
const SPARKS: usize = 300;

/// Who reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// A file or another program: every row once, no control codes.
    Plain,
    /// A terminal: a screenful, redrawn in place, in colours.
    Terminal {
        /// Its width. Longer lines are cut, because a wrapped one could not be drawn over.
        columns: usize,
        /// Its height. Fewer rows are kept where it is low, because one that has scrolled away could not be either.
        lines: usize,
    },
}

/// One row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Row {
    /// What the world is like.
    pub(super) moment: Moment,
    /// The forecast of the coming peak: its median, and the quantile that is planned for.
    pub(super) forecast: Option<(f64, f64)>,
}

/// A table that grows.
#[derive(Debug, Clone)]
pub(super) struct Table {
    look: Look,
    zone: Tz,
    rows: VecDeque<Row>,
    demand: VecDeque<Option<f64>>,
    lines_drawn: usize,
    begun: bool,
}

/// How a piece of text is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tone {
    Plain,
    Faint,
    Ours,
    Alarm,
}

impl Tone {
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Faint => "\x1b[2m",
            Self::Ours => "\x1b[36m",
            Self::Alarm => "\x1b[1;31m",
        }
    }
}

type Line = Vec<(Tone, String)>;

impl Table {
    /// An empty table with the wall clock of `zone`.
    pub(super) fn new(look: Look, zone: Tz) -> Self {
        Self { look, zone, rows: VecDeque::new(), demand: VecDeque::new(), lines_drawn: 0, begun: false }
    }

    /// Takes a row, and gives what is to be written for it.
    pub(super) fn push(&mut self, row: Row) -> String {
        match self.look {
            Look::Plain => {
                let mut text = String::new();
                if !std::mem::replace(&mut self.begun, true) {
                    for line in header() {
                        draw_plain(&mut text, &line);
                    }
                }
                draw_plain(&mut text, &self.line(&row));
                text
            }
            Look::Terminal { columns, lines } => {
                keep(&mut self.rows, row, lines.saturating_sub(OTHER_LINES).clamp(1, ROWS));
                keep(&mut self.demand, row.moment.observed, SPARKS);
                self.redraw(columns)
            }
        }
    }

    fn redraw(&mut self, columns: usize) -> String {
        let mut lines = vec![vec![
            (Tone::Faint, "demand  ".to_owned()),
            (Tone::Ours, sparkline(&self.demand, columns.saturating_sub(8))),
        ]];
        lines.extend(header());
        lines.extend(self.rows.iter().map(|row| self.line(row)));
        let mut text = String::new();
        if self.lines_drawn > 0 {
            let _ = write!(text, "\x1b[{}A", self.lines_drawn);
        }
        for line in &lines {
            draw_on_terminal(&mut text, line, columns);
        }
        self.lines_drawn = lines.len();
        text
    }

    fn line(&self, row: &Row) -> Line {
        let Row { moment, forecast } = row;
        let rate = |rate: Option<f64>| rate.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.0}"));
        let time = moment.at.with_timezone(&self.zone).format("%a %H:%M:%S");
        let answered =
            moment.answered.map_or_else(|| "error".to_owned(), |answered| format!("{answered:.0}"));
        let mut line = vec![
            (Tone::Faint, format!("{time:<12}")),
            (
                if moment.observed.is_some() { Tone::Plain } else { Tone::Alarm },
                format!("{:>9}", rate(moment.observed)),
            ),
            (Tone::Ours, format!("{:>9}", rate(forecast.map(|(median, _)| median)))),
            (Tone::Ours, format!("{:>9}", rate(forecast.map(|(_, upper)| upper)))),
            (Tone::Plain, format!("{:>8}", moment.needed)),
            (if moment.answered.is_some() { Tone::Ours } else { Tone::Alarm }, format!("{answered:>10}")),
        ];
        line.extend([(Tone::Plain, format!("{:>7}", moment.ours.ready)), late(moment.ours)]);
        line.push((Tone::Faint, format!("{:>9}", moment.reactive.asked)));
        line.extend([(Tone::Plain, format!("{:>7}", moment.reactive.ready)), late(moment.reactive)]);
        line
    }
}

fn header() -> [Line; 2] {
    let above = format!("{:<47}{:>25}{:>24}", "", "tidetable", "reactive HPA");
    let names = format!(
        "{:<12}{:>9}{:>9}{:>9}{:>8}{:>10}{:>7}{:>8}{:>9}{:>7}{:>8}",
        "time", "tx/s", "median", "q95", "needed", "answered", "ready", "late", "asked", "ready", "late"
    );
    [vec![(Tone::Faint, above)], vec![(Tone::Faint, names)]]
}

/// Missing pods as a mark, or nothing.
fn late(standing: Standing) -> (Tone, String) {
    match standing.late {
        Replicas(0) => (Tone::Faint, format!("{:>8}", "·")),
        late => (Tone::Alarm, format!("{:>8}", format!("-{late}"))),
    }
}

fn keep<T>(kept: &mut VecDeque<T>, newest: T, most: usize) {
    kept.push_back(newest);
    while kept.len() > most {
        kept.pop_front();
    }
}

fn draw_plain(text: &mut String, line: &Line) {
    for (_, piece) in line {
        text.push_str(piece);
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
}

fn draw_on_terminal(text: &mut String, line: &Line, columns: usize) {
    let mut room = columns;
    for (tone, piece) in line {
        let piece: String = piece.chars().take(room).collect();
        room -= piece.chars().count();
        match tone.code() {
            "" => text.push_str(&piece),
            code => {
                let _ = write!(text, "{code}{piece}\x1b[0m");
            }
        }
    }
    // Whatever stood there before was perhaps longer.
    text.push_str("\x1b[K\n");
}

/// Demand as a row of bars; a hole is a gap.
fn sparkline(demand: &VecDeque<Option<f64>>, columns: usize) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let shown = demand.iter().skip(demand.len().saturating_sub(columns));
    let most = shown.clone().flatten().fold(0.0_f64, |most, rate| most.max(*rate));
    shown
        .map(|rate| match rate {
            Some(rate) if most > 0.0 => {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "0 to 8, and bounded below"
                )]
                let height = (rate / most * BARS.len() as f64) as usize;
                BARS[height.min(BARS.len() - 1)]
            }
            _ => ' ',
        })
        .collect()
}

/// The line that sums up a run.
pub(super) fn summary(ours: &Tally, reactive: &Tally) -> String {
    format!(
        "late pod-minutes: tidetable {:.1}, reactive {:.1}; replica-hours: tidetable {:.1}, reactive {:.1}",
        ours.late_pod_minutes, reactive.late_pod_minutes, ours.replica_hours, reactive.replica_hours
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(minute: u32, observed: Option<f64>, answered: Option<f64>, late: u32) -> Row {
        let standing = |asked, ready| Standing {
            asked: Replicas(asked),
            ready: Replicas(ready),
            late: Replicas(24_u32.saturating_sub(ready)),
        };
        Row {
            moment: Moment {
                at: format!("2026-11-25T14:{minute:02}:15Z").parse().unwrap(),
                observed,
                needed: Replicas(24),
                answered,
                ours: standing(44, 31),
                reactive: standing(24, 24 - late),
            },
            forecast: observed.map(|rate| (1.1 * rate, 1.3 * rate)),
        }
    }

    #[test]
    fn in_a_pipe_every_row_is_printed_once_under_one_header() {
        let mut table = Table::new(Look::Plain, Tz::America__New_York);
        let mut text = table.push(row(31, Some(2780.4), Some(44.0), 6));
        text.push_str(&table.push(row(32, None, None, 0)));
        insta::assert_snapshot!(text, @r"
                                                                       tidetable            reactive HPA
        time             tx/s   median      q95  needed  answered  ready    late    asked  ready    late
        Wed 09:31:15     2780     3058     3615      24        44     31       ·       24     18      -6
        Wed 09:32:15        -        -        -      24     error     31       ·       24     24       ·
        ");
    }

    #[test]
    fn on_a_terminal_a_screenful_is_drawn_over_itself() {
        let columns = 60;
        let mut table = Table::new(Look::Terminal { columns, lines: 50 }, Tz::America__New_York);
        let first = table.push(row(0, Some(1000.0), Some(20.0), 0));
        assert!(first.starts_with("\x1b[2mdemand"), "nothing to draw over yet: {first:?}");
        assert_eq!(first.lines().count(), 4);
        let last = (1..40).map(|minute| table.push(row(minute, Some(1000.0), Some(20.0), 3))).last().unwrap();
        assert_eq!(last.lines().count(), 3 + ROWS);
        assert!(last.starts_with(&format!("\x1b[{}A", 3 + ROWS)));
        for line in last.lines() {
            assert!(shown(line).chars().count() <= columns, "{line:?}");
        }
    }

    #[test]
    fn a_low_terminal_gets_fewer_rows_than_it_has_lines() {
        let mut table = Table::new(Look::Terminal { columns: 100, lines: 10 }, Tz::America__New_York);
        let last = (0..30).map(|minute| table.push(row(minute, Some(1000.0), None, 3))).last().unwrap();
        assert_eq!(last.lines().count(), 9);
    }

    /// A line without its control codes.
    fn shown(line: &str) -> String {
        line.split('\x1b')
            .enumerate()
            .map(|(index, piece)| match (index, piece.find(['m', 'K', 'A'])) {
                (1.., Some(end)) => &piece[end + 1..],
                _ => piece,
            })
            .collect()
    }

    #[test]
    fn a_sparkline_leaves_a_gap_where_nothing_was_seen() {
        let demand = [Some(1.0), Some(4.0), None, Some(8.0)].into_iter().collect();
        assert_eq!(sparkline(&demand, 10), "▂▅ █");
        assert_eq!(sparkline(&demand, 2), " █");
        assert_eq!(sparkline(&VecDeque::new(), 10), "");
    }

    #[test]
    fn the_summary_says_what_both_cost() {
        let tally =
            |late_pod_minutes, replica_hours| Tally { late_pod_minutes, replica_hours, ..Tally::default() };
        assert_eq!(
            summary(&tally(3.25, 310.04), &tally(120.0, 305.96)),
            "late pod-minutes: tidetable 3.2, reactive 120.0; replica-hours: tidetable 310.0, reactive 306.0"
        );
    }
}
