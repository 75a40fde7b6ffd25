//! The next minutes and hours: what the newest points make of the day's forecast.
//!
//! At some leads (1, 2, 3, 4, 6, … slots, see [`leads`]) four experts are asked and believed by their own past errors:
//! * **S**, a log ridge of u at the target on the mean u of the last minutes to the last day ([`super::recent`]);
//! * **N**, a non-negative combination of D moved by u, of the newest load and of the newest load plus D's change;
//! * **last**, the newest load: wakes up where there is no profile;
//! * **D** itself.
//!
//! What they would have said is replayed: each week is forecast with coefficients and shares learned before it, and
//! those errors give the quantiles: the mean of three answers, as in [`super::spread`].

use std::ops::Range;

use super::lattice::CELL_SECONDS;
use super::linear::{Rows, dot};
use super::most::Most;
use super::pools::{Hours, PRIOR_SIZE, Pools, Score, padded};
use super::recent::{
    Base, CANDIDATES, CLIP, DAY, FEATURES, HALF_HOUR, HOURS, NEWEST, Past as _, Present, QUARTER, Reading,
    Replayed, Time, deviation, moved,
};
use super::scale::{Scale, turns};
use super::taught::{Kind, Options, Taught};
use super::usual::OFFSET;
use crate::time::{Slot, Step};
use crate::units::Quantile;

const EXPERTS: usize = 4;

/// What explanations call them.
pub(super) const NAMES: [&str; EXPERTS] = ["log_ridge", "nonnegative", "newest", "day_forecast"];

const SIGNS: usize = 18;

/// Beyond this the day's forecast speaks alone.
pub(super) const FARTHEST_SECONDS: i64 = 6 * 3_600;

/// λ of S and of N.
const S_STRENGTH: f64 = 0.01;
const N_STRENGTH: f64 = 0.02;

/// Rows to learn from at each lead, over these days; coefficients are learned from so many weeks, and half is forgotten after
/// those days.
const ROWS: i64 = 2_500;
pub(super) const SEEN_DAYS: i64 = 56;
const LEARN_WEEKS: usize = 6;
const HALF_DAYS: f64 = 21.0;
const SIZE_HALF_DAYS: f64 = 28.0;

/// Of the hours in which nothing is expected and nothing came lately, one row in so many is learned from, and counts as often.
/// They are most of the rows of an exchange, all alike: looked at each time they leave its open hours a fifth of the rows.
const DULL_EVERY: usize = 8;

/// Weeks of the past that are replayed.
const REPLAYS: usize = 6;

/// Fewer rows than this teach nothing.
pub(super) const ENOUGH: usize = 50;

/// Steps of IRLS from the prior, and from the coefficients before.
const STEPS: usize = 4;
const WARM_STEPS: usize = 2;

/// Power of the errors by which experts are believed, and their shares before any are known.
const BELIEF_POWER: i32 = 4;
const BELIEF: [f64; EXPERTS] = [0.4, 0.4, 0.0, 0.2];

/// Pools by level.
const POOLS: usize = 4;
const LEVEL_POOLS: usize = 6;

/// The leads at which experts are asked, in slots, ascending: what lies between is read on the line. Where a slot is finer
/// than what a day's forecast is made of, neighbours say nearly the same, and the next minutes are the nowcast's.
pub(super) fn leads(step: Step) -> Vec<i64> {
    let farthest = (FARTHEST_SECONDS / step.seconds()).max(1);
    let fine = step.seconds() < CELL_SECONDS;
    let (first, then, times): (&[i64], i64, i64) = if fine { (&[1], 5, 5) } else { (&[1, 2, 3, 4], 6, 2) };
    let growing = std::iter::successors(Some(then), |lead| Some(lead * times));
    let growing = growing.take_while(|lead| *lead < farthest);
    let mut leads: Vec<i64> = first.iter().copied().chain(growing).collect();
    leads.retain(|lead| *lead < farthest);
    leads.push(farthest);
    leads
}

