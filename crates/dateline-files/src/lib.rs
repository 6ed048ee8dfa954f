//! Files named by users. A path may be a pipe, a device, a socket or a directory: opening it must not block forever,
//! and reading it must end.

use std::{
    fs::{File, FileType, Metadata, OpenOptions},
    io::{self, ErrorKind, Read},
    os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt},
    path::Path,
    time::{Duration, Instant},
};

use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    libc,
};

/// Longest wait for the other end of a named pipe.
const PIPE_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause before the next attempt to reach the other end.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A file or pipe that is open for reading.
#[derive(Debug)]
pub struct Input {
    /// Length of a file in bytes; `None` for a pipe.
    pub length: Option<u64>,
    /// First byte of a pipe, read to detect its writer.
    first: Option<u8>,
    file: File,
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if let Some(first) = self.first.take() {
            buffer[0] = first;
            return Ok(1);
        }
        self.file.read(buffer)
    }
}

/// Opens a file, or a pipe with a writer, such as one of `<(command)`.
///
/// # Errors
/// If it is neither, or if the pipe has no writer within five seconds.
pub fn open(path: &Path) -> io::Result<Input> {
    let metadata = path.metadata()?;
    reject_special_file(&metadata)?;
    let file = OpenOptions::new()
        .read(true)
        // Without it, opening a pipe without a writer never returns.
        .custom_flags(libc::O_NONBLOCK)
        .open(path)?;
    let metadata = file.metadata()?;
    reject_special_file(&metadata)?;
    let mut input = Input {
        length: metadata.is_file().then_some(metadata.len()),
        first: None,
        file,
    };
    if metadata.file_type().is_fifo() {
        input.first = first_byte(&mut input.file)?;
    }
    set_blocking(&input.file)?;
    Ok(input)
}

/// Reads a file or pipe of at most `most` bytes.
///
/// # Errors
/// Those of `open`, and a longer file.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    read_up_to(open(path)?, most)
}

/// Reads to the end, at most `most` bytes.
///
/// # Errors
/// If there are more, or the reader fails.
pub fn read_up_to(reader: impl Read, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        let most = most / 1024 / 1024;
        return Err(io::Error::other(format!("it is longer than {most} MiB")));
    }
    Ok(bytes)
}

/// Creates or truncates a file, or opens a pipe with a reader.
///
/// # Errors
/// If it cannot be written, or if the pipe has no reader within five seconds.
pub fn create(path: &Path) -> io::Result<File> {
    let is_pipe = path
        .metadata()
        .is_ok_and(|metadata| metadata.file_type().is_fifo());
    if !is_pipe {
        return File::create(path);
    }
    let began = Instant::now();
    loop {
        let opened = OpenOptions::new()
            .write(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(path);
        match opened {
            Err(error) if error.raw_os_error() == Some(libc::ENXIO) => {
                if began.elapsed() >= PIPE_TIMEOUT {
                    return Err(pipe_timeout("reads from"));
                }
                sleep_until_next_poll();
            }
            Err(error) => return Err(error),
            Ok(file) => {
                set_blocking(&file)?;
                return Ok(file);
            }
        }
    }
}

fn reject_special_file(metadata: &Metadata) -> io::Result<()> {
    let kind = metadata.file_type();
    let what = if kind.is_dir() {
        "it is a directory; name a file"
    } else if kind.is_socket() {
        "it is a socket; name a file"
    } else if is_device(kind) && !is_null(metadata) {
        "it is a device; name a file, or - for stdin where a command takes it"
    } else {
        return Ok(());
    };
    Err(io::Error::new(ErrorKind::InvalidInput, what))
}

fn is_device(kind: FileType) -> bool {
    kind.is_char_device() || kind.is_block_device()
}

/// True for the null device, the only device whose end is reached at once.
fn is_null(metadata: &Metadata) -> bool {
    let null = Path::new("/dev/null").metadata();
    null.is_ok_and(|null| null.rdev() == metadata.rdev() && metadata.file_type().is_char_device())
}

/// The first byte of a pipe, once it has a writer; `None` if the writer has closed it or has not written yet.
fn first_byte(file: &mut File) -> io::Result<Option<u8>> {
    let began = Instant::now();
    let mut byte = [0];
    loop {
        match file.read(&mut byte) {
            Ok(0) if began.elapsed() >= PIPE_TIMEOUT => return Err(pipe_timeout("writes to")),
            Ok(0) => sleep_until_next_poll(),
            Ok(_) => return Ok(Some(byte[0])),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "whoever opens a file blocks, as reading it does; the system has no event for this"
)]
fn sleep_until_next_poll() {
    std::thread::sleep(POLL_INTERVAL);
}

fn pipe_timeout(does: &str) -> io::Error {
    let message = format!("it is a pipe, and nobody {does} it");
    io::Error::new(ErrorKind::TimedOut, message)
}

fn set_blocking(file: &File) -> io::Result<()> {
    let flags = OFlag::from_bits_retain(fcntl(file, FcntlArg::F_GETFL)?);
    fcntl(file, FcntlArg::F_SETFL(flags - OFlag::O_NONBLOCK))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use nix::{sys::stat::Mode, unistd::mkfifo};

    use super::*;

    #[test]
    fn what_is_no_file_is_refused_and_a_pipe_is_read_once_somebody_writes() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        std::fs::write(at("file"), "text").unwrap();
        assert_eq!(read(&at("file"), 4).unwrap(), b"text");
        assert!(
            read(&at("file"), 3)
                .unwrap_err()
                .to_string()
                .contains("longer")
        );
        assert_eq!(open(&at("file")).unwrap().length, Some(4));
        assert_eq!(read(Path::new("/dev/null"), 1).unwrap(), b"");
        let socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        for (path, what) in [
            (directory.path(), "directory"),
            (Path::new("/dev/zero"), "device"),
            (&at("socket"), "socket"),
        ] {
            let refused = open(path).unwrap_err().to_string();
            assert!(refused.contains(what), "{refused}");
        }
        drop(socket);
        mkfifo(&at("pipe"), Mode::S_IRWXU).unwrap();
        let pipe = at("pipe");
        let reading = std::thread::spawn(move || read(&pipe, 100));
        let mut writer = create(&at("pipe")).unwrap();
        writer.write_all(b"first").unwrap();
        writer.write_all(b", then").unwrap();
        drop(writer);
        assert_eq!(reading.join().unwrap().unwrap(), b"first, then");
    }
}
