//! The dependency directions and absences that ARCHITECTURE.md promises, checked in the source.

use crate::support::tools::repo_path;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Maximum lines of a source file.
const MAX_LINES: usize = 500;

fn files(root: &str, ending: &str) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(root);
    let mut open = vec![root];
    let mut found = Vec::new();
    while let Some(path) = open.pop() {
        if path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            open.extend(
                fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        } else if path.to_string_lossy().ends_with(ending) {
            let text = fs::read_to_string(&path).unwrap();
            found.push((path, text));
        }
    }
    found.sort();
    assert!(!found.is_empty(), "there are files to look at");
    found
}

/// The sources of all crates, including build scripts and unit tests.
fn sources(ending: &str) -> Vec<(PathBuf, String)> {
    let mut all = files("src", ending);
    let crates = files("crates", ending).into_iter();
    all.extend(crates.filter(|(path, _)| !path.to_string_lossy().contains("/tests/")));
    all
}

/// Code without comments and without the unit tests at the end, which may use anything.
fn code(text: &str) -> String {
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    code.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
}

fn assert_absent(root: &str, words: &[&str], why: &str) {
    for (path, text) in files(root, ".rs") {
        for word in words {
            assert!(
                !code(&text).contains(word),
                "{} has {word:?}: {why}",
                path.display()
            );
        }
    }
}

/// Dependencies that each crate may have: our own crates, and third-party crates that it must not have.
const LAYERS: [(&str, &[&str], &[&str]); 16] = [
    ("dateline-files", &[], &["sqlx", "tonic"]),
    ("dateline-proto", &[], &["sqlx", "tokio"]),
    ("dateline-generate", &["proto"], &["sqlx", "tokio", "rand"]),
    (
        "dateline-record",
        &["proto"],
        &["sqlx", "tokio", "tonic", "rand"],
    ),
    (
        "dateline-match",
        &["proto", "record"],
        &["sqlx", "tokio", "tonic", "rand"],
    ),
    (
        "dateline-search",
        &["proto", "record", "match"],
        &["sqlx", "tokio", "tonic", "rand"],
    ),
    (
        "dateline-engine",
        &["proto", "record"],
        &["sqlx", "tokio", "tonic", "rand"],
    ),
    ("dateline-embedded-postgres", &[], &["tonic"]),
    (
        "dateline-store",
        &["proto", "record", "engine", "match", "search"],
        &["tonic"],
    ),
    (
        "dateline-feed",
        &["proto", "record", "store"],
        &["tonic", "sqlx"],
    ),
    (
        "dateline-access",
        &["proto", "record", "engine", "store"],
        &["tonic", "sqlx"],
    ),
    (
        "dateline-server",
        &[
            "proto",
            "record",
            "engine",
            "search",
            "store",
            "feed",
            "access",
            "embedded-postgres",
            "match",
        ],
        &["sqlx", "parquet", "object_store", "clap"],
    ),
    (
        "dateline-client",
        &["proto", "record", "files"],
        &[
            "sqlx",
            "parquet",
            "arrow-array",
            "object_store",
            "clap",
            "indicatif",
            "hyper",
        ],
    ),
    (
        "dateline-formats",
        &["proto", "record"],
        &["sqlx", "tonic", "clap", "indicatif"],
    ),
    (
        "dateline-serve",
        &[
            "proto",
            "record",
            "store",
            "access",
            "server",
            "client",
            "embedded-postgres",
        ],
        &["sqlx", "parquet", "arrow-array", "object_store"],
    ),
    (
        "dateline",
        &[
            "proto",
            "record",
            "store",
            "access",
            "serve",
            "server",
            "client",
            "formats",
            "generate",
            "files",
            "embedded-postgres",
        ],
        &["sqlx", "parquet", "object_store"],
    ),
];

/// Names under `[dependencies]` of a manifest.
fn dependencies(manifest: &str) -> Vec<&str> {
    let (_, rest) = manifest
        .split_once("\n[dependencies]\n")
        .unwrap_or_default();
    let section = rest.split("\n[").next().unwrap_or_default();
    section
        .lines()
        .filter_map(|line| line.split(['.', ' ', '=']).next())
        .filter(|name| !name.is_empty() && !name.starts_with('#'))
        .collect()
}

