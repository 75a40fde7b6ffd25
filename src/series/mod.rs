//! Load on a regular grid, in which a hole is a hole.
//!
//! A [`Series`] is never a bare slice: it knows its grid and which slots were really measured. Masked slots have no
//! number at all; nothing downstream can mistake one for a zero.

mod blocks;
mod lengthen;
mod mask;
mod resample;
#[expect(clippy::module_inception, reason = "the type is the module")]
mod series;

use lengthen::lengthen;

pub use blocks::{BLOCK, Blocks, Run};
pub use resample::{Resample, resample};
pub use series::Series;
