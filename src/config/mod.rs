//! The configuration file: its raw shape, its validation, its schema.
//!
//! ```text
//! text → tree of keys with their lines → fits the schema? → raw types → checked values → Config
//!              (node)                       (shape)           (raw)      (server, source, target)
//! ```
//!
//! Each station complains of all it finds and hands on what is sound, so that one run of `check` names every mistake of
//! every target with its line, its key and a remedy. A [`Config`] exists only when there was nothing to complain of.
//!
//! Secrets are never written in the file, only the paths of the files that hold them. Nothing here opens those, resolves a
//! name or asks a clock: the same text, with the same files of models and events, always gives the same configuration. No other adapter is known here; `cli`
//! hands the settings on.

mod calendars;
mod checker;
mod complaint;
mod defaults;
mod demand;
mod duration;
mod event;
mod event_file;
mod exclude;
mod history;
mod meant;
mod models;
mod nearest;
mod node;
mod raw;
mod scaling;
mod schema;
mod server;
mod shape;
mod source;
mod target;
mod wording;

use std::collections::BTreeMap;
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

pub use calendars::{Calendars, contents, read_events, read_folder};
pub use complaint::{Complaint, Complaints, Place};
pub use event::Announced;
pub use history::History;
pub use models::{Library, ModelFile, ModelKind};
pub(crate) use nearest::{listed, nearest};
pub use schema::{calendar_schema, profile_schema, schema};
pub use server::{Listen, ListenError, Tls};
pub use source::{Auth, ClientTls, Identity, Method, PrometheusSettings};
pub(crate) use target::{LEAD_TIMES, is_object_name};

use checker::Checker;
use complaint::KeyPath;
use meant::Roster;
use node::Node;

use crate::engine::Target;

/// A larger file is no configuration of ours: a thousand targets with every key are a third of this.
const MOST_BYTES: usize = 1 << 20;

/// The configuration, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Where KEDA's calls arrive.
    pub grpc: Listen,
    /// Where pages, metrics and health are.
    pub http: SocketAddr,
    /// Where settled load is kept; only in memory when `None`.
    pub history: Option<History>,
    /// TLS for KEDA's calls; plaintext without it.
    pub tls: Option<Tls>,
    /// Calendars and events; each target's almanac is made of them.
    pub calendars: Calendars,
    /// Metrics sources by name; every target's demand names one of them.
    pub sources: BTreeMap<String, PrometheusSettings>,
    /// Targets in the order of their names, at least one.
    pub targets: Vec<Target>,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read the configuration {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// It can be read and has mistakes.
    #[error(transparent)]
    Complaints(#[from] Complaints),
}

/// The files that a refused configuration's complaints are about.
pub fn named_files(error: &Error) -> Vec<PathBuf> {
    match error {
        Error::Read { .. } => Vec::new(),
        Error::Complaints(complaints) => complaints.files().map(PathBuf::from).collect(),
    }
}

/// Reads and checks the configuration file at `path`.
///
/// # Errors
/// [`Error::Read`] when it cannot be read, [`Error::Complaints`] with everything that is wrong with it.
pub fn load(path: &Path) -> Result<Config, Error> {
    let unreadable = |source| Error::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let most = u64::try_from(MOST_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    std::fs::File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes)).map_err(unreadable)?;
    let name = path.display().to_string();
    let text = String::from_utf8(bytes).map_err(|_| whole_file(&name, "is not UTF-8 text"))?;
    Ok(parse(&name, &text)?)
}

