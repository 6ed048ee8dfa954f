//! The short form of fuzzing, run with all tests: inputs kept by the long form (`fuzz/corpus`), good input, and some
//! thousand mutations of both, the same ones each time. `docs/campaigns.md` describes the long form, which finds more,
//! since libFuzzer observes which code an input reaches.
//!
//! `DATELINE_MUTATIONS` and `DATELINE_SEED` change the number and the seed.

mod mutation;
mod targets;

use std::{
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use self::{mutation::mutated, targets::seeds};

/// Default number of mutations of each target.
const MUTATIONS: u64 = 2000;
/// Default seed.
const SEED: u64 = 6;

fn variable(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

/// The packed corpus of a target (`fuzz/corpus.py`): one input per line in base64, followed by its name if it has one.
fn packed(target: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target)
        .with_extension("txt");
    std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// Returns the inputs that the long form has kept, in the order of the file.
fn kept(target: &str) -> Vec<Vec<u8>> {
    packed(target)
        .lines()
        .map(|line| line.split_once(' ').map_or(line, |(input, _name)| input))
        .map(|input| STANDARD.decode(input).unwrap())
        .collect()
}

/// Runs a target on bytes; those that break a property are saved to a file, which the panic names.
fn try_out(target: &str, bytes: &[u8], which: &str) {
    let tried = catch_unwind(AssertUnwindSafe(|| targets::run(target, bytes)));
    if tried.is_err() {
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("broken-{target}"));
        std::fs::write(&file, bytes).unwrap();
        panic!(
            "{which} of {target} breaks a property; its bytes are in {}",
            file.display()
        );
    }
}

/// Saves the good input for the long form, which starts with it and is not built to generate it.
fn leave_for_the_long_form(target: &str, good: &[Vec<u8>]) {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("fuzz-seeds")
        .join(target);
    std::fs::create_dir_all(&place).unwrap();
    for (number, bytes) in good.iter().enumerate() {
        std::fs::write(place.join(format!("seed-{number:03}")), bytes).unwrap();
    }
}

fn short_form(target: &str) {
    let mut good = seeds::seeds_for(target);
    assert!(!good.is_empty(), "{target} has something to begin with");
    leave_for_the_long_form(target, &good);
    good.extend(kept(target));
    for (index, bytes) in good.iter().enumerate() {
        try_out(target, bytes, &format!("input {index}"));
    }
    let seed = variable("DATELINE_SEED", SEED);
    let mut lot = StdRng::seed_from_u64(seed);
    for number in 0..variable("DATELINE_MUTATIONS", MUTATIONS) {
        let [one, other] = [0, 1].map(|_| lot.random_range(0..good.len()));
        let bytes = mutated(&good[one], &good[other], &mut lot);
        let which = format!("mutation {number} with seed {seed}");
        try_out(target, &bytes, &which);
    }
}

/// A test per target, so that they run in parallel and are reported separately.
macro_rules! short_forms {
    ($($target:ident),+ $(,)?) => {
        mod short {
            $(
                #[test]
                fn $target() {
                    super::short_form(stringify!($target));
                }
            )+
        }

        #[test]
        fn every_target_has_a_short_form_and_a_long_one() {
            let listed = [$(stringify!($target)),+];
            assert_eq!(targets::ALL.map(|(name, _)| name), listed);
            let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/Cargo.toml");
            let manifest = std::fs::read_to_string(manifest).unwrap();
            for target in listed {
                let names = format!("name = \"{target}\"");
                assert!(manifest.contains(&names), "fuzz/Cargo.toml lacks {target}");
            }
        }
    };
}

short_forms!(
    requests,
    records,
    filters,
    cursors,
    page_tokens,
    edtf,
    texts,
    imports,
    documents,
    recordings,
    manifests,
    parts,
);

#[test]
fn what_is_kept_is_small() {
    let sizes = targets::ALL.map(|(target, _)| kept(target).iter().map(Vec::len).sum::<usize>());
    let all: usize = sizes.iter().sum();
    assert!(all < 1024 * 1024, "{all} bytes: {sizes:?}");
}

#[test]
fn packed_corpora_are_sorted_and_name_no_input_twice() {
    for (target, _) in targets::ALL {
        let lines: Vec<_> = packed(target).lines().map(str::to_owned).collect();
        assert!(
            lines.is_sorted(),
            "fuzz/corpus/{target}.txt: run `fuzz/corpus.py pack {target}`"
        );
        let inputs: BTreeSet<_> = kept(target).into_iter().collect();
        assert_eq!(inputs.len(), lines.len(), "fuzz/corpus/{target}.txt");
    }
}
