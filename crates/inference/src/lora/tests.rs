//! Names of tensors, and what is kept at hand.
use super::names::{Role, parse};
use super::*;

#[test]
fn m9_lora_every_way_to_name_a_tensor_is_known() {
    let target = Target { layer: 1, part: Part::Query };
    for (name, role) in [
        ("base_model.model.encoder.layer.1.attention.self.query.lora_A.weight", Role::Down),
        ("base_model.model.bert.encoder.layer.1.attention.self.query.lora_B.default.weight", Role::Up),
        ("encoder.layer.1.attention.self.query.lora.down.weight", Role::Down),
        ("lora_te_encoder_layer_1_attention_self_query.lora_up.weight", Role::Up),
        ("lora_te_encoder_layer_1_attention_self_query.alpha", Role::Alpha),
    ] {
        assert_eq!(parse(name, 2), Some((target, role)), "{name}");
    }
    let narrow = parse("encoder.layer.0.output.dense.lora_A.weight", 2).map(|found| found.0.part);
    let attention = parse("encoder.layer.0.attention.output.dense.lora_A.weight", 2).map(|found| found.0.part);
    assert_eq!((narrow, attention), (Some(Part::Narrow), Some(Part::AttentionOutput)), "one ends like the other");
    for name in [
        "encoder.layer.2.attention.self.query.lora_A.weight",
        "encoder.layer.x.attention.self.query.lora_A.weight",
        "encoder.layer.1.attention.self.nothing.lora_A.weight",
        "unencoder.layer.1.attention.self.query.lora_A.weight",
        "encoder.layer.1.attention.self.query.weight",
        "encoder.layer.99999999999999999999.attention.self.query.lora_A.weight",
        ".alpha",
        "",
    ] {
        assert_eq!(parse(name, 2), None, "{name}");
    }
}