/// Checks the configuration that `text` holds. Complaints call the file `name`, and files of models and events that it names
/// are looked for in the folder of `name`.
///
/// # Errors
/// Everything that is wrong with it.
pub fn parse(name: &str, text: &str) -> Result<Config, Complaints> {
    if text.len() > MOST_BYTES {
        return Err(whole_file(name, "is larger than 1 MiB; a configuration is far smaller"));
    }
    let tree = Node::read(text).map_err(|complaint| Complaints::new(name, vec![complaint]))?;
    let (fitting, structural) = shape::check(&tree, &schema());
    let mut checker = Checker::new(&tree, structural);
    let raw = fitting
        .and_then(|fitting| checker.accept(&KeyPath::root(), serde_json::from_value::<raw::Config>(fitting)));
    let mut others = Complaints::none();
    let folder = Path::new(name).parent().unwrap_or(Path::new(""));
    let config = raw.and_then(|raw| check(&raw, folder, &mut others, &mut checker));

    let mut complaints = Complaints::none();
    complaints.add(name, checker.into_complaints());
    complaints.join(others);
    match config {
        Some(config) => complaints.into_result().map(|()| config),
        None => Err(complaints),
    }
}

fn whole_file(name: &str, message: &str) -> Complaints {
    let complaint = Complaint { place: None, path: KeyPath::root(), message: message.to_owned() };
    Complaints::new(name, vec![complaint])
}

/// `None` only when something was complained of.
fn check(
    raw: &raw::Config,
    folder: &Path,
    others: &mut Complaints,
    checker: &mut Checker<'_>,
) -> Option<Config> {
    let path = KeyPath::root();
    let server = server::check(&raw.server.clone().unwrap_or_default(), &path.key("server"), checker);

    let history = match &raw.history {
        Some(raw) => history::check(raw, &path.key("history"), checker).map(Some),
        None => Some(None),
    };

    // A source that is complained of is still a source: its name is not unknown to targets.
    let declared = checker.tree().at(&path.key("sources"));
    let declared: Vec<&str> = declared.into_iter().flat_map(Node::keys).collect();
    let sources_path = path.key("sources");
    let sources: Vec<_> = raw
        .sources
        .iter()
        .flatten()
        .map(|(name, raw)| Some((name.clone(), source::check(raw, &sources_path.key(name), checker)?)))
        .collect();
    let targets_path = path.key("targets");
    let roster = raw.targets.as_ref().map(Roster::of).unwrap_or_default();
    let mut around = calendars::Surroundings { folder, targets: &roster, others };
    let calendars = calendars::check(raw, &path, &mut around, checker);
    let targets: Vec<_> = raw
        .targets
        .iter()
        .flatten()
        .map(|(name, raw)| {
            let context = target::Context { sources: &declared, calendars: calendars.as_ref() };
            target::check(name, raw, &targets_path.key(name), context, checker)
        })
        .collect();

    let server::Server { grpc, http, tls } = server?;
    Some(Config {
        grpc,
        http,
        tls,
        history: history?,
        calendars: calendars?,
        sources: sources.into_iter().collect::<Option<_>>()?,
        targets: targets.into_iter().collect::<Option<_>>()?,
    })
}

impl Config {
    /// The configuration as a file that says everything, defaults included. Secrets appear as the paths of their files
    /// only. It reads back as the same configuration.
    #[expect(
        clippy::missing_panics_doc,
        reason = "there is nothing a caller could do to bring a panic about"
    )]
    pub fn effective(&self) -> String {
        let sources = self.sources.iter().map(|(name, settings)| (name.clone(), source::to_raw(settings)));
        let targets = self.targets.iter().map(|target| (target.name.to_string(), target::to_raw(target)));
        let written = self.calendars.written();
        let server = server::to_raw(&self.grpc, self.http, self.tls.as_ref());
        let raw = raw::Config {
            server: Some(server),
            history: self.history.as_ref().map(history::to_raw),
            models: written.models.clone(),
            calendars: written.calendars.clone(),
            events: written.events.clone(),
            event_files: written.event_files.clone(),
            sources: Some(sources.collect()),
            targets: Some(targets.collect()),
        };
        let mut value = serde_json::to_value(raw).expect("the raw types hold nothing that JSON cannot");
        drop_nulls(&mut value);
        serde_saphyr::to_string(&value).expect("YAML holds whatever JSON does")
    }
}

/// Takes out what was not given: `key: null` is a mistake in this file.
fn drop_nulls(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(object) => {
            object.retain(|_, value| !value.is_null());
            object.values_mut().for_each(drop_nulls);
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}
