//! The nowcast: demand one to ten minutes ahead, renewed with every measurement.
//!
//! Most decisions rest on these minutes, and there the bar is not another forecast but a reactive scaler with headroom. So
//! the newest value is the start, moved by what the usual day does until then, blended with calmer candidates
//! ([`moment`]) by weights learned from the last four weeks ([`blend`]), with quantiles conformal by regime and level
//! ([`spread`]). What is usual comes from days of the same kind ([`usual`]).
//!
//! ```text
//! newest value, last minutes ─┐
//! settled half hour and day ──┼─▶ candidates ─▶ point f ─▶ f + r_τ·(f + e)
//! usual day ──────────────────┘
//! ```
//!
//! It is learned on minutes and refuses a coarser grid: what happens within five minutes is what it is for.

mod alike;
mod blend;
mod busy;
mod moment;
mod past;
mod regimes;
mod sorted;
mod spread;
mod sums;
mod usual;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use self::alike::Behind;
use self::blend::dot;
use self::moment::{CANDIDATES, Moment, Seen};
use self::past::Past;
use self::spread::Spread;
use self::sums::Sums;
use self::usual::{Memory, Minutes};
use super::{
    Blend, Error, Explanation, Fitted, Forecast, Forecaster, Known, Part, Peak, Refusal, Shares, Unfit,
};
use crate::calendar::Almanac;
use crate::series::{BLOCK, Resample, Run, Series, resample};
use crate::time::{LocalClock, Slot, Step, Timestamp, epoch_seconds};
use crate::units::{Load, Quantile};

/// The minute that a measurement made now is of has ended this long ago: scrape interval, ingestion, evaluation.
pub const AGE: Duration = Duration::from_secs(30);
const AGE_SECONDS: i64 = 30;

/// The last part of a window is where the pods asked for now first serve; what comes before is covered by earlier answers
/// and by the floor. The nowcast speaks of the middle of it.
const LAST_PART: i64 = 45;

/// How much is learned from: four of each weekday.
const LEARN_DAYS: i64 = 28;

/// Below this share of the peak a minute is idle.
const IDLE_SHARE: f64 = 0.01;

/// The leads learned, in minutes from the newest to the one spoken of. What lies between two is said by both.
const LEADS: [i64; 7] = [1, 2, 3, 4, 6, 9, 14];

/// How much must be measured: two days to be alike, and one to see how much they are.
const NEEDED_MINUTES: usize = 3 * 1440;

/// So much must have been compared with days that it is like for the rest not to be learned from.
const OWN_MINUTES: i64 = 3 * DAY;

/// How far the usual day reaches beyond the fit: past the fit that follows, even a late one.
const REACH: i64 = 25 * 60;

const DAY: i64 = 1440;

/// A forecaster with a nowcast before it: the base speaks of the hours, this of the minutes.
#[derive(Clone)]
pub struct Nowcasting {
    /// Speaks of everything beyond.
    pub base: Arc<dyn Forecaster>,
    /// Which days are alike.
    pub almanac: Almanac,
}

impl Forecaster for Nowcasting {
    fn fit(&self, history: &Series, origin: Slot) -> Result<Box<dyn Fitted>, Error> {
        let now = Nowcast::fit(history, origin, &self.almanac);
        match (self.base.fit(history, origin), now) {
            (Ok(base), Some(now)) => Ok(Box::new(WithNowcast { base: Some(base), now })),
            (Ok(base), None) => Ok(Box::new(WithoutNowcast { base, why: why_not(history, origin) })),
            (Err(_), Some(now)) => Ok(Box::new(WithNowcast { base: None, now })),
            (Err(error), None) => Err(error),
        }
    }
}

/// A base that knows the hours, if there is enough to know, and a nowcast.
#[derive(Debug)]
struct WithNowcast {
    base: Option<Box<dyn Fitted>>,
    now: Nowcast,
}

impl Fitted for WithNowcast {
    fn inner(&self) -> Option<&dyn Fitted> {
        self.base.as_deref()
    }

    fn explanation(&self) -> Explanation {
        let mut explanation = self.inner().map(Fitted::explanation).unwrap_or_default();
        explanation.blends.push(self.now.blend());
        explanation
    }

    fn forecast(&self, known: &Known<'_>, targets: Range<Slot>, levels: &[Quantile]) -> Option<Forecast> {
        self.base.as_ref()?.forecast(known, targets, levels)
    }

