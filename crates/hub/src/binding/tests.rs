use super::*;

#[track_caller]
fn built(builder: BindingBuilder) -> Binding {
    builder.build().expect("a good binding")
}

#[test]
fn e10_and_m2_1_text_is_trimmed_and_defaults_filled_in() {
    let binding = built(hub("  acme/paint ").tag("  ").flavor(" fp8 ").storage_dtype(" FP8 ").allow_lora());
    assert_eq!((binding.reference(), binding.tag(), binding.flavor()), ("acme/paint", "prod", "fp8"));
    assert_eq!(binding.storage_dtype(), "fp8");
    assert!(binding.allows_lora());
    let binding = built(hf(" a/b ").files(["*.safetensors ", "  ", ""]).subfolder(" unet ").dtype(Dtype::Bf16));
    assert_eq!(binding.files(), ["*.safetensors"]);
    assert_eq!((binding.subfolder(), binding.dtype()), ("unet", "bf16"));
    assert_eq!(hf("a/b").storage_dtype("int8").build(), Err(BindingError::StorageDtype("int8".into())));
}

#[test]
fn e10_bindings_are_equal_by_value() {
    assert_eq!(built(hub("a/b")), built(hub(" a/b ").tag("prod")));
    assert_ne!(built(hub("a/b")), built(hub("a/b").flavor("fp8")));
    assert_ne!(built(hf("a/b")), built(modelscope("a/b")));
    let set: std::collections::HashSet<_> = [built(hub("a/b")), built(hub("a/b").tag(" "))].into();
    assert_eq!(set.len(), 1);
}

#[test]
fn e10_construction_errors() {
    assert_eq!(hub(" ").build(), Err(BindingError::EmptyRef(Provider::Hub)));
    assert_eq!(civitai("").build(), Err(BindingError::EmptyRef(Provider::Civitai)));
    for (builder, provider) in [(hf("solo"), Provider::HuggingFace), (modelscope("solo"), Provider::ModelScope)] {
        assert_eq!(builder.build(), Err(BindingError::NoOwner { provider, reference: "solo".into() }));
    }
    assert_eq!(
        hf("a/b").tag("x").build(),
        Err(BindingError::Misplaced { provider: Provider::HuggingFace, field: "tag" })
    );
}

#[test]
fn e11_and_m2_2_wire_refs() {
    let cases = [
        (hub("a/b"), "a/b"),
        (hub("a/b").tag("prod"), "a/b"),
        (hub("a/b").tag("v2"), "a/b:v2"),
        (hub("a/b").flavor("fp8").storage_dtype("fp8"), "a/b#fp8"),
        (hub("a/b").tag("v2").flavor("fp8"), "a/b:v2#fp8"),
        (hf("a/b"), "a/b"),
        (hf("a/b").revision("main").dtype("bf16").subfolder("x").files(["y"]), "a/b@main"),
        (civitai(1234).version(5), "1234"),
        (modelscope("a/b").revision("r"), "a/b"),
    ];
    for (builder, want) in cases {
        assert_eq!(built(builder).wire_ref(), want);
    }
}

#[test]
fn w11_9_only_the_flavor_of_a_hub_model_can_be_resolved() {
    let declared = hub("o/r").tag("v2").flavor("bf16").build().expect("sound");
    let resolved = |text: &str| declared.resolved(text).map(|binding| binding.wire_ref());
    assert_eq!(resolved("o/r:v2#FP8"), Some("o/r:v2#fp8".to_owned()));
    assert_eq!(resolved("o/r:v2#fp8?x=1#y"), Some("o/r:v2#fp8".to_owned()));
    assert_eq!(resolved("o/r:v2"), Some("o/r:v2".to_owned()), "without one");
    let long = format!("o/r:v2#{}", "a".repeat(65));
    for other in ["o/r#fp8", "o/r:v3#fp8", "o/s:v2#fp8", "o/r:v2#", "o/r:v2#a#b", "o/r:v2#-a", "o/r:v2#a b", "", &long]
    {
        assert_eq!(resolved(other), None, "{other:?}");
    }
    assert_eq!(hub("o/r").build().expect("sound").resolved("o/r#fp8").expect("the default tag").tag(), "prod");
    assert_eq!(hf("o/r").build().expect("sound").resolved("o/r#fp8"), None);
}
