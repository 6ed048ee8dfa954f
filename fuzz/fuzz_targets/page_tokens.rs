//! `cargo +nightly fuzz run page_tokens`; what it does is told with the target.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dateline_fuzz::run("page_tokens", data));
