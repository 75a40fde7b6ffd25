//! The middle of a list, which one odd number does not move.

/// The median; `None` of an empty list. Afterwards the list ascends.
pub(crate) fn median(list: &mut [f64]) -> Option<f64> {
    list.sort_unstable_by(f64::total_cmp);
    middle(list)
}

/// The middle one of an ascending list, or the mean of the two in the middle; `None` of an empty one.
pub(super) fn middle(ascending: &[f64]) -> Option<f64> {
    let middle = ascending.len() / 2;
    match ascending.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(ascending[middle]),
        _ => Some(f64::midpoint(ascending[middle - 1], ascending[middle])),
    }
}
