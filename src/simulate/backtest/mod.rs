//! What would have happened: recorded load under tidetable and under everything one could do instead.
//!
//! Each contender is a [`Scaler`]: what KEDA's HPA reads, sync by sync. All of them bear the same [`Course`] under the same
//! [`Conditions`]: the exact HPA, KEDA's polls, pods that take their time, a bounded queue. Ours is the `decide()` that
//! serves, with fits in force from when they would be.
//!
//! What keeps it honest:
//! * No contender but perfect foresight can see past its sync: [`Past`] is all it is given, and a model is learned from what
//!   lies before its origin.
//! * The others' settings are chosen on a training span, or are today's; none is chosen on the span that is compared.
//! * What a recording does not say is not made up: a hole is no demand, and nobody is late in it.
//! * The same input gives the same bytes, on any number of threads.

mod accuracy;
mod course;
mod ours;
mod replay;
mod run;
mod scaler;
mod score;

pub use accuracy::{Accuracy, Foreseen, Held, LEVELS};
pub use course::{Conditions, Course, Past, READ_AFTER};
pub use ours::Ours;
pub use replay::{Contender, Fit, Outcome, Point, Setup, Who, needs, replay};
pub use run::{Keep, LateMoment, Run};
pub use scaler::{Cron, Foresight, Reactive, Scaler, Static};
pub use score::{Score, WorstHour};
