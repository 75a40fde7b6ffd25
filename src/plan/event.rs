//! What declared events need: in the window of the plan all of it, and before that as much as the climb there takes.
//!
//! ```text
//!                                    ┌─ upper ── declared
//!              ╱─ under `growth` ────┤
//!   ──────────╱                      │
//!         asked for from here on     the event
//! ```
//!
//! A plan knows of the event and climbs there as well, but in shadow a plan is not followed, and read at a quantile below 0.95 it
//! climbs to less than was declared.

use std::ops::Range;
use std::sync::Arc;

use super::climb::{LONGEST_CLIMB_SYNCS, Way};
use super::growth::SYNC;
use super::{Options, RENEWAL};
use crate::forecast::{EventFloor, Fitted, Known};
use crate::time::{Slot, Timestamp};
use crate::units::{Load, LoadPerReplica, Replicas};

/// What stands ready for a declared event, whether or not the forecast is trusted.
#[derive(Debug, Clone, PartialEq)]
pub struct EventNeed {
    /// What is asked for now.
    pub replicas: Replicas,
    /// The event.
    pub name: Arc<str>,
    /// The most that it may bring within the window, or that for whose sake a climb has begun.
    pub load: Load,
    /// When: the end of the slot.
    pub at: Timestamp,
    /// What that needs: more than is asked for now while it is climbed to.
    pub needed: Replicas,
}

impl EventNeed {
    fn of(floor: EventFloor, capacity: LoadPerReplica) -> Self {
        let needed = Replicas::bearing(floor.load, capacity);
        Self { replicas: needed, name: floor.name, load: floor.load, at: floor.at, needed }
    }
}

/// What declared events need at `now`: the most of the window `(now, now + lead time + RENEWAL]`, or what must stand already for
/// the climb to more beyond it. No climb leads above `max`.
///
/// `None` when there is no event so near, or nothing is known to multiply.
pub fn for_events(
    now: Timestamp,
    model: &dyn Fitted,
    known: &Known<'_>,
    capacity: LoadPerReplica,
    options: &Options,
    max: Replicas,
) -> Option<EventNeed> {
    let step = known.settled.step();
    let until = now + options.lead_time + RENEWAL;
    let window = step.last_ended(now).next()..step.slot_of(until).next();
    let beyond = window.end;
    let in_full = model.event_floor(known, window).map(|floor| EventNeed::of(floor, capacity));
    let asked = in_full.as_ref().map_or(Replicas(0), |need| need.replicas);
    let way = Way { spoken_of: until, growth: &options.growth, max };
    begun(&way, beyond, asked, model, known, capacity).or(in_full)
}

