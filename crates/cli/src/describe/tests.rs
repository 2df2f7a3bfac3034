use std::sync::Arc;

use gen_worker_core::{
    WorkerError,
    binding::{BindingBuilder, civitai, hf, hub, modelscope},
    endpoint::{
        EndpointDecl, HandlerDecl, Isolation, LifecycleDecl, OutputShape, ResourcesDecl, SetupParameter, SlotsDecl,
        TypeDecl, Work,
    },
};

use super::*;

fn handler(method: &'static str, shape: OutputShape) -> HandlerDecl {
    let schema = || json!({"$ref": "#/$defs/Prompt", "$defs": {"Prompt": {"type": "object", "properties": {}}}});
    HandlerDecl {
        method,
        name: None,
        payload: TypeDecl { path: "paint::Prompt", schema },
        output: TypeDecl { path: "paint::Picture", schema },
        shape,
        blocking: false,
        slots: Vec::new(),
        call: Arc::new(|_| Err(WorkerError::canceled())),
    }
}

fn painter(resources: ResourcesDecl) -> Registry {
    let lifecycle = LifecycleDecl {
        parameters: vec![SetupParameter::All],
        declared_setup: true,
        setup: Arc::new(|_| Work::Async(Box::pin(async { Err(WorkerError::canceled()) }))),
        warmup: None,
        shutdown: None,
    };
    let mut painter = EndpointDecl::of_type("paint", "Painter", lifecycle);
    painter.handlers = vec![handler("paint", OutputShape::Single)];
    painter.resources = resources;
    painter.slots = SlotsDecl::default()
        .slot("unet", hf("acme/paint").dtype("bf16").files(["*.safetensors"]).allow_lora())
        .slot("vae", hub("acme/vae").flavor("fp8"));
    let stroke = EndpointDecl::function("paint", handler("brush_stroke", OutputShape::Incremental));
    Registry::from_decls(vec![painter, stroke]).expect("valid endpoints")
}

fn described(resources: ResourcesDecl, detected: &Detected) -> Value {
    document(&painter(resources), "paint", detected)
}

#[test]
fn c2_c3_identity_of_the_document() {
    let document = described(ResourcesDecl::default(), &Detected::default());
    assert_eq!(document["protocol_version"], 1);
    assert_eq!(document["gen_worker_version"], "0.11.2");
    assert_eq!(document["capabilities"], json!(["describe", "prefetch", "hub_resolve"]));
    assert_eq!(document["implementation"]["name"], "gen-worker");
    assert_eq!(document["endpoint"], json!({"main_module": "paint", "kind": "inference", "classes": ["Painter"]}));
}

#[test]
fn c30_functions_are_sorted_and_complete() {
    let document = described(ResourcesDecl::default(), &Detected::default());
    let expected = json!([
        {
            "name": "brush-stroke", "class": null, "method": null, "kind": "inference", "is_generator": true,
            "input_schema": {"type": "object", "properties": {}}, "output": "Picture", "output_schema": {"type": "object", "properties": {}}, "models": {}, "fit": "fits",
        },
        {
            "name": "paint", "class": "Painter", "method": "paint", "kind": "inference", "is_generator": false,
            "input_schema": {"type": "object", "properties": {}}, "output": "Picture", "output_schema": {"type": "object", "properties": {}},
            "models": {
                "unet": {
                    "type": "HF", "provider": "hf", "ref": "acme/paint", "dtype": "bf16", "allow_lora": true,
                    "files": ["*.safetensors"],
                },
                "vae": {"type": "Hub", "provider": "tensorhub", "ref": "acme/vae", "tag": "prod", "flavor": "fp8"},
            },
            "fit": "fits",
        },
    ]);
    assert_eq!(document["functions"], expected);
}

#[test]
fn m2_5_a_slot_says_all_that_its_binding_says_and_nothing_that_is_empty() {
    let said = |builder: BindingBuilder| model(&builder.build().expect("a binding"));
    let hub_slot = hub("o/r").tag("v1").flavor("fp8").storage_dtype("fp8").allow_lora();
    assert_eq!(
        said(hub_slot),
        json!({"type": "Hub", "provider": "tensorhub", "ref": "o/r", "tag": "v1", "flavor": "fp8",
            "storage_dtype": "fp8", "allow_lora": true})
    );
    let of_hugging_face =
        hf("o/r").revision("r1").dtype("bf16").subfolder("unet").files(["unet/"]).storage_dtype("fp8").allow_lora();
    assert_eq!(
        said(of_hugging_face),
        json!({"type": "HF", "provider": "hf", "ref": "o/r", "revision": "r1", "dtype": "bf16", "subfolder": "unet",
            "storage_dtype": "fp8", "allow_lora": true, "files": ["unet/"]})
    );
    assert_eq!(
        said(civitai(7).version(8)),
        json!({"type": "Civitai", "provider": "civitai", "ref": "7", "version": "8"})
    );
    assert_eq!(
        said(modelscope("o/r").revision("r1").files(["a"])),
        json!({"type": "ModelScope", "provider": "modelscope", "ref": "o/r", "revision": "r1", "files": ["a"]})
    );
}

#[test]
fn c31_kinds_are_one_or_a_sorted_list() {
    assert_eq!(kinds([Kind::Training, Kind::Training].into_iter()), json!("training"));
    assert_eq!(kinds([Kind::Training, Kind::Inference].into_iter()), json!(["inference", "training"]));
}

#[test]
fn isolation_is_shown_where_there_is_one() {
    let mut stroke = EndpointDecl::function("paint", handler("brush_stroke", OutputShape::Single));
    stroke.isolation = Isolation::Process;
    let plain = EndpointDecl::function("paint", handler("plain", OutputShape::Single));
    let registry = Registry::from_decls(vec![stroke, plain]).expect("valid endpoints");
    let functions = document(&registry, "paint", &Detected::default())["functions"].take();
    assert_eq!(functions[0]["isolation"], "process");
    assert_eq!(functions[0]["resources"], json!({"max_concurrency": 1}));
    assert_eq!(functions[1].get("isolation"), None);
}

#[test]
fn c34_resources_and_fit() {
    let wants =
        || ResourcesDecl { vram_gb: Some(24.0), libraries: vec!["xformers".into()], ..ResourcesDecl::default() };
    let paint = |detected: &Detected| described(wants(), detected)["functions"][1].clone();
    let without = paint(&Detected::default());
    assert_eq!(without["resources"], json!({"gpu": true, "vram_gb": 24.0, "libraries": ["xformers"]}));
    assert_eq!((&without["fit"], without["fit_reason"].is_string()), (&json!("incompatible"), true));
    let fit = |free_vram_gb: f64, libs: &[&str], emergency_allowed: bool| {
        let installed_libs = libs.iter().map(|&lib| lib.to_owned()).collect();
        let report = CapabilityReport { gpu_sm: 90, ..CapabilityReport::default() };
        let detected = Detected { report, installed_libs, free_vram_gb, emergency_allowed };
        paint(&detected)["fit"].clone()
    };
    let fits = |free_vram_gb: f64, libs: &[&str]| fit(free_vram_gb, libs, false);
    assert_eq!(fit(12.0, &["xformers"], true), "emergency_quant");
    assert_eq!(fits(24.0, &["xformers"]), "fits");
    assert_eq!(fits(12.0, &["xformers"]), "offload");
    assert_eq!(fits(24.0, &[]), "incompatible");
}