#[test]
fn dependencies_point_one_way() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let crates = fs::read_dir(root.join("crates")).unwrap().count();
    assert_eq!(crates + 1, LAYERS.len(), "each crate has its row");
    for (name, ours, forbidden) in LAYERS {
        let directory = if name == "dateline" {
            root.to_path_buf()
        } else {
            root.join("crates").join(name)
        };
        let manifest = fs::read_to_string(directory.join("Cargo.toml")).unwrap();
        let found = dependencies(&manifest);
        assert!(!found.is_empty(), "{name} has dependencies");
        for dependency in found {
            if let Some(own) = dependency.strip_prefix("dateline-") {
                assert!(ours.contains(&own), "{name} depends on {dependency}");
            }
            assert!(
                !forbidden.contains(&dependency),
                "{name} depends on {dependency}"
            );
        }
    }
}

/// Names of the packages that a package needs, itself included, by the lock file: of all platforms and features.
fn needed(package: &str) -> BTreeSet<String> {
    let lock =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock")).unwrap();
    let quoted = |line: &str| line.split('"').nth(1).unwrap_or_default().to_owned();
    let name = |text: &str| text.split(' ').next().unwrap_or_default().to_owned();
    let mut needs = BTreeMap::<String, Vec<String>>::new();
    for block in lock.split("[[package]]").skip(1) {
        let mut lines = block.lines();
        let owner = quoted(lines.find(|line| line.starts_with("name = ")).unwrap());
        let listed = lines.filter(|line| line.starts_with(" \""));
        needs
            .entry(owner)
            .or_default()
            .extend(listed.map(|line| name(&quoted(line))));
    }
    let mut found = BTreeSet::new();
    let mut open = vec![package.to_owned()];
    while let Some(next) = open.pop() {
        if found.insert(next.clone()) {
            open.extend(needs[&next].iter().cloned());
        }
    }
    found
}

