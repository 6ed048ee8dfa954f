//! Tools of other languages that tests run: Python with packages from its registry, once per set of
//! requirements, and programs of the system.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::ErrorKind,
    path::{Path, PathBuf},
    time::Duration,
};

use sha2::{Digest, Sha256};
use tokio::process::Command;

use crate::rig::PATIENCE;

/// Longest that packages take to install, on a slow line.
pub const INSTALLATION: Duration = Duration::from_mins(5);

pub fn path(of: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(of)
}

/// Runs a program to its end; answers with what it printed, or with why it did not do its work.
pub async fn run(command: &mut Command, patience: Duration) -> Result<String, String> {
    let program = command
        .as_std()
        .get_program()
        .to_string_lossy()
        .into_owned();
    let output = tokio::time::timeout(patience, command.kill_on_drop(true).output())
        .await
        .map_err(|_| format!("{program} did not end within {} s", patience.as_secs()))?
        .map_err(|error| match error.kind() {
            ErrorKind::NotFound => format!("there is no {program} on the path"),
            _ => format!("{program} does not run: {error}"),
        })?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(stdout);
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    Err(format!(
        "{:?} ended with {}:\n{stdout}{stderr}",
        command.as_std(),
        output.status
    ))
}

/// A directory for what the files in `ingredients` make, and whether it has been made: `finished` tells it.
/// Other tests, of this run or of another one, wait until the lock that comes with it is dropped.
pub async fn kept(kind: &str, ingredients: &[&str]) -> (PathBuf, bool, File) {
    let mut hash = Sha256::new();
    for file in ingredients {
        hash.update(fs::read(path(file)).unwrap());
    }
    let name = format!("{kind}-{}", &hex::encode(hash.finalize())[..16]);
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let lock = File::create(directory.with_extension("lock")).unwrap();
    let lock = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock))
        .await
        .unwrap()
        .unwrap();
    let made = directory.join("finished").exists();
    if !made {
        drop(fs::remove_dir_all(&directory));
        fs::create_dir_all(&directory).unwrap();
    }
    (directory, made, lock)
}

pub fn finished(directory: &Path) {
    fs::write(directory.join("finished"), "").unwrap();
}

/// A virtual environment with the packages that a file lists: its interpreter.
pub async fn python(requirements: &str) -> Result<PathBuf, String> {
    let (directory, made, _lock) = kept("python", &[requirements]).await;
    let interpreter = directory.join("bin/python");
    if !made {
        let venv = ["-m", "venv"].map(OsStr::new);
        run(
            Command::new("python3").args(venv).arg(&directory),
            INSTALLATION,
        )
        .await?;
        let install = ["-m", "pip", "install", "--quiet", "--requirement"];
        run(
            Command::new(&interpreter)
                .args(install)
                .arg(path(requirements)),
            INSTALLATION,
        )
        .await?;
        finished(&directory);
    }
    Ok(interpreter)
}

/// The generated modules, made anew in a directory of their own: what a stale copy would hide is seen.
pub async fn generate(python: &Path) -> (tempfile::TempDir, PathBuf) {
    let (keep, directory) = crate::rig::scratch();
    let mut command = Command::new(python);
    command
        .arg(path("examples/python/generate.py"))
        .arg(&directory);
    let told = run(&mut command, PATIENCE * 2).await.unwrap();
    assert!(told.starts_with("generated 12 schemas"), "{told}");
    (keep, directory)
}
