//! A serde deserializer over a query string: flat structs of text, numbers, flags and closed words.

use std::borrow::Cow;

use serde::{
    Deserializer,
    de::{DeserializeOwned, DeserializeSeed, IntoDeserializer as _, MapAccess, Visitor},
    forward_to_deserialize_any,
};

use super::FieldError;

/// Reads a struct from a query string; no query is an empty one.
pub(in crate::api) fn query<T: DeserializeOwned>(query: Option<&str>) -> Result<T, FieldError> {
    T::deserialize(Pairs { pairs: form_urlencoded::parse(query.unwrap_or_default().as_bytes()), pair: None })
}

struct Pairs<'a> {
    pairs: form_urlencoded::Parse<'a>,
    pair: Option<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'de> Deserializer<'de> for Pairs<'_> {
    type Error = FieldError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
        visitor.visit_map(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de> MapAccess<'de> for Pairs<'_> {
    type Error = FieldError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, FieldError> {
        self.pair = self.pairs.next();
        let Some((name, _)) = &self.pair else { return Ok(None) };
        seed.deserialize(name.as_ref().into_deserializer()).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, FieldError> {
        let Some((name, text)) = self.pair.take() else { return Err(FieldError::invalid("value without a name")) };
        seed.deserialize(Text(&text)).map_err(|error| error.under_key(&name))
    }
}

struct Text<'a>(&'a str);

macro_rules! parsed {
    ($($method:ident $visit:ident $kind:literal),+ $(,)?) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
            visitor.$visit(self.0.parse().map_err(|_| FieldError::invalid(concat!("expected ", $kind)))?)
        }
    )+};
}

impl<'de> Deserializer<'de> for Text<'_> {
    type Error = FieldError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
        visitor.visit_str(self.0)
    }

    parsed! {
        deserialize_bool visit_bool "true or false",
        deserialize_i16 visit_i16 "a whole number",
        deserialize_i64 visit_i64 "a whole number",
        deserialize_u8 visit_u8 "a whole number",
        deserialize_u16 visit_u16 "a whole number",
        deserialize_u64 visit_u64 "a whole number",
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
        visitor.visit_some(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, FieldError> {
        visitor.visit_enum(self.0.into_deserializer())
    }

    forward_to_deserialize_any! {
        i8 i32 i128 u32 u128 f32 f64 char str string bytes byte_buf unit unit_struct newtype_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}
