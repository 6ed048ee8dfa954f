//! The directions and absences that ARCHITECTURE.md promises, read from the source itself.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Longest file of ours, in lines.
const MAX_LINES: usize = 500;

fn files(root: &str, ending: &str) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(root);
    let mut open = vec![root];
    let mut found = Vec::new();
    while let Some(path) = open.pop() {
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

/// Code without comments and without the unit tests at the end, in which anything may be used.
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

#[test]
fn dependencies_point_one_way() {
    assert_absent(
        "src/model",
        &[
            "crate::store",
            "crate::feed",
            "crate::server",
            "crate::client",
            "crate::cli",
        ],
        "model is below all",
    );
    assert_absent(
        "src/store",
        &[
            "crate::feed",
            "crate::server",
            "crate::client",
            "crate::cli",
        ],
        "store knows only the model",
    );
    assert_absent(
        "src/feed",
        &["crate::server", "crate::client", "crate::cli"],
        "feed knows store and model",
    );
    assert_absent(
        "src/access",
        &[
            "crate::feed",
            "crate::server",
            "crate::client",
            "crate::cli",
            "tonic",
        ],
        "access knows store and model, and no gRPC",
    );
    assert_absent(
        "src/server",
        &["crate::client", "crate::cli"],
        "the server has no clients of its own",
    );
    assert_absent(
        "src/client",
        &["crate::server", "crate::store", "crate::feed", "crate::cli"],
        "a client speaks gRPC only",
    );
}

#[test]
fn formats_of_exports_turn_records_into_bytes_and_nothing_else() {
    assert_absent(
        "src/export/format",
        &[
            "crate::store",
            "crate::feed",
            "crate::server",
            "crate::client",
            "crate::cli",
            "tonic",
            "async ",
            "tokio",
            "std::fs",
            "now_utc",
            "SystemTime",
        ],
        "a format knows messages and the model; no I/O, no clock",
    );
}

#[test]
fn only_the_store_knows_sql() {
    for room in [
        "src/model",
        "src/feed",
        "src/access",
        "src/server",
        "src/client",
        "src/cli",
    ] {
        assert_absent(room, &["sqlx", "SELECT ", "INSERT "], "SQL lives in store");
    }
}

#[test]
fn the_command_line_touches_the_store_only_to_set_a_server_up() {
    for (path, text) in files("src/cli", ".rs") {
        let settings_only = code(&text)
            .replace("store::{Settings, embedded}", "")
            .replace("store::Settings", "");
        assert!(
            !settings_only.contains("store::"),
            "{} reaches into the store",
            path.display()
        );
    }
}

#[test]
fn the_model_is_pure() {
    assert_absent(
        "src/model",
        &[
            "async ",
            "tokio",
            "std::fs",
            "std::net",
            "SystemTime",
            "now_utc",
            "now_v7",
            "Instant",
            "rand",
        ],
        "no I/O, no async, no clock, no randomness in the model",
    );
}

#[test]
fn what_is_generated_depends_on_the_seed_alone() {
    let absent = [
        "async ",
        "tokio",
        "std::fs",
        "SystemTime",
        "now_utc",
        "now_v7",
        "Instant",
        "HashMap",
        // Not the same on every machine.
        ".powf(",
        ".ln(",
        "crate::client",
        "crate::server",
        "crate::store",
        "crate::cli",
    ];
    assert_absent("src/generate", &absent, "the same seed, the same records");
}

#[test]
fn the_store_never_sees_a_grpc_status() {
    assert_absent("src/store", &["tonic"], "status is the server's word");
    assert_absent("src/feed", &["tonic"], "status is the server's word");
    assert_absent("src/model", &["tonic"], "status is the server's word");
}

#[test]
fn kinds_are_named_where_the_envelope_is_and_nowhere_copied() {
    for (path, text) in files("src", ".rs") {
        let arms = code(&text).matches("Body::Relation(").count();
        let allowed = if path.ends_with("model/record.rs") {
            8
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
    for root in ["src", "tests", "benches", "build"] {
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
    for (path, text) in files("src", ".rs")
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
    for service in dateline::proto::DESCRIPTORS
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
    for (path, text) in files("src", ".rs") {
        // `CREATE DATABASE` takes no parameters; the name is one of few plain letters, which has a test there.
        let allowed = usize::from(path.ends_with("store/embedded/database.rs"));
        let made = code(&text).matches("AssertSqlSafe(").count();
        assert!(made <= allowed, "{} makes SQL of strings", path.display());
    }
}
