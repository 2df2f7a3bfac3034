use super::*;

fn rows(flavors: &[&str]) -> Vec<Row> {
    let row = |flavor: &&str| Row {
        flavor: flavor.trim_end_matches('!').to_owned(),
        digest: (*flavor).to_owned(),
        unsafe_weights: flavor.ends_with('!'),
    };
    flavors.iter().map(row).collect()
}

fn chosen(flavors: &[&str], default: Option<&str>, wanted: Option<&str>, pickled: Pickled) -> Option<String> {
    select(&rows(flavors), default, wanted, pickled).map(|row| row.digest.clone())
}

#[test]
fn h3_10_a_named_flavor_then_the_tags_own_then_the_only_then_the_known_ones_then_the_first() {
    let pick = |flavors: &[&str], default, wanted| chosen(flavors, default, wanted, Pickled::Never);
    assert_eq!(pick(&["fp8", "bf16"], None, Some("fp8")).as_deref(), Some("fp8"));
    assert_eq!(pick(&["fp8", "bf16"], None, Some("nf4")), None);
    assert_eq!(pick(&["fp8", "bf16"], Some("fp8"), None).as_deref(), Some("fp8"));
    assert_eq!(pick(&["zzz"], None, None).as_deref(), Some("zzz"));
    assert_eq!(pick(&["fp16", "", "bf16"], None, None).as_deref(), Some("bf16"));
    assert_eq!(pick(&["nf4", "", "fp16"], None, None).as_deref(), Some("fp16"));
    assert_eq!(pick(&["nf4", ""], None, None).as_deref(), Some(""));
    assert_eq!(pick(&["nf4", "int8"], None, None).as_deref(), Some("int8"));
    assert_eq!(pick(&["nf4", "int8"], Some("gone"), None).as_deref(), Some("int8"));
    assert_eq!(pick(&[], None, None), None);
}

#[test]
fn h6_22_pickled_weights_are_taken_by_name_only() {
    assert_eq!(chosen(&["bf16!", "nf4"], Some("bf16"), None, Pickled::Never).as_deref(), Some("nf4"));
    assert_eq!(chosen(&["bf16!"], None, None, Pickled::Never), None);
    assert_eq!(chosen(&["bf16!"], None, Some("bf16"), Pickled::Never).as_deref(), Some("bf16!"));
    assert_eq!(chosen(&["bf16!"], None, None, Pickled::AsLast).as_deref(), Some("bf16!"));
}
