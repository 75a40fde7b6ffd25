//! Replays a recording, row by row or left alone.

use std::collections::VecDeque;

use tidetable::simulate::hpa::{Hpa, Limited, Outcome, Reading, Scale};
use tidetable::simulate::keda::Keda;
use tidetable::units::Replicas;

use super::recording::{Recording, Row};

/// What the simulator made of one evaluation.
#[derive(Debug)]
pub(crate) struct Decided {
    /// `spec.replicas` as it found them.
    found: Replicas,
    outcome: Outcome,
}

impl Decided {
    /// Whether the recorded controller found and decided the same, for the same reason.
    pub(crate) fn agrees_with(&self, row: &Row) -> bool {
        let (kind, proposed, limited) = match self.outcome {
            Outcome::Disabled => ("disabled", None, None),
            Outcome::Failed => ("error", None, None),
            Outcome::Clamped { .. } => ("clamp", None, None),
            Outcome::Decided { proposed, limited, failed, .. } => {
                (if failed == 0 { "ok" } else { "partial" }, Some(proposed), Some(reason(limited)))
            }
        };
        let reasons = limited.zip(row.limited.as_deref());
        self.found == row.spec
            && (kind, proposed, self.outcome.desired()) == (row.outcome.as_str(), row.proposed, row.desired)
            && reasons.is_none_or(|(decided, recorded)| decided == recorded)
    }
}

fn reason(limited: Limited) -> &'static str {
    match limited {
        Limited::DesiredWithinRange => "DesiredWithinRange",
        Limited::TooFewReplicas => "TooFewReplicas",
        Limited::TooManyReplicas => "TooManyReplicas",
        Limited::ScaleUpLimit => "ScaleUpLimit",
        Limited::ScaleDownLimit => "ScaleDownLimit",
    }
}

/// Each row with the inputs that were recorded.
pub(crate) fn open(recording: &Recording) -> Vec<Decided> {
    let mut hpa = Hpa::new(recording.spec.clone());
    let decide = |row: &Row| {
        let scale = Scale { spec: row.spec, status: row.status, ready: row.ready };
        let outcome = hpa.look(recording.at(row.decided), scale, &row.readings);
        if let Some(written) = row.written {
            // What was written is taken from the recording, so that one disagreement is counted once.
            hpa.wrote(recording.at(written), row.spec, row.spec_after);
        }
        Decided { found: row.spec, outcome }
    };
    recording.rows.iter().map(decide).collect()
}

/// The script and the clock alone.
pub(crate) fn closed(recording: &Recording) -> Vec<Decided> {
    let mut world = World {
        recording,
        keda: Keda::new(recording.scaled_object.clone()),
        hpa: Hpa::new(recording.spec.clone()),
        replicas: recording.initial,
        polls: recording.polls.iter().copied().collect(),
        writes: recording.manual.clone(),
    };
    recording.rows.iter().map(|row| world.evaluate(row)).collect()
}

/// From a poll to KEDA's write, where the recording has none to tell.
const WRITE_TAKES: f64 = 0.02;

struct World<'a> {
    recording: &'a Recording,
    keda: Keda,
    hpa: Hpa,
    replicas: Replicas,
    polls: VecDeque<f64>,
    /// Writes of others than the HPA that are under way.
    writes: Vec<(f64, Replicas)>,
}

impl World<'_> {
    fn evaluate(&mut self, row: &Row) -> Decided {
        self.pass_until(row.began, row.ready);
        let found = self.replicas;
        let status = if self.recording.others_act { row.status } else { found };
        let scale = Scale { spec: found, status, ready: row.ready };
        // Failures are counted in the order in which KEDA was asked.
        let asked = row.read.unwrap_or(row.began);
        self.pass_until(asked, row.ready);
        // Outside the bounds the controller turns back before its metrics, so nobody is asked.
        let in_bounds = self.recording.spec.min <= found && found <= self.recording.spec.max;
        let answers = self.recording.answers(asked);
        let readings: Vec<Reading> = (0..self.recording.spec.metrics.len())
            .filter(|_| in_bounds)
            .map(|metric| {
                if row.not_asked[metric] {
                    return Reading::Failed;
                }
                self.keda.read(metric, found, row.ready, &answers)
            })
            .collect();
        let outcome = self.hpa.look(self.recording.at(row.decided), scale, &readings);
        if let Some(desired) = outcome.desired().filter(|desired| *desired != found) {
            let written = row.written.unwrap_or(row.decided);
            self.hpa.wrote(self.recording.at(written), found, desired);
            self.replicas = desired;
        }
        Decided { found, outcome }
    }

    /// Lets KEDA and people act until `seconds`.
    fn pass_until(&mut self, seconds: f64, ready: Replicas) {
        while let Some(at) = self.polls.front().copied().filter(|at| *at <= seconds) {
            self.polls.pop_front();
            self.write_until(at);
            let answers = self.recording.answers(at);
            let replicas = self.keda.poll(self.recording.at(at), self.replicas, ready, &answers);
            self.writes.extend(replicas.map(|replicas| (self.written_after(at), replicas)));
        }
        self.write_until(seconds);
    }

    /// When what a poll at `at` wrote was there to be read.
    fn written_after(&self, at: f64) -> f64 {
        let next_poll = self.polls.front().copied().unwrap_or(f64::INFINITY);
        let recorded = self.recording.keda_writes.iter().copied().find(|written| *written >= at);
        recorded.filter(|written| *written < next_poll).unwrap_or(at + WRITE_TAKES)
    }

    fn write_until(&mut self, seconds: f64) {
        self.writes.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        let due = self.writes.partition_point(|(written, _)| *written <= seconds);
        self.replicas = self.writes.drain(..due).next_back().map_or(self.replicas, |(_, replicas)| replicas);
    }
}
