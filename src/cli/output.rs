//! What a command writes: to standard output, whose reader may leave early, or to a file that is whole or not there.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process;

/// Whether to go on after writing: a reader that has seen enough, such as `head`, is no failure, but the end.
pub(super) fn read_on(written: io::Result<()>) -> io::Result<bool> {
    match written {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error),
    }
}

/// A line for people on standard error. When nobody reads there, there is nobody left to tell.
pub(super) fn say(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// A file that is to hold the outcome of long work.
///
/// It is written beside its place and moved there when it is whole, so that whoever looks finds what was there before or
/// all of what is new. Devices and pipes (`/dev/stdout`, `/dev/null`, `>(…)`) have no such place and are written to as
/// they are.
#[derive(Debug)]
pub(super) enum OutputFile {
    /// Where the file will be, and where it is written.
    Moved { place: PathBuf, sibling: PathBuf },
    /// Written to as it is.
    Direct(PathBuf),
}

impl OutputFile {
    /// Finds out, before the work, whether it can be written after. Nothing is left behind, and what is there stays.
    pub(super) fn try_new(path: &Path) -> io::Result<Self> {
        let there = match fs::metadata(path) {
            Ok(there) => Some(there),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        match &there {
            Some(there) if there.is_dir() => return Err(ErrorKind::IsADirectory.into()),
            Some(there) if !there.is_file() => return Ok(Self::Direct(path.to_owned())),
            Some(there) if there.permissions().readonly() => return Err(ErrorKind::PermissionDenied.into()),
            _ => {}
        }
        // A link stays a link: it is what it points to that is replaced.
        let place = if there.is_some() { path.canonicalize()? } else { path.to_owned() };
        let name = place.file_name().ok_or(ErrorKind::InvalidFilename)?.to_string_lossy();
        let sibling = place.with_file_name(format!(".{name}.{}.unfinished", process::id()));
        File::create_new(&sibling)?;
        fs::remove_file(&sibling)?;
        Ok(Self::Moved { place, sibling })
    }

    /// Writes all of it.
    pub(super) fn write(&self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Direct(path) => read_on(fs::write(path, bytes)).map(|_| ()),
            Self::Moved { place, sibling } => {
                let moved = write_whole(sibling, place, bytes);
                if moved.is_err() {
                    // The first error is the one to tell.
                    let _ = fs::remove_file(sibling);
                }
                moved
            }
        }
    }
}

fn write_whole(sibling: &Path, place: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create_new(sibling)?;
    file.write_all(bytes)?;
    if let Ok(there) = fs::metadata(place) {
        file.set_permissions(there.permissions())?;
    }
    // Before the move, or a crash could leave an empty file with the right name.
    file.sync_all()?;
    fs::rename(sibling, place)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn a_file_is_whole_or_what_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("out.csv");
        let output = OutputFile::try_new(&place).unwrap();
        assert!(names(folder.path()).is_empty(), "looking leaves nothing");
        output.write(b"one").unwrap();
        OutputFile::try_new(&place).unwrap();
        assert_eq!(fs::read(&place).unwrap(), b"one", "looking changes nothing");
        OutputFile::try_new(&place).unwrap().write(b"two").unwrap();
        assert_eq!(fs::read(&place).unwrap(), b"two");
        assert_eq!(names(folder.path()), ["out.csv"]);
    }

    #[test]
    fn a_link_still_points_where_it_did() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real.csv"), folder.path().join("link.csv"));
        fs::write(&real, "old").unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        OutputFile::try_new(&link).unwrap().write(b"new").unwrap();
        assert_eq!(fs::read(&real).unwrap(), b"new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }

    #[test]
    fn what_cannot_be_written_is_known_before_the_work() {
        let folder = tempfile::tempdir().unwrap();
        assert!(OutputFile::try_new(folder.path()).is_err(), "a folder");
        assert!(OutputFile::try_new(&folder.path().join("nowhere/out.csv")).is_err());
        assert!(matches!(OutputFile::try_new("/dev/null".as_ref()), Ok(OutputFile::Direct(_))));
    }

    #[test]
    fn a_reader_who_left_is_no_failure() {
        assert!(!read_on(Err(ErrorKind::BrokenPipe.into())).unwrap());
        assert!(read_on(Ok(())).unwrap());
        assert!(read_on(Err(ErrorKind::StorageFull.into())).is_err());
    }
}
