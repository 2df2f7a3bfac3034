//! Fields that hold bytes: binary in MessagePack, base64 text in JSON. The derives put this on every field of a
//! type that implements [`BytesField`].

use std::fmt;

use bytes::Bytes;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::{Deserializer, Serializer, de};

/// A field type that holds bytes.
pub trait BytesField: Sized {
    /// The bytes, if there are any.
    fn bytes(&self) -> Option<&[u8]>;

    /// The field with these bytes.
    fn of_bytes(bytes: Vec<u8>) -> Self;

    /// The field without bytes; none when it must have them.
    #[must_use]
    fn absent() -> Option<Self> {
        None
    }
}

impl BytesField for Vec<u8> {
    fn bytes(&self) -> Option<&[u8]> {
        Some(self)
    }

    fn of_bytes(bytes: Vec<u8>) -> Self {
        bytes
    }
}

impl BytesField for Bytes {
    fn bytes(&self) -> Option<&[u8]> {
        Some(self)
    }

    fn of_bytes(bytes: Vec<u8>) -> Self {
        bytes.into()
    }
}

impl<T: BytesField> BytesField for Option<T> {
    fn bytes(&self) -> Option<&[u8]> {
        self.as_ref().and_then(T::bytes)
    }

    fn of_bytes(bytes: Vec<u8>) -> Self {
        Some(T::of_bytes(bytes))
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

/// For `#[serde(with = "..")]`.
///
/// # Errors
/// What the serializer says.
pub fn serialize<T: BytesField, S: Serializer>(field: &T, serializer: S) -> Result<S::Ok, S::Error> {
    match field.bytes() {
        Some(bytes) => serializer.serialize_bytes(bytes),
        None => serializer.serialize_none(),
    }
}

/// For `#[serde(with = "..")]`.
///
/// # Errors
/// When there is something else than bytes.
pub fn deserialize<'de, T: BytesField, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    let visitor = FieldVisitor(std::marker::PhantomData);
    if T::absent().is_some() {
        deserializer.deserialize_option(visitor)
    } else {
        deserializer.deserialize_byte_buf(visitor)
    }
}

/// For `#[schemars(schema_with = "..")]`: base64 text.
pub fn schema(_generator: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "contentEncoding": "base64"})
}

/// The same for a field that may be absent.
pub fn optional_schema(_generator: &mut SchemaGenerator) -> Schema {
    json_schema!({"anyOf": [{"type": "string", "contentEncoding": "base64"}, {"type": "null"}]})
}

struct FieldVisitor<T>(std::marker::PhantomData<T>);

impl<'de, T: BytesField> de::Visitor<'de> for FieldVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<T, E> {
        Ok(T::of_bytes(bytes.to_owned()))
    }

    fn visit_byte_buf<E: de::Error>(self, bytes: Vec<u8>) -> Result<T, E> {
        Ok(T::of_bytes(bytes))
    }

    fn visit_none<E: de::Error>(self) -> Result<T, E> {
        T::absent().ok_or_else(|| E::invalid_type(de::Unexpected::Option, &self))
    }

    fn visit_unit<E: de::Error>(self) -> Result<T, E> {
        self.visit_none()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        deserializer.deserialize_byte_buf(self)
    }
}
