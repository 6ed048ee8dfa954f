//! The quality of scores and keys on labelled pairs: printed by kind and script, and held above floors.
//! `cargo test -p dateline-match --test quality -- --nocapture` shows the figures.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, missing_docs)]

mod support;

use dateline_match::{POSSIBLE, compare, keys};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};
use support::{Row, rows};

const TUNING: &str = include_str!("data/tuning.txt");

fn evaluation() -> Vec<Row> {
    let mut all = rows(include_str!("data/evaluation_persons.txt"));
    all.extend(rows(include_str!("data/evaluation_bodies.txt")));
    all
}

#[derive(Clone, Copy, Default)]
struct Counts {
    right: u32,
    wrong: u32,
    missed: u32,
}

impl Counts {
    fn add(&mut self, is_same: bool, is_match: bool) {
        match (is_same, is_match) {
            (true, true) => self.right += 1,
            (false, true) => self.wrong += 1,
            (true, false) => self.missed += 1,
            (false, false) => {}
        }
    }

    fn precision(self) -> f64 {
        f64::from(self.right) / f64::from((self.right + self.wrong).max(1))
    }

    fn recall(self) -> f64 {
        f64::from(self.right) / f64::from((self.right + self.missed).max(1))
    }

    fn f1(self) -> f64 {
        let (precision, recall) = (self.precision(), self.recall());
        2.0 * precision * recall / (precision + recall).max(f64::MIN_POSITIVE)
    }
}

/// Counts by kind, by script, and by the two groups of the floors.
fn measure(rows: &[Row], with_features: bool) -> BTreeMap<String, Counts> {
    let mut all: BTreeMap<String, Counts> = BTreeMap::new();
    let mode = if with_features {
        "with features"
    } else {
        "names alone"
    };
    for row in rows {
        let [left, right] = row.profiles(with_features);
        let is_match = compare(&left, &right).value >= POSSIBLE;
        let group = if row.kind == "person" {
            "persons"
        } else {
            "others"
        };
        let script = row.script();
        for title in [
            format!("all {group}"),
            format!("kind {}", row.kind),
            format!("script {script}"),
        ] {
            all.entry(format!("{mode}, {title}"))
                .or_default()
                .add(row.is_same, is_match);
        }
    }
    for (title, counts) in &all {
        let (precision, recall, f1) = (counts.precision(), counts.recall(), counts.f1());
        println!("{title:40} P {precision:.2} R {recall:.2} F1 {f1:.2}");
    }
    all
}

fn assert_floor(all: &BTreeMap<String, Counts>, title: &str, precision: f64, recall: f64) {
    let counts = all[title];
    assert!(
        counts.precision() >= precision && counts.recall() >= recall,
        "{title}: {:.3} / {:.3} is below {precision} / {recall}",
        counts.precision(),
        counts.recall()
    );
}

#[test]
fn names_alone_reach_their_floors_on_held_out_pairs() {
    let all = measure(&evaluation(), false);
    assert_floor(&all, "names alone, all persons", 0.90, 0.75);
    assert_floor(&all, "names alone, all others", 0.80, 0.60);
}

#[test]
fn features_raise_precision_and_recall_on_held_out_pairs() {
    let all = measure(&evaluation(), true);
    assert_floor(&all, "with features, all persons", 0.97, 0.85);
    assert_floor(&all, "with features, all others", 0.97, 0.85);
}

/// A pair is found if it shares a key that few other names have.
#[test]
fn keys_find_pairs_before_they_are_scored() {
    let rows = evaluation();
    let background: Vec<Row> = rows.iter().cloned().chain(support::rows(TUNING)).collect();
    let mut owners: BTreeMap<_, BTreeSet<usize>> = BTreeMap::new();
    let side_keys = |row: &Row| {
        row.profiles(false).map(|profile| {
            let names = profile.names.iter();
            names
                .flat_map(|name| keys(name, row.kind == "person"))
                .collect::<BTreeSet<_>>()
        })
    };
    for (at, row) in background.iter().enumerate() {
        for (side, keys) in side_keys(row).into_iter().enumerate() {
            for key in keys {
                owners.entry(key).or_default().insert(at * 2 + side);
            }
        }
    }
    let mut found: BTreeMap<String, Counts> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.is_same) {
        let [left, right] = side_keys(row);
        let limit = background.len() * 2 / 50;
        let is_found = left
            .intersection(&right)
            .any(|key| owners[key].len() <= limit);
        let group = if row.kind == "person" {
            "persons"
        } else {
            "others"
        };
        for title in ["all", group] {
            found
                .entry(title.to_owned())
                .or_default()
                .add(true, is_found);
        }
    }
    for (title, counts) in &found {
        println!("blocking, {title:20} R {:.2}", counts.recall());
    }
    assert!(
        found["all"].recall() >= 0.85,
        "{:.3}",
        found["all"].recall()
    );
}

#[test]
fn the_tuning_pairs_are_shown_where_they_fail() {
    let rows = rows(TUNING);
    for with_features in [false, true] {
        for row in &rows {
            let [left, right] = row.profiles(with_features);
            let score = compare(&left, &right);
            if (score.value >= POSSIBLE) != row.is_same {
                println!(
                    "{} {} {} {} {:.2} {}",
                    row.kind,
                    row.is_same,
                    row.left,
                    row.right,
                    score.value,
                    score.to_string().replace('\n', "; ")
                );
            }
        }
        let all = measure(&rows, with_features);
        let mode = if with_features {
            "with features"
        } else {
            "names alone"
        };
        assert_floor(&all, &format!("{mode}, all persons"), 0.9, 0.75);
        assert_floor(&all, &format!("{mode}, all others"), 0.8, 0.6);
    }
}

/// Writes the held-out pairs with our scores, for `.ci/match-quality`, which lets other matchers score them too.
#[test]
fn held_out_scores_are_written_for_comparison() {
    let mut out = String::new();
    for with_features in [false, true] {
        let mode = if with_features {
            "with features"
        } else {
            "names alone"
        };
        for row in evaluation() {
            let [left, right] = row.profiles(with_features);
            let score = compare(&left, &right).value;
            let group = if row.kind == "person" {
                "persons"
            } else {
                "others"
            };
            let schema = match row.kind.as_str() {
                "person" => "Person",
                "vessel" => "Vessel",
                _ => "Organization",
            };
            let facts = if with_features {
                row.facts()
            } else {
                Default::default()
            };
            let [[left_country, left_date], [right_country, right_date]] = facts;
            let label = u8::from(row.is_same);
            writeln!(
                out,
                "{mode}\t{group}\t{label}\t{score:.4}\t{}\t{}\t{schema}\t{left_country}\t{left_date}\t{right_country}\t{right_date}",
                row.left, row.right
            )
            .unwrap();
        }
    }
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("match-scores.tsv");
    std::fs::write(&path, out).unwrap();
    println!("scores: {}", path.display());
}

/// A third set, written after the scorer: an estimate of what names that nobody thought of do to it.
#[test]
fn names_that_were_written_later_reach_the_floors_as_well() {
    let rows = rows(include_str!("data/later.txt"));
    for with_features in [false, true] {
        let all = measure(&rows, with_features);
        let mode = if with_features {
            "with features"
        } else {
            "names alone"
        };
        assert_floor(&all, &format!("{mode}, all persons"), 0.90, 0.75);
        assert_floor(&all, &format!("{mode}, all others"), 0.80, 0.60);
    }
}
