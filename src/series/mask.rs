//! Which slots were measured, a bit each: with a `bool` each they were a fifth of what is kept of a target's history.
//!
//! Words lie on multiples of their length since the epoch, so that no bit moves where slots before the first come or go.

use std::ops::Range;

use super::lengthen;
use crate::time::Slot;

/// Slots in a word.
const WORD: i64 = 64;

/// A set of slots that lie close together.
#[derive(Debug, Clone, Default)]
pub(super) struct Mask {
    /// The number of the first word.
    first: i64,
    words: Vec<u64>,
}

impl Mask {
    /// Whether it has `slot`.
    pub(super) fn has(&self, slot: Slot) -> bool {
        let place = usize::try_from(word(slot) - self.first).ok();
        place.and_then(|place| self.words.get(place)).is_some_and(|word| word & bit(slot) != 0)
    }

    /// Adds a slot.
    pub(super) fn add(&mut self, slot: Slot) {
        let word = word(slot);
        if self.words.is_empty() {
            self.first = word;
        }
        if word < self.first {
            let before = usize::try_from(self.first - word).unwrap_or(0);
            self.words.splice(0..0, std::iter::repeat_n(0, before));
            self.first = word;
        }
        let place = usize::try_from(word - self.first).unwrap_or(0);
        if place >= self.words.len() {
            lengthen(&mut self.words, place + 1, 0);
        }
        self.words[place] |= bit(slot);
    }

    /// Takes out those of `slots` that it has.
    pub(super) fn remove(&mut self, slots: &Range<Slot>) {
        for (place, bits) in self.parts(slots) {
            self.words[place] &= !bits;
        }
    }

    /// Whether it has all of `slots`.
    pub(super) fn has_all(&self, slots: &Range<Slot>) -> bool {
        i64::try_from(self.count(slots)).is_ok_and(|count| count == slots.end.since(slots.start))
    }

    /// How many of `slots` it has.
    pub(super) fn count(&self, slots: &Range<Slot>) -> usize {
        self.parts(slots).map(|(place, bits)| (self.words[place] & bits).count_ones() as usize).sum()
    }

    /// Those of `slots` that it has, as a set of its own.
    pub(super) fn within(&self, slots: &Range<Slot>) -> Self {
        let words = self.parts(slots).map(|(place, bits)| self.words[place] & bits);
        Self { first: self.first.max(word(slots.start)), words: words.collect() }
    }

    /// The places of the words that may have some of `slots`, each with the bits of those.
    fn parts(&self, slots: &Range<Slot>) -> impl Iterator<Item = (usize, u64)> + use<> {
        let (first, end) = (self.first, self.first + i64::try_from(self.words.len()).unwrap_or(i64::MAX));
        let from = slots.start.max(Slot(first * WORD));
        let until = slots.end.min(Slot(end * WORD));
        let below = |bits: i64| if bits < WORD { (1 << bits) - 1 } else { u64::MAX };
        let words = if from < until { word(from)..word(until.plus(-1)) + 1 } else { 0..0 };
        words.map(move |word| {
            let begin = Slot(word * WORD);
            let bits = below(until.since(begin)) & !below(from.since(begin).max(0));
            (usize::try_from(word - first).unwrap_or(0), bits)
        })
    }
}

/// The number of the word that a slot has its bit in.
fn word(slot: Slot) -> i64 {
    slot.0.div_euclid(WORD)
}

fn bit(slot: Slot) -> u64 {
    1 << slot.0.rem_euclid(WORD)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn slots(slots: &Range<i64>) -> Range<Slot> {
        Slot(slots.start)..Slot(slots.end)
    }

    proptest! {
        #[test]
        fn it_is_a_set_of_slots(
            steps in prop::collection::vec((any::<bool>(), -300..300_i64, 0..200_i64), 1..60),
            asked in prop::collection::vec((-400..400_i64, -50..400_i64), 1..20),
        ) {
            let (mut mask, mut set) = (Mask::default(), BTreeSet::new());
            for (adds, from, count) in steps {
                if adds {
                    mask.add(Slot(from));
                    set.insert(from);
                } else {
                    mask.remove(&slots(&(from..from + count)));
                    set.retain(|slot| !(from..from + count).contains(slot));
                }
            }
            for (from, count) in asked {
                let range = from..from + count;
                let among = |slot: &i64| range.contains(slot);
                let within = mask.within(&slots(&range));
                prop_assert_eq!(mask.count(&slots(&range)), set.iter().filter(|slot| among(slot)).count());
                for slot in -700..800 {
                    prop_assert_eq!(mask.has(Slot(slot)), set.contains(&slot));
                    prop_assert_eq!(within.has(Slot(slot)), set.contains(&slot) && among(&slot));
                }
            }
        }
    }
}
