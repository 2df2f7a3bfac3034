//! A thousand seeds, in parts that run beside each other.

use std::process::Command;

/// Seeds in all.
const SEEDS: u64 = 1_000;

/// Parts they are split into, one test each.
const PARTS: u64 = 8;

/// Seeds that are run twice.
const REPEATED: u64 = 6;

fn simulation(args: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_gen-worker-sim")).args(args).output().expect("the program runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), text)
}

fn part(number: u64) {
    let (from, seeds) = (number * SEEDS / PARTS, SEEDS / PARTS);
    let (passed, text) = simulation(&["--from", &from.to_string(), "--seeds", &seeds.to_string(), "--jobs", "1"]);
    assert!(passed, "{text}");
}

#[test]
fn seeds_of_part_1() {
    part(0);
}

#[test]
fn seeds_of_part_2() {
    part(1);
}

#[test]
fn seeds_of_part_3() {
    part(2);
}

#[test]
fn seeds_of_part_4() {
    part(3);
}

#[test]
fn seeds_of_part_5() {
    part(4);
}

#[test]
fn seeds_of_part_6() {
    part(5);
}

#[test]
fn seeds_of_part_7() {
    part(6);
}

#[test]
fn seeds_of_part_8() {
    part(7);
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
