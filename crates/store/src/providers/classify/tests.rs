use serde_json::json;

use super::*;

const GIB: u64 = 1 << 30;

/// A repository of these files, each of one byte.
fn repo(names: &[&str]) -> Ingest {
    Ingest { files: names.iter().map(|name| (name.parse().unwrap(), Some(1))).collect(), ..Ingest::default() }
}

fn with_config(names: &[&str], config: Value) -> Ingest {
    Ingest { config: Some(config), ..repo(names) }
}

fn taken(ingest: &Ingest) -> (Strategy, Vec<String>) {
    let classified = classify(ingest).unwrap();
    (classified.strategy, classified.files.iter().map(ToString::to_string).collect())
}

fn refused(ingest: &Ingest) -> &'static str {
    classify(ingest).unwrap_err().reason.as_str()
}

#[test]
fn m4_4c_the_first_kind_that_it_can_be_is_what_it_is() {
    let all = ["adapter_config.json", "config.json", "model_index.json", "modules.json", "x.gguf", "x.safetensors"];
    for (from, strategy) in [
        (
            ["modules.json", "adapter_config.json", "model_index.json", "config.json"].as_slice(),
            "sentence_transformers",
        ),
        (&["adapter_config.json", "model_index.json", "config.json"], "peft"),
        (&["config.json"], "transformers"),
        (&[], "gguf"),
    ] {
        let names: Vec<_> = all.into_iter().filter(|name| !name.ends_with(".json") || from.contains(name)).collect();
        let classified = classify(&with_config(&names, json!({}))).unwrap();
        assert_eq!(classified.strategy.as_str(), strategy);
    }
    let (strategy, files) = taken(&repo(&["model_index.json", "config.json", "unet/a.safetensors", "all.safetensors"]));
    assert_eq!(strategy.library(), "diffusers");
    assert_eq!(files, ["config.json", "model_index.json", "unet/a.safetensors"], "weights of the root never");
}

#[test]
fn m4_4c_adapters_are_known_by_their_trainer_their_card_their_tensors_or_their_size() {
    let mut large = repo(&["a.safetensors"]);
    large.files.values_mut().for_each(|size| *size = Some(2 * GIB));
    assert_eq!(classify(&large).unwrap().strategy, Strategy::SingleFile);
    let trained = Ingest { metadata: BTreeMap::from([("ss_network_dim".into(), "16".into())]), ..large.clone() };
    let classified = classify(&trained).unwrap();
    assert_eq!(classified.strategy, Strategy::NativeLora);
    assert_eq!(classified.attributes, one("kohya_network_dim", "16"));
    for tag in ["lora", "LyCORIS", "loha", "lokr", "adapter"] {
        let tagged = Ingest { tags: vec![tag.to_owned()], ..large.clone() };
        assert_eq!(classify(&tagged).unwrap().strategy, Strategy::NativeLora);
    }
    let tensors = |name: &str| Some(vec![name.to_owned()]);
    let header = Ingest { tensors: tensors("x.lora_down.weight"), ..large.clone() };
    assert_eq!(classify(&header).unwrap().strategy, Strategy::NativeLora);
    let small = repo(&["a.safetensors"]);
    assert_eq!(classify(&small).unwrap().strategy, Strategy::NativeLora);
    let seen = Ingest { tensors: tensors("model.weight"), ..small };
    assert_eq!(classify(&seen).unwrap().strategy, Strategy::SingleFile, "its header is better evidence than its size");
    let mut unknown = repo(&["a.safetensors"]);
    unknown.files.values_mut().for_each(|size| *size = None);
    assert_eq!(classify(&unknown).unwrap().strategy, Strategy::SingleFile);
}

#[test]
fn m4_4c_one_set_of_weights_in_the_order_of_formats() {
    let names = [
        "config.json",
        "model.bf16.safetensors",
        "model.fp16.safetensors",
        "model.fp32.safetensors",
        "model.safetensors",
    ];
    for first in 1..names.len() {
        let some: Vec<_> = [names[0]].into_iter().chain(names[first..].iter().copied()).collect();
        let classified = classify(&with_config(&some, json!({"architectures": ["A", "B"]}))).unwrap();
        assert!(classified.files.contains(&names[first].parse().unwrap()) && classified.files.len() == 2, "{first}");
        assert_eq!(classified.attributes["architecture"], "A");
    }
    let odd = with_config(&["config.json", "model.ema.safetensors", "model.pruned.safetensors"], json!({}));
    assert_eq!(taken(&odd).1, ["config.json", "model.ema.safetensors"]);
    let other = with_config(
        &["config.json", "consolidated.safetensors", "model.safetensors"],
        json!({"quantization_config": {}}),
    );
    assert_eq!(taken(&other).1, ["config.json", "model.safetensors"]);
    assert_eq!(classify(&other).unwrap().attributes["subtype"], "quantized");
}

