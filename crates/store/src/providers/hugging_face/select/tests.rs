use super::*;

fn paths(names: &[&str]) -> Vec<RepoPath> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

fn chosen_of(names: &[&str], flavor: Option<&str>, patterns: &[&str]) -> Selection {
    let patterns: Vec<_> = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
    select(&paths(names), flavor, &patterns).unwrap()
}

/// Chooses of `names`, and gives what was left out.
fn left_out<'a>(names: &[&'a str], flavor: Option<&str>) -> Vec<&'a str> {
    let selection = chosen_of(names, flavor, &[]);
    names.iter().copied().filter(|name| !selection.files.contains(&name.parse().unwrap())).collect()
}

const PIPELINE: [&str; 16] = [
    "README.md",
    "feature_extractor/preprocessor_config.json",
    "model_index.json",
    "safety_checker/model.fp16.safetensors",
    "safety_checker/model.safetensors",
    "text_encoder/config.json",
    "text_encoder/model.fp16.safetensors",
    "text_encoder/model.safetensors",
    "tokenizer/vocab.json",
    "transformer/model.bf16.safetensors",
    "transformer/model.fp16.safetensors",
    "transformer/model.safetensors",
    "vae/config.json",
    "vae/diffusion_pytorch_model.bin",
    "vae/diffusion_pytorch_model.fp16.safetensors",
    "vae/diffusion_pytorch_model.safetensors",
];

#[test]
fn m4_1_a_pipeline_is_known_by_its_index_or_its_denoiser() {
    for mark in ["model_index.json", "transformer/config.json", "unet/config.json"] {
        // Only in a pipeline are weights of the root dropped.
        let names = [mark, "all.safetensors", "vae/a.fp16.safetensors", "vae/a.safetensors"];
        assert_eq!(left_out(&names, None), ["all.safetensors", "vae/a.safetensors"], "{mark}");
    }
    let names = ["my/unet/config.json", "all.safetensors", "vae/a.fp16.safetensors", "vae/a.safetensors"];
    assert!(left_out(&names, None).is_empty());
}

#[test]
fn m4_2_without_weights_or_with_weights_below_another_root_it_is_the_whole_repository() {
    assert!(left_out(&["config.json", "a/b.txt"], None).is_empty());
    assert_eq!(chosen_of(&[], None, &[]), Selection::default());
    let split = ["split_files/vae/a.fp16.safetensors", "split_files/vae/a.safetensors", "b.safetensors"];
    assert!(left_out(&split, None).is_empty());
}

#[test]
fn m4_3_checkpoints_of_the_root_are_never_chosen_in_a_pipeline() {
    let names = [
        "model_index.json",
        "unet/a.bin",
        "unet/a.safetensors",
        "v1-5-pruned.ckpt",
        "v1-5-pruned.safetensors",
        "v1-5-pruned-emaonly.safetensors",
    ];
    assert_eq!(left_out(&names, None), [names[1], names[3], names[4], names[5]]);
    let only_root = ["model_index.json", "a.safetensors"];
    assert!(left_out(&only_root, None).is_empty(), "no other group: they stay");
}

#[test]
fn m4_4_each_group_has_one_format_and_one_variant() {
    assert_eq!(
        left_out(&PIPELINE, None),
        [
            "safety_checker/model.safetensors",
            "text_encoder/model.safetensors",
            "transformer/model.fp16.safetensors",
            "transformer/model.safetensors",
            "vae/diffusion_pytorch_model.bin",
            "vae/diffusion_pytorch_model.safetensors",
        ]
    );
    let fp16 = left_out(&PIPELINE, Some("FP16"));
    assert!(
        fp16.contains(&"transformer/model.bf16.safetensors") && !fp16.contains(&"transformer/model.fp16.safetensors")
    );
    // Neither asked for, nor bf16, fp16 or unlabelled: the first word.
    assert_eq!(left_out(&["a.int8.safetensors", "a.fp8.safetensors"], None), ["a.int8.safetensors"]);
    assert_eq!(left_out(&["unet/a.bin", "unet/b.safetensors"], None), ["unet/a.bin"]);
    assert_eq!(left_out(&["a.fp16.ckpt", "a.pt"], None), ["a.pt"]);
}

#[test]
fn m4_4_variants_stand_between_marks() {
    for (name, word) in [
        ("a.fp16.safetensors", Some("fp16")),
        ("a-BF16.safetensors", Some("bf16")),
        ("a_int8.gguf", Some("int8")),
        ("afp16.safetensors", None),
        ("a.fp16x.safetensors", None),
        ("fp16.safetensors", None),
        ("a.fp16-00001-of-00002.safetensors", Some("fp16")),
        ("a-00001-of-00002.fp16.safetensors", Some("fp16")),
        ("a.fp16-0001-of-0002.safetensors", None),
    ] {
        assert_eq!(variant(name), word, "{name}");
    }
}

