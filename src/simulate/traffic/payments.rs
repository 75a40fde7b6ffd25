//! Payments as they happen: expected demand, then chance.
//!
//! Time is cut into quarter minutes. The payments of one are Poisson with a mean that is itself gamma distributed around
//! the expected one, because real traffic is far more dispersed than a Poisson process: a recorded trace of one-minute
//! counts has a coefficient of variation of 3.5 % at a high level, where Poisson would have 0.6 %, and of 10 % at a tenth
//! of that level. The mean wanders besides, by the minute, by the hour and by the day.

use chrono::{NaiveDate, NaiveTime};
use rand_distr::{Distribution, Gamma, Poisson};

use super::Options;
use super::surge::Surge;
use super::week::{Wall, is_pay_day, ordinary, ordinary_but};
use crate::simulate::chance::{Purpose, generator, wander};
use crate::time::{LocalClock, Timestamp, epoch_seconds, from_epoch_seconds};

/// Payments are drawn per so many seconds, and a collector scrapes as often.
pub(super) const BUCKET_SECONDS: i64 = 15;

/// Spread of one bucket's mean at the plateau, as a fraction. Four of them and [`MINUTES_SPREAD`] make 4 % in a minute.
const BUCKET_SPREAD: f64 = 0.07;

/// Spread of the wander within minutes at the plateau: what one bucket has in common with the next.
const MINUTES_SPREAD: f64 = 0.02;

/// Both spreads grow as the level falls, by this power: by 2.2 at a tenth, as recorded.
const SPREAD_POWER: f64 = -0.35;

/// The largest spread of a bucket, or a quiet night would be all noise.
const WIDEST_SPREAD: f64 = 0.25;

/// Good and bad hours, as a fraction.
const HOURS_SPREAD: f64 = 0.02;

/// Good and bad days, as a fraction.
const DAYS_SPREAD: f64 = 0.025;

/// Growth is reckoned over at most this many days from the day that is played, either way.
const GROWTH_DAYS: f64 = 1000.0;

/// The payments of one platform, at any time, in any order of asking.
#[derive(Debug, Clone)]
pub struct Traffic {
    pub(super) options: Options,
    clock: LocalClock,
    /// Wall-clock second of the day that is played.
    anchor: i64,
    /// Days since 1970-01-01 that are like Sundays, ascending.
    holidays: Vec<i64>,
}

impl Traffic {
    /// The traffic of `options`. The wall clock is exact for two years around the day that is played.
    pub fn new(options: Options) -> Self {
        let midnight = options.day.and_time(NaiveTime::MIN).and_utc();
        let year = chrono::TimeDelta::days(366);
        let clock = LocalClock::over(options.zone, midnight - year, midnight + year);
        let day_number = |date: &NaiveDate| epoch_seconds(date.and_time(NaiveTime::MIN).and_utc()) / 86_400;
        let mut holidays: Vec<i64> =
            options.year.iter().flat_map(|year| year.holidays.iter().map(day_number)).collect();
        holidays.sort_unstable();
        Self { anchor: epoch_seconds(midnight), clock, holidays, options }
    }

    /// What it depends on.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Payments per second to be expected at `at`: smooth, the same for every seed, finite and above zero.
    pub fn rate(&self, at: Timestamp) -> f64 {
        let seconds = self.clock.local_seconds(at);
        let wall = Wall::from_seconds(seconds);
        let days = (seconds - self.anchor) as f64 / 86_400.0;
        let growth = (1.0 + self.options.growth_per_day).powf(days.clamp(-GROWTH_DAYS, GROWTH_DAYS));
        let unannounced = self
            .options
            .burst
            .map_or(0.0, |burst| burst.surge.uplift_at(epoch_seconds(at) - epoch_seconds(burst.at)));
        let (ordinary, effects) = match &self.options.year {
            None => (ordinary(wall), calendar_uplift(wall)),
            Some(year) => (ordinary_but(wall, &self.holidays), year.multiple(at) - 1.0),
        };
        self.options.level * growth * ordinary * (1.0 + effects + unannounced)
    }

