//! Fits and choices.
use super::*;

fn needs(vram_gb: f64) -> VariantNeeds {
    VariantNeeds { vram_gb: Some(vram_gb), ..VariantNeeds::default() }
}

fn machine(free_vram_gb: f64) -> VariantSupply {
    VariantSupply { sm: 89, free_vram_gb, libraries: vec!["torchao".into()], emergency_allowed: true }
}

#[test]
fn m10_6_how_a_variant_fits() {
    let strict = VariantSupply { emergency_allowed: false, ..machine(10.0) };
    assert_eq!(needs(10.0).fit(&strict), Fit::Fits);
    assert_eq!(VariantNeeds::default().fit(&strict), Fit::Fits, "nothing is declared");
    assert_eq!(needs(10.1).fit(&strict), Fit::Offload);
    assert_eq!([needs(22.0), needs(23.0)].map(|needs| needs.fit(&machine(10.0))), [Fit::Emergency, Fit::Offload]);
    let none = VariantSupply { sm: 0, ..machine(10.0) };
    let newer = VariantNeeds { sm_min: 90, ..needs(1.0) };
    let other = VariantNeeds { libraries: vec!["tensorrt".into()], ..needs(1.0) };
    let same = VariantNeeds { libraries: vec!["torchao".into()], sm_min: 89, ..needs(1.0) };
    assert_eq!(needs(1.0).fit(&none), Fit::Incompatible);
    assert_eq!(
        [newer, other, same].map(|needs| needs.fit(&machine(10.0))),
        [Fit::Incompatible, Fit::Incompatible, Fit::Fits]
    );
}

#[test]
fn m10_6_which_variant_is_chosen() {
    let base = VariantNeeds { is_base: true, ..needs(40.0) };
    let variants = [base.clone(), needs(12.0), needs(24.0), needs(24.0)];
    assert_eq!(choose_variant(&variants, &machine(24.0)), Some((2, Fit::Fits)), "the largest that fits");
    assert_eq!(choose_variant(&variants, &machine(11.0)), Some((2, Fit::Emergency)), "then the largest emergency");
    assert_eq!(choose_variant(&variants, &machine(2.0)), Some((0, Fit::Offload)), "then the base");
    assert_eq!(choose_variant(&variants[1..], &machine(2.0)), Some((0, Fit::Offload)), "then the smallest");
    let newer = VariantNeeds { sm_min: 100, ..base };
    assert_eq!(choose_variant(&[newer.clone(), needs(30.0)], &machine(2.0)), Some((1, Fit::Offload)));
    assert_eq!([choose_variant(&[newer], &machine(80.0)), choose_variant(&[], &machine(80.0))], [None; 2]);
}
