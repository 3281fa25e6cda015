//! `danelaw_fuzz::answer` on whatever the fuzzer finds.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| danelaw_fuzz::answer(data));
