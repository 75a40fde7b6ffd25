//! Business calendars and planned events: when demand moves for reasons that are written down.
//!
//! ```text
//! rule × business days × roll × offset → date ─┐
//! session hours, early closes ─────────────────┼─▶ local time × zone → instant × envelope → Window ─┐
//! declared event ──────────────────────────────┘                                                    ├─▶ Outlook
//! weekends, holidays, half days ──────────────────────────────────────────────────────────▶ Day ────┘
//! ```
//!
//! An [`Almanac`] holds what one target listens to, as rules and not as dates. Asked about a span it answers with an
//! [`Outlook`]: the kind of each local [`Day`], and every [`Window`] in which demand is expected to move. Everything here is
//! a pure function of its arguments: no clock, no files. Tables come in as values, each with the day until which it holds,
//! and nothing here guesses silently what they do not say.

mod agenda;
mod almanac;
mod days;
mod event;
mod exchange;
mod recurrence;
mod roll;
mod rule;
mod wall;
mod window;

pub use agenda::Calendar;
pub use almanac::{Almanac, Day, DayKind, Outlook};
pub use days::{BusinessDays, Closures, Error as ClosuresError, Holiday, Observed, YEARS};
pub use event::Event;
pub use exchange::{EarlyClose, Exchange, Hours, Session, TradeTime};
pub use recurrence::{Moment, Nominal, Occurrence, Profile, Recurrence};
pub use roll::Roll;
pub use rule::{Error as RuleError, Rule};
pub use wall::{Edge, instant};
pub use window::{Envelope, Error as UpliftError, Uplift, Window, WindowSource};
