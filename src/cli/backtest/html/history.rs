//! Demand and replicas over time: the whole comparison in buckets, and a moment sync by sync. Both are the same picture.
//!
//! Load and replicas share one scale: what a replica bears is the unit of the left axis, and the right axis shows it as load.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::ops::Range;

use maud::{Markup, PreEscaped, html};
use serde_json::json;

use super::chart::{Frame, Shape, area, coordinate, line, time_axis, value_axis};
use crate::cli::backtest::subject::Subject;
use crate::cli::backtest::summary::Moment;
use crate::decision::DECIDE_EVERY;
use crate::simulate::backtest::{Course, Outcome};
use crate::time::{LocalClock, Slot, Timestamp};

/// As many buckets as there are pixels to tell apart.
const MOST_BUCKETS: usize = 1100;

/// What is shown on either side of a moment.
const AROUND: chrono::TimeDelta = chrono::TimeDelta::minutes(45);

const STRIP: f64 = 18.0;

/// Radius of the number of a moment.
const MARKER: f64 = 8.0;

/// A stretch of the comparison, in buckets.
pub(super) struct View<'a> {
    subject: &'a Subject,
    outcome: &'a Outcome,
    course: Course<'a>,
    clock: &'a LocalClock,
    band: &'a HashMap<Slot, (f64, f64)>,
    syncs: Range<usize>,
    per_bucket: usize,
}

/// One bucket: load and forecast in replicas, and each contender.
struct Bucket {
    at: Timestamp,
    share: f64,
    load: Option<(f64, f64)>,
    band: Option<(f64, f64)>,
    /// Mean of ready pods, and late pod-minutes.
    contenders: Vec<(f64, f64)>,
}

impl<'a> View<'a> {
    /// All of it.
    pub(super) fn whole(
        subject: &'a Subject,
        outcome: &'a Outcome,
        clock: &'a LocalClock,
        band: &'a HashMap<Slot, (f64, f64)>,
    ) -> Self {
        let per_bucket = outcome.syncs.div_ceil(MOST_BUCKETS).max(1);
        Self { subject, outcome, course: subject.course(), clock, band, syncs: 0..outcome.syncs, per_bucket }
    }

    /// What is around a moment.
    pub(super) fn around(&self, moment: &Moment) -> Self {
        let from = self.course.syncs_until(moment.from - AROUND);
        let until = self.course.syncs_until(moment.to + AROUND).min(self.outcome.syncs);
        let per_bucket = (until - from).div_ceil(MOST_BUCKETS).max(1);
        Self { syncs: from..until, per_bucket, course: self.course.clone(), ..*self }
    }

    /// How many minutes each point is a mean of, where it is more than a sync.
    pub(super) fn minutes_a_point(&self) -> Option<f64> {
        (self.per_bucket > 1)
            .then(|| (DECIDE_EVERY * u32::try_from(self.per_bucket).unwrap_or(u32::MAX)).as_secs_f64() / 60.0)
    }

    fn from(&self) -> Timestamp {
        self.course.synced_at(self.syncs.start)
    }

    fn to(&self) -> Timestamp {
        self.course.synced_at(self.syncs.end)
    }

    fn buckets(&self) -> Vec<Bucket> {
        let starts: Vec<usize> = self.syncs.clone().step_by(self.per_bucket).collect();
        let span = self.syncs.len().max(1) as f64;
        starts
            .into_iter()
            .map(|start| {
                let share = (start - self.syncs.start) as f64 / span;
                self.bucket(start..(start + self.per_bucket).min(self.syncs.end), share)
            })
            .collect()
    }

