//! What is in force between two instants: each effect there as it stands, and what they make of demand together.
//!
//! Of effects that add the largest counts, and what takes away comes on top ([`super::company`]).

use super::reach::Reach;
use crate::units::Load;

/// One effect as it stands between two instants.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    pub(super) reach: Reach,
    /// It is expected to add, and not to take away: by the lift of its name, whatever was measured of this occurrence.
    pub(super) adds: bool,
    /// What it is once it has grown, while it grows.
    pub(super) growing: Option<Growing>,
    pub(super) name: u16,
}

/// An effect that has begun and need not be there in full yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Growing {
    /// What it was expected to be, before anything was seen of it.
    pub(super) expected: Reach,
    /// The logarithm of its multiple when it has grown, as it stands.
    pub(super) full: f64,
}

/// What is in force between two instants, and whose it is most of all.
#[derive(Debug, Clone, Copy)]
pub(super) struct InForce {
    pub(super) reach: Reach,
    growing: Option<Growing>,
    pub(super) name: u16,
}

impl InForce {
    /// All of `parts` together, where so much is `usual`; `None` where there are none.
    pub(super) fn of(parts: &[Part], usual: Option<f64>) -> Option<Self> {
        // Where nothing is usual, multiples are alike and yet not the same.
        let moved = |part: &Part| usual.map_or(0.0, |usual| part.reach.lifted(usual) - usual);
        let larger =
            |one: (f64, f64), other: (f64, f64)| one.0.total_cmp(&other.0).then(one.1.total_cmp(&other.1));
        let adding = parts.iter().filter(|part| part.adds);
        let most = adding.max_by(|a, b| larger((moved(a), a.reach.log), (moved(b), b.reach.log)));
        let taken = taken(parts);
        let size = |part: &Part| (moved(part).abs(), part.reach.log.abs());
        let named = parts.iter().max_by(|a, b| larger(size(a), size(b)))?;
        let reach = most.map_or(taken, |most| most.reach.and(&taken));
        Some(Self { reach, growing: most.unwrap_or(named).growing, name: named.name })
    }

    /// A measured load without the lift, where `usual` is what would be usual.
    ///
    /// While an effect grows, less than expected is no news: it may be late, and a base that saw demand collapse would take
    /// away what stands ready for it. More than expected is news only as far as it is more than the whole effect: a base that
    /// saw demand surge would have it grow by the rest of the effect once more.
    pub(super) fn divide_out(&self, load: f64, usual: Option<f64>) -> Load {
        let divided = self.reach.divide_out(load, usual);
        let (Some(growing), Some(usual)) = (self.growing, usual) else { return Load::saturating(divided) };
        let beyond = divided.min(load * (-growing.full).exp());
        let early = divided.min(usual.max(beyond));
        Load::saturating(early.max(usual.min(load)))
    }
}

/// The quantile of demand under all of `parts`: the largest of those that add, with all that take away. The base alone is
/// `median`, and `quantile` at `z`.
pub(super) fn largest(parts: &[Part], median: f64, quantile: f64, z: f64) -> f64 {
    let taken = taken(parts);
    let adding = parts.iter().filter(|part| part.adds);
    // While it grows, nothing that was seen of it takes away from what was expected.
    let either = adding.flat_map(|part| [Some(part.reach), part.growing.map(|growing| growing.expected)]);
    let each = either.flatten().map(|reach| reach.and(&taken).over(median, quantile, z));
    each.max_by(f64::total_cmp).unwrap_or_else(|| taken.over(median, quantile, z))
}

/// All that take away, the lowest of each name.
fn taken(parts: &[Part]) -> Reach {
    let taking = parts.iter().enumerate().filter(|(_, part)| !part.adds);
    let lowest = |place: usize, part: &Part| {
        parts.iter().enumerate().filter(|(_, other)| !other.adds && other.name == part.name).all(
            |(other_place, other)| {
                let order = part.reach.log.total_cmp(&other.reach.log).then(place.cmp(&other_place));
                order.is_le()
            },
        )
    };
    taking
        .filter(|(place, part)| lowest(*place, part))
        .fold(Reach::default(), |taken, (_, part)| taken.and(&part.reach))
}
