//! Every calendar and profile there is: those shipped, those of a mounted folder, those of the configuration.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use serde_json::Value;

use super::super::checker::Checker;
use super::super::complaint::{Complaint, Complaints, KeyPath};
use super::super::node::Node;
use super::super::{schema, shape};
use super::parts::{self, Known};
use super::shelf::{Problem, Shelf};
use super::{raw, shipped};
use crate::calendar::{Calendar, Profile};

/// A model file as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelFile {
    /// What complaints call it.
    pub file: String,
    /// The calendar's or profile's name: the file's, without its ending.
    pub name: String,
    /// Which of the two it is.
    pub kind: ModelKind,
    /// Its text.
    pub text: String,
}

/// What a model file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelKind {
    /// A calendar, from the folder `calendars`.
    Calendar,
    /// A profile, from the folder `profiles`.
    Profile,
}

/// Calendars and profiles by name. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Library {
    shelf: Arc<Shelf>,
    calendars: Arc<BTreeMap<String, Arc<Calendar>>>,
}

impl PartialEq for Library {
    /// Equal calendars and profiles, however they were written.
    fn eq(&self, other: &Self) -> bool {
        self.calendars == other.calendars && self.shelf.profiles == other.shelf.profiles
    }
}

static SHIPPED: LazyLock<Library> = LazyLock::new(|| {
    let empty = Library { shelf: Arc::default(), calendars: Arc::default() };
    empty
        .with_files(&shipped::files())
        .unwrap_or_else(|complaints| panic!("a shipped model is wrong: {complaints}"))
});

impl Library {
    /// The models that are part of the binary.
    pub fn shipped() -> Self {
        SHIPPED.clone()
    }

    /// The same with further files on top: of one name the later counts, and may extend the earlier.
    ///
    /// # Errors
    /// Everything that is wrong with any of the files.
    pub fn with_files(&self, files: &[ModelFile]) -> Result<Self, Complaints> {
        let mut all = Complaints::none();
        let read: Vec<_> = files.iter().filter_map(|file| Read::new(file, &mut all)).collect();
        let mut shelf = Shelf::clone(&self.shelf);
        // Profiles first: calendars refer to them.
        for (file, fitting) in of_kind(&read, ModelKind::Profile) {
            let mut checker = Checker::new(&fitting.tree, fitting.structural.clone());
            let root = KeyPath::root();
            let profile = fitting.raw::<raw::Profile>(&mut checker);
            let profile = profile.and_then(|raw| parts::profile(&file.name, &raw, &root, &mut checker));
            shelf.profiles.extend(profile.map(|profile| (file.name.clone(), Arc::new(profile))));
            all.add(&file.file, checker.into_complaints());
        }
        let (calendars, profiles) = names(&shelf, of_kind(&read, ModelKind::Calendar).map(|(file, _)| file));
        let known = Known { calendars: &calendars, profiles: &profiles };
        for (file, fitting) in of_kind(&read, ModelKind::Calendar) {
            let mut checker = Checker::new(&fitting.tree, fitting.structural.clone());
            let root = KeyPath::root();
            let calendar = fitting.raw::<raw::Calendar>(&mut checker);
            let parts = calendar.and_then(|raw| parts::check(&raw, &root, known, &mut checker));
            if let Some(parts) = parts {
                shelf.calendars.entry(file.name.clone()).or_default().push(parts);
            }
            all.add(&file.file, checker.into_complaints());
        }
        // A calendar that was complained of may be referred to; nothing is put together then.
        all.into_result()?;
        Self::assembled(shelf).map_err(|problems| {
            let mut all = Complaints::none();
            for (name, problem) in problems {
                let file =
                    files.iter().rev().find(|file| file.name == name && file.kind == ModelKind::Calendar);
                let file = file.map_or(name.as_str(), |file| &file.file);
                let message = problem.to_string();
                all.add(file, vec![Complaint { place: None, path: KeyPath::root(), message }]);
            }
            all
        })
    }

