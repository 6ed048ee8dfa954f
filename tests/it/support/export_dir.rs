//! Support for tests of `dateline export`: runs it and reads the result.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::support::cli::{CommandOutput, dateline};

pub fn read_files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(directory).unwrap().map(Result::unwrap);
    entries
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read(entry.path()).unwrap())
        })
        .collect()
}

/// The only export below a directory.
pub fn only_entry(directory: &Path) -> PathBuf {
    let mut below: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(below.len(), 1, "{below:?}");
    below.pop().unwrap()
}

pub async fn export(server: &str, out: &Path, more: &[&str]) -> CommandOutput {
    let words = ["export", "--out", out.to_str().unwrap()];
    dateline(server, &[&words[..], more].concat()).await
}

pub async fn verify(place: &Path) -> CommandOutput {
    dateline("127.0.0.1:1", &["verify", place.to_str().unwrap()]).await
}

pub fn read_manifest(place: &Path) -> Value {
    serde_json::from_slice(&fs::read(place.join("manifest.json")).unwrap()).unwrap()
}

/// Asserts that two exports are equal except for the names of their directories.
pub fn assert_same_files(one: &Path, other: &Path) {
    let (one, other) = (read_files(one), read_files(other));
    assert_eq!(
        one.keys().collect::<Vec<_>>(),
        other.keys().collect::<Vec<_>>()
    );
    for (name, bytes) in &one {
        assert!(bytes == &other[name], "{name} differs");
    }
}
