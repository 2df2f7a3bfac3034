//! What the tensors of an adapter are called: PEFT's names, diffusers' and kohya's. Pure.

use super::{Part, Target};

/// What one tensor of an adapter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    Down,
    Up,
    Alpha,
}

/// Ends of names, and what a tensor with such a name is.
const ENDS: [(&str, Role); 9] = [
    (".lora_A.weight", Role::Down),
    (".lora_A.default.weight", Role::Down),
    (".lora_down.weight", Role::Down),
    (".lora.down.weight", Role::Down),
    (".lora_B.weight", Role::Up),
    (".lora_B.default.weight", Role::Up),
    (".lora_up.weight", Role::Up),
    (".lora.up.weight", Role::Up),
    (".alpha", Role::Alpha),
];

/// What the tensor called `name` changes in a model of `layers` layers; none when it is of another model.
pub(super) fn parse(name: &str, layers: usize) -> Option<(Target, Role)> {
    let (module, role) = ENDS.iter().find_map(|(end, role)| Some((name.strip_suffix(end)?, *role)))?;
    Some((target(module, layers)?, role))
}

/// A module is known by the end of its path; kohya joins the path by underscores.
fn target(module: &str, layers: usize) -> Option<Target> {
    let module = module.replace('.', "_");
    let (before, rest) = module.rsplit_once("encoder_layer_")?;
    if !(before.is_empty() || before.ends_with('_')) {
        return None;
    }
    let (layer, rest) = rest.split_once('_')?;
    let layer = layer.parse().ok().filter(|layer| *layer < layers)?;
    let part = Part::ALL.into_iter().find(|part| part.name().replace('.', "_") == rest)?;
    Some(Target { layer, part })
}
