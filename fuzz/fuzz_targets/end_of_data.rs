//! `danelaw_fuzz::end_of_data` on whatever the fuzzer finds.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| danelaw_fuzz::end_of_data(data));
