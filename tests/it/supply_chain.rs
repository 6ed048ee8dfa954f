//! Linked dependencies: no version with a known vulnerability, none that is unmaintained, no `unsafe` of ours.
//! `deny.toml` checks more, where `cargo deny` is installed; this holds wherever the tests run.

use std::path::Path;

/// Crates on the way from the network to the database, each with the first version without the vulnerabilities that
/// were known when it was chosen.
const AT_LEAST: [(&str, [u64; 3]); 16] = [
    ("bytes", [1, 11, 1]),
    ("h2", [0, 4, 16]),
    ("hyper", [1, 0, 0]),
    ("idna", [1, 0, 0]),
    ("lru", [0, 18, 2]),
    ("prost", [0, 14, 0]),
    ("rustls", [0, 23, 18]),
    ("rustls-webpki", [0, 103, 13]),
    ("sqlx", [0, 8, 1]),
    ("sqlx-postgres", [0, 8, 1]),
    ("tar", [0, 4, 45]),
    ("time", [0, 3, 47]),
    ("tokio", [1, 44, 2]),
    ("tokio-postgres", [0, 7, 18]),
    ("tonic", [0, 12, 3]),
    ("tracing-subscriber", [0, 3, 20]),
];

/// Crates that must not be dependencies, even indirect ones, and why.
const BANNED: [(&str, &str); 8] = [
    (
        "rsa",
        "its timing tells keys, and there is no mended version",
    ),
    (
        "rustls-pemfile",
        "nobody keeps it; rustls-pki-types reads PEM",
    ),
    (
        "serde_yaml",
        "nobody keeps it; serde-saphyr reads and writes YAML here",
    ),
    ("serde_yml", "unsound, and withdrawn"),
    ("openssl-sys", "rustls is the one TLS"),
    ("native-tls", "rustls is the one TLS"),
    ("aws-lc-rs", "ring is the one provider of cryptography"),
    ("proc-macro-error", "nobody keeps it"),
];

/// Name and version of every package of a lock file.
fn locked(lock: &str) -> Vec<(&str, [u64; 3])> {
    let value = |line: &'static str, text: &str| -> Option<usize> { text.find(line) };
    let packages = lock.split("[[package]]").skip(1);
    packages
        .map(|package| {
            let quoted = |key: &'static str| {
                let at = value(key, package).unwrap_or_else(|| panic!("{key} in {package}"));
                package[at + key.len()..].split('"').next().unwrap()
            };
            (quoted("name = \""), numbers(quoted("version = \"")))
        })
        .collect()
}

fn numbers(version: &str) -> [u64; 3] {
    let plain = version.split(['-', '+']).next().unwrap();
    let mut parts = plain.split('.').map(|part| part.parse().unwrap());
    [(); 3].map(|()| parts.next().unwrap_or(0))
}

fn complaints(lock: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, version) in locked(lock) {
        if let Some((_, why)) = BANNED.iter().find(|(banned, _)| *banned == name) {
            wrong.push(format!("{name}: {why}"));
        }
        let least = AT_LEAST.iter().find(|(known, _)| *known == name);
        if let Some((_, least)) = least.filter(|(_, least)| version < *least) {
            wrong.push(format!("{name} {version:?} is older than {least:?}"));
        }
    }
    wrong
}

fn file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn no_crate_is_older_than_its_last_known_hole_and_none_is_banned() {
    for name in ["Cargo.lock", "fuzz/Cargo.lock"] {
        let lock = file(name);
        assert!(locked(&lock).len() > 200, "{name} lists what is linked");
        assert_eq!(complaints(&lock), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn an_old_or_a_banned_crate_is_noticed() {
    let lock = "[[package]]\nname = \"h2\"\nversion = \"0.4.15\"\n\n[[package]]\nname = \"rsa\"\nversion = \"0.9.8\"\n";
    let found = complaints(lock);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(complaints(&lock.replace("0.4.15", "0.4.16").replace("rsa", "rsb")).is_empty());
}

#[test]
fn no_crate_of_ours_may_be_unsafe() {
    for name in ["Cargo.toml", "fuzz/Cargo.toml"] {
        let manifest = file(name);
        let lints = manifest.split("lints.rust]").nth(1).unwrap_or_default();
        assert!(lints.contains("unsafe_code = \"forbid\""), "{name}");
    }
    // Crates banned here are banned by `cargo deny` too.
    let deny = file("deny.toml");
    for (name, _) in BANNED {
        assert!(
            deny.contains(&format!("crate = \"{name}\"")),
            "deny.toml lacks {name}"
        );
    }
}
