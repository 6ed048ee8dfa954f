//! The index of both catalogues of bad input: every row names a test that exists and runs, or the reason why it needs
//! none.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// Number and short text of each row, from the design.
const ROWS: &str = include_str!("../../data/bad_input_rows.txt");
/// Number of each row, and its tests.
const TESTS: &str = include_str!("../../data/bad_input_tests.txt");

/// The tests of a row.
#[derive(Debug, Default)]
struct Shown {
    by: Vec<&'static str>,
    /// The reason why the row does not apply.
    not: Option<&'static str>,
}

fn lines(text: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    let lines = text
        .lines()
        .filter(|line| !line.starts_with('#') || line.contains('\t'));
    lines.map(|line| {
        line.split_once('\t')
            .unwrap_or_else(|| panic!("no tab in {line:?}"))
    })
}

/// A map of entries by number; each number occurs once.
fn once<T>(entries: impl Iterator<Item = (&'static str, T)>) -> BTreeMap<&'static str, T> {
    let mut all = BTreeMap::new();
    for (number, entry) in entries {
        assert!(all.insert(number, entry).is_none(), "{number} stands twice");
    }
    all
}

fn row_coverage() -> BTreeMap<&'static str, Shown> {
    once(lines(TESTS).map(|(number, told)| {
        let not = told.strip_prefix("none: ");
        let names = told
            .split(", ")
            .filter(|name| !name.is_empty() && not.is_none());
        let by = names.collect();
        (number, Shown { by, not })
    }))
}

/// The code of all tests, and of the source with its unit tests.
fn sources() -> Vec<String> {
    let mut open = ["tests/it", "src", "crates"]
        .map(|root| Path::new(env!("CARGO_MANIFEST_DIR")).join(root))
        .to_vec();
    let mut texts = Vec::new();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(
                fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            texts.push(fs::read_to_string(&path).unwrap());
        }
    }
    texts
}

/// Every test function; true if it is ignored.
fn tests(sources: &[String]) -> BTreeMap<&str, bool> {
    let mut tests = BTreeMap::new();
    for text in sources {
        let (mut is_test, mut is_ignored) = (false, false);
        for line in text.lines().map(str::trim) {
            is_test |= line == "#[test]" || line.starts_with("#[tokio::test");
            is_ignored |= line.starts_with("#[ignore");
            let plain = line.trim_start_matches("pub ").trim_start_matches("async ");
            if let Some(name) = plain.strip_prefix("fn ") {
                if is_test {
                    let name = name.split('(').next().unwrap_or_default();
                    tests.insert(name, is_ignored);
                }
                (is_test, is_ignored) = (false, false);
            }
        }
    }
    tests
}

/// The complaint about the name of a test, if any.
fn complaint(name: &str, tests: &BTreeMap<&str, bool>) -> Option<String> {
    match tests.get(name) {
        None => Some(format!("there is no test {name:?}")),
        Some(true) => Some(format!("{name} is ignored")),
        Some(false) => None,
    }
}

#[test]
fn every_row_of_both_catalogues_is_shown_or_said_why_not() {
    let (rows, shown) = (once(lines(ROWS)), row_coverage());
    assert_eq!(
        rows.len(),
        71 + 140,
        "the copy of the design's rows is whole"
    );
    let unlisted: Vec<_> = rows
        .keys()
        .filter(|row| !shown.contains_key(*row))
        .collect();
    let unknown: Vec<_> = shown
        .keys()
        .filter(|row| !rows.contains_key(*row))
        .collect();
    assert!(
        unlisted.is_empty() && unknown.is_empty(),
        "{unlisted:?} {unknown:?}"
    );
    let sources = sources();
    let tests = tests(&sources);
    assert!(tests.len() > 400, "{} tests were found", tests.len());
    let mut wrong = BTreeSet::new();
    for (row, shown) in &shown {
        wrong.extend(shown.by.iter().filter_map(|name| complaint(name, &tests)));
        if let Some(why) = shown.not {
            assert!(why.split(' ').count() > 4, "{row}: why is {why:?}");
        }
        let is_told = !shown.by.is_empty() || shown.not.is_some();
        assert!(is_told, "{row} is shown by nothing");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let count = |is: &dyn Fn(&Shown) -> bool| shown.values().filter(|it| is(it)).count();
    println!(
        "{} rows are shown; {} are about nothing that there is",
        count(&|it| !it.by.is_empty()),
        count(&|it| it.not.is_some()),
    );
}

#[test]
fn a_test_that_is_not_there_or_does_not_run_shows_nothing() {
    let sources = ["#[test]\nfn here() {}\n#[tokio::test]\n#[ignore = \"slow\"]\nasync fn left_out() {}\nfn no_test() {}"]
        .map(str::to_owned);
    let tests = tests(&sources);
    assert_eq!(complaint("here", &tests), None);
    for name in ["left_out", "no_test", "gone"] {
        assert!(complaint(name, &tests).is_some(), "{name}");
    }
}