    fn bucket(&self, syncs: Range<usize>, share: f64) -> Bucket {
        let capacity = self.subject.conditions.capacity.get();
        let step = self.subject.recorded.step();
        let extent = |numbers: &mut dyn Iterator<Item = f64>| {
            numbers.fold(None, |extent: Option<(f64, f64)>, number| {
                Some(extent.map_or((number, number), |(low, high)| (low.min(number), high.max(number))))
            })
        };
        let mut loads = syncs.clone().filter_map(|sync| self.course.load(sync)).map(|load| load / capacity);
        let bands: Vec<(f64, f64)> = syncs
            .clone()
            .filter_map(|sync| self.band.get(&step.slot_of(self.course.synced_at(sync))))
            .map(|(median, high)| (median / capacity, high / capacity))
            .collect();
        let medians = bands.iter().map(|(median, _)| median).sum::<f64>() / bands.len().max(1) as f64;
        let highest = bands.iter().map(|(_, high)| *high).fold(f64::NEG_INFINITY, f64::max);
        let contenders = self.outcome.contenders.iter().map(|contender| {
            let (mut ready, mut late) = (0.0, 0.0);
            for sync in syncs.clone() {
                let needed = self.course.needed(sync).unwrap_or_default().0;
                let (_, stood) = contender.replicas[sync];
                ready += f64::from(stood);
                late += f64::from(needed.saturating_sub(stood)) / 4.0;
            }
            (ready / syncs.len().max(1) as f64, late)
        });
        Bucket {
            at: self.course.synced_at(syncs.start),
            share,
            load: extent(&mut loads),
            band: (!bands.is_empty()).then_some((medians, highest)),
            contenders: contenders.collect(),
        }
    }

    /// The picture, and what stands behind it for whoever points at it.
    pub(super) fn picture(&self, id: &str, moments: &[Moment]) -> Markup {
        let buckets = self.buckets();
        let strips = self.outcome.contenders.len() as f64 * STRIP;
        let frame = Frame {
            width: 1060.0,
            height: 330.0 + strips,
            left: 58.0,
            right: 64.0,
            top: 16.0,
            bottom: 52.0 + strips,
        };
        let most = most_of(&buckets);
        let place = |share: f64, replicas: f64| (frame.x(share), frame.y((replicas / most).clamp(0.0, 1.0)));
        let loads: Vec<_> = buckets
            .iter()
            .map(|it| it.load.map(|(_, high)| (frame.x(it.share), frame.floor(), place(it.share, high).1)))
            .collect();
        let band: Vec<_> = buckets
            .iter()
            .map(|it| it.band.map(|(low, high)| (frame.x(it.share), place(0.0, low).1, place(0.0, high).1)))
            .collect();
        let unit = axis_of_load(&self.subject.unit);
        html! {
            figure.chart id=(id) {
                svg viewBox=(format!("0 0 {:.0} {:.0}", frame.width, frame.height)) role="img"
                    aria-label="demand, forecast and replicas over time" {
                    (value_axis(&frame, most, "replicas", Some((self.subject.conditions.capacity.get(), &unit))))
                    path.demand d=(area(&loads)) {}
                    path.band d=(area(&band)) {}
                    @for (index, contender) in self.outcome.contenders.iter().enumerate().rev() {
                        @let points = buckets.iter().map(|it| Some(place(it.share, it.contenders[index].0)));
                        path class=(format!("ready s-{}", contender.who.name())) d=(line(points, Shape::Stairs)) {}
                    }
                    @for ((number, moment), row) in moments.iter().enumerate().zip(self.rows(&frame, moments)) {
                        (self.marker(&frame, number + 1, moment, row))
                    }
                    (time_axis(&frame, self.clock, self.from(), self.to(), self.subject.zone.name()))
                    (self.strips(&frame, &buckets))
                    line.cross x1="0" x2="0" y1=(coordinate(frame.top)) y2=(coordinate(frame.floor())) {}
                }
                figcaption.read {}
                script type="application/json" { (PreEscaped(self.behind(&frame, &buckets))) }
            }
        }
    }

    fn marker_x(&self, frame: &Frame, moment: &Moment) -> f64 {
        let span = (self.to() - self.from()).num_seconds().max(1) as f64;
        frame.x((moment.worst_at - self.from()).num_seconds() as f64 / span)
    }

    /// How far below the top each marker stands, so that none covers another to its left.
    fn rows(&self, frame: &Frame, moments: &[Moment]) -> Vec<f64> {
        let mut order: Vec<usize> = (0..moments.len()).collect();
        let x = |index: usize| self.marker_x(frame, &moments[index]);
        order.sort_by(|a, b| x(*a).total_cmp(&x(*b)));
        let (mut rows, mut last) = (vec![0.0; moments.len()], (f64::NEG_INFINITY, 0.0));
        for index in order {
            let row = if x(index) - last.0 < 2.0 * MARKER { last.1 + 2.0 * MARKER } else { 0.0 };
            (rows[index], last) = (row, (x(index), row));
        }
        rows
    }

