//! Durations as the file writes them: `90s`, `5m`, `1h30m`, `56d`.

use std::fmt::Write as _;
use std::time::Duration;

/// A duration as text that reads back as the same duration.
pub(super) fn text(duration: Duration) -> String {
    const UNITS: [(u128, &str); 7] = [
        (86_400_000_000_000, "d"),
        (3_600_000_000_000, "h"),
        (60_000_000_000, "m"),
        (1_000_000_000, "s"),
        (1_000_000, "ms"),
        (1_000, "us"),
        (1, "ns"),
    ];
    let mut nanos = duration.as_nanos();
    let mut text = String::new();
    for (length, unit) in UNITS {
        if nanos >= length {
            write!(text, "{}{unit}", nanos / length).expect("a String takes all that is written");
            nanos %= length;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_duration_is_written_in_its_largest_units() {
        for written in ["0s", "90ms", "10s", "1m30s", "1h30m", "56d", "1d1ns"] {
            assert_eq!(text(humantime::parse_duration(written).unwrap()), written);
        }
    }

    proptest! {
        #[test]
        fn a_written_duration_reads_back(seconds in 0_u64..1 << 40, nanos in 0_u32..1_000_000_000) {
            let duration = Duration::new(seconds, nanos);
            prop_assert_eq!(humantime::parse_duration(&text(duration)).unwrap(), duration);
        }
    }
}
