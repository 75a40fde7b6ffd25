//! What an answer depends on in the end: the HPA's tolerance, and the replicas that it counts; and what a plan depends on, how fast
//! it lets them climb.
//!
//! All are read, not watched: the HPA as seldom as the ScaledObject, the replicas as often as the HPA looks, and where
//! the tolerance is 0 not at all, for then no answer depends on them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::follow::{READ_AGAIN_AFTER, TRY_AGAIN_AFTER};
use super::scale_up::scale_up;
use super::{Error, Scaled, Sight};
use crate::engine::{Clock, ScaledObject};
use crate::guard::tolerance::Seen;
use crate::time::Timestamp;
use crate::units::Replicas;

/// As often as the HPA looks. A count that is older than its last sync costs one more sync, and no more.
const COUNT_EVERY: Duration = Duration::from_secs(15);

/// A count that has not been renewed for this long says nothing any more: four times it could not be read.
const COUNTS_FOR: Duration = Duration::from_secs(60);

/// What was seen of an HPA, and when its replicas were counted.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counted {
    pub(super) seen: Seen,
    pub(super) at: Option<Timestamp>,
}

impl Counted {
    /// What of it still says something at `now`.
    pub(super) fn at(&self, now: Timestamp) -> Seen {
        let fresh = |at: &Timestamp| (now - *at).to_std().map_or(true, |age| age <= COUNTS_FOR);
        Seen { current: self.seen.current.filter(|_| self.at.as_ref().is_some_and(fresh)), ..self.seen }
    }
}

/// What an HPA is looked at for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum LookFor {
    /// How fast it lets replicas climb. No answer depends on what it counts.
    Climbs,
    /// That, and how answers are written for it.
    Answers,
}

/// Who looks at one HPA.
pub(super) struct Looker<C> {
    pub(super) client: kube::Client,
    pub(super) owner: ScaledObject,
    pub(super) needs: LookFor,
    pub(super) sight: Arc<Sight>,
    pub(super) clock: Arc<C>,
}

impl<C: Clock> Looker<C> {
    pub(super) async fn run(self) {
        let mut lacking = BTreeSet::new();
        loop {
            let looked = self.look(&mut lacking).await;
            if let Err(error) = &looked {
                self.lack(&mut lacking, error);
            }
            let pause = if looked.is_ok() { COUNT_EVERY } else { TRY_AGAIN_AFTER };
            self.clock.sleep_until(self.clock.now() + pause).await;
        }
    }

    /// Reads what scales, and then counts until that is to be read again.
    async fn look(&self, lacking: &mut BTreeSet<String>) -> Result<(), Error> {
        let scaled = Scaled::read(&self.client, &self.owner).await?;
        let (up, down) = match scaled.hpa(&self.client).await {
            Ok(hpa) => {
                self.sight.climbs(&self.owner, scale_up(&hpa));
                (tolerance(&hpa, "scaleUp"), tolerance(&hpa, "scaleDown"))
            }
            // Without it the controller's tolerance is taken to be in force, and what was seen of its climbs stands.
            Err(error) => {
                self.lack(lacking, &error);
                (None, None)
            }
        };
        let read_again = self.clock.now() + READ_AGAIN_AFTER;
        if self.needs == LookFor::Climbs || up == Some(0.0) && down == Some(0.0) {
            self.sight.count(&self.owner, Counted { seen: Seen { current: None, up, down }, at: None });
            self.clock.sleep_until(read_again).await;
            return Ok(());
        }
        while self.clock.now() < read_again {
            let counted = scaled.scale(&self.client).await?.counted;
            let current = Some(Replicas(u32::try_from(counted).unwrap_or_default()));
            let seen = Seen { current, up, down };
            self.sight.count(&self.owner, Counted { seen, at: Some(self.clock.now()) });
            self.clock.sleep_until(self.clock.now() + COUNT_EVERY).await;
        }
        Ok(())
    }

    /// Says what cannot be read, and what becomes of answers: each trouble once, for there may be two that take turns.
    fn lack(&self, lacking: &mut BTreeSet<String>, error: &Error) {
        self.sight.failed(&self.owner, error);
        let why = error.with_causes();
        if lacking.insert(why.clone()) {
            tracing::warn!(
                scaled_object = %self.owner,
                why,
                "the HPA is not seen; climbs are planned by what was seen of it or is configured, and answers take its tolerance for what hpaTolerance says, and carry headroom while replicas are not counted"
            );
        }
    }
}

/// The tolerance of an HPA's spec in one direction; `None` where it says none.
fn tolerance(hpa: &Value, direction: &str) -> Option<f64> {
    match &hpa["behavior"][direction]["tolerance"] {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => quantity(text),
        _ => None,
    }
    .filter(|tolerance| (0.0..=1.0).contains(tolerance))
}

/// A quantity below one, as the API server writes it: `0`, `100m`, `50e-3`. Smaller units than thousandths are not looked for.
fn quantity(text: &str) -> Option<f64> {
    match text.strip_suffix('m') {
        Some(thousandths) => Some(thousandths.parse::<f64>().ok()? / 1000.0),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::time::from_epoch_seconds;

    #[test]
    fn a_tolerance_is_read_as_it_is_written_and_nothing_is_not_zero() {
        let read = |written: Value| {
            tolerance(&json!({ "behavior": { "scaleUp": { "tolerance": written } } }), "scaleUp")
        };
        for (written, meant) in [
            (json!("0"), Some(0.0)),
            (json!(0), Some(0.0)),
            (json!("100m"), Some(0.1)),
            (json!("0.05"), Some(0.05)),
            (json!("50e-3"), Some(0.05)),
            (json!(null), None),
            (json!("a tenth"), None),
            (json!(-1), None),
        ] {
            assert_eq!(read(written.clone()), meant, "{written}");
        }
        assert_eq!(tolerance(&json!({}), "scaleDown"), None);
    }

    #[test]
    fn a_count_is_forgotten_and_a_tolerance_is_not() {
        let at = from_epoch_seconds(1_000_000);
        let seen = Seen { current: Some(Replicas(18)), up: Some(0.1), down: None };
        let counted = Counted { seen, at: Some(at) };
        assert_eq!(counted.at(at + COUNTS_FOR), seen);
        assert_eq!(counted.at(at + COUNTS_FOR + COUNT_EVERY), Seen { current: None, ..seen });
    }
}
