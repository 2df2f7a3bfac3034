//! The strict deserializer.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{
    Deserialize,
    de::{DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor},
};

use super::{
    DEPTH_MAX,
    decode_error::DecodeError,
    reader::{Reader, Token},
};

/// How bytes may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BytesForm {
    /// As binary, and no other way.
    Binary,
    /// As binary or, where a payload came from JSON, as base64 text.
    BinaryOrBase64,
}

/// Decodes the whole of `input`, which has to be one map.
pub(super) fn decode<'de, T: Deserialize<'de>>(input: &'de [u8], form: BytesForm) -> Result<T, DecodeError> {
    let mut decoder = Decoder { reader: Reader::new(input), levels_left: DEPTH_MAX, form };
    if !decoder.reader.next_is_map() {
        return Err(DecodeError::mismatch("object", decoder.reader.token()?.type_name()));
    }
    let value = T::deserialize(&mut decoder)?;
    if !decoder.reader.is_at_end() {
        return Err(DecodeError::new("MessagePack data is malformed: trailing characters"));
    }
    Ok(value)
}

struct Decoder<'de> {
    reader: Reader<'de>,
    levels_left: usize,
    form: BytesForm,
}

impl<'de> Decoder<'de> {
    /// Reads what is in a container of `length` entries.
    fn nested<V>(
        &mut self,
        length: usize,
        read: impl FnOnce(&mut Entries<'_, 'de>) -> Result<V, DecodeError>,
    ) -> Result<V, DecodeError> {
        let Some(levels_left) = self.levels_left.checked_sub(1) else {
            return Err(DecodeError::new(format!("Nesting is deeper than {DEPTH_MAX} levels")));
        };
        self.levels_left = levels_left;
        let mut entries = Entries { decoder: self, left: length, index: 0, key_at: 0 };
        let value = read(&mut entries)?;
        if entries.left > 0 {
            return Err(DecodeError::new("Container has more values than its type takes"));
        }
        self.levels_left += 1;
        Ok(value)
    }

    fn sequence<V: Visitor<'de>>(&mut self, length: usize, visitor: V) -> Result<V::Value, DecodeError> {
        self.nested(length, |entries| visitor.visit_seq(entries))
    }

    fn mapping<V: Visitor<'de>>(&mut self, length: usize, visitor: V) -> Result<V::Value, DecodeError> {
        self.nested(length, |entries| visitor.visit_map(entries))
    }
}

fn mismatch(expected: &str, got: &Token<'_>) -> DecodeError {
    DecodeError::mismatch(expected, got.type_name())
}

