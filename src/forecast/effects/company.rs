//! Effects that are in force together.
//!
//! ```text
//! L = max (0, l₁, l₂, …) + Σ min (0, lᵢ)        lᵢ: the logarithm of an effect's multiple at an instant
//! ```
//!
//! Of effects that add demand the largest counts: who is paid twice on one day spends once. An effect that takes demand
//! away, such as an early close, does so whatever else the day brings, and comes on top. Of windows of one name, which are
//! one effect, the lowest counts.

/// One effect at an instant: its name and the logarithm of its multiple.
pub(super) type Member = (u16, f64);

/// L: the logarithm of what all of them make of the usual demand.
pub(super) fn together(members: &(impl Iterator<Item = Member> + Clone)) -> f64 {
    let most = members.clone().fold(0.0_f64, |most, (_, log)| most.max(log));
    most + left(members)
}

/// What others make of the usual demand on which `own` is seen to work; `None` where it cannot be seen, because another one
/// adds more or another window of its name takes more away.
pub(super) fn beside(own: Member, others: impl Iterator<Item = Member> + Clone) -> Option<f64> {
    let (name, log) = own;
    let most = others.clone().fold(0.0_f64, |most, (_, log)| most.max(log));
    if log >= 0.0 {
        return (most <= log).then(|| left(&others));
    }
    let hidden = others.clone().any(|(other, lower)| other == name && lower < log);
    (!hidden).then(|| most + left(&others.filter(move |(other, _)| *other != name)))
}

/// Σ min (0, lᵢ), each name once.
fn left(members: &(impl Iterator<Item = Member> + Clone)) -> f64 {
    let lowest = |place: usize, (name, log): Member| {
        members.clone().enumerate().all(|(other_place, (other, other_log))| {
            other != name
                || place == other_place
                || log < other_log
                || (log <= other_log && place < other_place)
        })
    };
    let taking = members.clone().enumerate().filter(|(_, (_, log))| *log < 0.0);
    taking.filter(|(place, member)| lowest(*place, *member)).map(|(_, (_, log))| log).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-12, "{found} for {expected}");
    }

    #[test]
    fn of_those_that_add_the_largest_counts_and_what_takes_away_comes_on_top() {
        near(together(&[(0, 0.5), (1, 0.3)].into_iter()), 0.5);
        near(together(&[(0, 0.5), (1, -0.4), (2, -0.1)].into_iter()), 0.0);
        near(together(&[(1, -0.4), (1, -0.4), (1, -0.3)].into_iter()), -0.4);
        near(together(&[].into_iter()), 0.0);
    }

    #[test]
    fn each_is_seen_where_it_stands_out_from_the_others() {
        assert_eq!(beside((0, 0.3), [(1, 0.5)].into_iter()), None);
        near(beside((0, 0.5), [(1, 0.3), (2, -0.4)].into_iter()).unwrap(), -0.4);
        near(beside((2, -0.4), [(1, 0.3), (0, 0.5)].into_iter()).unwrap(), 0.5);
        assert_eq!(beside((2, -0.3), [(2, -0.4)].into_iter()), None);
        near(beside((2, -0.4), [(2, -0.3), (0, 0.5)].into_iter()).unwrap(), 0.5);
    }
}
