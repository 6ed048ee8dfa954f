//! `cargo +nightly fuzz run parts`; what it does is told with the target.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dateline_fuzz::run("parts", data));
