//! The calm rule: while the load is flat, replicas stay where they are.
//!
//! The newest measurement scatters, the law follows it up at once, and an HPA gives each peak of the scatter back five
//! minutes later: on a flat load that moved pods up to forty times an hour, for nothing. So while the middle of the forecast
//! stands still, what was asked for in that time stays. Nothing that rises waits for this rule, and a forecast that begins to
//! move ends it within minutes.
//!
//! The law has its price here: a count that a flat load exceeds at most once an hour is one that it stays below for 98 of a
//! hundred minutes, so no rule that keeps the law and moves so seldom is cheaper than the most of about an hour.

use std::sync::Arc;
use std::time::Duration;

use crate::time::Timestamp;
use crate::units::Replicas;

/// How far back is looked. The largest of so many minutes of mere scatter changes twice in as much time, once up and once
/// down; what moves within the minutes comes on top.
const LOOKS_BACK: Duration = Duration::from_secs(7200);

/// What is remembered: the mean of the oldest moment that is looked at needs the middles before it.
pub(crate) const REMEMBERS: Duration = LOOKS_BACK.saturating_add(SMOOTHED_OVER);

/// The middle must have stood still for this long. On recorded traffic it hardly ever does: bank calls cost 0.1 per cent of
/// replica-hours more at most, and 1.3 if any moment of standing still counted.
const STANDS_FOR: Duration = Duration::from_secs(1800);

/// What is compared is the mean of the middles of so long. Each one alone follows the newest minutes a little, and on a load that
/// scatters by a tenth moved by more than [`STILL`] now and then. Over five minutes a fall of four per cent ended the calm a minute later, and
/// ten held what was asked for beyond the end of a plateau, which cost bank calls 0.8 per cent of their hours.
const SMOOTHED_OVER: Duration = Duration::from_secs(180);

/// Still is a time whose means all lie within this share of one another. Held against the newest alone, what was a little lower or
/// higher an hour ago came and went with each move of it: 2.5 changes an hour of a flat load by the worst of 84 scatters, and 1.9 so. A
/// narrower one ends at less than the middle moves by where there is nothing but scatter (2.3 at 0.02).
const STILL: f64 = 0.03;

/// What lies so many times as far above the middle as is not expected to be exceeded is no scatter, and does not stay: the
/// minute after a bell, say, when the newest measurement is still the day's. At once as far, what is rare would come and go.
const SCATTERS: f64 = 1.5;

/// What the forecast comes to, in replicas that are not rounded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outlook {
    /// At its median.
    pub middle: f64,
    /// What is not expected to be exceeded.
    pub unlikely: f64,
}

/// What is remembered: what was asked for, by plan and floor together, and what the forecast's middle came to; the oldest first, each
/// later than the one before it.
///
/// A state is made anew at every tick. What has been there for a while is shared by those that follow one another: to copy two hours
/// each time took as long as the forecast.
#[derive(Debug, Clone, Default)]
pub(super) struct Memory {
    older: Arc<[Asked]>,
    newer: Vec<Asked>,
}

/// So many moments become shared at once.
const SHARED_AT: usize = 32;

#[derive(Debug, Clone, Copy, PartialEq)]
struct Asked {
    at: Timestamp,
    /// What was asked for; nothing where that was more than scatter. It is held against what was said at that moment: held against
    /// each one after it, it would come and go with them.
    scattered: Replicas,
    middle: f64,
    /// The mean of the middles of [`SMOOTHED_OVER`] up to it.
    mean: f64,
}

/// A load that stands still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Still {
    /// For how long.
    pub(super) span: Duration,
    /// The most that was asked for in that time, and may be asked for again.
    pub(super) most: Replicas,
}

impl Memory {
    /// Takes in what is asked for at `now`, and says whether the load stands still by the forecast, and at how many.
    pub(super) fn look(&self, now: Timestamp, replicas: Replicas, outlook: Outlook) -> (Option<Still>, Self) {
        let Outlook { middle, unlikely } = outlook;
        let farthest = Replicas::whole(middle + SCATTERS * (unlikely - middle).max(0.0));
        let scattered = Some(replicas).filter(|replicas| *replicas <= farthest).unwrap_or_default();
        let mut next = self.without_the_old(now);
        let lately = next.latest().take_while(|asked| asked.at > now - SMOOTHED_OVER);
        let (sum, count) =
            lately.fold((middle, 1.0), |(sum, count), asked| (sum + asked.middle, count + 1.0));
        let newest = sum / count;
        next.newer.push(Asked { at: now, scattered, middle, mean: newest });
        let (mut least, mut largest) = (newest, newest);
        let stood = next.latest().take_while(|asked| {
            (least, largest) = (least.min(asked.mean), largest.max(asked.mean));
            asked.at > now - LOOKS_BACK && largest - least <= STILL * newest
        });
        let (since, most) =
            stood.fold((now, Replicas(0)), |(_, most), asked| (asked.at, most.max(asked.scattered)));
        let span = (now - since).to_std().unwrap_or_default();
        ((span >= STANDS_FOR).then_some(Still { span, most }), next)
    }

    /// Every moment, the newest first.
    fn latest(&self) -> impl Iterator<Item = &Asked> {
        self.newer.iter().rev().chain(self.older.iter().rev())
    }