#[test]
fn the_program_of_the_image_has_no_formats_and_no_object_stores() {
    let needed = needed("dateline-serve");
    assert!(needed.contains("tonic"), "{needed:?}");
    let heavy = ["arrow", "parquet", "object_store"];
    let found: Vec<_> = needed
        .iter()
        .filter(|name| heavy.iter().any(|heavy| name.starts_with(heavy)))
        .collect();
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn formats_of_exports_turn_records_into_bytes_and_nothing_else() {
    assert_absent(
        "crates/dateline-formats/src/export/format",
        &["async ", "tokio", "std::fs", "now_utc", "SystemTime"],
        "a format knows messages and records; no I/O, no clock",
    );
}

#[test]
fn files_to_import_are_read_from_bytes() {
    assert_absent(
        "crates/dateline-formats/src/import",
        &["async ", "tokio", "std::fs", "io::stdin"],
        "the command opens files; the formats read what it passes on",
    );
}

#[test]
fn only_the_store_knows_sql() {
    for (path, text) in sources(".rs") {
        let path = path.to_string_lossy().into_owned();
        let is_store = ["dateline-store/", "dateline-embedded-postgres/"]
            .iter()
            .any(|name| path.contains(name));
        let code = code(&text);
        let sql = ["SELECT ", "INSERT "]
            .iter()
            .any(|word| code.contains(word));
        assert!(is_store || !sql, "{path}: SQL lives in the store");
    }
}

#[test]
fn the_command_line_touches_the_store_only_to_set_a_server_up() {
    let mut all = files("src", ".rs");
    all.extend(files("crates/dateline-serve/src", ".rs"));
    for (path, text) in all {
        let settings_only = code(&text).replace("dateline_store::Settings", "");
        assert!(
            !settings_only.contains("dateline_store"),
            "{} reaches into the store",
            path.display()
        );
    }
}

#[test]
fn records_and_requests_are_pure() {
    let roots = [
        "crates/dateline-record/src",
        "crates/dateline-match/src",
        "crates/dateline-engine/src",
    ];
    for root in roots {
        assert_absent(
            root,
            &[
                "async ",
                "std::fs",
                "std::net",
                "SystemTime",
                "now_utc",
                "now_v7",
                "Instant",
            ],
            "no I/O, no async, no clock, no randomness",
        );
    }
}

#[test]
fn generated_records_depend_on_the_seed_alone() {
    let absent = [
        "async ",
        "std::fs",
        "SystemTime",
        "now_utc",
        "now_v7",
        "Instant",
        "HashMap",
        // The result differs between machines.
        ".powf(",
        ".ln(",
    ];
    assert_absent(
        "crates/dateline-generate/src",
        &absent,
        "the same seed, the same records",
    );
}

#[test]
fn kinds_are_named_where_the_envelope_is_and_nowhere_copied() {
    for (path, text) in sources(".rs") {
        let arms = code(&text).matches("Body::Relation(").count();
        let allowed = if path.ends_with("dateline-proto/src/record.rs") {
            7
        } else {
            1
        };
        assert!(
            arms <= allowed,
            "{} treats kinds apart {arms} times",
            path.display()
        );
    }
}

#[test]
fn no_file_outgrows_one_idea() {
    for root in ["src", "crates", "tests", "benches"] {
        for (path, text) in files(root, ".rs") {
            let lines = text.lines().count();
            assert!(lines <= MAX_LINES, "{} has {lines} lines", path.display());
            assert!(
                text.starts_with("//!"),
                "{} says what it owns",
                path.display()
            );
        }
    }
}

#[test]
fn nothing_unsafe_and_no_panic_in_the_source() {
    for (path, text) in sources(".rs")
        .into_iter()
        .filter(|(path, _)| !path.to_string_lossy().ends_with("_tests.rs"))
    {
        for word in [
            "unsafe ",
            ".unwrap()",
            "panic!(",
            "todo!(",
            "unimplemented!(",
            "unbounded_channel",
        ] {
            assert!(
                !code(&text).contains(word),
                "{} has {word:?}: errors are answered",
                path.display()
            );
        }
    }
}

#[test]
fn every_rpc_is_called_by_some_test() {
    let tests: String = files("tests/it", ".rs")
        .into_iter()
        .map(|(_, text)| text)
        .collect();
    for service in dateline_proto::DESCRIPTORS
        .services()
        .filter(|service| service.package_name() == "dateline.v1")
    {
        for method in service.methods() {
            let name = method
                .name()
                .chars()
                .fold(String::new(), |name, character| {
                    let parted = if character.is_uppercase() && !name.is_empty() {
                        name + "_"
                    } else {
                        name
                    };
                    parted + &character.to_lowercase().to_string()
                });
            assert!(
                tests.contains(&format!(".{name}(")),
                "no test calls {}",
                method.full_name()
            );
        }
    }
}

#[test]
fn no_statement_is_made_of_strings() {
    for (path, text) in sources(".rs") {
        // `CREATE DATABASE` takes no parameters; the name consists of a few plain letters, which a test there checks.
        let allowed = usize::from(path.ends_with("dateline-embedded-postgres/src/database.rs"));
        let made = code(&text).matches("AssertSqlSafe(").count();
        assert!(made <= allowed, "{} makes SQL of strings", path.display());
    }
}

/// A row of the log may point at the one that has its content: a statement that reads the column alone gets nothing.
#[test]
fn f5_every_statement_that_reads_contents_of_the_log_follows_their_pointers() {
    let mut files = Vec::new();
    let mut open = vec![repo_path("crates/dateline-store/src"), repo_path("sql")];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                files.push(path);
            }
        }
    }
    let column = regex::Regex::new(r"(?-u:\b)(changes|newest)\.content(?-u:\b)").unwrap();
    let mut read = 0;
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        for found in column.find_iter(&text) {
            read += 1;
            let before = &text[..found.start()];
            let near = before
                .char_indices()
                .rev()
                .nth(90)
                .map_or(before, |(at, _)| &before[at..]);
            // The subquery `changes` of read_round has followed them.
            let is_followed = near.contains("content_at IS NULL THEN")
                || text[found.end()..].contains("content_at IS NULL THEN content ELSE");
            assert!(is_followed, "{}: {near}{}", path.display(), found.as_str());
        }
    }
    assert!(read > 5, "{read}");
}
