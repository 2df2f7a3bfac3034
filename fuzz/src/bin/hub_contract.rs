//! Looks for input that breaks `gen_worker_fuzz_targets::hub_contract`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| gen_worker_fuzz_targets::hub_contract(input));
