//! What a file of weights says in its name: its number format, its place in a set, the set that an index is of. Pure functions.

/// Words for number formats, in the order they are looked for.
const VARIANTS: [&str; 5] = ["bf16", "fp16", "fp8", "int8", "int4"];

/// Digits of the number of a shard.
const SHARD_DIGITS: usize = 5;

/// The number format that `name` has in it: behind a point, a dash or an underscore, and before a point. The number of a shard
/// is not looked at (fix a).
pub(in super::super) fn variant(name: &str) -> Option<&'static str> {
    let name = without_shard(&name.to_ascii_lowercase());
    let named = |word: &&str| ['.', '-', '_'].iter().any(|mark| name.contains(&format!("{mark}{word}.")));
    VARIANTS.into_iter().find(named)
}

/// `text` without `-NNNNN-of-NNNNN`: what all shards of one set have in common.
pub(crate) fn without_shard(text: &str) -> String {
    shard(text).map_or_else(|| text.to_owned(), |(set, _)| set)
}

/// What all shards of the set of `text` have in common, and how many they are; none when it is no shard.
pub(in super::super) fn shard(text: &str) -> Option<(String, usize)> {
    let digits = |text: &str| text.len() == SHARD_DIGITS && text.bytes().all(|byte| byte.is_ascii_digit());
    // Dash, number, `-of-`, number.
    const SHARD_LEN: usize = 1 + SHARD_DIGITS + 4 + SHARD_DIGITS;
    for (at, _) in text.match_indices('-') {
        let Some(shard) = text.get(at..at + SHARD_LEN) else { continue };
        let Some((number, count)) = shard.get(1..).and_then(|rest| rest.split_once("-of-")) else { continue };
        if digits(number) && digits(count) {
            let set = format!("{}{}", text.get(..at).unwrap_or(""), text.get(at + SHARD_LEN..).unwrap_or(""));
            return Some((set, count.parse().ok()?));
        }
    }
    None
}

/// What the shards of the index `path` have in common, in the form of [`without_shard`]; none when it is no index of weights.
/// Both spellings are known: `model.fp16.safetensors.index.json` and `model.safetensors.index.fp16.json`.
pub(in super::super) fn indexed(path: &str) -> Option<String> {
    let stem = path.strip_suffix(".json")?;
    if let Some(weights) = stem.strip_suffix(".index") {
        return Some(weights.to_owned());
    }
    let (weights, variant) = stem.rsplit_once(".index.")?;
    let (name, format) = weights.rsplit_once('.')?;
    (!variant.contains('/')).then(|| format!("{name}.{variant}.{format}"))
}
