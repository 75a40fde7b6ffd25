//! Where and when fits happen: on a rayon pool of their own, never on the runtime's threads, from data that ends at an
//! instant which every replica derives from the target's name.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::forecast::{self, Fitted, Forecaster, REFIT_EVERY};
use crate::series::Series;
use crate::time::{Slot, Step, Timestamp};

/// From the end of a fit's data being settled to its being in force on every replica: far longer than a fit takes.
pub(super) const IN_FORCE_AFTER: Duration = Duration::from_secs(60);

/// Targets that share a query refit at multiples of this: with a thousand of them that is some fourteen at a time, whose
/// fits are over long before they are in force.
const IN_STEP_EVERY: Duration = Duration::from_secs(300);

/// How often a fit is tried while history is too short for one.
const EVERY_WHILE_TOO_SHORT: Duration = Duration::from_secs(3600);

/// Slots of history that are read or fitted at once, over all targets, in thousands. A slot on its way from a source takes
/// 32 bytes, so this is under 200 MB: seventy targets with eight weeks of minutes, or eleven with a year. A source that
/// reads for many at once needs many who ask.
const SEATS: u32 = 6_000;

/// The threads that fit, and the seats before them.
#[derive(Debug, Clone)]
pub struct FitPool {
    threads: Arc<rayon::ThreadPool>,
    seats: Arc<Semaphore>,
}

impl FitPool {
    /// A pool that leaves one core to the answers, where there is more than one.
    ///
    /// # Errors
    /// When the system gives no threads.
    pub fn try_new() -> Result<Self, rayon::ThreadPoolBuildError> {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let builder = rayon::ThreadPoolBuilder::new().num_threads(cores.saturating_sub(1).max(1));
        let threads = builder.thread_name(|index| format!("fit-{index}")).build()?;
        Ok(Self { threads: Arc::new(threads), seats: Arc::new(Semaphore::new(SEATS as usize)) })
    }

    /// Waits for the seats of a history of so many slots; they are free again when what is returned is dropped.
    pub(super) async fn seat(&self, slots: i64) -> Option<OwnedSemaphorePermit> {
        let thousands = u32::try_from(slots / 1_000).unwrap_or(SEATS).clamp(1, SEATS);
        // The semaphore is never closed, so there are always some in the end.
        Arc::clone(&self.seats).acquire_many_owned(thousands).await.ok()
    }

    /// Fits what `history` holds before `origin`. `None` when the fit panicked: one odd series must not take the answers
    /// of every other target with it.
    pub(super) async fn fit(
        &self,
        forecaster: Arc<dyn Forecaster>,
        history: Series,
        origin: Slot,
    ) -> Option<Result<Box<dyn Fitted>, forecast::Error>> {
        let (done, outcome) = oneshot::channel();
        self.threads.spawn(move || {
            let fitted = catch_unwind(AssertUnwindSafe(|| forecaster.fit(&history, origin)));
            // The worker may be gone, then nobody wants the model.
            let _ = done.send(fitted.ok());
        });
        outcome.await.ok().flatten()
    }
}

/// When a target refits: every [`REFIT_EVERY`], at a phase of its own, so that a thousand targets do not fit at once.
#[derive(Debug, Clone, Copy)]
pub struct Cadence {
    step: Step,
    every: i64,
    phase: i64,
}

impl Cadence {
    /// The cadence of a target on the grid of its demand.
    pub fn of(target: &str, step: Step) -> Self {
        let every = step.slots_in(REFIT_EVERY);
        Self { step, every, phase: i64::try_from(name_hash(target) % every.unsigned_abs()).unwrap_or(0) }
    }

    /// The same, but as often as this.
    #[must_use]
    pub fn renewed_every(self, every: Duration) -> Self {
        let every = self.step.slots_in(every);
        Self { every, phase: self.phase % every, ..self }
    }

    /// The same, but at one of the few instants that many targets refit at.
    #[must_use]
    pub(super) fn in_step(self) -> Self {
        let apart = self.step.slots_in(IN_STEP_EVERY).max(1);
        Self { phase: self.phase - self.phase % apart, ..self }
    }

    /// The same, but every hour.
    pub(super) fn while_too_short(self) -> Self {
        let every = self.step.slots_in(EVERY_WHILE_TOO_SHORT).min(self.every);
        Self { every, phase: self.phase % every, ..self }
    }

    /// The first slot that the newest due fit may not see, given that slots before `settled_end` are settled.
    pub fn origin(&self, settled_end: Slot) -> Slot {
        Slot((settled_end.0 - self.phase).div_euclid(self.every) * self.every + self.phase)
    }

    /// The origin before this one.
    pub fn former(&self, origin: Slot) -> Slot {
        origin.plus(-self.every)
    }

    /// The origin after this one.
    pub fn next(&self, origin: Slot) -> Slot {
        origin.plus(self.every)
    }

    /// From when on a fit with this origin is in force.
    pub fn in_force_at(&self, origin: Slot, settle_lag: Duration) -> Timestamp {
        self.step.start(origin) + settle_lag + IN_FORCE_AFTER
    }
}

/// FNV-1a: the same on every replica and in every version, which the standard library's hasher does not promise.
pub(super) fn name_hash(name: &str) -> u64 {
    name.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_replica_fits_at_the_same_slot_whenever_it_starts() {
        let cadence = Cadence::of("payments-api", Step::MINUTE);
        let origin = cadence.origin(Slot(30_000_000));
        assert!(origin <= Slot(30_000_000) && origin.plus(360) > Slot(30_000_000));
        for later in 0..360 - Slot(30_000_000).since(origin) {
            assert_eq!(cadence.origin(Slot(30_000_000).plus(later)), origin);
        }
        assert_eq!(cadence.origin(origin.plus(360)), origin.plus(360));
        assert_eq!(cadence.while_too_short().origin(origin), origin, "a regular fit is an hourly one, too");
    }

    #[test]
    fn targets_do_not_all_fit_at_once() {
        let origins: std::collections::BTreeSet<_> = (0..100)
            .map(|k| Cadence::of(&format!("target-{k}"), Step::MINUTE).origin(Slot(30_000_000)))
            .collect();
        assert!(origins.len() > 60, "{}", origins.len());
    }

    #[test]
    fn targets_that_share_a_query_refit_together_a_few_at_a_time() {
        let origin =
            |k: u32| Cadence::of(&format!("target-{k}"), Step::MINUTE).in_step().origin(Slot(30_000_000));
        let mut origins: Vec<Slot> = (0..1_000).map(origin).collect();
        origins.sort_unstable();
        let most = origins.chunk_by(|one, other| one == other).map(<[Slot]>::len).max().unwrap();
        assert!((14..40).contains(&most), "{most}");
    }

    #[derive(Debug)]
    struct Panics;

    impl Forecaster for Panics {
        fn fit(&self, _: &Series, _: Slot) -> Result<Box<dyn Fitted>, forecast::Error> {
            panic!("an odd series")
        }
    }

    #[tokio::test]
    async fn a_fit_that_panics_takes_nobody_with_it() {
        let pool = FitPool::try_new().unwrap();
        let history = Series::empty(Step::MINUTE, Slot(0));
        assert!(pool.fit(Arc::new(Panics), history, Slot(0)).await.is_none());
    }
}
