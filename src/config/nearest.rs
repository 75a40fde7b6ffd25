//! "Did you mean …?": the known word that is closest to one nobody knows.

/// The word of `known` that `unknown` was probably meant to be, if any is close enough to say so.
///
/// Case, dashes and underscores do not count, so `per_replica` finds `perReplica`; beyond that, about one letter in three
/// may differ.
pub(crate) fn nearest<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = fold(unknown);
    known
        .into_iter()
        .map(|word| (strsim::damerau_levenshtein(&folded, &fold(word)), word))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, _)| *distance <= (folded.chars().count() / 3).max(1))
        .map(|(_, word)| word)
}

fn fold(word: &str) -> String {
    // What is longer than any word of ours is no misspelling, and comparing it would cost its length squared.
    word.chars().filter(|letter| !matches!(letter, '-' | '_')).flat_map(char::to_lowercase).take(80).collect()
}

/// The words as a sorted list for a message, the first few of them when there are many.
pub(crate) fn listed<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    const SHOWN: usize = 12;
    let mut words: Vec<_> = words.into_iter().collect();
    words.sort_unstable();
    match words.len().checked_sub(SHOWN) {
        Some(more @ 1..) => format!("{} and {more} more", words[..SHOWN].join(", ")),
        _ => words.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelling_finds_its_word_and_a_stranger_none() {
        let known = ["min", "max", "perReplica", "leadTime"];
        assert_eq!(nearest("mx", known), Some("max"));
        assert_eq!(nearest("per_replica", known), Some("perReplica"));
        assert_eq!(nearest("leedtime", known), Some("leadTime"));
        assert_eq!(nearest("cooldown", known), None);
        assert_eq!(nearest("anything", []), None);
    }

    #[test]
    fn a_long_list_is_cut() {
        let words: Vec<String> = (10..30).map(|number| number.to_string()).collect();
        assert!(listed(words.iter().map(String::as_str)).ends_with("21 and 8 more"));
        assert_eq!(listed(["b", "a"]), "a, b");
    }
}
