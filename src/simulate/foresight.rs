//! Perfect foresight: what would be asked for by somebody who knows the whole day.
//!
//! It is never late where lead time and growth allow it, and keeps no pod that it does not need within a lead time. No
//! scaler can do better in lateness; beside it stands what ours costs.

use std::collections::VecDeque;
use std::time::Duration;

use crate::plan::{Growth, SYNC};
use crate::units::Replicas;

/// What to ask for at each sync, given what is needed at each sync.
///
/// A pod asked for at a sync is ready one lead time later. So what is asked is the most that is needed from then to then,
/// and at least what the next sync's answer can still be reached from. The last lead time of the result knows no
/// future beyond the end of `needs`.
pub fn answers(needs: &[Replicas], lead_time: Duration, growth: &Growth) -> Vec<Replicas> {
    let sync = SYNC.as_secs().max(1);
    let lead = usize::try_from(lead_time.as_secs().div_ceil(sync)).unwrap_or(usize::MAX);
    let mut answers = vec![Replicas(0); needs.len()];
    // Indices whose needs fall towards the back: the front is the most of the window.
    let mut window: VecDeque<usize> = VecDeque::new();
    let mut next = 0.0_f64;
    for at in (0..needs.len()).rev() {
        while window.back().is_some_and(|later| needs[*later] <= needs[at]) {
            window.pop_back();
        }
        window.push_back(at);
        while window.front().is_some_and(|latest| latest - at > lead) {
            window.pop_front();
        }
        let most = window.front().map_or(Replicas(0), |latest| needs[*latest]);
        next = f64::from(most.0).max(growth.before(next));
        answers[at] = Replicas::whole(next);
    }
    answers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::ScaleUp;
    use crate::simulate::hpa::{Hpa, Metric, Reading, Spec};
    use crate::simulate::{Pods, StartUp};
    use crate::time::from_epoch_seconds;

    const DOUBLING: Growth = Growth { scale_up: ScaleUp::Doubling, pods_per_minute: None };

    fn check(needs: &[u32], lead_syncs: u64, growth: &Growth, expected: &[u32]) {
        let needs: Vec<Replicas> = needs.iter().map(|need| Replicas(*need)).collect();
        let found: Vec<u32> = answers(&needs, SYNC * u32::try_from(lead_syncs).unwrap(), growth)
            .iter()
            .map(|it| it.0)
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn pods_are_asked_for_one_lead_time_ahead_and_kept_while_needed() {
        check(&[1, 1, 1, 1, 9, 9, 1, 1], 2, &DOUBLING, &[3, 5, 9, 9, 9, 9, 1, 1]);
        check(&[5, 1, 7, 2, 3], 0, &DOUBLING, &[5, 4, 7, 2, 3]);
        check(&[], 2, &DOUBLING, &[]);
    }

    #[test]
    fn a_slow_cluster_begins_its_climb_in_time() {
        let slow = Growth { pods_per_minute: Some(4.0), ..DOUBLING };
        check(&[1, 1, 1, 1, 6], 1, &slow, &[3, 4, 5, 6, 6]);
    }

    #[test]
    fn under_the_real_hpa_it_is_never_late() {
        // Day and night, and three openings that are steeper than any scaler that looks back could follow.
        let needs: Vec<Replicas> = (0..2000_u32)
            .map(|k| {
                let opened = [300..500, 900..920, 1400..1401].iter().any(|open| open.contains(&k));
                Replicas(if opened { 40 } else { 3 + k % 7 })
            })
            .collect();
        let lead = Duration::from_secs(120);
        let asked = answers(&needs, lead, &DOUBLING);
        let mut hpa = Hpa::new(Spec {
            tolerance: 0.0,
            ..Spec::new(Replicas(1), Replicas(100), Metric::REPLICAS, None)
        });
        let mut pods = Pods::new(from_epoch_seconds(0), asked[0], StartUp::Fixed(lead));
        for (k, (need, asked)) in (0..).zip(needs.iter().zip(&asked)) {
            let now = from_epoch_seconds(15 * k);
            let outcome = hpa.sync(now, pods.scale(now), &[Reading::Value(f64::from(asked.0))]);
            pods.scale_to(now, outcome.desired().unwrap());
            assert!(pods.ready(now) >= *need, "at sync {k}: {} for {need}", pods.ready(now));
        }
    }
}