/// The experts at one lead.
#[derive(Debug, Clone)]
pub(super) struct Lead {
    pub(super) slots: i64,
    s: [f64; FEATURES],
    n: [f64; CANDIDATES],
    /// Of S, N, last and D.
    pub(super) shares: [f64; EXPERTS],
    /// Past rows that S and N could be learned from.
    pub(super) lessons: usize,
    /// Whether the shares follow from past errors.
    pub(super) judged: bool,
    scale: Scale<SIGNS>,
    /// Pools of the errors as they are.
    levels: Pools,
    /// Pools of the errors as shares of the forecast, by hour of the local day.
    hours: Hours,
    pools: Pools,
    /// Share of a live surprise that is believed of the slot this many places after the last settled one, if the surprise
    /// was the first after it.
    pub(super) echo: f64,
}

/// A point forecast, in means, and the size of its error in roots of means.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sized {
    pub(super) point: f64,
    pub(super) size: f64,
}

impl Lead {
    fn new(slots: i64) -> Self {
        let mut s = [0.0; FEATURES];
        s[HALF_HOUR] = 0.5;
        let n = [1.0 / CANDIDATES as f64; CANDIDATES];
        Self {
            slots,
            s,
            n,
            shares: BELIEF,
            lessons: 0,
            judged: false,
            scale: Scale::unknown(),
            levels: Pools::with_borders(&[], Vec::new()),
            hours: Hours::of(&[]),
            pools: Pools::with_borders(&[], Vec::new()),
            echo: 1.0,
        }
    }

    fn opinions(&self, reading: &Reading) -> [f64; EXPERTS] {
        let s = moved(reading.base, dot(&reading.features, &self.s).clamp(-CLIP, CLIP));
        [s, dot(&reading.candidates, &self.n).max(0.0), reading.last, reading.base]
    }

    /// What tells a coming miss.
    fn signs(reading: &Reading, opinions: &[f64; EXPERTS], point: f64) -> [f64; SIGNS] {
        let level = (point + OFFSET).ln();
        let [(s1, c1), (s2, c2), (s3, c3)] = turns(reading.time.of_day);
        let apart = |a: f64, b: f64| deviation(a, b).abs();
        let weekend = f64::from(u8::from(reading.time.weekend));
        let closed = OFFSET / (point + OFFSET);
        let of_u = |window: usize| reading.means[window].abs();
        [
            1.0,
            closed,
            level,
            level * level,
            s1,
            c1,
            s2,
            c2,
            s3,
            c3,
            weekend,
            of_u(HOURS),
            of_u(DAY),
            reading.yesterday.abs(),
            apart(opinions[0], opinions[1]),
            apart(opinions[1], reading.last),
            of_u(NEWEST),
            of_u(QUARTER),
        ]
    }

    /// The forecast of one row.
    pub(super) fn forecast(&self, reading: &Reading) -> Sized {
        let opinions = self.opinions(reading);
        let point = dot(&opinions, &self.shares);
        Sized { point, size: self.scale.size(&Self::signs(reading, &opinions, point)) }
    }

    /// The load that is not exceeded with probability `quantile`.
    pub(super) fn reach(&self, forecast: Sized, of_day: f64, quantile: Quantile) -> f64 {
        let sized = self.pools.reach(forecast.point, forecast.size, quantile);
        let levels = self.levels.reach(forecast.point, 1.0, quantile);
        let hours = self.hours.score(Hours::hour(24.0 * of_day), quantile);
        (sized + levels + forecast.point + (forecast.point + OFFSET) * hours) / 3.0
    }
}

/// A past row and what came.
struct Lesson {
    reading: Reading,
    load: f64,
    target: Slot,
    /// What was seen when it was said.
    seen: usize,
    /// How many rows it stands for.
    rows: f64,
}

