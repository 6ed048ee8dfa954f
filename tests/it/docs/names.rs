//! Names that pages and files of deployments mention: flags, variables, tests, benchmarks, reasons of errors.

use std::{collections::BTreeSet, fs, process::Command};

use regex::Regex;

use super::{metrics::sources, pages};
use crate::support::{server::PROGRAM, tools::repo_path};

/// Files beside the pages that name flags, variables or metrics.
const DEPLOYMENTS: [&str; 8] = [
    "docker-compose.yml",
    "Dockerfile",
    "examples/go/README.md",
    "examples/node/README.md",
    "examples/python/README.md",
    ".ci/compose",
    ".ci/run",
    ".ci/sabotage",
];

fn text_of_pages() -> Vec<(String, String)> {
    let others = [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "THREAT-MODEL.md",
        "justfile",
    ];
    let all = pages().into_iter().chain(others.map(str::to_owned));
    all.map(|page| {
        let text = fs::read_to_string(repo_path(&page)).unwrap();
        (page, text)
    })
    .collect()
}

/// The pages and the files of deployments, but for `CHANGELOG.md`, which names what is gone.
pub fn texts() -> Vec<(String, String)> {
    let files = DEPLOYMENTS.into_iter().filter_map(|file| {
        let text = fs::read_to_string(repo_path(file)).ok()?;
        Some((file.to_owned(), text))
    });
    text_of_pages().into_iter().chain(files).collect()
}

fn help(arguments: &[&str]) -> String {
    let output = Command::new(PROGRAM).args(arguments).arg("--help").output();
    String::from_utf8(output.unwrap().stdout).unwrap()
}

