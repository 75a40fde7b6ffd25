//! Calendars and profiles as data: shipped in the binary, added to by a mounted folder and by the configuration.
//!
//! ```text
//! models/*.yaml ─┐
//! mounted folder ┼▶ tree → fits the schema? → raw → parts ─▶ shelf: names followed, layers joined ─▶ Calendar
//! calendars: …  ─┘
//! ```
//!
//! A definition lies on top of those of the same name before it and may extend them, so that an operator closes a day, opens one
//! or ends one early without copying what is shipped. The schema is `models/schema.json`; `models/README.md` tells it.

mod library;
mod parts;
pub(super) mod raw;
mod shelf;
mod shipped;
pub(super) mod values;

pub(super) use library::model_files;
pub use library::{Library, ModelFile, ModelKind};
pub(super) use parts::{Complained, each, reference};
