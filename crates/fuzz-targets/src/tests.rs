//! Every input that was kept runs through its target again, with a bounded number of damaged copies of each. The
//! fuzzers themselves look for new ones: `cargo xtask fuzz`.

use std::{fs, path::Path};

use super::TARGETS;

/// Damaged copies of each input.
const COPIES: u64 = 64;

/// Inputs of `name` in `fuzz/corpus`, in the order of their names.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name);
    let entries = fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

/// Numbers that are the same in every run (splitmix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed >> 33) % u64::try_from(bound.max(1)).unwrap()).unwrap()
    }
}

/// `input` with a byte changed, cut off at the end, or with a part of `other` in it.
fn damaged(input: &[u8], other: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut copy = input.to_vec();
    match dice.below(4) {
        0 => copy.truncate(dice.below(input.len())),
        1 => {
            let (at, from) = (dice.below(copy.len() + 1), dice.below(other.len() + 1));
            let to = from + dice.below(other.len() - from + 1);
            copy.splice(at..at, other[from..to].iter().copied());
        }
        _ if copy.is_empty() => {}
        _ => {
            let at = dice.below(copy.len());
            copy[at] = u8::try_from(dice.below(256)).unwrap();
        }
    }
    copy
}

fn replay(name: &str) {
    let (_, target) = TARGETS.into_iter().find(|(known, _)| *known == name).unwrap();
    let inputs = corpus(name);
    assert!(inputs.len() >= 10, "{name} has next to no corpus");
    target(&[]);
    for (number, input) in inputs.iter().enumerate() {
        target(input);
        for copy in 0..COPIES {
            let mut dice = Dice(copy << 32 | u64::try_from(number).unwrap());
            let other = &inputs[dice.below(inputs.len())];
            target(&damaged(input, other, &mut dice));
        }
    }
}

#[test]
fn hub_contract_passes() {
    replay("hub_contract");
}

#[test]
fn json_payload_passes() {
    replay("json_payload");
}

#[test]
fn payload_codec_passes() {
    replay("payload_codec");
}

#[test]
fn slot_frame_passes() {
    replay("slot_frame");
}

#[test]
fn wire_decoder_passes() {
    replay("wire_decoder");
}

/// A target without a test here, or without a program, would be forgotten.
#[test]
fn every_target_is_replayed_and_has_a_program() {
    let names = TARGETS.map(|(name, _)| name);
    assert_eq!(names, ["hub_contract", "json_payload", "payload_codec", "slot_frame", "wire_decoder"]);
    let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/src/bin");
    for name in names {
        assert!(programs.join(format!("{name}.rs")).is_file(), "{name} has no program");
    }
    assert_eq!(fs::read_dir(&programs).unwrap().count(), names.len(), "a program has no target here");
}
