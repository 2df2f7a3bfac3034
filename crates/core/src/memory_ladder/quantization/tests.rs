//! Recipes, and who has the last word.
use super::*;

fn attributes(of: &[(&str, &str)]) -> BTreeMap<String, String> {
    of.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn config(of: &[(&str, &str)]) -> Option<Value> {
    let mut of = of.to_vec();
    of.push((LIBRARY, "bitsandbytes"));
    QuantizationPlan::of(&attributes(&of), false).config
}

#[test]
fn m10_10_a_recipe_becomes_the_configuration_that_the_files_lack() {
    let nf4 = config(&[(RECIPE, "NF4"), (COMPUTE, "float16"), (DOUBLE, "true")]).expect("known");
    assert_eq!(
        nf4,
        json!({
            "quant_method": "bitsandbytes", "load_in_4bit": true, "bnb_4bit_quant_type": "nf4",
            "bnb_4bit_compute_dtype": "float16", "bnb_4bit_use_double_quant": true,
        })
    );
    let fp4 = config(&[(RECIPE, "fp4")]).expect("known");
    assert_eq!((&fp4["bnb_4bit_quant_type"], &fp4["bnb_4bit_compute_dtype"]), (&json!("fp4"), &json!("bfloat16")));
    assert_eq!(fp4["bnb_4bit_use_double_quant"], false);
    let int8 = json!({ "quant_method": "bitsandbytes", "load_in_8bit": true });
    assert_eq!(config(&[(RECIPE, "int8"), (COMPUTE, "bf16")]), Some(int8));
    assert_eq!(config(&[(RECIPE, "q4_k")]), None, "not one of its recipes");
    assert_eq!(config(&[]), None);
}

#[test]
fn m10_10_a_configuration_on_disk_counts_and_torchao_is_needed_before_a_load() {
    let plan =
        |library, configured| QuantizationPlan::of(&attributes(&[(LIBRARY, library), (RECIPE, "nf4")]), configured);
    assert_eq!(plan("bitsandbytes", true), QuantizationPlan { needs: Some("bitsandbytes"), config: None });
    assert_eq!(plan("torchao", false), QuantizationPlan { needs: Some("torchao"), config: None });
    assert_eq!(plan("other", false), QuantizationPlan::default());
    assert_eq!(QuantizationPlan::of(&attributes(&[(RECIPE, "nf4")]), false), QuantizationPlan::default());
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("config.json");
    for (text, stands) in [
        (r#"{"quantization_config": {"quant_method": "x"}}"#, true),
        (r#"{"quantization_config": null}"#, false),
        (r#"{"hidden_size": 1}"#, false),
        ("[", false),
    ] {
        std::fs::write(&path, text).expect("written");
        assert_eq!(QuantizationPlan::stands_in(&path), stands, "{text}");
    }
    assert!(!QuantizationPlan::stands_in(&dir.path().join("none")));
}