    /// The same at `now`, when there is nothing to take in: the old go when others become shared.
    pub(super) fn without_the_old(&self, now: Timestamp) -> Self {
        let before = |asked: &[Asked]| asked.partition_point(|asked| asked.at < now);
        let (older, newer) = (before(&self.older), before(&self.newer));
        if newer < SHARED_AT && older == self.older.len() {
            // With room for one more: this is done at every tick.
            let mut kept = Vec::with_capacity(newer + 1);
            kept.extend_from_slice(&self.newer[..newer]);
            return Self { older: Arc::clone(&self.older), newer: kept };
        }
        let all = self.older[..older].iter().chain(&self.newer[..newer]);
        let shared = all.filter(|asked| asked.at > now - REMEMBERS).copied().collect();
        Self { older: shared, newer: Vec::with_capacity(1) }
    }
}

/// Alike is what the newest moment still looks at, however much of it is shared.
impl PartialEq for Memory {
    fn eq(&self, other: &Self) -> bool {
        let seen = |memory: &Self| {
            let newest = memory.latest().next().map(|asked| asked.at);
            let seen = memory
                .latest()
                .take_while(|asked| newest.is_some_and(|newest| asked.at > newest - REMEMBERS));
            seen.copied().collect::<Vec<_>>()
        };
        seen(self) == seen(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::from_epoch_seconds;

    /// What stays at the end, when so many minutes of `(replicas, middle)` were asked for, one after the other. A third more
    /// than the middle is unlikely.
    fn check(minutes: &[(usize, (u32, f64))], stays: Option<u32>) {
        let asked = minutes.iter().flat_map(|(count, asked)| std::iter::repeat_n(*asked, *count));
        let (mut memory, mut still) = (Memory::default(), None);
        for (minute, (replicas, middle)) in (0..).zip(asked) {
            let now = from_epoch_seconds(1_000_000 + 60 * minute);
            let outlook = Outlook { middle, unlikely: middle * 4.0 / 3.0 };
            (still, memory) = memory.look(now, Replicas(replicas), outlook);
        }
        assert_eq!(still.map(|still| still.most.0), stays);
    }

    #[test]
    fn what_a_flat_load_asked_for_stays_for_two_hours() {
        check(&[(40, (42, 40.0)), (1, (45, 40.5)), (30, (42, 40.0))], Some(45));
        check(&[(1, (45, 40.0)), (119, (42, 40.0))], Some(45));
        check(&[(1, (45, 40.0)), (120, (42, 40.0))], Some(42));
    }

    #[test]
    fn nothing_stays_before_half_an_hour_nor_beyond_a_move_of_the_forecast() {
        check(&[(1, (45, 40.0)), (29, (42, 40.0))], None);
        check(&[(1, (45, 40.0)), (30, (42, 40.0))], Some(45));
        // It fell a quarter of an hour ago.
        check(&[(60, (45, 42.0)), (15, (42, 40.0))], None);
        // A jump for one moment, which is over: what was asked for before it does not come back, and its five minutes do not count.
        check(&[(60, (45, 40.0)), (1, (60, 55.0)), (31, (42, 40.0))], None);
        check(&[(60, (45, 40.0)), (1, (60, 55.0)), (35, (42, 40.0))], Some(42));
    }

    #[test]
    fn a_middle_that_follows_the_scatter_a_little_stands_still() {
        let mut minutes = [(1, (42, 40.0)), (1, (43, 41.2)), (1, (42, 40.3))].repeat(15);
        check(&minutes, Some(43));
        // It goes on a tenth higher: in the second minute what stays is over.
        minutes.extend([(1, (46, 44.0)), (1, (47, 45.2))]);
        check(&minutes, None);
    }

    #[test]
    fn after_a_small_fall_nothing_comes_back() {
        for (before, after) in [((47, 44.0), (42, 40.0)), ((45, 42.0), (42, 40.0)), ((44, 41.5), (42, 40.0))]
        {
            let mut memory = Memory::default();
            let quarters = [before, after].into_iter().flat_map(|asked| std::iter::repeat_n(asked, 480));
            for (quarter, (replicas, middle)) in (0..).zip(quarters) {
                let now = from_epoch_seconds(1_000_000 + 15 * quarter);
                let outlook = Outlook { middle, unlikely: 1.15 * middle };
                let still;
                (still, memory) = memory.look(now, Replicas(replicas), outlook);
                let stays = still.map_or(0, |still| still.most.0);
                assert!(quarter < 492 || stays <= 42, "{stays} {} s after the fall", 15 * (quarter - 480));
            }
        }
    }

    #[test]
    fn a_state_forgets_what_is_old_and_what_was_taken_in_for_later_moments() {
        let at = |quarter: i64| from_epoch_seconds(1_000_000 + 15 * quarter);
        let outlook = Outlook { middle: 40.0, unlikely: 50.0 };
        let walk = |from: Memory, quarters: std::ops::Range<i64>| {
            quarters.fold(from, |memory, quarter| memory.look(at(quarter), Replicas(42), outlook).1)
        };
        let long = walk(Memory::default(), 0..2_000);
        assert!(long.latest().count() < 500 + SHARED_AT, "{}", long.latest().count());
        assert!(long == walk(Memory::default(), 1_450..2_000), "whoever begins later remembers the same");
        assert!(long != walk(Memory::default(), 1_600..2_000));
        // The clock was set back by a minute, and by a quarter of an hour.
        for back in [1_996, 1_940] {
            let again = walk(long.without_the_old(at(back)), back..2_000);
            assert!(again == long, "{back}");
            assert!(long.without_the_old(at(back)).latest().all(|asked| asked.at < at(back)));
        }
    }

    #[test]
    fn what_is_more_than_scatter_does_not_stay() {
        check(&[(40, (42, 40.0)), (1, (61, 40.0)), (30, (42, 40.0))], Some(42));
        // The bell rings, and for a minute the newest measurement is still the day's.
        check(&[(60, (30, 28.0)), (1, (30, 0.0)), (90, (0, 0.0))], Some(0));
    }
}
