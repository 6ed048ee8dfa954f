//! Creates a new cluster: runs `initdb` under a temporary name and renames the result, so that a directory with the
//! cluster's name is always complete. This module does not start a server on it.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::process::Output;

use super::binaries::Binaries;
use super::child;
use super::directory::Directory;
use super::error::Error;
use super::launcher::Launcher;
use super::ownership;

/// Locales with bytewise order. `C.UTF-8` classifies letters of all languages; systems without it get `C`, which knows
/// only ASCII letters.
const LOCALES: [&str; 2] = ["C.UTF-8", "C"];

/// Creates the cluster unless it exists, and gives it to the user as which the server runs.
pub(super) async fn ensure_cluster(
    directory: &Directory,
    binaries: &Binaries,
    launcher: &Launcher,
    durable: bool,
) -> Result<(), Error> {
    directory.remove_unfinished().await?;
    let cluster = directory.cluster();
    if !cluster.exists() {
        tracing::info!(cluster = %cluster.display(), major = binaries.major, "making a new database cluster");
        let unfinished = directory.unfinished_cluster();
        let made = make(&unfinished, binaries, launcher, durable).await;
        if made.is_err() {
            directory.remove_unfinished().await?;
        }
        made?;
        fs::rename(&unfinished, &cluster)
            .map_err(Error::io("rename the new cluster to", &cluster))?;
        directory.sync()?;
    }
    let identity = launcher.identity.clone();
    tokio::task::spawn_blocking(move || ownership::change_owner(&cluster, &identity)).await?
}

async fn make(
    at: &Path,
    binaries: &Binaries,
    launcher: &Launcher,
    durable: bool,
) -> Result<(), Error> {
    let mut last = None;
    for locale in LOCALES {
        DirBuilder::new()
            .mode(0o700)
            .create(at)
            .map_err(Error::io("create", at))?;
        ownership::change_owner(at, &launcher.identity)?;
        let output = initdb(at, binaries, launcher, durable, locale).await?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        let unknown_locale = said.contains("locale");
        last = Some(Error::Initdb {
            exit: output.status.to_string(),
            output: said,
        });
        if !unknown_locale {
            break;
        }
        // After some failures initdb leaves its files in a directory that existed before.
        fs::remove_dir_all(at).map_err(Error::io("remove", at))?;
    }
    last.map_or(Ok(()), Err)
}

async fn initdb(
    at: &Path,
    binaries: &Binaries,
    launcher: &Launcher,
    durable: bool,
    locale: &str,
) -> Result<Output, Error> {
    let mut command = launcher.command(at, &binaries.initdb());
    command.arg("-D").arg(at).args([
        "-A",
        "trust",
        "-U",
        "postgres",
        "-E",
        "UTF8",
        "--data-checksums",
    ]);
    command.arg(format!("--locale={locale}"));
    if !durable {
        command.arg("--no-sync");
    }
    child::output(command)
        .await
        .map_err(Error::io("run", &launcher.executable))
}
