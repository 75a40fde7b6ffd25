//! Once a day: what is older than the retention goes, months are rolled up, leftovers of killed writers are swept.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use object_store::ObjectMeta;
use object_store::path::Path;

use super::Error;
use super::layout::{Span, demand_folder, folder_of, target_folder};
use super::store::{Archive, PATIENCE, Read};
use crate::engine::{Demand, Target, Tidied};
use crate::series::Series;
use crate::time::Timestamp;

/// A write takes seconds; what a writer left behind an hour ago it will not come back for.
const LEFT_BEHIND: Duration = Duration::from_secs(3600);

impl Archive {
    pub(super) async fn tidy_up(
        &self,
        target: &Target,
        demand: &Demand,
        now: Timestamp,
    ) -> Result<Tidied, Error> {
        let mut tidied = Tidied::default();
        // First, because it makes room.
        self.expire(target, now, &mut tidied).await?;
        let folder = demand_folder(&target.name, demand);
        self.sweep(&folder, now).await;
        self.roll_up((target, demand), &folder, &mut tidied).await?;
        Ok(tidied)
    }

    /// Removes what is wholly older than the retention, of former queries too.
    async fn expire(&self, target: &Target, now: Timestamp, tidied: &mut Tidied) -> Result<(), Error> {
        let all = target_folder(&target.name);
        let listed = self.patiently("list", &all, self.store.list_with_delimiter(Some(&all))).await?;
        let mut objects: Vec<(Span, ObjectMeta)> = Vec::new();
        for folder in listed.common_prefixes {
            objects.extend(self.spans(&folder).await?);
        }
        let Some(newest) = objects.iter().map(|(span, _)| span.days().end.start()).max() else {
            return Ok(());
        };
        let retention = chrono::Duration::from_std(self.retention).unwrap_or(chrono::Duration::MAX);
        let Some(oldest) = newest.min(now).checked_sub_signed(retention) else { return Ok(()) };
        for (span, meta) in objects {
            if span.days().end.start() <= oldest {
                self.remove(&meta.location).await?;
                tidied.expired += 1;
            }
        }
        Ok(())
    }

    /// Makes one object of each month that has all its days, and then removes these.
    async fn roll_up(
        &self,
        (target, demand): (&Target, &Demand),
        folder: &Path,
        tidied: &mut Tidied,
    ) -> Result<(), Error> {
        let spans = self.spans(folder).await?;
        let mut months: BTreeMap<Span, Vec<(Span, &ObjectMeta)>> = BTreeMap::new();
        for (span, meta) in &spans {
            if let Span::Day(day) = span {
                months.entry(Span::month_of(*day)).or_default().push((*span, meta));
            }
        }
        for (month, days) in months {
            let location = folder.clone().join(month.name());
            // A former process may have been stopped between the two halves; or a day came late, from a slower replica.
            let mut there = match spans.get(&month) {
                Some(_) => self.read(demand, &location, month).await?,
                None => Read::Gone,
            };
            if let Read::PassedOver(why) = &there {
                tidied.passed_over.push(why.clone());
                there = if spans.contains_key(&month) && self.left_alone(&location).await? {
                    continue;
                } else {
                    Read::Gone
                };
            }
            if !matches!(there, Read::Whole(_)) {
                if days.len() < month.each_day().count() {
                    continue;
                }
                let Some(whole) = self.joined(demand, month, &days, tidied).await? else { continue };
                self.create(target, demand, &location, whole).await?;
                tidied.rolled_up += 1;
                there = self.read(demand, &location, month).await?;
            }
            // Only what can be read where it now stands may go from where it stood.
            if !matches!(there, Read::Whole(_)) {
                return Err(Error::NotReadBack { object: location.to_string() });
            }
            for (_, meta) in days {
                self.remove(&meta.location).await?;
            }
        }
        Ok(())
    }

    /// Whether an object that was passed over is still at its place.
    async fn left_alone(&self, location: &Path) -> Result<bool, Error> {
        let name = location.filename().and_then(Span::parse);
        let spans = self.spans(&folder_of(location)).await?;
        Ok(name.is_some_and(|span| spans.contains_key(&span)))
    }

    /// The days of a month in one series; `None` when one of them cannot be read.
    async fn joined(
        &self,
        demand: &Demand,
        month: Span,
        days: &[(Span, &ObjectMeta)],
        tidied: &mut Tidied,
    ) -> Result<Option<Series>, Error> {
        let mut joined = Series::empty(demand.step, month.slots(demand.step).start);
        for (span, meta) in days {
            match self.read(demand, &meta.location, *span).await? {
                Read::Whole(day) => {
                    for slot in day.grid().slots() {
                        match day.get(slot) {
                            Some(load) => joined.put(slot, load),
                            None => joined.mask(slot),
                        }
                    }
                }
                Read::Gone => return Ok(None),
                Read::PassedOver(why) => {
                    tidied.passed_over.push(why);
                    return Ok(None);
                }
            }
        }
        Ok(Some(joined))
    }

    /// Removes what killed writers left behind: the local store stages an object as `NAME#1`, which no listing of it shows.
    /// Failing to is no matter; it is tried again tomorrow.
    async fn sweep(&self, folder: &Path, now: Timestamp) {
        let folder = self.root.join(folder.as_ref());
        let swept = tokio::task::spawn_blocking(move || sweep(&folder, now.into()));
        let _ = tokio::time::timeout(PATIENCE, swept).await;
    }
}

fn sweep(folder: &PathBuf, now: SystemTime) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let staged = name.to_str().and_then(|name| name.rsplit_once('#'));
        let is_ours = staged.is_some_and(|(object, number)| {
            Span::parse(object).is_some() && number.bytes().all(|byte| byte.is_ascii_digit())
        });
        let age = now.duration_since(entry.metadata()?.modified()?).unwrap_or_default();
        if is_ours && age > LEFT_BEHIND {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