/// Learns every lead from the replayed past, and what is to be made of several slots. `time` tells where a slot lies on the
/// wall clock.
pub(super) fn learn(base: &Base, past: &Replayed, time: impl Fn(Slot) -> Time) -> (Vec<Lead>, Most) {
    let day = 86_400 / base.step.seconds();
    let Range { start, end } = past.slots();
    let span = end.since(start).min(SEEN_DAYS * day);
    let shut = (end.0 - span..end.0).filter(|slot| base.shut(Slot(*slot))).count();
    let told = span - i64::try_from(shut - shut / DULL_EVERY).unwrap_or(0);
    let stride = stride((told / ROWS).max(1), day);
    let origins = (end.0 - span / stride * stride..end.0).step_by(usize::try_from(stride).unwrap_or(1));
    // What is seen from an origin is the same for each lead.
    let seen = origins.map(Slot).filter(|origin| *origin > start);
    let seen: Vec<Present> = seen.filter_map(|origin| base.present(past, origin)).collect();
    let school = School { base, past, time, seen, day, end };
    let mut learned: Vec<Lead> = Vec::new();
    let mut surprises = Vec::new();
    for slots in leads(base.step) {
        let lead = school.learn(slots, &surprises);
        if learned.is_empty() {
            surprises = school.surprises(&lead);
        }
        learned.push(lead);
    }
    let most = Most::learn(base, past, &learned, &school.seen, &school.time);
    (learned, most)
}

/// What all leads learn from.
struct School<'a, F> {
    base: &'a Base,
    past: &'a Replayed,
    time: F,
    /// What was seen from each origin.
    seen: Vec<Present>,
    /// Slots of a day.
    day: i64,
    end: Slot,
}

impl<F: Fn(Slot) -> Time> School<'_, F> {
    /// What was to be read of `target`.
    fn read(&self, present: &Present, target: Slot) -> Option<Reading> {
        let said = self.base.said(target)?;
        Some(self.base.read(self.past, present, (target, said), (self.time)(target)))
    }

    fn learn(&self, lead: i64, surprises: &[Option<f64>]) -> Lead {
        let lesson = |(seen, present): (usize, &Present)| {
            let target = present.origin.plus(lead - 1);
            let dull = self.base.shut(target) && present.quiet();
            if dull && seen % DULL_EVERY > 0 {
                return None;
            }
            let load = self.past.load(target)?;
            let rows = if dull { DULL_EVERY as f64 } else { 1.0 };
            Some(Lesson { reading: self.read(present, target)?, load, target, seen, rows })
        };
        let mut lessons = Vec::with_capacity(self.seen.len());
        lessons.extend(self.seen.iter().enumerate().filter_map(lesson));
        let mut own = Lead::new(lead);
        own.lessons = lessons.len();
        let replayed = replay(&mut own, &lessons, self.end, self.day);
        own.calibrate(&lessons, &replayed, self.end, self.day);
        if !surprises.is_empty() {
            let said = lessons.iter().zip(&replayed);
            own.echo = echo(
                said.filter_map(|(lesson, said)| Some((lesson.load, (*said)?.1, surprises[lesson.seen]?))),
            );
        }
        own
    }

    /// How far off the nearest lead was of the first slot after each origin, for some of them.
    fn surprises(&self, nearest: &Lead) -> Vec<Option<f64>> {
        let surprise = |(seen, present): (usize, &Present)| {
            if seen % ECHO_STRIDE > 0 {
                return None;
            }
            let load = self.past.load(present.origin)?;
            Some(deviation(load, nearest.forecast(&self.read(present, present.origin)?).point))
        };
        self.seen.iter().enumerate().map(surprise).collect()
    }
}

/// One in so many lessons is enough to learn one number.
const ECHO_STRIDE: usize = 4;

/// The share of a surprise in one slot that is still there some slots later: the one of these that would have missed the
/// loads least, given `(load, forecast before the surprise, surprise)`. Ties go to the smaller: without evidence the
/// forecast stands.
fn echo(lessons: impl Iterator<Item = (f64, f64, f64)>) -> f64 {
    const TRIED: [f64; 8] = [0.0, 0.15, 0.3, 0.45, 0.6, 0.75, 0.9, 1.0];
    let mut missed = [0.0; TRIED.len()];
    for (load, point, surprise) in lessons {
        for (missed, share) in missed.iter_mut().zip(TRIED) {
            *missed += (load - moved(point, share * surprise)).abs();
        }
    }
    let tried = missed.into_iter().zip(TRIED);
    tried.min_by(|a, b| a.0.total_cmp(&b.0)).map_or(0.0, |(_, share)| share)
}