    fn marker(&self, frame: &Frame, number: usize, moment: &Moment, row: f64) -> Markup {
        let (x, y) = (self.marker_x(frame, moment), frame.top + row);
        html! {
            g.marker data-moment=(number) tabindex="0" role="button" aria-label=(format!("moment {number}")) {
                line x1=(coordinate(x)) x2=(coordinate(x)) y1=(coordinate(y + MARKER)) y2=(coordinate(frame.floor())) {}
                circle cx=(coordinate(x)) cy=(coordinate(y)) r=(coordinate(MARKER)) {}
                text x=(coordinate(x)) y=(coordinate(y + 3.6)) text-anchor="middle" { (number) }
            }
        }
    }

    /// Late pod-minutes of each contender, as bars in a strip of its own; one scale for all of them.
    fn strips(&self, frame: &Frame, buckets: &[Bucket]) -> Markup {
        let late = |index: usize| buckets.iter().map(move |it| (it.share, it.contenders[index].1));
        let most = (0..self.outcome.contenders.len())
            .flat_map(|index| late(index).map(|(_, late)| late))
            .fold(f64::MIN_POSITIVE, f64::max);
        let base = |index: usize| frame.floor() + 52.0 + STRIP * index as f64;
        let bars = |index: usize| {
            let floor = base(index);
            late(index).filter(|(_, late)| *late > 0.0).fold(String::new(), |mut path, (share, late)| {
                let height = ((STRIP - 4.0) * (late / most).sqrt()).max(1.0);
                let _ = write!(path, "M{:.1} {floor:.1}v-{height:.1}", frame.x(share));
                path
            })
        };
        html! {
            text.label x=(coordinate(frame.left)) y=(coordinate(frame.floor() + 34.0)) { "late pods, by policy" }
            @for (index, contender) in self.outcome.contenders.iter().enumerate() {
                line.grid x1=(coordinate(frame.left)) x2=(coordinate(frame.x(1.0))) y1=(coordinate(base(index))) y2=(coordinate(base(index))) {}
                text.tick x=(coordinate(frame.x(1.0) + 6.0)) y=(coordinate(base(index))) { (short_name(contender.who.name())) }
                path class=(format!("late s-{}", contender.who.name())) d=(bars(index)) {}
            }
        }
    }

    /// The numbers behind the picture, for the pointer.
    fn behind(&self, frame: &Frame, buckets: &[Bucket]) -> String {
        let round = |number: f64| (number * 10.0).round() / 10.0;
        let shown: Vec<String> = buckets
            .iter()
            .map(|it| {
                let local = crate::time::from_epoch_seconds(self.clock.local_seconds(it.at));
                local.format("%a %-d %b %Y %H:%M:%S").to_string()
            })
            .collect();
        let names: Vec<&str> = self.outcome.contenders.iter().map(|it| it.who.name()).collect();
        let ready: Vec<Vec<f64>> =
            buckets.iter().map(|it| it.contenders.iter().map(|(ready, _)| round(*ready)).collect()).collect();
        let needed: Vec<Option<f64>> =
            buckets.iter().map(|it| it.load.map(|(_, high)| round(high))).collect();
        let foreseen: Vec<Option<f64>> =
            buckets.iter().map(|it| it.band.map(|(_, high)| round(high))).collect();
        json!({
            "left": frame.left, "width": frame.plot_width(), "whole": frame.width,
            "at": shown, "names": names, "ready": ready, "needed": needed, "foreseen": foreseen,
        })
        .to_string()
        .replace("</", "<\\/")
    }
}

/// The top of the scale: what was needed, foreseen or ready with ours, with a little air. A static peak may reach out.
fn most_of(buckets: &[Bucket]) -> f64 {
    let each = buckets.iter().flat_map(|it| {
        let load = it.load.map(|(_, high)| high);
        let band = it.band.map(|(_, high)| high);
        [load, band, it.contenders.first().map(|(ready, _)| *ready)]
    });
    (each.flatten().fold(1.0, f64::max) * 1.08).ceil()
}

/// What the right axis shows.
fn axis_of_load(unit: &str) -> String {
    if unit == "load" { unit.to_owned() } else { format!("load ({unit})") }
}

/// A name that fits beside a strip.
fn short_name(name: &str) -> &str {
    match name {
        "reactive_tuned" => "tuned",
        "static_peak" => "static",
        other => other,
    }
}
