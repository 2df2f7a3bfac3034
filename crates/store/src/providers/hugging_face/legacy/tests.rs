use super::*;

const INDEX: &[u8] = br#"{"_class_name": "P", "unet": ["diffusers", "UNet"], "vae": ["diffusers", "Vae"],
    "words": ["transformers", "CLIPTokenizerFast"], "steps": ["diffusers", "EulerScheduler"],
    "safety_checker": ["x", "Y"], "feature_extractor": ["x", "Z"], "gone": ["x", "G"]}"#;

fn sizes(names: &[&str]) -> Sizes {
    names.iter().map(|name| (name.parse().unwrap(), Some(100))).collect()
}

fn names_of(components: Result<Vec<Component>, SelectError>) -> Result<Vec<String>, SelectError> {
    Ok(components?.into_iter().map(|component| component.name().to_owned()).collect())
}

fn component(listed: &Sizes, name: &str, index: Option<&[u8]>) -> Component {
    let options = LegacySelection { components: vec![name.to_owned()], ..LegacySelection::default() };
    components(listed, index, &options).unwrap().remove(0)
}

/// Chooses of one component, where each first file has these formats.
fn chosen(names: &[&str], probes: &[(&str, &[&str])], precisions: &[&str]) -> Result<Vec<String>, SelectError> {
    let listed = sizes(names);
    let own = component(&listed, "unet", None);
    let candidates = candidates(&listed, &own, &BTreeMap::new())?;
    let known = |candidate: &Candidate| {
        let (_, dtypes) = probes.iter().find(|(name, _)| candidate.files[0].as_str() == *name)?;
        Some(dtypes.iter().map(|dtype| (*dtype).to_owned()).collect())
    };
    let probes: Vec<_> = candidates.iter().map(known).collect();
    let precisions = precisions.iter().map(|word| (*word).to_owned()).collect();
    let options = LegacySelection { precisions, ..LegacySelection::default() };
    let mut selection = Selection::default();
    add(&mut selection, &listed, &own, &candidates, &probes, &options)?;
    Ok(selection.files.iter().map(ToString::to_string).collect())
}

const DEFAULT: [&str; 2] = ["fp16", "bf16"];

#[test]
fn m4_8_components_are_what_the_pipeline_names_and_has() {
    let all = ["feature_extractor/a", "safety_checker/a", "steps/a", "text_encoder/a", "unet/a", "vae/a", "words/a"];
    let listed = sizes(&all);
    let options = LegacySelection::default();
    assert_eq!(names_of(components(&listed, Some(INDEX), &options)).unwrap(), ["steps", "unet", "vae", "words"]);
    let optional = LegacySelection { optional_components: true, ..options.clone() };
    assert_eq!(names_of(components(&listed, Some(INDEX), &optional)).unwrap().len(), 6);
    let chosen = LegacySelection { components: vec!["vae".into(), "safety_checker".into()], ..options.clone() };
    assert_eq!(names_of(components(&listed, Some(INDEX), &chosen)).unwrap(), ["vae", "safety_checker"]);
    assert_eq!(names_of(components(&listed, None, &options)).unwrap(), ["unet", "vae", "text_encoder"]);
    let without = sizes(&["vae/a", "text_encoder/a"]);
    assert_eq!(names_of(components(&without, None, &options)), Err(SelectError::NoComponents));
    assert_eq!(names_of(components(&sizes(&["b/a"]), Some(INDEX), &options)), Err(SelectError::NoComponents));
    assert_eq!(names_of(components(&listed, Some(b"[]"), &options)), Err(SelectError::Pipeline));
}