/// What the experts said of a lesson, before they had learned from it.
type Said = Option<([f64; EXPERTS], f64)>;

/// Teaches `own` week by week, and keeps what it said of each week before it learned from it.
fn replay(own: &mut Lead, lessons: &[Lesson], end: Slot, day: i64) -> Vec<Said> {
    let mut s_rows = Rows::new(FEATURES, lessons.len());
    let mut n_rows = Rows::new(CANDIDATES, lessons.len());
    for lesson in lessons {
        s_rows.push(&lesson.reading.features, deviation(lesson.load, lesson.reading.base));
        n_rows.push(&lesson.reading.candidates, lesson.load);
    }
    let week = 7 * day;
    let weeks_old = |lesson: &Lesson| usize::try_from((end.since(lesson.target) - 1) / week).unwrap_or(0);
    let weeks = lessons.first().map_or(0, |oldest| weeks_old(oldest) + 1);
    let when = |row: usize| {
        let age = (end.since(lessons[row].target) - 1) % week + 1;
        let faded = 0.5_f64.powf(age as f64 / day as f64 / HALF_DAYS);
        (weeks - 1 - weeks_old(&lessons[row]), lessons[row].rows * faded)
    };
    let by_level = |row: usize| {
        let (week, weight) = when(row);
        (week, weight * (lessons[row].reading.base + OFFSET))
    };
    let keeps = 0.5_f64.powf(7.0 / HALF_DAYS);
    let (s_prior, n_prior) = (own.s, own.n);
    let options = |kind, strength| Options { kind, strength, keeps, weeks: LEARN_WEEKS };
    let mut s = Taught::new(&s_rows, &s_prior, by_level, options(Kind::Toward(&s_prior), S_STRENGTH));
    let mut n = Taught::new(&n_rows, &n_prior, when, options(Kind::NonNegative, N_STRENGTH));
    let mut said: Vec<Said> = vec![None; lessons.len()];
    let mut begun = false;
    for replay in (0..=REPLAYS).rev() {
        let Some(until) = weeks.checked_sub(replay) else { continue };
        if s.remembered(until) >= ENOUGH {
            let (anew, steps) = match (begun, replay) {
                (false, _) => (LEARN_WEEKS, STEPS),
                (true, 0) => (LEARN_WEEKS, WARM_STEPS),
                (true, _) => (1, WARM_STEPS),
            };
            s.learn(until, anew, steps);
            n.learn(until, anew, steps);
            own.s.copy_from_slice(s.coefficients());
            own.n.copy_from_slice(n.coefficients());
            begun = true;
        }
        let from = end.plus(-i64::try_from(replay).unwrap_or(0) * week);
        if replay > 0
            && let Some(shares) = own.hear(lessons, &mut said, &(from..from.plus(week)))
        {
            own.shares = shares;
            own.judged = true;
        }
    }
    said
}

impl Lead {
    /// What it says of the lessons in `stretch`, and the shares that follow from how far off that was.
    fn hear(&self, lessons: &[Lesson], said: &mut [Said], stretch: &Range<Slot>) -> Option<[f64; EXPERTS]> {
        let mut errors = [0.0; EXPERTS];
        let mut heard = 0;
        for (lesson, said) in lessons.iter().zip(said) {
            if stretch.contains(&lesson.target) {
                let opinions = self.opinions(&lesson.reading);
                *said = Some((opinions, dot(&opinions, &self.shares)));
                heard += 1;
                for (error, opinion) in errors.iter_mut().zip(opinions) {
                    *error += lesson.rows * (opinion - lesson.load).abs();
                }
            }
        }
        let least = errors.iter().copied().fold(f64::MAX, f64::min);
        let belief = errors.map(|error| if error > 0.0 { (least / error).powi(BELIEF_POWER) } else { 1.0 });
        let total: f64 = belief.iter().sum();
        (heard >= ENOUGH && total > 0.0).then(|| belief.map(|belief| belief / total))
    }

