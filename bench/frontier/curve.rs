//! Curves of lateness against replica-hours, and how one is read at the hours of another.

use tidetable::simulate::backtest::Course;

/// What one setting of one policy cost.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Point {
    /// The quantile or the utilisation.
    pub(crate) knob: f64,
    pub(crate) hours: f64,
    /// Late pod-minutes.
    pub(crate) late: f64,
    pub(crate) late_in_ramps: f64,
    pub(crate) needed_minutes: f64,
}

impl Point {
    /// What a run cost, given `spec.replicas` after each sync and the pods that were ready at it. In a hole nobody knows what is
    /// needed, and so not what is late or idle either.
    pub(crate) fn of(knob: f64, replicas: &[(u32, u32)], course: &Course<'_>, in_ramp: &[bool]) -> Self {
        let mut point = Self { knob, ..Self::default() };
        for (sync, (asked, ready)) in replicas.iter().enumerate() {
            let Some(needed) = course.needed(sync) else { continue };
            let late = f64::from(needed.0.saturating_sub(*ready)) / 4.0;
            point.late += late;
            point.late_in_ramps += if in_ramp[sync] { late } else { 0.0 };
            point.hours += f64::from(*asked) / 240.0;
            point.needed_minutes += f64::from(needed.0) / 4.0;
        }
        point
    }
}

/// Everything about one trace at one lead.
pub(crate) struct Cell {
    pub(crate) trace: String,
    pub(crate) lead: u64,
    /// With tolerance 0, over utilisations.
    pub(crate) reactive: Vec<Point>,
    /// With tolerance 0.1.
    pub(crate) reactive_in_band: Vec<Point>,
    /// With tolerance 0, over quantiles.
    pub(crate) ours: Vec<Point>,
    /// With tolerance 0.1 and answers encoded for it.
    pub(crate) ours_over_band: Vec<Point>,
    pub(crate) foresight: Point,
    /// Of ours with tolerance 0.
    pub(crate) coverage: Vec<Coverage>,
}

/// Below a quarter of a pod-minute there is nothing to compare.
const LEAST: f64 = 0.25;

impl Cell {
    pub(crate) fn reactive_at(&self, utilization: f64) -> Point {
        *self
            .reactive
            .iter()
            .min_by(|a, b| (a.knob - utilization).abs().total_cmp(&(b.knob - utilization).abs()))
            .expect("a curve")
    }

    /// Ours at a quantile that was asked for, and how many plans held.
    pub(crate) fn ours_at(&self, quantile: f64) -> (Point, Coverage) {
        let place =
            self.ours.iter().position(|point| (point.knob - quantile).abs() < 1e-9).expect("asked for");
        (self.ours[place], self.coverage[place])
    }

    /// Late pod-minutes of one of our curves over those of the reactive HPA without a dead band, at the hours of the latter.
    pub(crate) fn ratio(&self, ours: &[Point], utilization: f64) -> f64 {
        let peer = self.reactive_at(utilization);
        read(ours, peer.hours, |point| point.late) / peer.late.max(LEAST)
    }

    pub(crate) fn ramp_ratio(&self, utilization: f64) -> Option<f64> {
        let peer = self.reactive_at(utilization);
        (peer.late_in_ramps > 0.0)
            .then(|| read(&self.ours, peer.hours, |point| point.late_in_ramps) / peer.late_in_ramps)
    }
}

/// The lateness of a curve at `hours`, on the line in the logarithm of lateness; infinite where the curve cannot be so
/// cheap.
pub(crate) fn read(curve: &[Point], hours: f64, lateness: impl Fn(&Point) -> f64) -> f64 {
    let mut points: Vec<(f64, f64)> =
        curve.iter().map(|point| (point.hours, lateness(point).max(LEAST).ln())).collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    match points.iter().position(|point| point.0 >= hours) {
        Some(0) => f64::INFINITY,
        Some(after) => {
            let (low, high) = (points[after - 1], points[after]);
            let share = (hours - low.0) / (high.0 - low.0);
            (low.1 + (high.1 - low.1) * share).exp()
        }
        None => points.last().map_or(f64::INFINITY, |last| last.1.exp()),
    }
}

/// How many plans held at busy moments.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Coverage {
    busy: u32,
    held: u32,
}

impl Coverage {
    /// Takes in whether one did.
    pub(crate) fn add(&mut self, held: bool) {
        self.busy += 1;
        self.held += u32::from(held);
    }

    pub(crate) fn share(self) -> f64 {
        f64::from(self.held) / f64::from(self.busy.max(1))
    }
}
