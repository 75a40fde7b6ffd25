//! Where connections arrive: a TCP port, or a socket in the file system.
//!
//! A socket's file outlives a process that was killed and would keep its successor from starting, so a stale one is
//! replaced: only if it is a socket, and only if nobody answers there. At exit the file goes, unless it is by then another's.

use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener, UnixStream};

use super::connection::Stream;

/// The owner and the group may connect, which takes the right to write. A pod's `fsGroup`, or the group of the folder,
/// is how KEDA's process is let in.
const MODE: u32 = 0o660;

/// What a socket's file is called, after its path, until it has its mode and listens.
const UNNAMED: &str = ".new";

/// Who listens accepts at once; who does not within this is there all the same.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// Where connections arrive.
#[derive(Debug)]
pub enum Listener {
    /// A TCP port.
    Tcp(TcpListener),
    /// A socket in the file system.
    Unix(Socket),
}

/// A socket in the file system; its file goes with it.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
    /// Device and inode of the file that is ours.
    file: (u64, u64),
}

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Something else has that name.
    #[error("{} is there and not a socket; remove it or choose another path", path.display())]
    NotASocket {
        /// Where.
        path: PathBuf,
    },
    /// Somebody listens.
    #[error("another process answers at {}; end it or choose another path", path.display())]
    Taken {
        /// Where.
        path: PathBuf,
    },
    /// The system refuses.
    #[error("cannot listen at {}; does its folder exist, and may this user write there?", path.display())]
    Refused {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Listener {
    /// Listens at `path`, for the owner and the group of the file (mode 0660). A stale socket is replaced.
    ///
    /// The socket gets its name only when it has its mode and listens, so nobody finds it half made: neither a client, nor
    /// another process of ours that asks whether it is stale.
    ///
    /// # Errors
    /// [`BindError`], one variant for each thing that can be in the way.
    pub async fn bind_unix(path: &Path) -> Result<Self, BindError> {
        let refused = |source| BindError::Refused { path: path.to_owned(), source };
        unless_used(path).await?;
        let mut unnamed = path.as_os_str().to_owned();
        unnamed.push(UNNAMED);
        let unnamed = PathBuf::from(unnamed);
        if std::fs::symlink_metadata(&unnamed).is_ok_and(|file| file.file_type().is_socket()) {
            // Of a process that was killed in these lines. If it cannot be removed, binding says so.
            let _ = std::fs::remove_file(&unnamed);
        }
        let listener = UnixListener::bind(&unnamed).map_err(refused)?;
        let mode = std::fs::Permissions::from_mode(MODE);
        let named = std::fs::set_permissions(&unnamed, mode).and_then(|()| {
            let file = file_at(&unnamed)?;
            std::fs::rename(&unnamed, path)?;
            Ok(file)
        });
        match named {
            Ok(file) => Ok(Self::Unix(Socket { listener, path: path.to_owned(), file })),
            Err(error) => {
                // What is wrong is said; a leftover is not in the way of the next start.
                let _ = std::fs::remove_file(&unnamed);
                Err(refused(error))
            }
        }
    }

    /// The next connection and the name of its peer, for people.
    pub(super) async fn accept(&self) -> io::Result<(Box<dyn Stream>, String)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // An answer is one small segment, which Nagle's algorithm would hold back. Without it answers are only
                // later.
                let _ = stream.set_nodelay(true);
                Ok((Box::new(stream), peer.to_string()))
            }
            Self::Unix(socket) => {
                let (stream, _) = socket.listener.accept().await?;
                let peer = stream.peer_cred().map(|peer| format!("a process of user {}", peer.uid()));
                Ok((Box::new(stream), peer.unwrap_or_else(|_| "a process".to_owned())))
            }
        }
    }

    /// What KEDA would call it.
    pub(in crate::keda) fn address(&self) -> String {
        match self {
            Self::Tcp(listener) => {
                listener.local_addr().map_or_else(|_| "unknown".to_owned(), |address| address.to_string())
            }
            Self::Unix(socket) => format!("unix://{}", socket.path.display()),
        }
    }
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        Self::Tcp(listener)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if file_at(&self.path).is_ok_and(|file| file == self.file) {
            // If it stays, the next start finds it stale.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn file_at(path: &Path) -> io::Result<(u64, u64)> {
    std::fs::symlink_metadata(path).map(|file| (file.dev(), file.ino()))
}

/// Nothing is at `path`, or a socket at which nobody answers.
async fn unless_used(path: &Path) -> Result<(), BindError> {
    let refused = |source| BindError::Refused { path: path.to_owned(), source };
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(refused(error)),
        Ok(file) if !file.file_type().is_socket() => {
            return Err(BindError::NotASocket { path: path.to_owned() });
        }
        Ok(_) => {}
    }
    match tokio::time::timeout(ANSWER_WITHIN, UnixStream::connect(path)).await {
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Ok(Err(error)) => Err(refused(error)),
        Ok(Ok(_)) | Err(_) => Err(BindError::Taken { path: path.to_owned() }),
    }
}
