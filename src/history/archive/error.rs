//! Why the archive could not do something, in words for an operator.

use std::error::Error as _;
use std::io;
use std::time::Duration;

/// What can go wrong with the archive as a whole; what is wrong with one object is in
/// [`Recalled::passed_over`](crate::engine::Recalled::passed_over).
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder cannot be opened or made.
    #[error(
        "the archive's folder {folder} cannot be used ({cause}); make it, and give it to the user of this process"
    )]
    Folder {
        /// The folder.
        folder: String,
        /// What the operating system says.
        cause: io::Error,
    },
    /// The store refused.
    #[error("the archive cannot {doing} {object} ({}); {}", root_cause(.cause), remedy(.cause))]
    Store {
        /// A verb.
        doing: &'static str,
        /// What it is about.
        object: String,
        /// What the store says.
        cause: object_store::Error,
    },
    /// The store did not answer.
    #[error(
        "the archive could not {doing} {object} within {} s; see whether its disk or mount hangs",
        after.as_secs()
    )]
    Timeout {
        /// A verb.
        doing: &'static str,
        /// What it is about.
        object: String,
        /// The patience.
        after: Duration,
    },
    /// What was given to keep is no day.
    #[error(
        "what is to be kept is not exactly the slots of one UTC day of the target's step; cut it with Day::cut"
    )]
    NotADay,
    /// A month was written and cannot be read.
    #[error("{object} was written and cannot be read back; its days stay, see whether the disk is sound")]
    NotReadBack {
        /// The object.
        object: String,
    },
    /// Encoding failed, which has nothing to do with the disk.
    #[error("{object} cannot be encoded ({cause}); this is a mistake in tidetable, please report it")]
    Encode {
        /// The object.
        object: String,
        /// What the encoder says.
        cause: String,
    },
}

/// What lies at the bottom of a store's error, without the layers above it.
pub(super) fn root_cause(error: &object_store::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

fn remedy(error: &object_store::Error) -> &'static str {
    let mut cause = error.source();
    let kind = loop {
        let Some(error) = cause else { break None };
        if let Some(error) = error.downcast_ref::<io::Error>() {
            break Some(error.kind());
        }
        cause = error.source();
    };
    match kind {
        Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge) => {
            "nothing that was there is lost; make room or lower history.retention"
        }
        Some(io::ErrorKind::ReadOnlyFilesystem) => {
            "nothing that was there is lost; mount it so that it can be written"
        }
        Some(io::ErrorKind::PermissionDenied) => "give the folder to the user of this process",
        _ => "nothing that was there is lost; see whether the disk is sound and the folder is still there",
    }
}