    /// Payments within the bucket that ends at `index` × 15 s.
    pub(super) fn bucket(&self, index: i64) -> f64 {
        let middle = index * BUCKET_SECONDS - BUCKET_SECONDS / 2;
        let rate = self.rate(from_epoch_seconds(middle));
        let seed = self.options.seed;
        let ebb = (rate / self.options.level).powf(SPREAD_POWER);
        let wandered = MINUTES_SPREAD * ebb * wander(seed, Purpose::Minutes, 60, middle)
            + HOURS_SPREAD * wander(seed, Purpose::Hours, 7200, middle)
            + DAYS_SPREAD * wander(seed, Purpose::Days, 86_400, middle);
        let spread = (BUCKET_SPREAD * ebb).min(WIDEST_SPREAD);
        let chance = &mut generator(seed, Purpose::Count, index);
        let shape = 1.0 / (spread * spread);
        let expected = rate * BUCKET_SECONDS as f64 * wandered.exp();
        // Both distributions refuse what cannot happen here, a mean that is not finite and above zero.
        let mean = Gamma::new(shape, expected / shape).map_or(expected, |gamma| gamma.sample(chance));
        Poisson::new(mean).map_or(mean, |poisson| poisson.sample(chance))
    }

    /// Payments within `(from, until]`, both in epoch seconds. A bucket that is only partly inside counts for its part,
    /// so that counts of adjoining spans add up.
    pub(super) fn payments_between(&self, from: i64, until: i64) -> f64 {
        let first = from.div_euclid(BUCKET_SECONDS) + 1;
        let last = (until + BUCKET_SECONDS - 1).div_euclid(BUCKET_SECONDS);
        (first..=last)
            .map(|index| {
                let end = index * BUCKET_SECONDS;
                let inside = end.min(until) - (end - BUCKET_SECONDS).max(from);
                self.bucket(index) * inside as f64 / BUCKET_SECONDS as f64
            })
            .sum()
    }

    /// Payments per second that really came in over the `window_seconds` before `at`, whether anybody saw them or not.
    pub fn mean_rate(&self, at: Timestamp, window_seconds: i64) -> f64 {
        let (until, window) = (epoch_seconds(at), window_seconds.max(1));
        self.payments_between(until - window, until) / window as f64
    }
}

/// What the calendar adds, as a multiple of the ordinary demand.
fn calendar_uplift(wall: Wall) -> f64 {
    let weekday = wall.weekday();
    let market = if weekday < 5 { Surge::MARKET_OPEN.uplift_at(wall.since(9, 30)) } else { 0.0 };
    let pay_day = if is_pay_day(wall) { Surge::PAY_DAY.uplift_at(wall.since(7, 0)) } else { 0.0 };
    let sale = if weekday == 4 { Surge::FLASH_SALE.uplift_at(wall.since(20, 0)) } else { 0.0 };
    market + pay_day + sale
}

#[cfg(test)]
mod tests {
    use chrono::Days;
    use chrono_tz::Tz;

    use super::*;

    fn options(seed: u64, day: &str) -> Options {
        Options::new(seed, Tz::America__New_York, day.parse::<NaiveDate>().unwrap())
    }

