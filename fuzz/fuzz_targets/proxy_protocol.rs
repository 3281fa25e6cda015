//! `danelaw_fuzz::proxy_protocol` on whatever the fuzzer finds.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| danelaw_fuzz::proxy_protocol(data));