    /// Learns how wide its own forecasts were missed.
    fn calibrate(&mut self, lessons: &[Lesson], said: &[Said], end: Slot, day: i64) {
        let mut rows = Rows::new(SIGNS, lessons.len());
        let mut signs = Vec::with_capacity(lessons.len());
        let mut misses = Vec::with_capacity(lessons.len());
        let mut hours = Vec::with_capacity(lessons.len());
        for (lesson, said) in lessons.iter().zip(said) {
            let Some((opinions, point)) = said else { continue };
            let age = end.since(lesson.target) as f64 / day as f64;
            let weight = lesson.rows * 0.5_f64.powf(age / SIZE_HALF_DAYS);
            let own = Self::signs(&lesson.reading, opinions, *point);
            rows.push(&own, 0.0);
            signs.push(own);
            let share = (lesson.load - point) / (point + OFFSET);
            hours.push(Score { key: 24.0 * lesson.reading.time.of_day, error: share, weight });
            let error = (lesson.load - point) / (point + OFFSET).sqrt();
            misses.push(Score { key: *point, error, weight });
        }
        self.scale = Scale::learn(rows, &misses);
        self.hours = Hours::of(&padded(hours, PRIOR_SIZE));
        self.levels = Pools::by_level(&padded(misses.clone(), PRIOR_SIZE), OFFSET, LEVEL_POOLS);
        for (signs, miss) in signs.iter().zip(&mut misses) {
            miss.error /= self.scale.size(signs);
        }
        self.pools = Pools::by_level(&padded(misses, 1.0), OFFSET, POOLS);
    }
}

/// The distance between lessons: about `least`, and without a common divisor with the slots of a day, so that every minute
/// of the hour and of the day is among them. At a stride of 20 minutes three minutes of each hour would be all that is ever
/// learned from, and a burst at another one would be missed.
fn stride(least: i64, day: i64) -> i64 {
    let divides = |divisor: i64, number: i64| number % divisor == 0;
    let coprime =
        |stride: &i64| (2..=*stride).all(|divisor| !(divides(divisor, *stride) && divides(divisor, day)));
    (least..2 * least + 2).find(coprime).unwrap_or(least)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::recent::Said;

    #[test]
    fn every_minute_of_the_day_is_learned_from() {
        for (span, day) in [(40_320, 1_440), (8_064, 288), (1_344, 48), (672, 24), (28, 1)] {
            let stride = stride((span / ROWS).max(1), day);
            let met: std::collections::BTreeSet<i64> =
                (0..span).step_by(usize::try_from(stride).unwrap()).map(|slot| slot % day).collect();
            assert_eq!(
                i64::try_from(met.len()).unwrap(),
                day.min((span + stride - 1) / stride),
                "{span}: {stride}"
            );
        }
    }

    #[test]
    fn closed_hours_do_not_crowd_out_the_open_ones() {
        // Eight weeks of an exchange: open from ten to half past four, on working days.
        let step = Step::try_new(std::time::Duration::from_secs(300)).unwrap();
        let open = |slot: i64| (120..198).contains(&(slot % 288)) && slot / 288 % 7 < 5;
        let load = |slot: i64| if open(slot) { 5.0 } else { 0.0 };
        let mut base = Base::empty(step, Slot(0));
        let slots = 0..56 * 288;
        slots.clone().for_each(|slot| base.push(Said { newest: load(slot), former: load(slot) }));
        let past = Replayed::of(&base, slots.clone().map(|slot| Some(load(slot))).collect());
        let time = |slot: Slot| Time {
            of_day: (slot.0 % 288) as f64 / 288.0,
            weekday: usize::try_from(slot.0 / 288 % 7).unwrap(),
            weekend: slot.0 / 288 % 7 >= 5,
        };
        let (leads, _) = learn(&base, &past, time);
        let open = slots.filter(|slot| open(*slot)).count();
        for lead in &leads {
            assert!(lead.lessons > open, "{} rows for {open} open slots", lead.lessons);
        }
        // Far ahead an open afternoon looks into the night, and those rows are not thinned.
        assert!(leads[0].lessons < 2 * open, "{} rows, most of them of closed hours", leads[0].lessons);
    }
}
