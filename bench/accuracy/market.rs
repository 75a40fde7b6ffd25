//! The business days that a kit gives with a trace, as a user would name them in `calendars`.

use std::sync::Arc;

use tidetable::calendar::Calendar;
use tidetable::config::Library;

/// The shipped calendar of a trace's market: the kit's `US` is the banks', other names are those of exchanges. `None`, and said,
/// where none is shipped.
pub(crate) fn calendar(trace: &str, market: Option<&str>) -> Option<Arc<Calendar>> {
    let name = match market? {
        "US" => "us-fed".to_owned(),
        "GB" => "uk".to_owned(),
        market => market.to_lowercase(),
    };
    let calendar = Library::shipped().calendar(&name).cloned();
    if calendar.is_none() {
        eprintln!("{trace}: no calendar {name} is shipped; forecast without one");
    }
    calendar
}
