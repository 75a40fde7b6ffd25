//! What is wrong with a configuration file: where, at which key, and what to do about it.
//!
//! A complaint never quotes a secret: what stands in a URL, under an unknown key or in a header is named by its path, not
//! repeated. Complaints are collected, never thrown: an operator who has made six mistakes learns of six in one run.

use std::fmt;

/// A line and a column of the file, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: u64,
    /// The column, in characters.
    pub column: u64,
}

/// The way from the root of the file to a key, as in `targets.payments-api.replicas.max`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct KeyPath(Vec<String>);

impl KeyPath {
    /// The whole file.
    pub(super) fn root() -> Self {
        Self::default()
    }

    /// The key `name` below this one.
    pub(super) fn key(&self, name: &str) -> Self {
        let mut segments = self.0.clone();
        segments.push(name.to_owned());
        Self(segments)
    }

    /// The item `index` of this list.
    pub(super) fn item(&self, index: usize) -> Self {
        self.key(&index.to_string())
    }

    /// Its keys and indices.
    pub(super) fn segments(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("."))
    }
}

/// One mistake in a configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// Where it stands, when that is known.
    pub place: Option<Place>,
    /// The key it is about; empty when it is about the file.
    pub(super) path: KeyPath,
    /// What was found and what to do, as a lower-case fragment.
    pub message: String,
}

/// Everything that is wrong with a configuration and the files it names: file by file, in the order of their lines.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Complaints {
    files: Vec<(String, Vec<Complaint>)>,
}

impl Complaints {
    /// The complaints about the file that is called `file`; there is at least one.
    pub(super) fn new(file: &str, all: Vec<Complaint>) -> Self {
        assert!(!all.is_empty(), "nothing to complain of");
        let mut complaints = Self::none();
        complaints.add(file, all);
        complaints
    }

    /// Nothing is wrong so far. Not to be shown before something was added.
    pub(super) fn none() -> Self {
        Self { files: Vec::new() }
    }

    /// Adds what is wrong with the file that is called `file`, which may be nothing.
    pub(super) fn add(&mut self, file: &str, mut all: Vec<Complaint>) {
        if !all.is_empty() {
            all.sort_by_key(|complaint| complaint.place);
            self.files.push((file.to_owned(), all));
        }
    }

    /// Adds what is wrong with other files.
    pub(super) fn join(&mut self, other: Self) {
        self.files.extend(other.files);
    }

    /// Itself as an error, unless nothing is wrong.
    pub(super) fn into_result(self) -> Result<(), Self> {
        if self.files.is_empty() { Ok(()) } else { Err(self) }
    }

    /// The names of the files that are complained of.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(|(file, _)| file.as_str())
    }

    /// Each complaint.
    pub fn iter(&self) -> impl Iterator<Item = &Complaint> {
        self.files.iter().flat_map(|(_, all)| all)
    }
}

impl fmt::Display for Complaints {
    /// One line per complaint: `file:line:column: key.path: what is wrong; what to do`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = self.files.iter().flat_map(|(file, all)| all.iter().map(move |one| (file, one)));
        if let Some((file, first)) = lines.next() {
            write_line(f, file, first)?;
        }
        lines.try_for_each(|(file, complaint)| {
            writeln!(f)?;
            write_line(f, file, complaint)
        })
    }
}

fn write_line(f: &mut fmt::Formatter<'_>, file: &str, complaint: &Complaint) -> fmt::Result {
    write!(f, "{file}:")?;
    if let Some(Place { line, column }) = complaint.place {
        write!(f, "{line}:{column}:")?;
    }
    if !complaint.path.segments().is_empty() {
        write!(f, " {}:", complaint.path)?;
    }
    write!(f, " {}", complaint.message)
}