    fn peak(
        &self,
        known: &Known<'_>,
        until: Timestamp,
        levels: &[Quantile],
        loads: &mut [Load],
    ) -> Option<Peak> {
        self.now.peak(known, until, levels, loads)
    }

    fn most_seen(&self) -> Option<Load> {
        let base = self.base.as_ref().and_then(|base| base.most_seen()).unwrap_or_default();
        Some(Load::saturating(self.now.floor / IDLE_SHARE).max(base))
    }
}

/// A base without a nowcast.
#[derive(Debug)]
struct WithoutNowcast {
    base: Box<dyn Fitted>,
    why: Unfit,
}

impl Fitted for WithoutNowcast {
    fn inner(&self) -> Option<&dyn Fitted> {
        Some(&*self.base)
    }

    fn forecast(&self, known: &Known<'_>, targets: Range<Slot>, levels: &[Quantile]) -> Option<Forecast> {
        self.base.forecast(known, targets, levels)
    }

    fn explanation(&self) -> Explanation {
        let mut explanation = self.base.explanation();
        explanation.refusals.push(Refusal { candidate: "nowcast", why: self.why });
        explanation
    }
}

/// Why there is no nowcast of `history`.
fn why_not(history: &Series, origin: Slot) -> Unfit {
    let step = history.step();
    if step > Step::MINUTE {
        return Unfit::TooCoarse { step, coarsest: Step::MINUTE };
    }
    let slots_in_hour = usize::try_from(step.slots_in(Duration::from_secs(3_600))).unwrap_or(1).max(1);
    Unfit::TooShort {
        measured_hours: history.measured_before(origin) / slots_in_hour,
        needed_hours: NEEDED_MINUTES / 60,
    }
}

/// A fitted nowcast.
#[derive(Debug)]
pub struct Nowcast {
    learned_from: Range<Timestamp>,
    usual: Minutes,
    /// One per cent of the peak.
    floor: f64,
    leads: Vec<Lead>,
}

/// What was learned at one lead.
#[derive(Debug)]
struct Lead {
    minutes: i64,
    weights: [f64; CANDIDATES],
    spread: Spread,
}

impl Nowcast {
    /// Learns from the slots of `history` before `origin`. `None` when the grid is coarser than a minute, or when there
    /// is too little to learn from.
    pub fn fit(history: &Series, origin: Slot, almanac: &Almanac) -> Option<Self> {
        let step = history.step();
        let minutes = resample(history, Step::MINUTE, Resample::Mean)?;
        let origin = Step::MINUTE.last_ended(step.start(origin)).next();
        let measured = minutes.measured_before(origin);
        if measured < NEEDED_MINUTES {
            return None;
        }
        let sums = Sums::of(&minutes, origin);
        let learn_from = origin.plus(-LEARN_DAYS * DAY).max(minutes.first().plus(2 * DAY));
        let slots = learn_from.plus(-DAY)..origin.plus(REACH);
        let span =
            Step::MINUTE.start(slots.start) - chrono::TimeDelta::days(130)..Step::MINUTE.end(slots.end);
        let clock = LocalClock::over(almanac.timezone(), span.start, span.end);
        let outlook = almanac.over(span);
        let behind = Behind { origin, clock: &clock, outlook: &outlook };
        let (usual, own_from) = Memory::new(&sums, behind).usual(slots);
        // Misses of days that were compared with what they are less like would widen what is said from now on.
        let own_from = own_from.plus(DAY).max(learn_from);
        let learn_from = if origin.since(own_from) >= OWN_MINUTES { own_from } else { learn_from };

        let peak = (learn_from.0..origin.0).filter_map(|slot| sums.load(Slot(slot))).fold(0.0, f64::max);
        let floor = (IDLE_SHARE * peak).max(f64::MIN_POSITIVE);
        let past = Past { origin, sums: &sums, usual: &usual, floor };
        let (starts, targets) = (past.starts(learn_from), past.targets(learn_from));
        let leads = LEADS.iter().map(|lead| past.learn(*lead, &starts, &targets)).collect();
        let learned_from = Step::MINUTE.start(learn_from)..Step::MINUTE.start(origin);
        Some(Self { learned_from, usual: usual.from(origin.plus(-DAY - 35)), floor, leads })
    }

    /// Below this a minute counts as idle, and is calibrated apart.
    pub fn idle_below(&self) -> f64 {
        self.floor
    }

