//! A payments platform's traffic: weeks that repeat, peaks that rise faster than pods start, and noise.
//!
//! What is *expected* at an instant is a smooth curve by the customers' wall clock ([`Surge`]). What *happens*
//! is drawn from it, per quarter minute, more dispersed than a Poisson process would be ([`Traffic::mean_rate`]). What is
//! *seen* is what a Prometheus that scrapes a counter would say, with holes where the collector was down
//! ([`Traffic::observed`]).
//!
//! There are no holidays and no month ends other than pay days, but in a [`Year`], whose truth is known. Nothing is invented
//! that a forecaster could not have learned, except the burst that is meant to surprise it.

mod observed;
mod options;
mod payments;
mod surge;
mod week;
mod year;

pub use observed::SCRAPE_SECONDS;
pub use options::{Burst, Options, Outage};
pub use payments::Traffic;
pub use surge::Surge;
pub use year::{Effect, Fortnight, Year};