/// The climb to what events need from the slot `beyond` on, where that asks for more than is `asked` anyway.
fn begun(
    way: &Way<'_>,
    beyond: Slot,
    asked: Replicas,
    model: &dyn Fitted,
    known: &Known<'_>,
    capacity: LoadPerReplica,
) -> Option<EventNeed> {
    let step = known.settled.step();
    // Mostly nothing is declared for these hours, and then this is all that it costs.
    let events = model.events(way.spoken_of, way.spoken_of + SYNC * LONGEST_CLIMB_SYNCS);
    let from = events.iter().map(|event| event.from).min()?;
    let until = events.iter().map(|event| event.until).max()?;
    let last = way.last_slot(asked, way.max, step)?;
    let slots: Range<Slot> = beyond.max(step.slot_of(from))..last.min(step.slot_of(until)).next();
    if slots.is_empty() {
        return None;
    }
    let floors = model.event_floors(known, slots);
    let need = |floor: &EventFloor| Replicas::bearing(floor.load, capacity);
    // What is farther away than the way to the most of them is long does not matter.
    let most = floors.iter().map(need).max()?.min(way.max);
    let last = way.last_slot(asked, most, step)?;
    let mattering = floors.iter().rev().map(|floor| (step.slot_of(floor.at), floor));
    let needs = mattering.filter(|(slot, _)| *slot <= last).map(|(slot, floor)| (slot, need(floor)));
    let (replicas, climb) = way.down(needs, step).filter(|(replicas, _)| *replicas > asked)?;
    let peak = floors.into_iter().find(|floor| floor.at == climb.at)?;
    Some(EventNeed { replicas, ..EventNeed::of(peak, capacity) })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::TimeDelta;

    use super::*;
    use crate::calendar::{Envelope, Window, WindowSource};
    use crate::forecast::Forecast;
    use crate::plan::{Growth, ScaleUp};
    use crate::series::Series;
    use crate::time::{Step, from_epoch_seconds};
    use crate::units::Quantile;

    /// Over a flat load of 10: a launch declared for `at`, that lasts an hour and may bring `upper`.
    #[derive(Debug)]
    struct Launch {
        at: i64,
        upper: f64,
    }

    impl Launch {
        fn window(&self) -> Window {
            let envelope = Envelope { hold: TimeDelta::hours(1), ..Envelope::default() };
            Window::around("launch".into(), WindowSource::Event, from_epoch_seconds(self.at), &envelope)
        }
    }

    impl Fitted for Launch {
        fn forecast(&self, _: &Known<'_>, _: Range<Slot>, _: &[Quantile]) -> Option<Forecast> {
            None
        }

        fn event_floors(&self, known: &Known<'_>, targets: Range<Slot>) -> Vec<EventFloor> {
            let (step, window) = (known.settled.step(), self.window());
            (targets.start.0..targets.end.0)
                .map(Slot)
                .filter(|slot| window.touches(step.start(*slot), step.end(*slot)))
                .map(|slot| EventFloor {
                    load: Load::saturating(self.upper),
                    at: step.end(slot),
                    name: Arc::clone(&window.name),
                })
                .collect()
        }

        fn events(&self, from: Timestamp, until: Timestamp) -> Vec<Window> {
            Some(self.window()).filter(|window| window.touches(from, until)).into_iter().collect()
        }
    }

    const LAUNCH: Launch = Launch { at: 1_000_000_020, upper: 100.0 };

    fn need(now: i64, growth: Growth, max: u32) -> Option<EventNeed> {
        let now = from_epoch_seconds(now);
        let settled = Series::empty(Step::MINUTE, Step::MINUTE.last_ended(now).next());
        let known = Known { settled: &settled, origin: settled.end(), live: None };
        let options = Options { lead_time: Duration::from_secs(120), quantile: Quantile::P95, growth };
        let one = LoadPerReplica::try_new(1.0).unwrap();
        for_events(now, &LAUNCH, &known, one, &options, Replicas(max))
    }

    fn four_a_minute() -> Growth {
        Growth { scale_up: ScaleUp::Doubling, pods_per_minute: Some(4.0) }
    }

    #[test]
    fn a_launch_under_slow_growth_is_climbed_to_in_time_by_its_declaration_alone() {
        let mut standing = 10.0_f64;
        let mut begun = None;
        for sync in -240..230 {
            let now = LAUNCH.at + 15 * sync;
            let asked = need(now, four_a_minute(), 200).map_or(0, |need| need.replicas.0);
            assert!(begun.is_none() || f64::from(asked) >= standing.ceil(), "{asked} at {now} comes down");
            if asked > 10 {
                begun.get_or_insert(now);
            }
            standing = four_a_minute().after(standing).min(f64::from(asked)).max(standing);
            if now == LAUNCH.at - 120 {
                assert!(standing >= 99.9, "{standing}");
            }
        }
        // 90 pods at 4 a minute, and a lead time.
        let ahead = LAUNCH.at - begun.unwrap();
        assert!((1350 + 120..1350 + 300).contains(&ahead), "{ahead} s ahead");
    }

    #[test]
    fn what_is_climbed_to_is_told_and_lies_below_the_maximum() {
        let begun = need(LAUNCH.at - 900, four_a_minute(), 200).unwrap();
        // 735 s after the window: 50 steps of one pod.
        assert_eq!((begun.replicas, begun.needed), (Replicas(50), Replicas(100)));
        assert_eq!((&*begun.name, begun.at), ("launch", from_epoch_seconds(LAUNCH.at + 60)));
        assert_eq!(need(LAUNCH.at - 900, four_a_minute(), 70).map(|need| need.replicas), Some(Replicas(20)));
        assert_eq!(need(LAUNCH.at - 900, Growth::default(), 200), None);
        let in_full = need(LAUNCH.at - 164, Growth::default(), 200).unwrap();
        assert_eq!((in_full.replicas, in_full.needed), (Replicas(100), Replicas(100)));
    }
}
