//! The contents of the files, read as one.
//!
//! Kubernetes swaps a Secret's files together, by one symbolic link; but a certificate read before the swap and a key read
//! after it do not belong together. So the files are read twice, and count only if nothing changed in between.

use std::fmt;
use std::io::{self, Read};
use std::path::Path;

use super::{Error, Settings};

/// A bundle of some hundred authorities; what is larger is no PEM file of ours.
const MOST_BYTES: u64 = 1 << 20;

/// What stands in the files.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Contents {
    pub(super) cert: Vec<u8>,
    pub(super) key: Vec<u8>,
    pub(super) client_ca: Option<Vec<u8>>,
}

impl fmt::Debug for Contents {
    /// Without the contents: one of them is a private key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contents").finish_non_exhaustive()
    }
}

impl Contents {
    /// Reads the files; `None` when they changed meanwhile. Blocks.
    pub(super) fn read(settings: &Settings) -> Result<Option<Self>, Error> {
        let first = Self::read_once(settings)?;
        Ok((Self::read_once(settings)? == first).then_some(first))
    }

    fn read_once(settings: &Settings) -> Result<Self, Error> {
        Ok(Self {
            cert: read(&settings.cert)?,
            key: read(&settings.key)?,
            client_ca: settings.client_ca.as_deref().map(read).transpose()?,
        })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let unreadable = |source| Error::Unreadable { path: path.to_owned(), source };
    let mut contents = Vec::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(MOST_BYTES + 1).read_to_end(&mut contents).map_err(unreadable)?;
    if contents.len() as u64 > MOST_BYTES {
        return Err(unreadable(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 1 MiB")));
    }
    Ok(contents)
}
