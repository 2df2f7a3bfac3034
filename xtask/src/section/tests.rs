//! A section is replaced whole and nothing else changes.

use super::*;

const PAGE: &str = "head\n<!-- bench:begin -->\nold\n<!-- bench:end -->\ntail\n";

#[test]
fn a_section_is_replaced_and_the_rest_is_kept() {
    let new = with(PAGE, "bench", "| a |\n").unwrap();
    assert!(new.ends_with("<!-- bench:begin -->\n| a |\n<!-- bench:end -->\ntail\n"), "{new}");
    assert_eq!(with(&new, "bench", "old").unwrap(), PAGE);
}

#[test]
fn a_missing_marker_is_named() {
    let error = with("no markers", "bench", "").unwrap_err();
    assert!(error.to_string().contains("<!-- bench:begin -->"), "{error}");
}