    fn traffic(seed: u64, day: &str) -> Traffic {
        Traffic::new(options(seed, day))
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_seed_gives_the_same_payments_in_any_order_of_asking() {
        let minutes: Vec<Timestamp> =
            (0..600).map(|minute| from_epoch_seconds(1_795_000_000 + minute * 60)).collect();
        let (one, other, stranger) =
            (traffic(7, "2026-11-25"), traffic(7, "2026-11-25"), traffic(8, "2026-11-25"));
        let forward: Vec<f64> = minutes.iter().map(|minute| one.mean_rate(*minute, 60)).collect();
        let mut backward: Vec<f64> =
            minutes.iter().rev().map(|minute| other.mean_rate(*minute, 60)).collect();
        backward.reverse();
        assert_eq!(forward, backward);
        assert_ne!(minutes.iter().map(|minute| stranger.mean_rate(*minute, 60)).collect::<Vec<_>>(), forward);
    }

    #[test]
    fn a_seed_gives_the_same_payments_in_every_build() {
        let traffic = traffic(7, "2026-11-25");
        let first = epoch_seconds(traffic.options().instant(9, 31)) / BUCKET_SECONDS;
        let payments: Vec<String> =
            (first..first + 6).map(|index| format!("{}", traffic.bucket(index))).collect();
        insta::assert_snapshot!(payments.join(" "), @"40127 52630 56211 61560 53998 68922");
    }

    #[test]
    fn adjoining_windows_add_up_wherever_they_are_cut() {
        let traffic = traffic(7, "2026-11-25");
        let (from, until) = (1_795_000_003, 1_795_000_307);
        let whole = traffic.payments_between(from, until);
        for cut in [from + 1, from + 12, from + 100, until - 1] {
            let parts = traffic.payments_between(from, cut) + traffic.payments_between(cut, until);
            assert!((parts - whole).abs() < 1e-6 * whole, "{parts} and {whole}");
        }
    }

    fn check_opening(day: &str, opening: &str) {
        let traffic = traffic(7, day);
        let opening = at(opening);
        let after = |seconds| traffic.rate(opening + chrono::TimeDelta::seconds(seconds));
        let before = after(-1);
        assert!((after(0) / before - 1.0).abs() < 0.001);
        assert!((2.3..2.7).contains(&(after(150) / before)), "{} to {}", before, after(150));
        assert!(after(75) > 1.6 * before);
        assert!(after(2400) < 1.2 * before);
    }

    #[test]
    fn the_market_opens_at_half_past_nine_on_both_sides_of_a_change_of_clocks() {
        check_opening("2026-10-28", "2026-10-28T13:30:00Z");
        check_opening("2026-11-02", "2026-11-02T14:30:00Z");
        // The clocks also change within the history of one and the same day.
        check_opening("2026-11-25", "2026-10-29T13:30:00Z");
        check_opening("2026-03-20", "2026-03-05T14:30:00Z");
        check_opening("2026-03-20", "2026-03-10T13:30:00Z");
    }

    #[test]
    fn a_day_ends_at_midnight_however_long_it_is() {
        for (day, hours) in [("2026-03-08", 23), ("2026-11-01", 25), ("2026-11-02", 24)] {
            let options = options(1, day);
            assert_eq!((options.day_ends() - options.instant(0, 0)).num_hours(), hours, "{day}");
        }
    }

    #[test]
    fn the_market_is_closed_at_weekends() {
        let traffic = traffic(7, "2026-11-25");
        let (before, after) = (at("2026-11-28T14:29:00Z"), at("2026-11-28T14:34:00Z"));
        assert!(traffic.rate(after) < 1.05 * traffic.rate(before));
    }

    #[test]
    fn what_history_knows_recurs_and_a_burst_does_not() {
        let options = options(7, "2026-11-25");
        let (plain, burst) = (Traffic::new(options.clone()), Traffic::new(options.clone().with_burst(14, 0)));
        for week in 0..8 {
            let friday = options.day + Days::new(2) - Days::new(7 * week);
            let sale = Options { day: friday, ..options.clone() }.instant(20, 0);
            let rise = plain.rate(sale + chrono::TimeDelta::minutes(3)) / plain.rate(sale);
            assert!((2.2..2.8).contains(&rise), "{rise} at {sale}");
        }
        let during = options.instant(14, 5);
        assert!(burst.rate(during) > 2.0 * plain.rate(during));
        assert!(burst.rate(during - Days::new(7)) < 1.01 * plain.rate(during - Days::new(7)));
    }

    #[test]
    fn pay_day_brings_a_morning_wave() {
        let traffic = traffic(7, "2026-11-30");
        // Monday, the last of the month, and the Monday before.
        let (paid, unpaid) = (at("2026-11-30T14:15:00Z"), at("2026-11-23T14:15:00Z"));
        let wave = traffic.rate(paid) / traffic.rate(unpaid);
        assert!((1.35..1.5).contains(&wave), "{wave}");
    }

    #[test]
    fn business_grows_by_a_few_tenths_of_a_percent_a_day() {
        let traffic = traffic(7, "2026-11-25");
        let (now, then) = (at("2026-11-25T17:00:00Z"), at("2026-11-18T17:00:00Z"));
        let grown = traffic.rate(now) / traffic.rate(then);
        assert!((grown - 1.003_f64.powi(7)).abs() < 1e-9, "{grown}");
    }

    /// Coefficient of variation of one-minute means around the expected rate, within runs of half an hour so that good
    /// and bad hours do not count.
    fn dispersion(traffic: &Traffic, from: Timestamp) -> f64 {
        let mut squares = 0.0;
        for half_hour in 0..12 {
            let ratios: Vec<f64> = (1..=30)
                .map(|minute| {
                    let until = from + chrono::TimeDelta::minutes(half_hour * 30 + minute);
                    let middle = until - chrono::TimeDelta::seconds(30);
                    traffic.mean_rate(until, 60) / traffic.rate(middle)
                })
                .collect();
            let mean = ratios.iter().sum::<f64>() / 30.0;
            squares += ratios.iter().map(|ratio| (ratio / mean - 1.0).powi(2)).sum::<f64>() / 29.0;
        }
        (squares / 12.0).sqrt()
    }

    #[test]
    fn minutes_scatter_as_recorded_traffic_does() {
        let traffic = traffic(7, "2026-11-25");
        let busy = dispersion(&traffic, at("2026-11-24T15:30:00Z"));
        let quiet = dispersion(&traffic, at("2026-11-24T05:30:00Z"));
        assert!((0.03..0.06).contains(&busy), "busy {busy}");
        assert!((0.055..0.12).contains(&quiet), "quiet {quiet}");
        assert!(quiet > 1.4 * busy, "quiet {quiet}, busy {busy}");
    }
}
