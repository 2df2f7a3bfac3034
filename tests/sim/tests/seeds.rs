//! A thousand seeds, in parts that run beside each other.

use std::{ops::Range, process::Command};

/// Seeds in all.
const SEEDS: u64 = 1_000;

/// Parts they are split into, one test each.
const PARTS: u64 = 16;

/// Seeds that are run twice.
const REPEATED: u64 = 6;

fn simulation(args: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_gen-worker-sim")).args(args).output().expect("the program runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), text)
}

fn range(part: u64) -> Range<u64> {
    part * SEEDS / PARTS..(part + 1) * SEEDS / PARTS
}

fn part(number: u64) {
    let range = range(number);
    let (from, seeds) = (range.start.to_string(), (range.end - range.start).to_string());
    let (passed, text) = simulation(&["--from", &from, "--seeds", &seeds, "--jobs", "1"]);
    assert!(passed, "{text}");
}

/// One test for each part, so that they run beside each other.
macro_rules! parts {
    ($($name:ident = $number:literal,)*) => {
        $(#[test]
        fn $name() {
            part($number);
        })*

        #[test]
        fn every_seed_is_in_a_part() {
            let listed: &[u64] = &[$($number),*];
            assert!(listed.iter().copied().eq(0..PARTS), "{listed:?}");
        }
    };
}

parts! {
    seeds_of_part_1 = 0,
    seeds_of_part_2 = 1,
    seeds_of_part_3 = 2,
    seeds_of_part_4 = 3,
    seeds_of_part_5 = 4,
    seeds_of_part_6 = 5,
    seeds_of_part_7 = 6,
    seeds_of_part_8 = 7,
    seeds_of_part_9 = 8,
    seeds_of_part_10 = 9,
    seeds_of_part_11 = 10,
    seeds_of_part_12 = 11,
    seeds_of_part_13 = 12,
    seeds_of_part_14 = 13,
    seeds_of_part_15 = 14,
    seeds_of_part_16 = 15,
}

#[test]
fn a_seed_gives_the_same_log_every_time() {
    for seed in 0..REPEATED {
        let run = || simulation(&["--seed", &seed.to_string(), "--trace"]);
        let (first, second) = (run(), run());
        let differing = first.1.lines().zip(second.1.lines()).find(|(one, other)| one != other);
        assert!(first == second, "seed {seed}: {differing:?}");
        assert!(first.1.contains(&format!("seed {seed}: ")), "{}", first.1);
    }
}
