//! Slug rules of the endpoint contract.
use proptest::prelude::*;

use super::{FunctionName, slug};

#[test]
fn e80_slug_follows_the_rule() {
    for (name, want) in [
        ("marco_polo", "marco-polo"),
        ("  Marco Polo ", "marco-polo"),
        ("!!!", ""),
        ("v1.5_turbo", "v1.5-turbo"),
        ("--.a..b.--", "a..b"),
        ("a__--__b", "a-b"),
        ("Ünïcode", "n-code"),
    ] {
        assert_eq!(slug(name), want, "{name:?}");
    }
    let long = format!("{}-{}", "a".repeat(127), "b".repeat(10));
    assert_eq!(slug(&long), "a".repeat(127), "the cut leaves no dash at the end");
}

#[test]
fn e80_a_name_without_letters_is_refused() {
    assert_eq!(
        FunctionName::parse("!!!").expect_err("empty slug").to_string(),
        "function name \"!!!\" has no letter or digit in it"
    );
}

proptest! {
    #[test]
    fn e80_slug_is_idempotent_and_stays_in_its_alphabet(name in ".{0,200}") {
        let once = slug(&name);
        prop_assert_eq!(slug(&once), once.clone());
        prop_assert!(once.len() <= 128);
        prop_assert!(once.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.' || c == '-'));
    }
}
