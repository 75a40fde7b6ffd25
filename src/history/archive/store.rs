//! The archive itself: what is recalled and what is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutPayload};
use tokio::sync::Semaphore;

use super::Error;
use super::error::root_cause;
use super::layout::{Span, aside, demand_folder, fnv, folder_of};
use super::object::{self, Unreadable};
use crate::engine::{self, Day, Demand, Kept, Recalled, Sample, Target, Tidied};
use crate::series::Series;
use crate::time::{Slot, Timestamp};

/// A disk that has not answered for this long hangs; a network mount that comes back may be asked again.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// A month of seconds takes at most 44 MB; what is larger was not written by us and is not read into memory.
const MOST_OBJECT_BYTES: u64 = 64 << 20;

/// Objects read or written at once. Thousands of targets start together, and each object is in memory while it is worked
/// on; a disk is not faster for being asked by more.
const AT_ONCE: usize = 4;

/// How often a listing is made anew because objects went while they were being read: another replica rolls a month up.
const LISTINGS: usize = 3;

/// The archive in a folder.
#[derive(Debug)]
pub struct Archive {
    pub(super) store: Arc<dyn ObjectStore>,
    /// Where the folder is, for messages and for sweeping.
    pub(super) root: PathBuf,
    pub(super) retention: Duration,
    busy: Semaphore,
}

/// What came of reading one object.
pub(super) enum Read {
    /// Its series.
    Whole(Series),
    /// It is not there any more.
    Gone,
    /// It cannot be used, and why.
    PassedOver(String),
}

impl Archive {
    /// The archive in `folder`, which is made if it is not there. What is older than `retention` goes when tidying.
    ///
    /// # Errors
    /// [`Error::Folder`] when it cannot be used.
    pub fn try_new(folder: &FilePath, retention: Duration) -> Result<Self, Error> {
        let unusable = |cause| Error::Folder { folder: folder.display().to_string(), cause };
        std::fs::create_dir_all(folder).map_err(unusable)?;
        let store = LocalFileSystem::new_with_prefix(folder)
            .map_err(|error| unusable(std::io::Error::other(root_cause(&error))))?
            // What is reported as kept is on the disk, also after the power failed.
            .with_fsync(true);
        Ok(Self { store: Arc::new(store), root: folder.to_owned(), retention, busy: Semaphore::new(AT_ONCE) })
    }

    /// The days of `slots` that are there, by their names alone.
    ///
    /// # Errors
    /// When the folder cannot be listed.
    pub async fn days(
        &self,
        target: &Target,
        demand: &Demand,
        slots: Range<Slot>,
    ) -> Result<BTreeSet<Day>, Error> {
        let spans = self.spans(&demand_folder(&target.name, demand)).await?;
        let step = demand.step;
        let wanted: BTreeSet<Day> = Day::whole_within(step, slots).collect();
        Ok(spans.into_keys().flat_map(Span::each_day).filter(|day| wanted.contains(day)).collect())
    }

    /// The objects of a folder.
    pub(super) async fn spans(&self, folder: &Path) -> Result<BTreeMap<Span, ObjectMeta>, Error> {
        let listed = self.patiently("list", folder, self.store.list_with_delimiter(Some(folder))).await?;
        let spans = listed.objects.into_iter().filter_map(|meta| {
            let span = Span::parse(meta.location.filename()?)?;
            Some((span, meta))
        });
        Ok(spans.collect())
    }

