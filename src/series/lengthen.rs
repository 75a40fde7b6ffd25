//! How what is kept of a series grows.

/// A vector that has become full makes room for this part of itself. Twice as much, as vectors do by themselves, would stay
/// empty for as long as a target is there; less would move what is kept more often than it is read.
const ROOM: usize = 16;

/// Adds `with` at the end until `numbers` are `len`, which is more than they are.
pub(super) fn lengthen<T: Clone>(numbers: &mut Vec<T>, len: usize, with: T) {
    if len > numbers.capacity() {
        numbers.reserve_exact(len + len / ROOM - numbers.len());
    }
    numbers.resize(len, with);
}
