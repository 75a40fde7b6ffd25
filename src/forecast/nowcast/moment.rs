//! What is seen at a moment, and what it says of the minutes to come.
//!
//! In the letters used here L is demand as seen and P what is usual in the very same window, which matters: a newest value
//! half a minute old must be compared with what was usual half a minute ago, or every ramp looks like a surprise.
//!
//! ```text
//! X₁ = L₁ + s·(P' − P₁)      the newest minute, moved as the usual day moves until then
//! X₅ = L₅ + s·(P' − P₅)      the same from the newest five minutes, which are calmer
//! D  = l·P'                  the usual day at the day's level
//! ```
//!
//! P' is what is usual then, s and l are how large this day is beside the usual one. The sum works where the ratio
//! L/P·P' does not: before an opening both L and P are 0.

/// Demand as seen over some window, and what is usual in the same window.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Seen {
    pub(super) load: f64,
    pub(super) usual: f64,
}

/// All that is seen at a moment. Only `newest`, `few` and `rising` depend on the newest value, and none of them falls as
/// it grows: so that a larger newest value never means fewer pods.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Moment {
    /// The newest minute.
    pub(super) newest: Seen,
    /// The newest few minutes.
    pub(super) few: Seen,
    /// What has settled of the last half hour.
    pub(super) half_hour: Seen,
    /// What has settled of the last day.
    pub(super) day: Seen,
    /// What was seen some minutes before the newest, and how many minutes lie between.
    pub(super) before: f64,
    pub(super) minutes_since: f64,
}

/// Candidates for the demand of a minute to come.
pub(super) const CANDIDATES: usize = 3;

/// What explanations call X₁, X₅ and D.
pub(super) const NAMES: [&str; CANDIDATES] = ["newest_minute", "newest_minutes", "usual_day"];

/// How steep the coming minutes are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Steepness {
    /// The usual rise until then, as a share of the level.
    pub(super) usual: f64,
    /// Half of what the newest rise would come to if it went on, as a share of the level.
    pub(super) seen: f64,
}

impl Steepness {
    /// The larger of both.
    pub(super) fn larger(self) -> f64 {
        self.usual.max(self.seen)
    }
}

impl Moment {
    /// How large this hour is beside the usual one; held towards the day where the half hour is empty.
    fn size(&self) -> f64 {
        let mix = |part: fn(&Seen) -> f64| 30.0 * part(&self.half_hour) + 5.0 * part(&self.day);
        ratio(mix(|seen| seen.load), mix(|seen| seen.usual)).clamp(0.3, 3.0)
    }

    /// How large this day is beside the usual one.
    fn level(&self) -> f64 {
        ratio(self.day.load, self.day.usual).clamp(0.5, 2.0)
    }

    /// What of it matters for any minute to come. Below `floor` a minute is idle.
    pub(super) fn start(&self, floor: f64) -> Start {
        let size = self.size();
        let apart = |seen: Seen| seen.load - size * seen.usual;
        let rise = (self.newest.load - self.before) / self.minutes_since.max(1.0);
        Start {
            apart: [apart(self.newest), apart(self.few)],
            few: self.few.load,
            size,
            level: self.level(),
            stood: size * self.newest.usual,
            rise: 0.5 * rise / (self.before + floor),
            floor,
        }
    }
}

/// Where the minutes to come start from: everything of a moment that is the same for each of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Start {
    /// `L - s·P` of the newest minute and of the newest few.
    apart: [f64; 2],
    /// The load of the newest few.
    pub(super) few: f64,
    /// s.
    size: f64,
    /// l.
    level: f64,
    /// `s·P₁`: what stood there, by what is usual.
    stood: f64,
    /// Half of the newest rise in a minute, as a share of what stood before it.
    rise: f64,
    floor: f64,
}

impl Start {
    /// The candidates for a minute in which `usual` is usual.
    pub(super) fn candidates(&self, usual: f64) -> [f64; CANDIDATES] {
        let moved = self.size * usual;
        [(self.apart[0] + moved).max(0.0), (self.apart[1] + moved).max(0.0), self.level * usual]
    }

    /// How steep it goes up to a minute in which `usual` is usual, `minutes` after the newest.
    ///
    /// The shares are of what stood before the newest minute, so that a larger newest value is never less steep.
    pub(super) fn steepness(&self, usual: f64, minutes: f64) -> Steepness {
        Steepness {
            usual: (self.size * usual - self.stood) / (self.stood + self.floor),
            seen: self.rise * minutes,
        }
    }
}

fn ratio(load: f64, usual: f64) -> f64 {
    if usual > 0.0 { load / usual } else { 1.0 }
}
