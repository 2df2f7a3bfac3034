//! A serde deserializer over MessagePack tokens that borrows text and can hand out raw values.

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, IntoDeserializer as _, MapAccess, SeqAccess, Visitor, value::BorrowedStrDeserializer},
    forward_to_deserialize_any,
};

use super::FieldError;
use crate::payload::{ReadError, Reader, Token};

/// Reads a typed value from all of `bytes`. Nesting was bounded when the bytes were made or checked.
pub(in crate::api) fn pack<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, FieldError> {
    let mut reader = Reader::new(bytes);
    let value = T::deserialize(Value { reader: &mut reader })?;
    reader.finish().map_err(FieldError::invalid)?;
    Ok(value)
}

/// A value left in its MessagePack bytes.
#[derive(Clone, Copy, Debug)]
pub(in crate::api) struct Packed<'a>(pub(in crate::api) &'a [u8]);

/// Name under which [`Packed`] asks for raw bytes.
const PACKED: &str = "$packed";

impl<'de: 'a, 'a> Deserialize<'de> for Packed<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Raw;
        impl<'de> Visitor<'de> for Raw {
            type Value = &'de [u8];

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a value")
            }

            fn visit_borrowed_bytes<E>(self, bytes: &'de [u8]) -> Result<Self::Value, E> {
                Ok(bytes)
            }
        }
        deserializer.deserialize_newtype_struct(PACKED, Raw).map(Packed)
    }
}

impl From<ReadError> for FieldError {
    fn from(error: ReadError) -> Self {
        Self::invalid(error)
    }
}

struct Value<'r, 'de> {
    reader: &'r mut Reader<'de>,
}

impl<'de> Deserializer<'de> for Value<'_, 'de> {
    type Error = FieldError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
        match self.reader.token()? {
            Token::Nil => visitor.visit_unit(),
            Token::Bool(value) => visitor.visit_bool(value),
            Token::Unsigned(value) => visitor.visit_u64(value),
            Token::Negative(value) => visitor.visit_i64(value),
            Token::F32(value) => visitor.visit_f64(f64::from(value)),
            Token::F64(value) => visitor.visit_f64(value),
            Token::Text(value) => visitor.visit_borrowed_str(value),
            Token::Bin(value) => visitor.visit_borrowed_bytes(value),
            Token::Extension(..) => Err(FieldError::invalid("invalid type: extension value")),
            Token::Array(left) => visitor.visit_seq(Items { reader: self.reader, index: 0, left }),
            Token::Map(left) => visitor.visit_map(Entries { reader: self.reader, key: "", left }),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
        if matches!(self.reader.clone().token()?, Token::Nil) {
            self.reader.token()?;
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, FieldError> {
        if name == PACKED {
            return visitor.visit_borrowed_bytes(self.reader.raw()?);
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, FieldError> {
        match self.reader.token()? {
            Token::Text(value) => visitor.visit_enum(value.into_deserializer()),
            _ => Err(FieldError::invalid("invalid type, expected a string")),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
        self.reader.skip()?;
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        seq tuple tuple_struct map struct identifier
    }
}

struct Items<'r, 'de> {
    reader: &'r mut Reader<'de>,
    index: usize,
    left: usize,
}

impl<'de> SeqAccess<'de> for Items<'_, 'de> {
    type Error = FieldError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, FieldError> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let index = self.index;
        self.index += 1;
        let item = seed.deserialize(Value { reader: self.reader });
        item.map(Some).map_err(|error| error.under_index(index))
    }
}

struct Entries<'r, 'de> {
    reader: &'r mut Reader<'de>,
    key: &'de str,
    left: usize,
}

impl<'de> MapAccess<'de> for Entries<'_, 'de> {
    type Error = FieldError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, FieldError> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let at = self.reader.position();
        let Token::Text(key) = self.reader.token()? else { return Err(ReadError::Key(at).into()) };
        self.key = key;
        seed.deserialize(BorrowedStrDeserializer::new(key)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, FieldError> {
        let key = self.key;
        seed.deserialize(Value { reader: self.reader }).map_err(|error| error.under_key(key))
    }
}
