# Commands of this repository, the same by hand and in CI (.ci/run). `just` lists them; `.ci/tools` installs `just` and
# the other tools into target/tools. Parameters have defaults: `just sabotage 20`.

set shell := ["bash", "-euo", "pipefail", "-c"]

export PATH := justfile_directory() / "target/tools/bin" + ":" + env("PATH")

[private]
default:
    @just --list --unsorted

# Everything that CI checks, on this machine
[group('checks')]
ci:
    .ci/run

# Formatting of the Rust code
[group('checks')]
format:
    cargo fmt --check

# All tests, or those that FILTERS name: `just test --test it f1_`
[group('checks')]
test *FILTERS:
    cargo test {{ FILTERS }}

# Clippy, warnings are errors
[group('checks')]
lint:
    cargo clippy --all-targets -- -D warnings
    # Exports without Parquet and object stores, as the README's first command builds them.
    cargo clippy --package dateline-formats -- -D warnings

# Precision and recall of name matching on held-out pairs, beside the matchers of nomenklatura
[group('checks')]
match-quality:
    .ci/match-quality

# Documentation of the crate, warnings are errors
[group('checks')]
docs:
    RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --quiet

# Compares the metadata of the checked queries (.sqlx) with the migrations
[group('checks')]
sqlx:
    .ci/sqlx --check

# Compares schema.sql with the schema that migrations/ and sql/ make
[group('checks')]
schema:
    .ci/schema --check

# Writes schema.sql, after a change of a migration or of sql/
[group('checks')]
schema-write:
    .ci/schema

# Writes the metadata of the checked queries, after a change of a query or a migration
[group('checks')]
sqlx-write:
    .ci/sqlx

# Schemas: lint, format, and compatibility with those that landed first
[group('checks')]
schemas: tools
    buf lint
    buf format --diff --exit-code proto
    mkdir -p target
    buf build --exclude-source-info -o target/schemas.binpb
    buf breaking target/schemas.binpb --against tests/golden/schemas.binpb

# Dependencies: unused ones, licences, bans, sources, and advisories where their database can be reached
[group('checks')]
deps: tools
    cargo shear
    cd fuzz && cargo shear
    cargo deny check --hide-inclusion-graph bans licenses sources
    if timeout 60 cargo deny fetch db; then cargo deny check --disable-fetch advisories; \
        else echo "NOT CHECKED: advisories; their database (github.com/RustSec/advisory-db) cannot be reached"; fi

# First lines of doc comments: the share that begins with a question word
[group('checks')]
prose:
    .ci/prose

# The README's main command in the dev profile, with the features that `cargo test` has built; `just readme` takes the
# release profile
[group('checks')]
demo:
    grep -q '^cargo run --release -- demo ' README.md
    cargo run --quiet --features full -- demo --once

# Both commands of the README as they stand: a release build, 9 minutes on two cores
[group('checks')]
readme:
    cargo run --release -- demo --once
    cargo test

# The tests can fail: breaks the database in five ways, up to ROUNDS tries each
[group('faults')]
sabotage ROUNDS="8":
    ROUNDS={{ ROUNDS }} .ci/sabotage

# The tests can fail: takes rule after rule out of the code (tests/mutations.txt); all, or those named; --list checks
# them
[group('faults')]
mutate *IDS:
    .ci/mutate {{ IDS }}

# The validator can fail: breaks the engine (tests/engine_faults.txt); all, or those named; --list checks them
[group('faults')]
engine-faults *IDS:
    .ci/mutate --engine {{ IDS }}

# After a rename: the texts of planted faults follow the code since REVISION
[group('faults')]
follow-rename REVISION:
    .ci/mutate --follow {{ REVISION }}
    .ci/mutate --engine --follow {{ REVISION }}

# W1, W2, W4: kills the server and Postgres KILLS times under 16 writers
[group('campaigns')]
campaign-crash KILLS="50":
    DATELINE_KILLS={{ KILLS }} cargo test --test it crash::campaign -- --nocapture

# Projections: two servers on one database are killed in turn
[group('campaigns')]
campaign-projections KILLS="50":
    DATELINE_KILLS={{ KILLS }} cargo test --test it crash::projections -- --nocapture

# W3: two editors of different fields of one record
[group('campaigns')]
campaign-two-editors ROUNDS="1000":
    DATELINE_ROUNDS={{ ROUNDS }} cargo test --test it w3_two_editors -- --nocapture

# W9: a source is withdrawn while facts that rest on it are published
[group('campaigns')]
campaign-evidence ROUNDS="1000":
    DATELINE_ROUNDS={{ ROUNDS }} cargo test --test it w9_a_fact_is_never -- --nocapture

# Random requests against a model of the contract
[group('campaigns')]
campaign-model STEPS="20000":
    DATELINE_STEPS={{ STEPS }} cargo test --test it model_based -- --nocapture

# F1 to F12: the feed under faults, judged by the validator
[group('campaigns')]
campaign-feed SECONDS="300":
    DATELINE_FAULT_SECONDS={{ SECONDS }} cargo test --test it under_faults -- --nocapture

# F10, W5: embargoes under faults
[group('campaigns')]
campaign-embargoes RECORDS="5000":
    DATELINE_EMBARGOES={{ RECORDS }} cargo test --test it embargoes_end_once -- --nocapture

# The feed without faults of the machine, for faults of the engine
[group('campaigns')]
campaign-at-rest:
    cargo test --test it at_rest -- --nocapture

# Responses of every method that no client reads
[group('campaigns')]
campaign-unread:
    DATELINE_UNREAD=all cargo test --test it unread -- --nocapture

# Judges a recorded run again
[group('campaigns')]
validate HISTORY:
    DATELINE_HISTORY={{ HISTORY }} cargo test --test it validator:: -- --nocapture

# The image and docker-compose.yml in a real engine; as root on Debian, after `cargo build`
[group('campaigns')]
compose:
    .ci/compose

# Fuzzes a target with libFuzzer and nightly Rust
[group('campaigns')]
fuzz TARGET SECONDS="600":
    cargo test --test it fuzzing::short::{{ TARGET }}
    fuzz/corpus.py unpack {{ TARGET }}
    cargo +nightly fuzz run -s none {{ TARGET }} fuzz/corpus/{{ TARGET }} target/tmp/fuzz-seeds/{{ TARGET }} -- \
        -max_total_time={{ SECONDS }} -rss_limit_mb=2048 -timeout=10

# Minimises the corpus of a target and packs it into the file that is tracked
[group('campaigns')]
fuzz-keep TARGET:
    cargo +nightly fuzz cmin -s none {{ TARGET }}
    fuzz/corpus.py pack {{ TARGET }}

# A benchmark of benches/, such as `just bench commit -- --short`
[group('benchmarks')]
bench NAME *ARGS:
    cargo bench --bench {{ NAME }} {{ ARGS }}

[private]
tools:
    .ci/tools