    /// Who is asked, and how much each is believed.
    fn blend(&self) -> Blend {
        let lead = |lead: &Lead| Shares {
            lead: Duration::from_secs(60 * lead.minutes.unsigned_abs()),
            shares: lead.weights.to_vec(),
        };
        Blend {
            part: Part::Minutes,
            learned_from: self.learned_from.clone(),
            judged: true,
            candidates: &moment::NAMES,
            shares: self.leads.iter().map(lead).collect(),
        }
    }

    /// See [`Fitted::peak`].
    pub fn peak(
        &self,
        known: &Known<'_>,
        until: Timestamp,
        levels: &[Quantile],
        loads: &mut [Load],
    ) -> Option<Peak> {
        let (moment, ended) = self.moment(known)?;
        let spoken_of = epoch_seconds(until) - LAST_PART / 2;
        let seconds = spoken_of - ended;
        let (around, share) = self.around(seconds)?;
        let usual = self.usual.mean(spoken_of - 60, spoken_of)?;
        let start = moment.start(self.floor);
        let candidates = start.candidates(usual);
        let points = around.map(|lead| dot(&lead.weights, &candidates));
        let between = |[short, long]: [f64; 2]| short + share * (long - short);
        let point = between(points);
        let steepness = start.steepness(usual, seconds as f64 / 60.0);
        for (load, level) in loads.iter_mut().zip(levels) {
            let reach = |k: usize| around[k].spread.reach(points[k], steepness, level.get());
            *load = Load::saturating(between([reach(0), reach(1)]));
        }
        Some(Peak {
            at: crate::time::from_epoch_seconds(spoken_of),
            origin: crate::time::from_epoch_seconds(ended),
            point: Load::saturating(point),
            usual: Load::saturating(usual),
            effect: 0.0,
            cause: None,
        })
    }

    /// What is seen, and when its newest minute ended. `None` when nothing is seen of the last minutes.
    fn moment(&self, known: &Known<'_>) -> Option<(Moment, i64)> {
        let step = known.settled.step().seconds();
        let end = |slot: Slot| (slot.0 + 1) * step;
        // Slots that lie within `from..until` as a whole.
        let slots = |from: i64, until: i64| {
            let first = from.div_euclid(step) + i64::from(from.rem_euclid(step) > 0);
            Slot(first)..Slot(until.div_euclid(step)).min(known.origin)
        };
        let settled = (0..LEADS[LEADS.len() - 1] * 60 / step)
            .map(|back| known.origin.plus(-1 - back))
            .find_map(|slot| known.settled.load(slot).map(|load| (end(slot), load)));
        // A live measurement is remembered when no newer one came; what has settled since then knows more. A slot is evaluated when it
        // ends, so it is as old as a measurement of that moment.
        let live = known.live.filter(|live| settled.is_none_or(|(ended, _)| ended <= epoch_seconds(live.at)));
        let live = live.map(|live| (epoch_seconds(live.at) - AGE_SECONDS, live.load.get()));
        let (ended, newest) = live.or(settled)?;
        let newest = Seen { load: newest, usual: self.usual.mean(ended - 60, ended)? };
        let seen = |from: i64, until: i64| {
            let (mut load, mut usual, mut count) = (0.0, 0.0, 0.0);
            let mut take = |own: f64, own_usual: f64, slots: f64| {
                load += own;
                usual += own_usual;
                count += slots;
            };
            for run in known.settled.runs(slots(from, until)) {
                let slots = match run {
                    Run::Slots(slots) => slots,
                    Run::Block(slots, load) => match self.usual.block(slots.start, known.settled.step()) {
                        None => slots,
                        Some(usual) => {
                            take(load, usual, BLOCK as f64);
                            continue;
                        }
                    },
                };
                for (slot, load) in known.settled.loads(slots) {
                    take(load, self.usual.minute(end(slot)).unwrap_or(load), 1.0);
                }
            }
            (count > 0.0)
                .then(|| (Seen { load: load / count, usual: usual / count }, count * step as f64 / 60.0))
        };
        let day = seen(ended - DAY * 60, ended)?.0;
        let half_hour = seen(ended - 1800, ended).map_or(day, |(seen, _)| seen);
        // A quarter of a minute of overlap with the newest one is not worth a slot.
        let lately = seen(ended - 300, ended - 45);
        let few = match lately {
            Some((lately, minutes)) => {
                let mix = |newest: f64, lately: f64| (newest + lately * minutes) / (1.0 + minutes);
                Seen { load: mix(newest.load, lately.load), usual: mix(newest.usual, lately.usual) }
            }
            None => newest,
        };
        let before = seen(ended - 300, ended - 180).map_or(few.load, |(seen, _)| seen.load);
        Some((Moment { newest, few, half_hour, day, before, minutes_since: 3.5 }, ended))
    }

