//! What was seen of pods, kept beside the archive: a small JSON file for each ScaledObject.
//!
//! ```text
//! <archive>/_starts/<namespace>/<name>.json
//! ```
//!
//! It is replaced as a whole, by renaming, so that a reader sees the old one or the new one. Replicas that share the volume
//! write the same pods; who is last wins, and nothing is lost by it but a start or two. No analyst's `*.parquet` is near it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use crate::engine::{Memory, ScaledObject};
use crate::plan::lead_time::{Sight, Start};
use crate::time::Timestamp;

/// Of the file. A newer one is left alone, and nothing is kept then.
const FORMAT: u32 = 1;

/// Why notes are not read or written.
#[derive(Debug, thiserror::Error)]
pub enum NotesError {
    /// The disk.
    #[error("cannot {verb} {path}; see that the archive's volume is there, has room and may be written")]
    Disk {
        /// What was tried.
        verb: &'static str,
        /// With which file.
        path: PathBuf,
        /// The system's words.
        #[source]
        source: io::Error,
    },
    /// What stands there.
    #[error("{path} is not what tidetable writes; remove it, and lead times are learned anew")]
    Garbled {
        /// The file.
        path: PathBuf,
        /// Where it is not.
        #[source]
        source: serde_json::Error,
    },
    /// A newer tidetable wrote it.
    #[error("{path} has format {found}, and this tidetable knows {FORMAT}; it is left alone")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
}

/// Notes in a folder.
#[derive(Debug)]
pub struct Notes {
    folder: PathBuf,
    written: AtomicU64,
}

#[derive(Debug, Serialize, Deserialize)]
struct File {
    format: u32,
    starts: Vec<Line>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Line {
    pod: String,
    template: String,
    created: Timestamp,
    scheduled: Timestamp,
    initialized: Timestamp,
    ready: Timestamp,
    watched: bool,
}

#[derive(Debug, Deserialize)]
struct Format {
    format: u32,
}

impl Notes {
    /// Notes beside the archive in `archive`. Nothing is read or made yet.
    pub fn beside(archive: &Path) -> Self {
        Self { folder: archive.join("_starts"), written: AtomicU64::new(0) }
    }

    fn file(&self, owner: &ScaledObject) -> PathBuf {
        self.folder.join(&owner.namespace).join(format!("{}.json", owner.name))
    }
}

impl Memory for Notes {
    type Error = NotesError;

    async fn recall(&self, owner: &ScaledObject) -> Result<Vec<Start>, NotesError> {
        let path = self.file(owner);
        let bytes = match tokio::fs::read(&path).await {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(NotesError::Disk { verb: "read", path, source }),
        };
        let read = serde_json::from_slice::<Format>(&bytes).and_then(|Format { format }| match format {
            FORMAT => serde_json::from_slice::<File>(&bytes).map(Ok),
            found => Ok(Err(found)),
        });
        match read {
            Ok(Ok(File { starts, .. })) => Ok(starts.into_iter().map(Start::from).collect()),
            Ok(Err(found)) => Err(NotesError::Newer { path, found }),
            Err(source) => Err(NotesError::Garbled { path, source }),
        }
    }

    async fn keep(&self, owner: &ScaledObject, starts: &[Start]) -> Result<(), NotesError> {
        let path = self.file(owner);
        let file = File { format: FORMAT, starts: starts.iter().map(Line::from).collect() };
        let bytes = serde_json::to_vec(&file).expect("times and texts are JSON");
        // Of this process and this write alone: two replicas on a volume do not write into each other's half.
        let write = self.written.fetch_add(1, Ordering::Relaxed);
        let half = path.with_extension(format!("json.{}-{write}", std::process::id()));
        let written = async {
            tokio::fs::create_dir_all(path.parent().unwrap_or(&self.folder)).await?;
            tokio::fs::write(&half, bytes).await?;
            tokio::fs::rename(&half, &path).await
        };
        written.await.map_err(|source| NotesError::Disk { verb: "write", path: path.clone(), source })
    }
}

impl From<&Start> for Line {
    fn from(start: &Start) -> Self {
        let Start { pod, template, created, scheduled, initialized, ready, sight } = start;
        Self {
            pod: pod.to_string(),
            template: template.to_string(),
            created: *created,
            scheduled: *scheduled,
            initialized: *initialized,
            ready: *ready,
            watched: *sight == Sight::Watched,
        }
    }
}

impl From<Line> for Start {
    fn from(line: Line) -> Self {
        let Line { pod, template, created, scheduled, initialized, ready, watched } = line;
        let sight = if watched { Sight::Watched } else { Sight::Found };
        Self { pod: pod.into(), template: template.into(), created, scheduled, initialized, ready, sight }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(name: &str) -> ScaledObject {
        ScaledObject { namespace: "payments".into(), name: name.into() }
    }

    fn starts(count: u32) -> Vec<Start> {
        let nine: Timestamp = "2026-11-27T09:00:00Z".parse().unwrap();
        let after = |seconds| nine + chrono::TimeDelta::seconds(seconds);
        (0..count)
            .map(|pod| Start {
                pod: pod.to_string().into(),
                template: "v1".into(),
                created: nine,
                scheduled: after(1),
                initialized: after(21),
                ready: after(51),
                sight: if pod % 2 == 0 { Sight::Watched } else { Sight::Found },
            })
            .collect()
    }

    #[tokio::test]
    async fn what_is_kept_is_recalled_and_the_newest_wins() {
        let folder = tempfile::tempdir().unwrap();
        let notes = Notes::beside(folder.path());
        assert_eq!(notes.recall(&owner("api")).await.unwrap(), []);
        notes.keep(&owner("api"), &starts(3)).await.unwrap();
        notes.keep(&owner("api"), &starts(5)).await.unwrap();
        let other = Notes::beside(folder.path());
        assert_eq!(other.recall(&owner("api")).await.unwrap(), starts(5));
        assert_eq!(other.recall(&owner("ledger")).await.unwrap(), []);
        let files = std::fs::read_dir(folder.path().join("_starts/payments")).unwrap().count();
        assert_eq!(files, 1, "no half is left");
    }

    #[tokio::test]
    async fn what_cannot_be_read_says_what_to_do_and_a_newer_format_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let notes = Notes::beside(folder.path());
        notes.keep(&owner("api"), &starts(1)).await.unwrap();
        let file = folder.path().join("_starts/payments/api.json");
        std::fs::write(&file, r#"{ "format": 1, "starts": [{}] }"#).unwrap();
        assert!(notes.recall(&owner("api")).await.unwrap_err().to_string().contains("remove it"));
        std::fs::write(&file, r#"{ "format": 2, "pods": [] }"#).unwrap();
        assert!(notes.recall(&owner("api")).await.unwrap_err().to_string().contains("format 2"));
    }
}