#[test]
fn m4_4c_shards_are_one_set_with_its_own_index_and_without_gaps() {
    let names = [
        "config.json",
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model.fp16-00001-of-00002.safetensors",
        "model.fp16-00002-of-00002.safetensors",
        "model.fp16.safetensors.index.json",
        "model.safetensors.index.fp16.json",
        "model.safetensors.index.json",
    ];
    let ingest = with_config(&names, json!({}));
    assert_eq!(taken(&ingest).1, [names[0], names[3], names[4], names[5], names[6]]);
    let mut gap = ingest;
    gap.files.remove(&names[4].parse::<RepoPath>().unwrap());
    assert_eq!(refused(&gap), "incomplete_shards");
}

#[test]
fn m4_4c_what_describes_the_model_comes_and_what_is_for_others_does_not() {
    let side =
        ["LICENSE", "Notice", "README.md", "a/b.yaml", "chat.jinja", "merges.txt", "modules.json", "spiece.model"];
    let other = ["a/README.md", "a/pytorch_model.bin", "flax_model.msgpack", "onnx/model.onnx", "picture.png"];
    let names: Vec<_> = side.into_iter().chain(other).chain(["model.safetensors"]).collect();
    let (_, files) = taken(&repo(&names));
    assert!(side.iter().all(|name| files.contains(&(*name).to_owned())), "{files:?}");
    assert_eq!(files.len(), side.len() + 1);
}

#[test]
fn m4_4c_gguf_by_its_quantization_as_a_word_and_with_all_its_parts() {
    let pick = |names: &[&str], quant: Option<&str>| {
        let ingest = Ingest { quant: quant.map(str::to_owned), ..repo(names) };
        classify(&ingest).map(|found| {
            let dtype = found.attributes.get("dtype").cloned().unwrap_or_default();
            (found.files.iter().map(ToString::to_string).collect::<Vec<_>>(), dtype)
        })
    };
    let names = ["m-BF16.gguf", "m-F16.gguf", "m-Q4_0_4_4.gguf", "m-Q4_K_M.gguf", "m-UD-Q4_K_XL.gguf", "m_q2_k.gguf"];
    assert_eq!(pick(&names, None).unwrap(), (vec!["m-Q4_K_M.gguf".to_owned()], "gguf:q4_k_m".to_owned()));
    for (quant, name) in [("f16", names[1]), ("BF16", names[0]), ("q4_k_xl", names[4]), ("q2_k", names[5])] {
        assert_eq!(pick(&names, Some(quant)).unwrap().0, [name]);
    }
    assert_eq!(pick(&names, Some("q4_0")).unwrap_err().reason.as_str(), "gguf_quant_not_found");
    assert_eq!(pick(&["b.gguf", "a.gguf"], None).unwrap(), (vec!["a.gguf".to_owned()], String::new()));
    let split = ["q8_0/m-Q8_0-00001-of-00002.gguf", "q8_0/m-Q8_0-00002-of-00002.gguf"];
    assert_eq!(pick(&split, None).unwrap().0, split);
}

#[test]
fn m4_4c_refusals_say_what_there_is_instead() {
    for (names, word) in [
        (["pytorch_model.bin"].as_slice(), "pickle_only"),
        (&["config.json", "pytorch_model.bin", "model.onnx"], "pickle_only"),
        (&["adapter_config.json", "adapter_model.bin"], "pickle_only"),
        (&["model.onnx"], "onnx_only"),
        (&["tf_model.h5"], "tf_only"),
        (&["flax_model.msgpack"], "flax_only"),
        (&["m.mlpackage/Data/weights"], "coreml_only"),
        (&["m.engine"], "tensorrt_only"),
        (&["README.md"], "unknown_shape"),
        (&["unet/a.safetensors"], "unknown_shape"),
        (&[], "unknown_shape"),
        (&["model_index.json"], "missing_safetensors"),
        (&["modules.json"], "missing_safetensors"),
    ] {
        assert_eq!(refused(&with_config(names, json!({}))), word, "{names:?}");
    }
    let many: Vec<_> = (0..100).map(|n| format!("{n}.bin")).collect();
    let names: Vec<_> = many.iter().map(String::as_str).collect();
    assert_eq!(classify(&repo(&names)).unwrap_err().seen.len(), 32);
}

#[test]
fn m4_4c_only_what_is_taken_counts_for_the_limit() {
    let mut ingest = with_config(&["config.json", "model.fp16.safetensors", "model.fp32.safetensors"], json!({}));
    let mut size = |name: &str, bytes: u64| ingest.files.insert(name.parse().unwrap(), Some(bytes));
    size("model.fp32.safetensors", 200 * GIB);
    size("model.fp16.safetensors", 100 * GIB - 1);
    assert!(classify(&ingest).is_ok());
    ingest.files.insert("model.fp16.safetensors".parse().unwrap(), Some(100 * GIB));
    assert_eq!(refused(&ingest), "too_large");
}
