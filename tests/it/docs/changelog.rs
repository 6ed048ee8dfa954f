//! `CHANGELOG.md` against the program: its tables of renamed flags, metrics and limits.

use std::fs;

use dateline::renamed_flags::{OldValue, RENAMED_FLAGS};

use super::metrics::of_source;
use crate::support::tools::repo_path;

/// Rows of the table below a heading, without its head.
fn rows(heading: &str) -> Vec<String> {
    let changelog = fs::read_to_string(repo_path("CHANGELOG.md")).unwrap();
    let (_, section) = changelog.split_once(heading).unwrap();
    let lines = section.lines().skip_while(|line| !line.starts_with('|'));
    let table = lines.take_while(|line| line.starts_with('|'));
    table.skip(2).map(str::to_owned).collect()
}

/// Old and new name of a row, without labels.
fn names(row: &str) -> (String, String) {
    let mut cells = row.trim_matches('|').split('|').map(|cell| {
        let name = cell.trim().trim_matches('`');
        name.split('{').next().unwrap().to_owned()
    });
    (cells.next().unwrap(), cells.next().unwrap())
}

#[test]
fn the_changelog_has_the_table_of_renamed_flags() {
    let expected: Vec<_> = RENAMED_FLAGS
        .iter()
        .map(|renamed| {
            let value = match renamed.value {
                OldValue::None => "none",
                OldValue::Same(_) => "unchanged",
                OldValue::Seconds => "`30` is now `30s`",
            };
            let (command, old, new) = (renamed.command, renamed.old, renamed.new);
            format!("| `{command}` | `--{old}` | `--{new}` | {value} |")
        })
        .collect();
    assert_eq!(rows("#### Renamed flags"), expected);
}

#[test]
fn the_metrics_of_the_changelog_were_renamed() {
    let source = of_source();
    let rows = rows("#### Renamed metrics");
    assert!(rows.len() > 10, "{rows:?}");
    for (old, new) in rows.iter().map(|row| names(row)) {
        assert!(source.contains_key(&new), "there is no metric {new}");
        assert!(!source.contains_key(&old), "{old} is still a metric");
    }
}

#[test]
fn the_limits_of_the_changelog_were_renamed() {
    let page = fs::read_to_string(repo_path("docs/limits.md")).unwrap();
    let rows = rows("#### Renamed values of the label `limit`");
    assert!(rows.len() > 10, "{rows:?}");
    for (old, new) in rows.iter().map(|row| names(row)) {
        assert!(page.contains(&format!("| `{new}` |")), "no limit {new}");
        assert!(!page.contains(&format!("| `{old}` |")), "limit {old}");
    }
}
