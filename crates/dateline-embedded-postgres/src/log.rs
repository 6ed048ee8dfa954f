//! The server's log: a file beside the cluster, limited in size, and quoted when the server does not start. This module
//! does not interpret its lines.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Size in bytes above which the log is moved to a second file, which replaces the one before.
const LARGEST_BYTES: u64 = 16 * 1024 * 1024;

const QUOTED_BYTES: u64 = 8 * 1024;
const QUOTED_LINES: usize = 20;

/// Opens the log for appending by a server.
pub(super) fn open(log: &Path) -> io::Result<File> {
    truncate_large(log)?;
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(log)
}

/// Moves a large log aside. It is copied and truncated rather than renamed, because the server holds it open.
pub(super) fn truncate_large(log: &Path) -> io::Result<()> {
    if length(log) <= LARGEST_BYTES {
        return Ok(());
    }
    fs::copy(log, aside(log))?;
    OpenOptions::new()
        .write(true)
        .truncate(true)
        .open(log)
        .map(drop)
}

fn aside(log: &Path) -> PathBuf {
    log.with_extension("log.1")
}

/// Returns the length of the log; 0 if there is none.
pub(super) fn length(log: &Path) -> u64 {
    fs::metadata(log).map_or(0, |metadata| metadata.len())
}

/// Returns the last lines written since the log had the length `from`, cleaned for a terminal.
pub(super) fn tail(log: &Path, from: u64) -> String {
    let read = || -> io::Result<Vec<u8>> {
        let mut file = File::open(log)?;
        let start = from.max(length(log).saturating_sub(QUOTED_BYTES));
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        file.take(QUOTED_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = match read() {
        Ok(bytes) => bytes,
        Err(error) => return format!("(it cannot be read: {error})"),
    };
    let text: String = String::from_utf8_lossy(&bytes)
        .chars()
        .filter(|letter| *letter == '\n' || !letter.is_control())
        .collect();
    let lines: Vec<_> = text.lines().collect();
    let skipped = lines.len().saturating_sub(QUOTED_LINES);
    match lines.get(skipped..) {
        Some(last) if !last.is_empty() => last.join("\n"),
        _ => "(nothing was written to it; is the disk full?)".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_new_is_quoted_and_without_control_characters() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("postgres.log");
        fs::write(&log, "old\n").unwrap();
        let from = length(&log);
        assert_eq!(
            tail(&log, from),
            "(nothing was written to it; is the disk full?)"
        );
        fs::write(&log, "old\nnew \u{1b}[31mred\n").unwrap();
        assert_eq!(tail(&log, from), "new [31mred");
    }

    #[test]
    fn only_the_last_lines_are_quoted() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("postgres.log");
        let lines: Vec<_> = (0..5000).map(|i| format!("line {i}")).collect();
        fs::write(&log, lines.join("\n")).unwrap();
        let quoted = tail(&log, 0);
        assert_eq!(quoted.lines().count(), QUOTED_LINES);
        assert!(quoted.ends_with("line 4999"));
    }

    #[test]
    fn a_log_that_is_too_large_is_put_aside_under_the_hand_of_its_writer() {
        use std::io::Write;
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("postgres.log");
        let mut writer = open(&log).unwrap();
        writer
            .write_all(&vec![b'x'; usize::try_from(LARGEST_BYTES).unwrap() + 1])
            .unwrap();
        truncate_large(&log).unwrap();
        writer.write_all(b"after").unwrap();
        assert_eq!(fs::read(&log).unwrap(), b"after");
        assert_eq!(length(&aside(&log)), LARGEST_BYTES + 1);
    }
}
