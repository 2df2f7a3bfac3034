use super::{Seeds, run_seeds};

fn seeds(program: &str) -> Seeds {
    Seeds { program: program.into(), range: 3..9, jobs: Some(2) }
}

#[test]
fn every_failing_seed_is_named() {
    let error = run_seeds(&seeds("false")).expect_err("a program that always fails");
    assert_eq!(error.to_string(), "6 of 6 seeds failed: [3, 4, 5, 6, 7, 8]");
    run_seeds(&seeds("true")).expect("a program that never does");
}

#[test]
fn a_program_that_is_not_there_is_an_error() {
    assert!(run_seeds(&seeds("no-such-program")).is_err());
}