    /// The learned leads before and after `seconds`, and how far it is from the one to the other; `None` beyond the last.
    fn around(&self, seconds: i64) -> Option<([&Lead; 2], f64)> {
        let last = LEADS.len() - 1;
        if seconds <= 0 || seconds > (LEADS[last] + 1) * 60 {
            return None;
        }
        let after = LEADS.partition_point(|minutes| minutes * 60 < seconds).clamp(1, last);
        let [short, long] = [&self.leads[after - 1], &self.leads[after]];
        let share = (seconds - short.minutes * 60) as f64 / (60 * (long.minutes - short.minutes)) as f64;
        Some(([short, long], share.clamp(0.0, 1.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::Observation;

    /// Ten days by the minute from a Monday: a night of nothing, and from eight to six a noisy day with a wave.
    fn office() -> Series {
        let first = Step::MINUTE.slot_of("2026-06-01T00:00:30Z".parse().unwrap());
        let mut series = Series::empty(Step::MINUTE, first);
        let mut mixed = 88_172_645_463_325_252_u64;
        for slot in (first.0..first.0 + 10 * DAY).map(Slot) {
            mixed ^= mixed << 13;
            mixed ^= mixed >> 7;
            mixed ^= mixed << 17;
            let noise = 0.9 + 0.2 * (mixed >> 11) as f64 / (1_u64 << 53) as f64;
            let minute = slot.0.rem_euclid(DAY) as f64 / 60.0;
            let open =
                if (8.0..18.0).contains(&minute) { 400.0 - 12.0 * (minute - 13.0).powi(2) } else { 0.0 };
            series.put(slot, Load::saturating(open.max(0.0) * noise));
        }
        series
    }

    fn fitted(series: &Series, origin: Slot) -> Nowcast {
        Nowcast::fit(series, origin, &Almanac::none(chrono_tz::UTC)).unwrap()
    }

    /// The median and the 0.95 quantile three minutes ahead of `at`, when `live` was measured there.
    fn said(nowcast: &Nowcast, series: &Series, at: Timestamp, live: Option<f64>) -> Option<[f64; 2]> {
        let known = Known {
            settled: series,
            origin: Step::MINUTE.last_ended(at - chrono::TimeDelta::seconds(120)).next(),
            live: live.map(|load| Observation { at, load: Load::saturating(load) }),
        };
        let mut loads = [Load::ZERO; 2];
        let until = at + chrono::TimeDelta::seconds(165);
        nowcast.peak(&known, until, &[Quantile::MEDIAN, Quantile::P95], &mut loads)?;
        Some(loads.map(Load::get))
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn an_opening_is_seen_coming_while_the_newest_value_is_nothing() {
        let series = office();
        let nowcast = fitted(&series, Step::MINUTE.slot_of(at("2026-06-10T00:00:30Z")));
        let [median, high] = said(&nowcast, &series, at("2026-06-10T07:58:30Z"), Some(0.0)).unwrap();
        assert!(median > 1.0 && high > median, "{median}, {high}");
        let night = said(&nowcast, &series, at("2026-06-10T03:00:00Z"), Some(0.0)).unwrap();
        assert!(night[1] < 1.0, "{night:?}");
    }

    #[test]
    fn a_larger_newest_value_never_says_less() {
        let series = office();
        let nowcast = fitted(&series, Step::MINUTE.slot_of(at("2026-06-10T00:00:30Z")));
        for moment in
            ["2026-06-10T07:59:00Z", "2026-06-10T08:03:15Z", "2026-06-10T13:00:30Z", "2026-06-10T17:58:00Z"]
        {
            let mut last = 0.0;
            for k in 0..400 {
                let [_, high] = said(&nowcast, &series, at(moment), Some(2.0 * f64::from(k))).unwrap();
                assert!(high >= last, "{moment}: {high} after {last}");
                last = high;
            }
        }
    }

    #[test]
    fn points_after_the_origin_never_change_what_is_said() {
        let series = office();
        let moment = at("2026-06-09T12:00:15Z");
        let origin = Step::MINUTE.last_ended(moment - chrono::TimeDelta::seconds(120)).next();
        let cut = series.until(origin);
        let whole = said(&fitted(&series, origin), &series, moment, Some(390.0));
        assert!(whole.is_some());
        assert_eq!(whole, said(&fitted(&cut, origin), &cut, moment, Some(390.0)));
    }

    #[test]
    fn without_a_measurement_the_newest_settled_minute_speaks_and_after_an_outage_nobody_does() {
        let series = office();
        let nowcast = fitted(&series, Step::MINUTE.slot_of(at("2026-06-10T00:00:30Z")));
        assert!(said(&nowcast, &series, at("2026-06-10T12:00:15Z"), None).is_some());
        let cut = series.until(Step::MINUTE.slot_of(at("2026-06-10T11:40:30Z")));
        assert_eq!(said(&nowcast, &cut, at("2026-06-10T12:00:15Z"), None), None);
    }

    #[test]
    fn a_live_measurement_that_is_older_than_what_has_settled_is_not_asked() {
        let series = office();
        let nowcast = fitted(&series, Step::MINUTE.slot_of(at("2026-06-10T00:00:30Z")));
        let now = at("2026-06-10T12:00:15Z");
        let said = |live: Option<(i64, f64)>| {
            let known = Known {
                settled: &series,
                origin: Step::MINUTE.last_ended(now - chrono::TimeDelta::seconds(120)).next(),
                live: live.map(|(ago, load)| Observation {
                    at: now - chrono::TimeDelta::seconds(ago),
                    load: Load::saturating(load),
                }),
            };
            let mut loads = [Load::ZERO];
            let until = now + chrono::TimeDelta::seconds(165);
            nowcast.peak(&known, until, &[Quantile::P95], &mut loads).map(|_| loads[0].get().to_bits())
        };
        let without = said(None);
        assert!(without.is_some());
        assert_eq!(said(Some((600, 900.0))), without);
        assert_ne!(said(Some((15, 900.0))), without);
    }

    #[test]
    fn between_two_leads_it_is_as_unsure_as_between_them() {
        // A load that wanders: the further ahead, the less sure.
        let mut series = Series::empty(Step::MINUTE, Slot(0));
        let (mut load, mut mixed) = (500.0_f64, 88_172_645_463_325_252_u64);
        for slot in (0..10 * DAY).map(Slot) {
            mixed = mixed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            load *= 0.95 + 0.1 * (mixed >> 11) as f64 / (1_u64 << 53) as f64;
            load = load.clamp(300.0, 900.0);
            series.put(slot, Load::saturating(load));
        }
        let nowcast = fitted(&series, series.end());
        let now = Step::MINUTE.end(series.end());
        let known = Known {
            settled: &series,
            origin: series.end(),
            live: Some(Observation { at: now, load: Load::saturating(600.0) }),
        };
        let high = |seconds: i64| {
            let mut loads = [Load::ZERO];
            let until = now + chrono::TimeDelta::seconds(seconds - AGE_SECONDS + LAST_PART / 2);
            nowcast.peak(&known, until, &[Quantile::P95], &mut loads).unwrap();
            loads[0].get()
        };
        let said: Vec<f64> = (60..=360).map(high).collect();
        let steps = said.windows(2).map(|two| (two[1] - two[0]).abs());
        let largest = steps.fold(0.0, f64::max);
        assert!(largest < 0.005 * said[0], "{largest} of {} from one second to the next", said[0]);
    }

    #[test]
    fn a_coarse_grid_and_two_days_are_too_little() {
        let series = office();
        let almanac = Almanac::none(chrono_tz::UTC);
        assert!(Nowcast::fit(&series, series.first().plus(2 * DAY), &almanac).is_none());
        let coarse = Series::empty(Step::try_new(Duration::from_secs(300)).unwrap(), Slot(0));
        assert!(Nowcast::fit(&coarse, Slot(9000), &almanac).is_none());
    }

    #[test]
    fn it_is_smaller_than_forty_kibibytes() {
        let series = office();
        let nowcast = fitted(&series, series.end());
        let bytes = size_of::<Nowcast>() + nowcast.usual.bytes() + nowcast.leads.len() * size_of::<Lead>();
        assert!(bytes < 40 << 10, "{bytes}");
    }
}
