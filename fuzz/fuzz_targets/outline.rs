//! `danelaw_fuzz::outline` on whatever the fuzzer finds.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| danelaw_fuzz::outline(data));