/// Names below a heading of a help text, such as `Commands:`.
fn subcommands(help: &str) -> Vec<String> {
    let Some((_, rest)) = help.split_once("\nCommands:\n") else {
        return Vec::new();
    };
    let lines = rest.lines().take_while(|line| line.starts_with("  "));
    let names = lines.filter(|line| !line.starts_with("   "));
    let names = names.filter_map(|line| line.split_whitespace().next());
    names
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

fn every_help() -> String {
    let mut all = help(&[]);
    for command in subcommands(&all.clone()) {
        let of_command = help(&[&command]);
        for below in subcommands(&of_command) {
            all += &help(&[&command, &below]);
        }
        all += &of_command;
    }
    all
}

#[test]
fn every_flag_that_a_page_names_is_one() {
    let flag = Regex::new(r"--[a-z][a-z0-9-]+").unwrap();
    let code = Regex::new(r"`([^`\n]+)`").unwrap();
    let help = every_help();
    let known: BTreeSet<_> = flag.find_iter(&help).map(|found| found.as_str()).collect();
    assert!(known.len() > 60, "{known:?}");
    for (page, text) in texts() {
        for code in code
            .captures_iter(&text)
            .map(|found| found.get(1).unwrap().as_str())
        {
            // Other programs have flags of their own.
            if ["cargo", "just ", "npx", "--bench ", ".ci/", "pg_", "docker"]
                .iter()
                .any(|other| code.contains(other))
            {
                continue;
            }
            for flag in flag.find_iter(code) {
                let flag = flag.as_str();
                assert!(
                    known.contains(flag),
                    "{page}: {code:?}: no command has {flag}"
                );
            }
        }
    }
}

#[test]
fn every_command_that_a_page_shows_has_its_flags() {
    let flag = Regex::new(r"--[a-z][a-z0-9-]+").unwrap();
    let command = Regex::new(r"(?-u:\b)dateline ([a-z-]+)((?: +[a-z]+)?)([^|;#`\n]*)").unwrap();
    let commands: BTreeSet<_> = subcommands(&help(&[])).into_iter().collect();
    let mut count = 0;
    for (page, text) in texts() {
        // Long commands go on over lines, and those of a Dockerfile are lists.
        let text = text.replace("\\\n", " ").replace("\", \"", " ");
        for found in command.captures_iter(&text) {
            let name = &found[1];
            if !commands.contains(name) {
                continue;
            }
            let below = found[2].trim();
            let is_below = subcommands(&help(&[name])).iter().any(|it| it == below);
            let path = [name, below];
            let help = help(&path[..=usize::from(is_below)]);
            let known: BTreeSet<_> = flag.find_iter(&help).map(|found| found.as_str()).collect();
            for flag in flag.find_iter(&found[3]) {
                let line = &found[0];
                assert!(
                    known.contains(flag.as_str()),
                    "{page}: {line}: {}",
                    flag.as_str()
                );
                count += 1;
            }
        }
    }
    assert!(count > 50, "only {count} flags were found");
}

#[test]
fn every_variable_that_a_page_names_is_one() {
    let variable = Regex::new(r"DATELINE_[A-Z0-9_]*[A-Z0-9]").unwrap();
    // Lines of a help are broken anywhere.
    let mut known: BTreeSet<_> = Regex::new(r"\[env:\s+(DATELINE_[A-Z0-9_]+)")
        .unwrap()
        .captures_iter(&every_help())
        .map(|found| found[1].to_owned())
        .collect();
    assert!(known.len() > 40, "{known:?}");
    // Those of commands that `watch` runs, of tests and of benchmarks.
    let literal = Regex::new(r#""(DATELINE_[A-Z0-9_]+)""#).unwrap();
    for file in sources() {
        let text = fs::read_to_string(file).unwrap_or_default();
        known.extend(
            literal
                .captures_iter(&text)
                .map(|found| found[1].to_owned()),
        );
    }
    // The password of the database, in docker-compose.yml alone.
    known.insert("DATELINE_POSTGRES_PASSWORD".to_owned());
    for (page, text) in texts() {
        for variable in variable.find_iter(&text) {
            let variable = variable.as_str();
            assert!(known.contains(variable), "{page}: nothing reads {variable}");
        }
    }
}

#[test]
fn every_test_and_benchmark_that_a_page_names_is_one() {
    let tests = Command::new(std::env::current_exe().unwrap())
        .arg("--list")
        .output();
    let tests = String::from_utf8(tests.unwrap().stdout).unwrap();
    let filter = Regex::new(r"cargo test --test it ([a-z_0-9:]+)").unwrap();
    let bench = Regex::new(r"--bench ([a-z]+)").unwrap();
    let mut checked = 0;
    for (page, text) in text_of_pages() {
        for found in filter.captures_iter(&text) {
            assert!(
                tests.contains(&found[1]),
                "{page}: no test is called {}",
                &found[1]
            );
            checked += 1;
        }
        for found in bench.captures_iter(&text) {
            let file = format!("benches/{}.rs", &found[1]);
            assert!(repo_path(&file).exists(), "{page}: there is no {file}");
            checked += 1;
        }
    }
    assert!(checked > 10, "{checked}");
}

#[test]
fn the_contract_lists_the_reasons_of_errors_and_no_others() {
    let contract = fs::read_to_string(repo_path("docs/contract.md")).unwrap();
    let (_, table) = contract.split_once("## Errors").unwrap();
    let table = table.split_once("\n## ").unwrap().0;
    let source = fs::read_to_string(repo_path("crates/dateline-server/src/reason.rs")).unwrap();
    let (_, source) = source.split_once("fn as_str").unwrap();
    let reason = Regex::new(r#""([A-Z_]+)""#).unwrap();
    let reasons: BTreeSet<_> = reason
        .captures_iter(source)
        .map(|found| found[1].to_owned())
        .collect();
    assert!(reasons.len() > 30, "{reasons:?}");
    let word = Regex::new(r"`([A-Z]+_[A-Z_]+|INTERNAL)`").unwrap();
    let listed: BTreeSet<_> = table
        .lines()
        .filter(|line| line.starts_with("| ") && line.matches('|').count() > 4)
        .flat_map(|line| word.captures_iter(line.split('|').nth(3).unwrap()))
        .map(|found| found[1].to_owned())
        .collect();
    let missing: Vec<_> = reasons.difference(&listed).collect();
    let unknown: Vec<_> = listed.difference(&reasons).collect();
    assert!(
        missing.is_empty() && unknown.is_empty(),
        "missing: {missing:?}, unknown: {unknown:?}"
    );
}

/// Recipes of the justfile by their names.
fn recipes() -> BTreeSet<String> {
    let justfile = fs::read_to_string(repo_path("justfile")).unwrap();
    let recipe = Regex::new(r"(?m)^([a-z][a-z-]*)(?: [^:=\n]*)?(?:=[^:\n]*)?:(?:[^=]|$)").unwrap();
    recipe
        .captures_iter(&justfile)
        .map(|found| found[1].to_owned())
        .collect()
}

#[test]
fn every_recipe_that_a_page_names_is_one() {
    let known = recipes();
    assert!(known.len() > 20, "{known:?}");
    let named = Regex::new(r"`just ([a-z][a-z-]*)[^`…]*`").unwrap();
    let mut checked = 0;
    for (page, text) in text_of_pages() {
        for found in named.captures_iter(&text) {
            assert!(known.contains(&found[1]), "{page}: no recipe {}", &found[1]);
            checked += 1;
        }
    }
    assert!(checked > 20, "{checked}");
}

#[test]
fn every_step_of_ci_is_a_recipe() {
    let ci = fs::read_to_string(repo_path(".ci/run")).unwrap();
    let (_, steps) = ci.split_once("<<'STEPS'\n").unwrap();
    let (steps, _) = steps.split_once("\nSTEPS\n").unwrap();
    let known = recipes();
    for step in steps.lines() {
        let recipe = step.split(' ').next().unwrap();
        assert!(known.contains(recipe), ".ci/run: no recipe {recipe}");
    }
}

#[test]
fn every_file_that_the_contributors_page_and_the_threat_model_name_exists() {
    let named =
        Regex::new(r"`((?:src|tests|proto|docs|build|crates|migrations|fuzz|seed|\.ci)/[^`*]*)`")
            .unwrap();
    for page in ["CONTRIBUTING.md", "THREAT-MODEL.md"] {
        let text = fs::read_to_string(repo_path(page)).unwrap();
        let mut checked = 0;
        for found in named.captures_iter(&text) {
            // The number of a migration stands for its file.
            let (folder, start) = found[1].rsplit_once('/').unwrap();
            let files = fs::read_dir(repo_path(folder)).unwrap_or_else(|error| {
                panic!("{page}: {folder}: {error}");
            });
            let exists = files
                .map(|file| file.unwrap().file_name().into_string().unwrap())
                .any(|file| file.starts_with(start));
            assert!(exists, "{page}: no file {}", &found[1]);
            checked += 1;
        }
        assert!(checked > 10, "{page}: {checked}");
    }
}
