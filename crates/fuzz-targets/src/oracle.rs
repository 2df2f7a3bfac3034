//! MessagePack as another implementation reads it, and which of it a payload may be.

use std::fmt;

use gen_worker_core::codec::DEPTH_MAX;
use rmpv::Value;
use serde::{Deserialize, Deserializer, de};

/// Whatever there is, read through our decoder.
pub(crate) struct Any(pub(crate) Value);

/// `input` as the other implementation reads it, if it reads all of it. Its own depth limit is far above ours.
pub(crate) fn read(input: &[u8]) -> Option<Value> {
    let mut rest = input;
    let value = rmpv::decode::read_value(&mut rest).ok()?;
    rest.is_empty().then_some(value)
}

/// Whether a payload may be `value`: a map, of text that is text, without extensions, and not too deep.
pub(crate) fn is_payload(value: &Value) -> bool {
    value.is_map() && is_readable(value, DEPTH_MAX)
}

fn is_readable(value: &Value, levels_left: usize) -> bool {
    let inside = |value| levels_left.checked_sub(1).is_some_and(|left| is_readable(value, left));
    match value {
        Value::String(text) => text.as_str().is_some(),
        Value::Ext(..) => false,
        Value::Array(items) => levels_left > 0 && items.iter().all(inside),
        Value::Map(entries) => levels_left > 0 && entries.iter().all(|(key, value)| inside(key) && inside(value)),
        _ => true,
    }
}

/// Whether some map in `value` has a key twice. Only the last of them counts then, which this oracle leaves aside.
pub(crate) fn has_repeated_keys(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(has_repeated_keys),
        Value::Map(entries) => {
            let mut keys: Vec<String> = entries.iter().map(|(key, _)| format!("{key:?}")).collect();
            keys.sort_unstable();
            let repeated = keys.windows(2).any(|pair| pair.first() == pair.last());
            repeated || entries.iter().any(|(key, value)| has_repeated_keys(key) || has_repeated_keys(value))
        }
        _ => false,
    }
}

/// The same value with every float as float64, and every number that is none as the same one.
pub(crate) fn normal(value: Value) -> Value {
    match value {
        Value::F32(number) => normal(Value::F64(f64::from(number))),
        Value::F64(number) if number.is_nan() => "NaN".into(),
        Value::Array(items) => Value::Array(items.into_iter().map(normal).collect()),
        Value::Map(entries) => {
            Value::Map(entries.into_iter().map(|(key, value)| (normal(key), normal(value))).collect())
        }
        other => other,
    }
}

impl<'de> Deserialize<'de> for Any {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Visitor).map(Self)
    }
}

struct Visitor;

impl<'de> de::Visitor<'de> for Visitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Nil)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_bytes<E>(self, value: &[u8]) -> Result<Value, E> {
        Ok(Value::Binary(value.to_owned()))
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Any(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Vec::new();
        while let Some((Any(key), Any(value))) = entries.next_entry()? {
            map.push((key, value));
        }
        Ok(Value::Map(map))
    }
}