    /// Reads one object; what is corrupt is set aside.
    pub(super) async fn read(&self, demand: &Demand, location: &Path, span: Span) -> Result<Read, Error> {
        let _seat = self.busy.acquire().await;
        let bytes = match self.bytes(location).await {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(size)) => {
                let found = format!("is corrupt: it has {size} bytes, more than any object of ours");
                let hash = fnv(size.to_le_bytes());
                return Ok(Read::PassedOver(self.set_aside(location, hash, &found).await));
            }
            Err(Error::Store { cause: object_store::Error::NotFound { .. }, .. }) => return Ok(Read::Gone),
            Err(error @ Error::Store { .. }) => return Ok(Read::PassedOver(error.to_string())),
            Err(error) => return Err(error),
        };
        let (copy, demand, slots) = (bytes.clone(), demand.clone(), span.slots(demand.step));
        let decoded = tokio::task::spawn_blocking(move || object::decode(copy, &demand, &slots)).await;
        // A decoder that panics over what it reads has found it corrupt, too.
        let died = |_| Err(Unreadable::Corrupt("the decoder died of it".to_owned()));
        match decoded.unwrap_or_else(died) {
            Ok(series) => Ok(Read::Whole(series)),
            Err(newer @ Unreadable::Newer { .. }) => Ok(Read::PassedOver(format!(
                "{location} {newer}; it is left alone, upgrade tidetable to use it"
            ))),
            Err(found @ Unreadable::Corrupt(_)) => {
                let hash = fnv(bytes.iter().copied());
                Ok(Read::PassedOver(self.set_aside(location, hash, &found.to_string()).await))
            }
        }
    }

    /// The bytes of an object, or its size when that is absurd.
    async fn bytes(&self, location: &Path) -> Result<Result<Bytes, u64>, Error> {
        let got = self.patiently("read", location, self.store.get(location)).await?;
        if got.meta.size > MOST_OBJECT_BYTES {
            return Ok(Err(got.meta.size));
        }
        self.patiently("read", location, got.bytes()).await.map(Ok)
    }

    /// Gives a corrupt object a name under which nothing reads it, and says so.
    async fn set_aside(&self, location: &Path, hash: u64, found: &str) -> String {
        let name = location.filename().unwrap_or_default();
        let aside = folder_of(location).join(aside(name, hash));
        let moved =
            self.patiently("set aside", location, self.store.rename_if_not_exists(location, &aside)).await;
        match moved {
            Ok(()) => format!("{location} {found}; it is set aside as {aside}"),
            // Another replica was faster, or a process was killed between the two halves of renaming: the same bytes have
            // that name already.
            Err(Error::Store { cause: object_store::Error::AlreadyExists { .. }, .. }) => {
                match self.patiently("remove", location, self.remove_twin(location, hash)).await {
                    Ok(()) => format!("{location} {found}; it was set aside before, as {aside}"),
                    Err(error) => format!("{location} {found}; it stays where it is: {error}"),
                }
            }
            Err(Error::Store { cause: object_store::Error::NotFound { .. }, .. }) => {
                format!("{location} {found}; another process has set it aside")
            }
            Err(error) => format!("{location} {found}; it stays where it is: {error}"),
        }
    }

    /// Removes an object whose bytes are also kept under the name that the hash gives.
    async fn remove_twin(&self, location: &Path, hash: u64) -> object_store::Result<()> {
        let got = self.store.get(location).await?;
        let same = if got.meta.size > MOST_OBJECT_BYTES {
            fnv(got.meta.size.to_le_bytes()) == hash
        } else {
            fnv(got.bytes().await?) == hash
        };
        if same { self.store.delete(location).await } else { Ok(()) }
    }

    /// Writes one object, which is whole or not there.
    pub(super) async fn create(
        &self,
        target: &Target,
        demand: &Demand,
        location: &Path,
        series: Series,
    ) -> Result<Kept, Error> {
        let _seat = self.busy.acquire().await;
        let (target, demand) = (target.clone(), demand.clone());
        let encoded = tokio::task::spawn_blocking(move || object::encode(&target, &demand, &series)).await;
        let encoded = encoded.map_err(|error| error.to_string());
        let bytes = encoded
            .and_then(|encoded| encoded.map_err(|error| error.to_string()))
            .map_err(|cause| Error::Encode { object: location.to_string(), cause })?;
        let put = self.store.put_opts(location, PutPayload::from_bytes(bytes), PutMode::Create.into());
        match self.patiently("write", location, put).await {
            Ok(_) => Ok(Kept::Written),
            Err(Error::Store { cause: object_store::Error::AlreadyExists { .. }, .. }) => {
                Ok(Kept::AlreadyThere)
            }
            Err(error) => Err(error),
        }
    }

    /// Removes an object; one that is gone already is removed.
    pub(super) async fn remove(&self, location: &Path) -> Result<(), Error> {
        match self.patiently("remove", location, self.store.delete(location)).await {
            Ok(()) | Err(Error::Store { cause: object_store::Error::NotFound { .. }, .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn exists(&self, location: &Path) -> Result<bool, Error> {
        match self.patiently("look for", location, self.store.head(location)).await {
            Ok(_) => Ok(true),
            Err(Error::Store { cause: object_store::Error::NotFound { .. }, .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// One call to the store, which ends. What it has begun on a thread of its own may go on.
    pub(super) async fn patiently<T>(
        &self,
        doing: &'static str,
        object: &Path,
        call: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T, Error> {
        let object = || self.root.join(object.as_ref()).display().to_string();
        match tokio::time::timeout(PATIENCE, call).await {
            Ok(answer) => answer.map_err(|cause| Error::Store { doing, object: object(), cause }),
            Err(_) => Err(Error::Timeout { doing, object: object(), after: PATIENCE }),
        }
    }

    /// One pass over the objects; `None` when some went meanwhile.
    async fn recall_once(
        &self,
        target: &Target,
        demand: &Demand,
        wanted: &Range<Slot>,
        passed_over: &mut Vec<String>,
    ) -> Result<Option<Recalled>, Error> {
        let folder = demand_folder(&target.name, demand);
        let mut parts: BTreeMap<Slot, Series> = BTreeMap::new();
        let mut covered: BTreeSet<Day> = BTreeSet::new();
        let (mut days, mut all_there) = (0, true);
        // Months first: a day whose month could be read is not read again.
        let (months, single): (Vec<_>, Vec<_>) =
            self.spans(&folder).await?.into_iter().partition(|(span, _)| matches!(span, Span::Month(_)));
        for (span, meta) in months.into_iter().chain(single) {
            let slots = span.slots(demand.step);
            let wanted_of_it = slots.start < wanted.end && slots.end > wanted.start;
            if !wanted_of_it || span.each_day().all(|day| covered.contains(&day)) {
                continue;
            }
            match self.read(demand, &meta.location, span).await? {
                Read::Whole(series) => {
                    let is_wanted = |day: &Day| {
                        let slots = day.slots(demand.step);
                        slots.start < wanted.end && slots.end > wanted.start
                    };
                    days += span.each_day().filter(is_wanted).count();
                    covered.extend(span.each_day());
                    parts.insert(slots.start, series);
                }
                Read::Gone => all_there = false,
                // What is left alone is met again in the next pass.
                Read::PassedOver(why) if passed_over.contains(&why) => {}
                Read::PassedOver(why) => passed_over.push(why),
            }
        }
        let step = demand.step;
        let sample = |series: &Series, slot| Sample { at: step.end(slot), load: series.get(slot) };
        let samples = parts.values().flat_map(|series| {
            let slots = series.grid().slots().filter(|slot| wanted.contains(slot));
            slots.map(move |slot| sample(series, slot))
        });
        Ok(all_there.then(|| Recalled { samples: samples.collect(), days, passed_over: Vec::new() }))
    }
}

impl engine::Archive for Archive {
    type Error = Error;

    async fn recall(
        &self,
        target: &Target,
        demand: &Demand,
        from: Slot,
        until: Slot,
    ) -> Result<Recalled, Error> {
        let mut passed_over = Vec::new();
        for _ in 0..LISTINGS {
            if let Some(recalled) = self.recall_once(target, demand, &(from..until), &mut passed_over).await?
            {
                return Ok(Recalled { passed_over, ..recalled });
            }
        }
        let folder = demand_folder(&target.name, demand);
        passed_over
            .push(format!("{folder} changes faster than it can be read; it is read at the next start"));
        Ok(Recalled { passed_over, ..Recalled::default() })
    }

    async fn keep(&self, target: &Target, demand: &Demand, day: &Series) -> Result<Kept, Error> {
        let step = demand.step;
        let date = Day::of(step, day.first());
        if day.step() != step || (day.first()..day.end()) != date.slots(step) {
            return Err(Error::NotADay);
        }
        if day.measured_count() == 0 {
            return Ok(Kept::Unmeasured);
        }
        let folder = demand_folder(&target.name, demand);
        if self.exists(&folder.clone().join(Span::month_of(date).name())).await? {
            return Ok(Kept::AlreadyThere);
        }
        let location = folder.join(Span::Day(date).name());
        if self.exists(&location).await? {
            return Ok(Kept::AlreadyThere);
        }
        self.create(target, demand, &location, day.clone()).await
    }

    async fn tidy(&self, target: &Target, demand: &Demand, now: Timestamp) -> Result<Tidied, Error> {
        self.tidy_up(target, demand, now).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Archive as _;

    #[test]
    fn a_hung_disk_is_an_error_and_not_a_wait() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        let folder = tempfile::tempdir().unwrap();
        let archive = Archive::try_new(folder.path(), Duration::from_secs(86_400)).unwrap();
        let never = std::future::pending::<object_store::Result<()>>();
        let error = runtime.unwrap().block_on(archive.patiently("read", &Path::from("a/b"), never));
        let said = error.unwrap_err().to_string();
        assert!(said.contains("could not read") && said.contains("a/b within 30 s"), "{said}");
    }

    #[tokio::test]
    async fn an_absurd_object_is_set_aside_without_being_read() {
        let folder = tempfile::tempdir().unwrap();
        let archive = Archive::try_new(folder.path(), Duration::from_secs(86_400)).unwrap();
        let target = object::test_target();
        let demand = &target.demands[0];
        let location = demand_folder(&target.name, demand).join("day-2026-11-01.parquet");
        let file = archive.root.join(location.as_ref());
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        // A hole of a terabyte takes no room on the disk.
        std::fs::File::create(&file).unwrap().set_len(1 << 40).unwrap();
        let slots = Span::parse("day-2026-11-01.parquet").unwrap().slots(demand.step);
        let recalled = archive.recall(&target, demand, slots.start, slots.end).await.unwrap();
        assert_eq!(recalled.days, 0);
        assert!(recalled.passed_over[0].contains("1099511627776 bytes"), "{:?}", recalled.passed_over);
        assert!(!file.exists());
    }

    #[tokio::test]
    async fn a_newer_format_is_left_alone_and_said_so() {
        let folder = tempfile::tempdir().unwrap();
        let archive = Archive::try_new(folder.path(), Duration::from_secs(86_400)).unwrap();
        let target = object::test_target();
        let demand = &target.demands[0];
        let span = Span::parse("day-2026-11-01.parquet").unwrap();
        let slots = span.slots(demand.step);
        let mut day = Series::empty(demand.step, slots.start);
        (slots.start.0..slots.end.0).for_each(|slot| day.put(Slot(slot), crate::units::Load::ZERO));
        let bytes = object::encode_as(2, &target, demand, &day).unwrap();
        let location = demand_folder(&target.name, demand).join(span.name());
        archive.store.put(&location, PutPayload::from_bytes(bytes.clone())).await.unwrap();

        let recalled = archive.recall(&target, demand, slots.start, slots.end).await.unwrap();
        let said = &recalled.passed_over[0];
        assert_eq!(recalled.days, 0);
        assert!(said.contains("is of format 2") && said.contains("left alone, upgrade"), "{said}");
        assert_eq!(archive.keep(&target, demand, &day).await.unwrap(), Kept::AlreadyThere);
        archive.tidy(&target, demand, slots_end(&day)).await.unwrap();
        let there = archive.store.get(&location).await.unwrap().bytes().await.unwrap();
        assert_eq!(there, bytes);
    }

    fn slots_end(day: &Series) -> Timestamp {
        day.step().start(day.end())
    }
}