    /// The same with the calendars of a configuration on top, which stand below `path` in it.
    pub(in crate::config) fn with_calendars(
        &self,
        calendars: &BTreeMap<String, raw::Calendar>,
        path: &KeyPath,
        checker: &mut Checker<'_>,
    ) -> Option<Self> {
        let mut shelf = Shelf::clone(&self.shelf);
        let mut known: Vec<String> = shelf.calendars.keys().cloned().collect();
        known.extend(calendars.keys().filter(|name| !shelf.calendars.contains_key(*name)).cloned());
        let profiles: Vec<String> = shelf.profiles.keys().cloned().collect();
        let known = Known { calendars: &known, profiles: &profiles };
        let mut sound = true;
        for (name, raw) in calendars {
            let path = path.key(name);
            if shelf.calendars.contains_key(name) && raw.extends.as_deref() != Some(name) {
                let message = format!(
                    "a calendar {name:?} is there already; write extends: {name} to change it, or give yours another name"
                );
                checker.complain(&path, message);
                sound = false;
                continue;
            }
            match parts::check(raw, &path, known, checker) {
                Some(parts) => shelf.calendars.entry(name.clone()).or_default().push(parts),
                None => sound = false,
            }
        }
        if !sound {
            return None;
        }
        let assembled = Self::assembled(shelf);
        let say = |problems: Vec<(String, Problem)>| {
            for (name, problem) in problems {
                checker.complain(&path.key(&name), problem.to_string());
            }
        };
        assembled.map_err(say).ok()
    }

    /// Every calendar of a shelf put together, or each that cannot be.
    fn assembled(shelf: Shelf) -> Result<Self, Vec<(String, Problem)>> {
        let mut problems = Vec::new();
        let mut calendars = BTreeMap::new();
        for name in shelf.calendars.keys() {
            match shelf.calendar(name) {
                Ok(calendar) => drop(calendars.insert(name.clone(), Arc::new(calendar))),
                Err(problem) => problems.push((name.clone(), problem)),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Self { shelf: Arc::new(shelf), calendars: Arc::new(calendars) })
    }

    /// The calendar of a name.
    pub fn calendar(&self, name: &str) -> Option<&Arc<Calendar>> {
        self.calendars.get(name)
    }

    /// Every calendar, by name.
    pub fn calendars(&self) -> impl Iterator<Item = &Arc<Calendar>> + Clone {
        self.calendars.values()
    }

    /// The profile of a name.
    pub fn profile(&self, name: &str) -> Option<&Arc<Profile>> {
        self.shelf.profiles.get(name)
    }

    /// The names of all profiles.
    pub fn profiles(&self) -> impl Iterator<Item = &str> {
        self.shelf.profiles.keys().map(String::as_str)
    }
}

/// Reads the folders `calendars` and `profiles` of a folder of models, in the order of their names.
///
/// # Errors
/// When one of them is there and cannot be read.
pub(in crate::config) fn model_files(folder: &Path) -> std::io::Result<Vec<(std::path::PathBuf, ModelKind)>> {
    let mut files = Vec::new();
    for (name, kind) in [("calendars", ModelKind::Calendar), ("profiles", ModelKind::Profile)] {
        let folder = folder.join(name);
        if !folder.try_exists()? {
            continue;
        }
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml") {
                files.push((path, kind));
            }
        }
    }
    files.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(files)
}

/// A model file whose shape was looked at.
struct Read {
    tree: Node,
    fitting: Option<Value>,
    structural: Vec<Complaint>,
}

impl Read {
    fn new<'a>(file: &'a ModelFile, all: &mut Complaints) -> Option<(&'a ModelFile, Self)> {
        let tree = match Node::read(&file.text) {
            Ok(tree) => tree,
            Err(complaint) => {
                all.add(&file.file, vec![complaint]);
                return None;
            }
        };
        let schema = match file.kind {
            ModelKind::Calendar => schema::of::<raw::Calendar>(),
            ModelKind::Profile => schema::of::<raw::Profile>(),
        };
        let (fitting, structural) = shape::check(&tree, &schema);
        Some((file, Self { tree, fitting, structural }))
    }

    fn raw<T: serde::de::DeserializeOwned>(&self, checker: &mut Checker<'_>) -> Option<T> {
        checker.accept(&KeyPath::root(), serde_json::from_value(self.fitting.clone()?))
    }
}

fn of_kind<'a>(
    read: &'a [(&'a ModelFile, Read)],
    kind: ModelKind,
) -> impl Iterator<Item = (&'a ModelFile, &'a Read)> {
    read.iter().filter(move |(file, _)| file.kind == kind).map(|(file, read)| (*file, read))
}

fn names<'a>(shelf: &Shelf, more: impl Iterator<Item = &'a ModelFile>) -> (Vec<String>, Vec<String>) {
    let mut calendars: Vec<String> = shelf.calendars.keys().cloned().collect();
    calendars.extend(more.map(|file| file.name.clone()));
    calendars.sort();
    calendars.dedup();
    (calendars, shelf.profiles.keys().cloned().collect())
}