#[test]
fn m4_5_everything_that_is_no_weight_comes_too() {
    let kept = chosen_of(&PIPELINE, None, &[]).files;
    for name in ["README.md", "feature_extractor/preprocessor_config.json", "tokenizer/vocab.json", "vae/config.json"] {
        assert!(kept.contains(&name.parse().unwrap()), "{name}");
    }
    assert!(kept.contains(&"safety_checker/model.fp16.safetensors".parse().unwrap()));
    let root = ["README.md", "config.json", "m.bf16.safetensors", "m.fp16.safetensors", "tokenizer.json"];
    assert_eq!(left_out(&root, None), ["m.fp16.safetensors"]);
}

#[test]
fn m4_6_patterns_replace_every_other_rule() {
    let some = chosen_of(&PIPELINE, Some("fp16"), &["transformer/*.safetensors", "vae/"]);
    assert_eq!(some.files.len(), 3 + 4);
    assert_eq!(some.absent_flavor, None);
    let error = select(&paths(&PIPELINE), None, &["Vae/".to_owned(), "x*".to_owned()]).unwrap_err();
    assert_eq!(error.to_string(), "no file matches Vae/, x*");
}

#[test]
fn m4_fix_a_shards_of_two_variants_are_not_mixed() {
    let shards = [
        "unet/model-00001-of-00002.safetensors",
        "unet/model-00002-of-00002.safetensors",
        "unet/model.fp16-00001-of-00002.safetensors",
        "unet/model.fp16-00002-of-00002.safetensors",
    ];
    assert_eq!(left_out(&shards, None), shards[..2]);
}

#[test]
fn m4_fix_b_an_index_comes_with_its_shards_and_they_with_it() {
    let names = [
        "unet/a-00001-of-00002.safetensors",
        "unet/a-00002-of-00002.safetensors",
        "unet/a.fp16-00001-of-00001.safetensors",
        "unet/a.fp16.safetensors.index.json",
        "unet/a.safetensors.index.fp16.json",
        "unet/a.safetensors.index.json",
        "unet/b.bin.index.json",
        "unet/other.index.json",
        "unet/rest.fp8.safetensors",
    ];
    let listed = paths(&names);
    let mut selection = chosen_of(&names, None, &[]);
    let indexes: Vec<_> = selection.indexes.iter().map(RepoPath::as_str).collect();
    assert_eq!(indexes, [names[3], names[4]], "only of what was chosen");
    assert!(selection.files.contains(&listed[7]), "an index of something else is a file like others");
    let index = listed[3].clone();
    let map = br#"{"weight_map": {"x": "a.fp16-00001-of-00001.safetensors", "y": "rest.fp8.safetensors"}}"#;
    selection.add_index(&index, map, &listed).unwrap();
    assert!(selection.files.contains(&listed[8]));
    for shard in ["gone.safetensors", "../unet/a.safetensors", "/etc/passwd"] {
        let map = format!(r#"{{"weight_map": {{"x": "{shard}"}}}}"#);
        let error = selection.add_index(&index, map.as_bytes(), &listed).unwrap_err();
        assert_eq!(error, SelectError::MissingShard { index: index.clone(), shard: shard.to_owned() });
    }
    for bad in ["", "[]", r#"{"weight_map": 1}"#] {
        let error = selection.add_index(&index, bad.as_bytes(), &listed).unwrap_err();
        assert_eq!(error, SelectError::Index(index.clone()));
    }
}

#[test]
fn m4_fix_c_what_is_for_others_comes_only_when_asked_for() {
    let foreign = [
        "flax_model.msgpack",
        "onnx/model.onnx",
        "openvino/openvino_model.bin",
        "text_encoder/model.onnx_data",
        "unet/a.non_ema.safetensors",
    ];
    let names: Vec<_> = foreign.into_iter().chain(["unet/a.safetensors"]).collect();
    assert_eq!(left_out(&names, None), foreign);
    assert!(chosen_of(&names, None, &["onnx/"]).files.contains(&"onnx/model.onnx".parse().unwrap()));
    assert!(!left_out(&names, Some("onnx")).contains(&"onnx/model.onnx"));
    assert!(left_out(&["onnx/model.onnx", "config.json"], None).is_empty(), "it is all there is");
}

#[test]
fn m4_fix_d_the_whole_repository_is_without_pickles_that_have_safetensors_beside_them() {
    let names =
        ["a/m.bin", "a/m.safetensors", "b/n.bin", "pytorch_model.bin", "model.safetensors", "a/m.bin.index.json"];
    assert_eq!(left_out(&names, None), ["a/m.bin", "pytorch_model.bin", "a/m.bin.index.json"]);
}

#[test]
fn m4_fix_f_a_flavor_that_nothing_has_is_said() {
    assert_eq!(chosen_of(&PIPELINE, Some("int4"), &[]).absent_flavor.as_deref(), Some("int4"));
    assert_eq!(chosen_of(&PIPELINE, Some("bf16"), &[]).absent_flavor, None);
}
