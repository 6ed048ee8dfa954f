//! `docs/limits.md` against the program: every setting with its default, and every limit by its name.

use std::{collections::BTreeMap, path::Path, process::Command};

use crate::support::server::PROGRAM;

const PAPER: &str = include_str!("../../../docs/limits.md");

/// Cells of the rows of all tables.
fn rows() -> Vec<Vec<&'static str>> {
    let rows = PAPER.lines().filter(|line| line.starts_with("| "));
    rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect())
        .collect()
}

/// The content of a cell that is a single code span.
fn code(cell: &str) -> Option<&str> {
    let word = cell.strip_prefix('`')?.strip_suffix('`')?;
    (!word.contains([' ', '`'])).then_some(word)
}

/// Flags in a help text, with their defaults.
fn flags(help: &str) -> BTreeMap<String, String> {
    // Lines may be broken anywhere.
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut flags = BTreeMap::new();
    for flag in help.split(" --").filter(|flag| flag.contains("[env: ")) {
        let name = flag
            .split([' ', '='])
            .next()
            .unwrap()
            .trim_start_matches('-');
        let between = |before| Some(flag.split_once(before)?.1.split_once(']')?.0);
        let variable = between("[env: ").unwrap().split('=').next().unwrap();
        assert_eq!(
            variable,
            format!("DATELINE_{}", name.replace('-', "_").to_uppercase())
        );
        if let Some(default) = between("[default: ") {
            flags.insert(format!("--{name}"), default.to_owned());
        }
    }
    flags
}

fn help() -> String {
    let output = Command::new(PROGRAM).args(["serve", "--help"]).output();
    let help = String::from_utf8(output.unwrap().stdout).unwrap();
    assert!(help.contains("\nLimits:\n"), "{help}");
    help
}

#[test]
fn the_paper_has_the_settings_of_the_program_and_their_defaults() {
    let help = help();
    let (_, limits) = help.split_once("\nLimits:\n").unwrap();
    let of_program = flags(limits);
    let everywhere = flags(&help);
    let mut of_paper = BTreeMap::new();
    for row in rows() {
        if let Some(flag) = code(row[2]).filter(|word| word.starts_with("--")) {
            of_paper.insert(flag.to_owned(), row[1].to_owned());
        }
    }
    assert!(of_paper.len() > 10, "{of_paper:?}");
    for (flag, default) in &of_program {
        assert_eq!(
            of_paper.get(flag),
            Some(default),
            "{flag} in docs/limits.md"
        );
    }
    for (flag, default) in &of_paper {
        assert_eq!(everywhere.get(flag), Some(default), "{flag} of the program");
    }
}

#[test]
fn the_paper_has_every_limit_that_is_counted_and_no_other() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/dateline-server/src");
    let mut source = String::new();
    let mut open = vec![root];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            let entries = std::fs::read_dir(&path).unwrap();
            open.extend(entries.map(|entry| entry.unwrap().path()));
        } else {
            source += &std::fs::read_to_string(&path).unwrap();
        }
    }
    let counted = rows().into_iter().filter(|cells| cells.len() == 5);
    let named: Vec<_> = counted
        .filter_map(|cells| code(cells[3]).filter(|name| *name != "limit"))
        .collect();
    for name in &named {
        assert!(
            source.contains(&format!("\"{name}\"")),
            "nothing counts {name}"
        );
    }
    let counting = regex::Regex::new(
        r#"(?:limit_hit|log_throttle::log_limit|log_throttle::log_refusal)\(\s*"([a-z_0-9]+)""#,
    );
    for found in counting.unwrap().captures_iter(&source) {
        assert!(
            named.contains(&&found[1]),
            "docs/limits.md lacks {}",
            &found[1]
        );
    }
}