#[test]
fn m4_9_of_the_root_only_the_pipeline_comes_unless_its_json_may() {
    let listed = sizes(&["README.md", "config.json", "model_index.json", "unet/config.json", "a.safetensors"]);
    let root = |root_json| {
        let files = root_files(&listed, &LegacySelection { root_json, ..LegacySelection::default() });
        files.into_iter().map(|path| path.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(root(false), ["model_index.json"]);
    assert_eq!(root(true), ["config.json", "model_index.json"]);
}

#[test]
fn m4_10_support_files_are_all_but_weights_and_their_indexes() {
    let names = [
        "unet/README.md",
        "unet/a.bin",
        "unet/a.ckpt",
        "unet/a.msgpack",
        "unet/a.onnx",
        "unet/a.onnx_data",
        "unet/a.safetensors",
        "unet/a.safetensors.index.json",
        "unet/config.json",
        "unet/openvino/x.xml",
    ];
    let listed = sizes(&names);
    let files = component(&listed, "unet", None).support(&listed).unwrap();
    assert_eq!(files.iter().map(RepoPath::as_str).collect::<Vec<_>>(), ["unet/README.md", "unet/config.json"]);
}

#[test]
fn m4_11_tokenizers_and_schedulers_come_without_weights_and_tokenizers_whole() {
    let listed = sizes(&["steps/a.bin", "steps/scheduler_config.json", "words/a.txt", "words/x.safetensors"]);
    for (name, kept) in [("steps", Some("steps/scheduler_config.json")), ("words", None)] {
        let own = component(&listed, name, Some(INDEX));
        assert!(!own.has_weights());
        match kept {
            Some(kept) => assert_eq!(own.support(&listed).unwrap()[0].as_str(), kept),
            None => assert_eq!(own.support(&listed), Err(SelectError::Tokenizer { component: name.to_owned() })),
        }
    }
    for file in ["tokenizer.json", "vocab.json", "tokenizer.model", "spiece.model"] {
        let listed = sizes(&[&format!("tokenizer_2/{file}"), "tokenizer_2/merges.txt"]);
        assert_eq!(component(&listed, "tokenizer_2", None).support(&listed).unwrap().len(), 2);
    }
}

#[test]
fn m4_12_half_precision_is_best_then_bfloat_then_single_when_allowed() {
    let names = ["unet/a.safetensors", "unet/b.safetensors", "unet/c.safetensors"];
    let (a, b, c) = (names[0], names[1], names[2]);
    for (probes, precisions, best) in [
        (vec![(a, &["BF16"][..]), (b, &["F16"]), (c, &["F32"])], &DEFAULT[..], b),
        (vec![(a, &["BF16"]), (b, &["F16"]), (c, &["F32"])], &["bf16"], a),
        (vec![(a, &["F16", "F32"]), (b, &["BF16"]), (c, &["F32"])], &DEFAULT, b),
        (vec![(a, &["F16", "F32"]), (b, &["F8_E4M3"]), (c, &["F32"])], &DEFAULT, a),
        (vec![(a, &["F8_E4M3"]), (c, &["F32"])], &DEFAULT, a),
        (vec![(a, &["F8_E4M3"]), (c, &["F32"])], &["fp16", "fp32"], c),
        (vec![(c, &["F16", "I64"]), (b, &["BF16"])], &DEFAULT, c),
    ] {
        assert_eq!(chosen(&names, &probes, precisions).unwrap(), [best], "{probes:?}");
    }
    let single = [(a, &["F32", "I64"][..]), (b, &["F32"]), (c, &["F32"])];
    assert_eq!(chosen(&names, &single, &DEFAULT), Err(SelectError::Precision { component: "unet".to_owned() }));
    assert!(chosen(&names, &single, &["fp32"]).is_ok());
}

#[test]
fn m4_12_equals_are_told_by_their_size_and_an_index_stands_for_its_shards() {
    let mut listed =
        sizes(&["unet/a.safetensors", "unet/b-00001-of-00002.safetensors", "unet/b-00002-of-00002.safetensors"]);
    let index: RepoPath = "unet/b.safetensors.index.json".parse().unwrap();
    listed.insert(index.clone(), Some(1));
    let own = component(&listed, "unet", None);
    let map = br#"{"weight_map": {"x": "b-00001-of-00002.safetensors", "y": "b-00002-of-00002.safetensors"}}"#;
    let found = candidates(&listed, &own, &BTreeMap::from([(index.clone(), map.to_vec())])).unwrap();
    assert_eq!(found.iter().map(|candidate| candidate.bytes).collect::<Vec<_>>(), [200, 100]);
    let half = Some(BTreeSet::from(["F16".to_owned()]));
    let mut selection = Selection::default();
    let options = LegacySelection::default();
    add(&mut selection, &listed, &own, &found, &[half.clone(), half.clone()], &options).unwrap();
    assert_eq!(selection.files.iter().next().unwrap().as_str(), "unet/a.safetensors");
    let mut selection = Selection::default();
    add(&mut selection, &listed, &own, &found, &[half, None], &options).unwrap();
    assert!(selection.files.len() == 3 && selection.files.contains(&index));
}

#[test]
fn m4_13_without_probes_names_say_it() {
    let names = [
        "unet/a.bf16.safetensors",
        "unet/a.fp16.safetensors",
        "unet/a.fp32.safetensors",
        "unet/a.fp8.safetensors",
        "unet/a.safetensors",
    ];
    let order = [0, 3, 1, 4];
    for first in 0..order.len() {
        let rest: Vec<_> = order[first..].iter().map(|at| names[*at]).chain([names[2]]).collect();
        assert_eq!(chosen(&rest, &[], &DEFAULT).unwrap(), [rest[0]]);
    }
    assert!(chosen(&[names[2]], &[], &DEFAULT).is_err());
    assert_eq!(chosen(&[names[2]], &[], &["fp32"]).unwrap(), [names[2]]);
}

#[test]
fn m4_13_pickles_are_refused_with_what_to_do_and_no_weights_are_none() {
    let error = chosen(&["unet/a.bin", "unet/config.json"], &[], &DEFAULT).unwrap_err();
    assert!(error.to_string().contains("COZY_HF_FULL_REPO_DOWNLOAD"), "{error}");
    assert_eq!(chosen(&["unet/config.json"], &[], &DEFAULT).unwrap(), ["unet/config.json"]);
    let listed = sizes(&["unet/a.safetensors.index.json"]);
    let own = component(&listed, "unet", None);
    let map = br#"{"weight_map": {"x": "gone.safetensors"}}"#;
    let index = listed.keys().next().unwrap().clone();
    let error = candidates(&listed, &own, &BTreeMap::from([(index, map.to_vec())])).unwrap_err();
    assert!(matches!(error, SelectError::MissingShard { .. }), "{error}");
}

#[test]
fn m4_14_words_of_the_old_variables_are_read() {
    for (text, truthy) in
        [("1", true), (" YES ", true), ("t", true), ("y", true), ("true", true), ("on", false), ("", false)]
    {
        assert_eq!(LegacySelection::is_truthy(text), truthy, "{text}");
    }
    assert_eq!(LegacySelection::words("unet, vae,,"), ["unet", "vae"]);
}
