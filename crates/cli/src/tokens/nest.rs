//! Dotted keys: where in an object a value goes.

use serde_json::{Map, Value};

/// Puts `value` at the dotted `key`, making objects on the way and replacing what is not one. An empty segment is
/// the key `""`. Returns whether the key was at most `segments_max` deep; a deeper one changes nothing.
pub(super) fn insert(object: &mut Map<String, Value>, key: &str, value: Value, segments_max: usize) -> bool {
    if key.split('.').count() > segments_max {
        return false;
    }
    let mut object = object;
    let mut rest = key;
    while let Some((head, tail)) = rest.split_once('.') {
        let next = object.entry(head).or_insert_with(|| Value::Object(Map::new()));
        if !next.is_object() {
            *next = Value::Object(Map::new());
        }
        object = next.as_object_mut().expect("it was made an object just above");
        rest = tail;
    }
    object.insert(rest.to_owned(), value);
    true
}
