//! Scores of pairs and mentions in text, each beside the least that it could cost: folding the same names, and folding
//! the same text. One core, no I/O. `--short` checks that it runs.

#![allow(clippy::print_stdout, missing_docs)]

#[path = "../tests/support/mod.rs"]
mod support;

use dateline_match::{Mentions, Profile, compare, keys, normalize};
use std::{
    hint::black_box,
    time::{Duration, Instant},
};

/// Names that are looked for, and bytes of the text.
const NAMES: u32 = 100_000;
const TEXT_BYTES: usize = 10_000;

fn main() {
    let is_short = std::env::args().any(|it| it == "--short");
    let rounds = if is_short { 1 } else { 9 };
    let rows = support::rows(include_str!("../tests/data/tuning.txt"));
    let pairs: Vec<[Profile; 2]> = rows.iter().map(|row| row.profiles(true)).collect();
    let of_scores = best(rounds, || {
        for [left, right] in &pairs {
            black_box(compare(left, right));
        }
    });
    let of_folding = best(rounds, || {
        for row in &rows {
            black_box((normalize(&row.left), normalize(&row.right)));
        }
    });
    let of_first_scores = best(rounds, || {
        for row in &rows {
            let [left, right] = row.profiles(true);
            black_box(compare(&left, &right));
        }
    });
    let of_keys = best(rounds, || {
        for name in pairs.iter().flatten().flat_map(|it| &it.names) {
            black_box(keys(name, true));
        }
    });
    let pairs_per_second = |it: Duration| rows.len() as f64 / it.as_secs_f64();
    let folding = pairs_per_second(of_folding);
    println!("folding two names    {folding:10.0} pairs/s");
    for (title, duration) in [
        ("scores", of_scores),
        ("parsing and scores", of_first_scores),
        ("keys of two names", of_keys),
    ] {
        let rate = pairs_per_second(duration);
        println!(
            "{title:20} {rate:10.0} pairs/s, {:.3} of folding",
            rate / folding
        );
    }
    mentions(rounds);
}

fn mentions(rounds: u32) {
    let mut known = Mentions::new();
    let started = Instant::now();
    for number in 0..NAMES {
        known.add(&name(number), number);
    }
    println!(
        "adding {NAMES} names   {:10.1} ms",
        millis(started.elapsed())
    );
    let mut text = String::new();
    let mut number = 0;
    while text.len() < TEXT_BYTES {
        number += 7919;
        text.push_str("In the morning the minister met ");
        text.push_str(&name(number % (2 * NAMES)));
        text.push_str(" and said that talks went on. Переговоры продолжатся. ");
    }
    let found = known.find(&text).len();
    let of_find = best(rounds, || {
        black_box(known.find(&text));
    });
    let of_folding = best(rounds, || {
        black_box(normalize(&text));
    });
    println!(
        "mentions in {} bytes: {:.2} ms, {found} found, {:.1} times folding the text",
        text.len(),
        millis(of_find),
        of_find.as_secs_f64() / of_folding.as_secs_f64()
    );
}

/// A made-up name of two words, the same for the same number.
fn name(number: u32) -> String {
    const FIRST: [&str; 16] = [
        "Ba", "Ko", "Mi", "Ра", "Sun", "Те", "Vel", "Хо", "Ji", "Da", "Лу", "Per", "Яни", "Ost",
        "Gre", "Фи",
    ];
    let mut word = String::new();
    let mut rest = number;
    for at in 0..5 {
        if at == 2 {
            word.push(' ');
        }
        word.push_str(FIRST[(rest % 16) as usize]);
        rest /= 16;
    }
    word
}

/// The shortest of some rounds.
fn best(rounds: u32, mut work: impl FnMut()) -> Duration {
    let durations = (0..rounds).map(|_| {
        let started = Instant::now();
        work();
        started.elapsed()
    });
    durations.min().unwrap_or_default()
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
