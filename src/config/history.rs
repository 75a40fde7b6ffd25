//! Where settled load is kept, and for how long.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::checker::Checker;
use super::complaint::KeyPath;
use super::{defaults, duration, raw};

/// Where settled load is kept, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// The folder, absolute.
    pub archive: PathBuf,
    /// What is wholly older goes.
    pub retention: Duration,
}

/// Below a day nothing would be kept, for days are kept whole; above ten years it is a slip.
const RETENTIONS: RangeInclusive<Duration> = Duration::from_secs(86_400)..=Duration::from_secs(3660 * 86_400);

pub(super) fn check(raw: &raw::History, path: &KeyPath, checker: &mut Checker<'_>) -> Option<History> {
    let archive = raw.archive.as_deref().and_then(|text| folder(text, &path.key("archive"), checker));
    let retention = raw.retention.as_deref();
    let retention = checker.duration(&path.key("retention"), retention, defaults::RETENTION, &RETENTIONS);
    Some(History { archive: archive?, retention: retention? })
}

/// The folder that a URL names. It is not repeated in a complaint: the URL of an object store may hold a secret.
fn folder(text: &str, path: &KeyPath, checker: &mut Checker<'_>) -> Option<PathBuf> {
    const LIKE: &str = "write it like file:///var/lib/tidetable";
    let complaint = match reqwest::Url::parse(text) {
        Err(_) if text.starts_with('/') => format!("is a path where a URL is expected; {LIKE}"),
        Err(error) => format!("is not a URL ({error}); {LIKE}"),
        Ok(url) if matches!(url.scheme(), "s3" | "gs" | "az" | "http" | "https") => {
            "object stores are not supported yet; name a folder on a persistent volume, such as \
             file:///var/lib/tidetable"
                .to_owned()
        }
        Ok(url) if url.scheme() != "file" => format!("is not a file:// URL; {LIKE}"),
        Ok(url) if url.query().is_some() || url.fragment().is_some() => {
            "has a query or a fragment; name the folder only, with %3F for ? and %23 for #".to_owned()
        }
        Ok(url) => match url.to_file_path() {
            Ok(folder) if folder.parent().is_some() && folder.to_str().is_some() => return Some(folder),
            Ok(_) => format!("is the root of the file system or not UTF-8; {LIKE}"),
            Err(()) => format!("names a host; a file:// URL has three slashes, {LIKE}"),
        },
    };
    checker.complain(path, complaint);
    None
}

/// The keys as the file would write them, with nothing left out.
pub(super) fn to_raw(history: &History) -> raw::History {
    let archive = reqwest::Url::from_file_path(&history.archive).map(String::from);
    raw::History { archive: archive.ok(), retention: Some(duration::text(history.retention)) }
}