/// An integer type: takes integers in its range, and nothing else.
macro_rules! integer {
    ($($method:ident $visit:ident $type:ty),*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
            let value = match self.reader.token()? {
                Token::Uint(value) => <$type>::try_from(value).map_err(|_| <$type>::MAX),
                Token::Int(value) => <$type>::try_from(value).map_err(|_| <$type>::MIN),
                other => return Err(mismatch("int", &other)),
            };
            match value {
                Ok(value) => visitor.$visit(value),
                Err(<$type>::MAX) => Err(DecodeError::new(format!("Expected `int` <= {}", <$type>::MAX))),
                Err(_) => Err(DecodeError::new(format!("Expected `int` >= {}", <$type>::MIN))),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for &mut Decoder<'de> {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.reader.token()? {
            Token::Nil => visitor.visit_unit(),
            Token::Bool(value) => visitor.visit_bool(value),
            Token::Uint(value) => visitor.visit_u64(value),
            Token::Int(value) => visitor.visit_i64(value),
            Token::Float(value) => visitor.visit_f64(value),
            Token::Str(text) => visitor.visit_borrowed_str(text),
            Token::Bin(bytes) => visitor.visit_borrowed_bytes(bytes),
            Token::Array(length) => self.sequence(length, visitor),
            Token::Map(length) => self.mapping(length, visitor),
            Token::Ext => Err(DecodeError::new("Extension types are not supported")),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.reader.token()? {
            Token::Bool(value) => visitor.visit_bool(value),
            other => Err(mismatch("bool", &other)),
        }
    }

    integer! {
        deserialize_i8 visit_i8 i8, deserialize_i16 visit_i16 i16, deserialize_i32 visit_i32 i32,
        deserialize_i64 visit_i64 i64, deserialize_u8 visit_u8 u8, deserialize_u16 visit_u16 u16,
        deserialize_u32 visit_u32 u32, deserialize_u64 visit_u64 u64
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.reader.token()? {
            Token::Float(value) => visitor.visit_f64(value),
            Token::Uint(value) => visitor.visit_f64(value as f64),
            Token::Int(value) => visitor.visit_f64(value as f64),
            other => Err(mismatch("float", &other)),
        }
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.reader.token()? {
            Token::Str(text) => visitor.visit_borrowed_str(text),
            other => Err(mismatch("str", &other)),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.reader.token()? {
            Token::Bin(bytes) => visitor.visit_borrowed_bytes(bytes),
            Token::Str(text) if self.form == BytesForm::BinaryOrBase64 => match STANDARD.decode(text) {
                Ok(bytes) => visitor.visit_byte_buf(bytes),
                Err(_) => Err(DecodeError::new("Invalid base64 encoded string")),
            },
            other => Err(mismatch("bytes", &other)),
        }
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        if self.reader.next_is_nil() {
            self.reader.token()?;
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.reader.token()? {
            Token::Nil => visitor.visit_unit(),
            other => Err(mismatch("null", &other)),
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.reader.token()? {
            Token::Array(length) => self.sequence(length, visitor),
            other => Err(mismatch("array", &other)),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, DecodeError> {
        match self.reader.token()? {
            Token::Array(got) if got == length => self.sequence(length, visitor),
            Token::Array(got) => Err(DecodeError::new(format!("Expected `array` of length {length}, got {got}"))),
            other => Err(mismatch("array", &other)),
        }
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.deserialize_tuple(length, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.reader.token()? {
            Token::Map(length) => self.mapping(length, visitor),
            other => Err(mismatch("object", &other)),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        let start = self.reader.position();
        match self.reader.token()? {
            Token::Str(_) => {
                // The variant reads its own name.
                self.reader = self.reader.back_at(start);
                visitor.visit_enum(Variant { decoder: self, has_value: false })
            }
            Token::Map(1) => self.nested(1, |entries| {
                entries.left = 0;
                visitor.visit_enum(Variant { decoder: entries.decoder, has_value: true })
            }),
            Token::Map(_) => Err(DecodeError::new("Expected `object` with one key that names the variant")),
            other => Err(mismatch("str", &other)),
        }
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.reader.skip()?;
        visitor.visit_unit()
    }
}

/// What is left of a container.
struct Entries<'a, 'de> {
    decoder: &'a mut Decoder<'de>,
    left: usize,
    index: usize,
    /// Where the key of the current value begins, for the path of an error.
    key_at: usize,
}

impl Entries<'_, '_> {
    #[cold]
    fn under_key(&self, error: DecodeError) -> DecodeError {
        match self.decoder.reader.back_at(self.key_at).token() {
            Ok(Token::Str(key)) => error.under_key(key),
            _ => error.under_key("..."),
        }
    }
}

impl<'de> SeqAccess<'de> for &mut Entries<'_, 'de> {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, DecodeError> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let index = self.index;
        self.index += 1;
        seed.deserialize(&mut *self.decoder).map(Some).map_err(|error| error.under_index(index))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

impl<'de> MapAccess<'de> for &mut Entries<'_, 'de> {
    type Error = DecodeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, DecodeError> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        self.key_at = self.decoder.reader.position();
        seed.deserialize(&mut *self.decoder).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, DecodeError> {
        match seed.deserialize(&mut *self.decoder) {
            Ok(value) => Ok(value),
            Err(error) => Err(self.under_key(error)),
        }
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

/// An enum: its name, then the value if there is one.
struct Variant<'a, 'de> {
    decoder: &'a mut Decoder<'de>,
    has_value: bool,
}

impl<'de> EnumAccess<'de> for Variant<'_, 'de> {
    type Error = DecodeError;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), DecodeError> {
        let name = seed.deserialize(&mut *self.decoder)?;
        Ok((name, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_, 'de> {
    type Error = DecodeError;

    fn unit_variant(self) -> Result<(), DecodeError> {
        if self.has_value { <()>::deserialize(self.decoder) } else { Ok(()) }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, DecodeError> {
        seed.deserialize(self.value()?)
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, DecodeError> {
        self.value()?.deserialize_tuple(length, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value, DecodeError> {
        self.value()?.deserialize_map(visitor)
    }
}

impl<'a, 'de> Variant<'a, 'de> {
    fn value(self) -> Result<&'a mut Decoder<'de>, DecodeError> {
        if self.has_value { Ok(self.decoder) } else { Err(DecodeError::mismatch("object", "str")) }
    }
}
