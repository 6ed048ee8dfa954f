//! The server's socket: a directory that only its owner may enter, with a path short enough for the address of a Unix
//! socket, and the URL of it. This module does not know who listens there.

use std::fs::{self, DirBuilder};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, lchown};
use std::path::{Path, PathBuf};

use super::error::Error;
use super::identity::Identity;

/// The port is only part of a file name here, but server and clients must use the same.
pub(super) const PORT: u16 = 5432;

/// Longest path of a socket in the kernel, without the NUL at its end.
const LONGEST_PATH: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// Returns the directory for the socket: the preferred one or, if its path is too long or not valid in a URL, one with
/// the tag in its name in the system's temporary directory.
pub(super) fn choose_directory(preferred: &Path, tag: &str) -> PathBuf {
    if fits(preferred) {
        return preferred.to_owned();
    }
    let temporary = std::env::temp_dir().join(tag);
    if temporary.is_absolute() && fits(&temporary) {
        temporary
    } else {
        Path::new("/tmp").join(tag)
    }
}

fn fits(directory: &Path) -> bool {
    let file = directory.join(format!(".s.PGSQL.{PORT}"));
    directory.to_str().is_some() && file.as_os_str().len() <= LONGEST_PATH
}

/// Creates the directory again. Requires the lock, and that no earlier server runs: only then do its contents belong to
/// nobody. An existing directory is removed, whoever created it; in a temporary directory it may belong to another
/// user, and then the removal fails and the start is refused.
pub(super) fn prepare(directory: &Path, identity: &Identity) -> Result<(), Error> {
    let removed = match fs::symlink_metadata(directory) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(directory),
        Ok(_) => fs::remove_file(directory),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    };
    removed.map_err(Error::io("replace the socket directory", directory))?;
    DirBuilder::new()
        .mode(0o700)
        .create(directory)
        .map_err(Error::io("create", directory))?;
    let (uid, gid) = identity.owner();
    lchown(directory, Some(uid), Some(gid)).map_err(Error::io("give away", directory))
}

/// Returns the value of `unix_socket_directories`, which is a list with quotes.
pub(super) fn setting(directory: &Path) -> String {
    format!("\"{}\"", directory.to_string_lossy().replace('"', "\"\""))
}

/// Returns the URL. It states every part explicitly, because the environment of the client changes the defaults.
pub(super) fn url(directory: &Path, database: &str) -> String {
    let host = percent_encode(directory.as_os_str().as_bytes());
    let database = percent_encode(database.as_bytes());
    format!("postgres://postgres@localhost/{database}?host={host}&port={PORT}&sslmode=disable")
}

fn percent_encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 3);
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            let [high, low] =
                [byte >> 4, byte & 15].map(|digit| b"0123456789ABCDEF"[usize::from(digit)]);
            text.extend(['%', char::from(high), char::from(low)]);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_fits_is_kept() {
        let directory = Path::new("/var/lib/dateline/socket");
        assert_eq!(choose_directory(directory, "dateline-1"), directory);
    }

    #[test]
    fn a_path_is_too_long_from_the_byte_at_which_the_kernel_refuses_it() {
        let longest = LONGEST_PATH - "/.s.PGSQL.5432".len();
        let directory = |length: usize| PathBuf::from(format!("/{}", "x".repeat(length - 1)));
        assert_eq!(
            choose_directory(&directory(longest), "dateline-1"),
            directory(longest)
        );
        assert!(choose_directory(&directory(longest + 1), "dateline-1").ends_with("dateline-1"));
    }

    #[test]
    fn a_url_carries_any_path() {
        assert_eq!(
            url(Path::new("/a b/%,\"é"), "dateline"),
            "postgres://postgres@localhost/dateline?host=%2Fa%20b%2F%25%2C%22%C3%A9&port=5432&sslmode=disable"
        );
    }
}
