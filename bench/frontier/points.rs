//! Every point of every curve as a CSV file, for whoever wants to read the curves otherwise.

use std::path::Path;

use anyhow::Context;

use crate::curve::{Cell, Point};

pub(crate) fn write(out: &Path, cells: &[Cell]) -> anyhow::Result<()> {
    let path = out.join("points.csv");
    let mut file = csv::Writer::from_path(&path).with_context(|| format!("creating {}", path.display()))?;
    let head =
        ["trace", "lead_seconds", "policy", "setting", "replica_hours", "late_pod_minutes", "late_in_ramps"];
    file.write_record(head)?;
    for cell in cells {
        let curves: [(&str, &[Point]); 5] = [
            ("reactive", &cell.reactive),
            ("reactive_in_band", &cell.reactive_in_band),
            ("tidetable", &cell.ours),
            ("tidetable_over_band", &cell.ours_over_band),
            ("foresight", std::slice::from_ref(&cell.foresight)),
        ];
        for (policy, point) in
            curves.iter().flat_map(|(policy, curve)| curve.iter().map(move |point| (policy, point)))
        {
            let numbers =
                [point.knob, point.hours, point.late, point.late_in_ramps].map(|number| number.to_string());
            let [knob, hours, late, late_in_ramps] = &numbers;
            file.write_record([
                &cell.trace,
                &cell.lead.to_string(),
                *policy,
                knob,
                hours,
                late,
                late_in_ramps,
            ])?;
        }
    }
    file.flush().with_context(|| format!("writing {}", path.display()))
}
