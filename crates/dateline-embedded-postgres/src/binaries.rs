//! Finds the server programs: their directories on this machine, those that are usable, and those that fit an existing
//! cluster. This module does not run a server with them.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;

use super::directory::Directory;
use super::error::Error;
use super::fetch;
use super::options::{BinarySource, Options};

/// The oldest major version of Postgres that is searched for.
pub const OLDEST_MAJOR: u32 = 13;

/// Environment variable with the directory of the server programs, which precedes all others.
const BIN_DIR: &str = "PG_BIN_DIR";

/// A directory with usable server programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Binaries {
    pub(super) bin_dir: PathBuf,
    pub(super) major: u32,
}

impl Binaries {
    pub(super) fn postgres(&self) -> PathBuf {
        self.bin_dir.join("postgres")
    }

    pub(super) fn initdb(&self) -> PathBuf {
        self.bin_dir.join("initdb")
    }
}

/// Returns the programs to use: the requested ones, otherwise those found, otherwise fetched ones. An existing cluster
/// decides the major version.
pub(super) async fn choose(options: &Options, directory: &Directory) -> Result<Binaries, Error> {
    let wanted = directory.major_version()?;
    let fits = |binaries: &Binaries| wanted.is_none_or(|major| binaries.major == major);
    let misfit = |found: &[Binaries]| Error::OtherMajor {
        dir: directory.root().to_owned(),
        wanted: wanted.unwrap_or_default(),
        found: described(found),
    };
    let mut found = Vec::new();
    match &options.binaries {
        BinarySource::Dir(dir) => found.push(inspect(dir).await?),
        BinarySource::Npm => found.push(inspect(&fetch::fetch(options).await?).await?),
        BinarySource::Auto => {
            if let Some(dir) = std::env::var_os(BIN_DIR).filter(|dir| !dir.is_empty()) {
                // The user named it, so it is an error if it is unusable.
                found.push(inspect(Path::new(&dir)).await?);
            }
            for dir in usual_places() {
                if found.iter().any(fits) {
                    break;
                }
                match inspect(&dir).await {
                    Ok(binaries) => found.push(binaries),
                    Err(problem) => tracing::debug!(%problem, "passed over"),
                }
            }
            if !found.iter().any(fits) && wanted.is_none_or(|major| major == fetch::MAJOR) {
                match fetch::fetch(options).await {
                    Ok(dir) => found.push(inspect(&dir).await?),
                    // An error about programs of another version is more useful.
                    Err(Error::NoPrograms { .. }) if !found.is_empty() => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }
    let position = found.iter().position(fits).ok_or_else(|| misfit(&found))?;
    Ok(found.swap_remove(position))
}

fn described(found: &[Binaries]) -> String {
    if found.is_empty() {
        return "no version at all".to_owned();
    }
    let each: Vec<_> = found
        .iter()
        .map(|at| format!("{} ({})", at.major, at.bin_dir.display()))
        .collect();
    each.join(", ")
}

/// Checks that a directory has the programs and that they run on this machine, and reads their version.
async fn inspect(dir: &Path) -> Result<Binaries, Error> {
    let unusable = |problem: String| Error::UnusablePrograms {
        dir: dir.to_owned(),
        problem,
    };
    // Resolved, because the programs look for their other files relative to their real location.
    let postgres = dir
        .join("postgres")
        .canonicalize()
        .map_err(|error| unusable(format!("there is no usable `postgres` in it: {error}")))?;
    let bin_dir = postgres.parent().unwrap_or(dir).to_owned();
    if !bin_dir.join("initdb").is_file() {
        return Err(unusable("it has `postgres` but not `initdb`".to_owned()));
    }
    let asked = Command::new(&postgres)
        .arg("--version")
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(Duration::from_secs(20), asked)
        .await
        .map_err(|_| unusable("`postgres --version` does not end".to_owned()))?
        .map_err(|error| unusable(format!("`postgres` cannot be run: {error}")))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(unusable(format!("`postgres --version` failed: {said}")));
    }
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let major = major_version(&said)
        .ok_or_else(|| unusable(format!("`postgres --version` says {said:?}")))?;
    if major < OLDEST_MAJOR {
        return Err(unusable(format!(
            "it is PostgreSQL {major}, and the oldest usable is {OLDEST_MAJOR}"
        )));
    }
    Ok(Binaries { bin_dir, major })
}

/// Parses the output of `--version`: `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`, `… 18beta1`, `… 19devel`.
fn major_version(said: &str) -> Option<u32> {
    let version = said.split_whitespace().nth(2)?;
    let digits = version
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(version.len());
    version.get(..digits)?.parse().ok()
}

/// Returns the directories in which packages install the programs, newest version first within each, and then the PATH.
/// Debian does not put them on the PATH.
fn usual_places() -> Vec<PathBuf> {
    let mut places = Vec::new();
    places.extend(versions("/usr/lib/postgresql", "", "bin"));
    places.extend(versions("/usr", "pgsql-", "bin"));
    for homebrew in [
        "/opt/homebrew/opt",
        "/usr/local/opt",
        "/home/linuxbrew/.linuxbrew/opt",
    ] {
        places.extend(versions(homebrew, "postgresql@", "bin"));
        places.push(Path::new(homebrew).join("postgresql/bin"));
    }
    places.extend(versions(
        "/Applications/Postgres.app/Contents/Versions",
        "",
        "bin",
    ));
    if let Some(path) = std::env::var_os("PATH") {
        places.extend(std::env::split_paths(&path).filter(|place| place.is_absolute()));
    }
    places.retain(|place| place.join("postgres").exists());
    places
}

/// Returns `<parent>/<prefix><N>/<rest>` for every N from the oldest usable version on, the highest first.
fn versions(parent: &str, prefix: &str, rest: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(parent) else {
        return Vec::new();
    };
    let number = |name: OsString| -> Option<u32> {
        name.to_str()?
            .strip_prefix(prefix)?
            .parse()
            .ok()
            .filter(|major| *major >= OLDEST_MAJOR)
    };
    let mut found: Vec<_> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            Some((number(entry.file_name())?, entry.path().join(rest)))
        })
        .collect();
    found.sort_unstable_by(|one, other| other.cmp(one));
    found.into_iter().map(|(_, path)| path).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_from_what_postgres_says() {
        for (said, major) in [
            (
                "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n",
                Some(15),
            ),
            ("postgres (PostgreSQL) 18.4\n", Some(18)),
            ("postgres (PostgreSQL) 18beta1\n", Some(18)),
            ("postgres (PostgreSQL) 19devel\n", Some(19)),
            ("postgres (PostgreSQL)\n", None),
            ("something else entirely\n", None),
            ("", None),
        ] {
            assert_eq!(major_version(said), major, "{said}");
        }
    }

    #[test]
    fn the_highest_version_comes_first_and_by_number() {
        let dir = tempfile::tempdir().unwrap();
        for name in [
            "pgsql-9",
            "pgsql-14",
            "pgsql-13",
            "pgsql-100",
            "pgsql-x",
            "other-15",
        ] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        let names: Vec<_> = versions(dir.path().to_str().unwrap(), "pgsql-", "bin")
            .iter()
            .map(|path| path.strip_prefix(dir.path()).unwrap().display().to_string())
            .collect();
        assert_eq!(names, ["pgsql-100/bin", "pgsql-14/bin", "pgsql-13/bin"]);
    }
}
