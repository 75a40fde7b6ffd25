//! Calendars and events of a configuration, with the files it names: models, iCalendars, tables.
//!
//! Files are found relative to the folder of the configuration. Each is checked like the configuration itself, and what is
//! wrong with it stands among the complaints with its own name and line.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono_tz::Tz;

use super::checker::Checker;
use super::complaint::{Complaints, KeyPath};
use super::event::{self, Announced, Context};
use super::meant::Roster;
use super::models::{Library, ModelFile, each, model_files, reference};
use super::{event_file, models, raw};
use crate::calendar::{Almanac, Calendar};

/// A larger file of models or events is none of ours: ten years of a daily event are half of this.
const MOST_BYTES: u64 = 4 << 20;

/// Calendars and events.
#[derive(Debug, Clone, PartialEq)]
pub struct Calendars {
    /// Every calendar and profile there is.
    pub library: Library,
    /// Every event, in the order in which the configuration and its files have them.
    pub events: Vec<Announced>,
    /// Files and folders that the configuration names, to be watched with it.
    pub files: Vec<PathBuf>,
    written: Written,
}

/// The sections as they were written.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Written {
    pub(super) models: Option<String>,
    pub(super) calendars: Option<BTreeMap<String, models::raw::Calendar>>,
    pub(super) events: Option<Vec<raw::Event>>,
    pub(super) event_files: Option<Vec<raw::EventFile>>,
}

impl Calendars {
    /// The sections as the file has them.
    pub(super) fn written(&self) -> &Written {
        &self.written
    }

    /// What a target listens to that names these calendars.
    pub(super) fn almanac(&self, target: &str, zone: Tz, calendars: Vec<Arc<Calendar>>) -> Almanac {
        let events = self.events.iter().filter(|announced| announced.moves(target));
        Almanac::none(zone).with_calendars(calendars).with_events(events.map(|one| one.event.clone()))
    }
}

/// What is checked against: the folder of the configuration, its targets, and where complaints about other files go.
pub(super) struct Surroundings<'a> {
    pub(super) folder: &'a Path,
    pub(super) targets: &'a Roster,
    pub(super) others: &'a mut Complaints,
}

/// `None` only when something was complained of, here or in another file.
pub(super) fn check(
    raw: &raw::Config,
    path: &KeyPath,
    around: &mut Surroundings<'_>,
    checker: &mut Checker<'_>,
) -> Option<Calendars> {
    let mut files = Vec::new();
    let shipped = Library::shipped();
    let mounted = match raw.models.as_deref() {
        Some(folder) => {
            let folder = around.folder.join(folder);
            files.push(folder.clone());
            with_folder(&shipped, &folder, &path.key("models"), around.others, checker)
        }
        None => Some(shipped.clone()),
    };
    let library = match (&mounted, &raw.calendars) {
        (Some(mounted), Some(own)) => mounted.with_calendars(own, &path.key("calendars"), checker),
        (mounted, _) => mounted.clone(),
    };
    // Events are checked even so: what is wrong with them is to be named in the same run.
    let profiles = library.as_ref().or(mounted.as_ref()).unwrap_or(&shipped);
    let context = Context { targets: Some(around.targets), library: profiles };
    let own = each(raw.events.as_ref(), &path.key("events"), checker, |raw, path, checker| {
        event::check(raw, path, context, checker)
    });
    let others = &mut *around.others;
    let folder = around.folder;
    let read = each(raw.event_files.as_ref(), &path.key("eventFiles"), checker, |raw, path, checker| {
        let file = folder.join(raw.file.as_deref()?);
        files.push(file.clone());
        from_file(&file, raw, path, context, others, checker)
    });
    let mut events = own?;
    events.extend(read?.into_iter().flatten());
    let written = Written {
        models: raw.models.clone(),
        calendars: raw.calendars.clone(),
        events: raw.events.clone(),
        event_files: raw.event_files.clone(),
    };
    Some(Calendars { library: library?, events, files, written })
}

fn with_folder(
    shipped: &Library,
    folder: &Path,
    path: &KeyPath,
    others: &mut Complaints,
    checker: &mut Checker<'_>,
) -> Option<Library> {
    match read_folder(folder) {
        Ok(files) if files.is_empty() => {
            let message =
                format!("{} has no calendars/NAME.yaml and no profiles/NAME.yaml", folder.display());
            checker.complain(path, message);
            None
        }
        Ok(files) => shipped.with_files(&files).map_err(|complaints| others.join(complaints)).ok(),
        Err(error) => {
            checker.complain(path, format!("{} cannot be read ({error})", folder.display()));
            None
        }
    }
}

/// The model files of a folder.
///
/// # Errors
/// When the folder or one of its files cannot be read.
pub fn read_folder(folder: &Path) -> io::Result<Vec<ModelFile>> {
    std::fs::metadata(folder)?;
    let files = model_files(folder)?.into_iter().map(|(path, kind)| {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(ModelFile { file: path.display().to_string(), name, kind, text: read(&path)? })
    });
    files.collect()
}

/// What files hold, and the files of folders of models; what cannot be read is left out.
pub fn contents(paths: &[PathBuf]) -> Vec<(PathBuf, Vec<u8>)> {
    let all = paths.iter().flat_map(|path| match model_files(path) {
        Ok(files) if path.is_dir() => files.into_iter().map(|(file, _)| file).collect(),
        _ => vec![path.clone()],
    });
    all.filter_map(|path| {
        let mut bytes = Vec::new();
        File::open(&path).ok()?.take(MOST_BYTES + 1).read_to_end(&mut bytes).ok()?;
        Some((path, bytes))
    })
    .collect()
}

/// A text file of bounded size.
fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MOST_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MOST_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 4 MiB"));
    }
    Ok(text)
}

fn from_file(
    file: &Path,
    raw: &raw::EventFile,
    path: &KeyPath,
    context: Context<'_>,
    others: &mut Complaints,
    checker: &mut Checker<'_>,
) -> Option<Vec<Announced>> {
    let profiles: Vec<String> = context.library.profiles().map(str::to_owned).collect();
    let meant =
        context.targets.map(|roster| roster.meant(raw.targets.as_ref(), raw.labels.as_ref(), path, checker));
    let profile = reference(raw.profile.as_deref(), &profiles, "profile", &path.key("profile"), checker);
    let mut sound = meant.is_none_or(|meant| meant.is_ok()) && profile.is_ok();
    if let Some(zone) = raw.timezone.as_deref() {
        sound &= models::values::timezone(zone, &path.key("timezone"), checker).is_some();
    }
    for (category, profile) in raw.categories.iter().flatten() {
        let path = path.key("categories").key(category);
        sound &= reference(Some(profile), &profiles, "profile", &path, checker).is_ok();
    }
    if !sound {
        return None;
    }
    let text = match read(file) {
        Ok(text) => text,
        Err(error) => {
            checker.complain(&path.key("file"), format!("{} cannot be read ({error})", file.display()));
            return None;
        }
    };
    let name = file.display().to_string();
    event_file::events(&name, &text, raw, context).map_err(|complaints| others.join(complaints)).ok()
}

/// The events of a file, for a command line that names one: any target is meant.
///
/// # Errors
/// [`io::Error`] when it cannot be read; the complaints about it in the inner one.
pub fn read_events(
    file: &Path,
    zone: Tz,
    library: &Library,
) -> io::Result<Result<Vec<Announced>, Complaints>> {
    let raw = raw::EventFile { timezone: Some(zone.name().to_owned()), ..raw::EventFile::default() };
    let context = Context { targets: None, library };
    Ok(event_file::events(&file.display().to_string(), &read(file)?, &raw, context))
}
