//! The serializer: structs as maps with names, integers as short as they go, floats as float64.

use std::fmt;

use serde::ser::{self, Serialize, Serializer};

mod container;

use container::{Container, Form};

/// Appends the encoding of `value`.
pub(super) fn encode_into<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    value.serialize(&mut Encoder { out })
}

/// Why a value has no encoding.
#[derive(Debug, thiserror::Error)]
pub(super) enum EncodeError {
    /// The type's own serialisation said no.
    #[error("{0}")]
    Custom(String),
    /// More elements, or bytes, than a header can count.
    #[error("{0} elements are more than MessagePack can count")]
    TooLong(usize),
    /// An integer beyond 64 bits.
    #[error("integer {0} does not fit into 64 bits")]
    Integer(String),
}

impl ser::Error for EncodeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Custom(message.to_string())
    }
}

struct Encoder<'a> {
    out: &'a mut Vec<u8>,
}

type Done = Result<(), EncodeError>;

/// Room that a long text or blob leaves for what follows it, in bytes. Vectors grow to exactly what a long slice needs,
/// and the next byte would copy all of it into one of twice the size.
const ROOM_AFTER_LONG: usize = 256;

impl Encoder<'_> {
    fn append(&mut self, bytes: &[u8]) {
        if bytes.len() > ROOM_AFTER_LONG {
            self.out.reserve(bytes.len() + ROOM_AFTER_LONG);
        }
        self.out.extend_from_slice(bytes);
    }

    fn marked<const N: usize>(&mut self, marker: u8, rest: [u8; N]) {
        self.out.push(marker);
        self.out.extend_from_slice(&rest);
    }

    fn unsigned(&mut self, value: u64) {
        if let Ok(value) = u8::try_from(value) {
            if value < 0x80 {
                self.out.push(value);
            } else {
                self.marked(0xcc, [value]);
            }
        } else if let Ok(value) = u16::try_from(value) {
            self.marked(0xcd, value.to_be_bytes());
        } else if let Ok(value) = u32::try_from(value) {
            self.marked(0xce, value.to_be_bytes());
        } else {
            self.marked(0xcf, value.to_be_bytes());
        }
    }

    fn signed(&mut self, value: i64) {
        if let Ok(value) = u64::try_from(value) {
            self.unsigned(value);
        } else if let Ok(value) = i8::try_from(value) {
            if value >= -0x20 {
                self.out.push(value as u8);
            } else {
                self.marked(0xd0, value.to_be_bytes());
            }
        } else if let Ok(value) = i16::try_from(value) {
            self.marked(0xd1, value.to_be_bytes());
        } else if let Ok(value) = i32::try_from(value) {
            self.marked(0xd2, value.to_be_bytes());
        } else {
            self.marked(0xd3, value.to_be_bytes());
        }
    }

    fn text(&mut self, text: &str) -> Done {
        let length = text.len();
        match length {
            0..=31 => self.out.push(0xa0 | length as u8),
            32..=0xff => self.marked(0xd9, [length as u8]),
            0x100..=0xffff => self.marked(0xda, (length as u16).to_be_bytes()),
            _ => self.marked(0xdb, count(length)?.to_be_bytes()),
        }
        self.append(text.as_bytes());
        Ok(())
    }

    fn array_header(&mut self, length: usize) -> Done {
        match length {
            0..=15 => self.out.push(0x90 | length as u8),
            16..=0xffff => self.marked(0xdc, (length as u16).to_be_bytes()),
            _ => self.marked(0xdd, count(length)?.to_be_bytes()),
        }
        Ok(())
    }

    fn map_header(&mut self, length: usize) -> Done {
        match length {
            0..=15 => self.out.push(0x80 | length as u8),
            16..=0xffff => self.marked(0xde, (length as u16).to_be_bytes()),
            _ => self.marked(0xdf, count(length)?.to_be_bytes()),
        }
        Ok(())
    }
}

fn count(length: usize) -> Result<u32, EncodeError> {
    u32::try_from(length).map_err(|_| EncodeError::TooLong(length))
}

impl<'a, 'b> Serializer for &'a mut Encoder<'b> {
    type Ok = ();
    type Error = EncodeError;
    type SerializeSeq = Container<'a, 'b>;
    type SerializeTuple = Container<'a, 'b>;
    type SerializeTupleStruct = Container<'a, 'b>;
    type SerializeTupleVariant = Container<'a, 'b>;
    type SerializeMap = Container<'a, 'b>;
    type SerializeStruct = Container<'a, 'b>;
    type SerializeStructVariant = Container<'a, 'b>;

    fn serialize_bool(self, value: bool) -> Done {
        self.out.push(if value { 0xc3 } else { 0xc2 });
        Ok(())
    }

    fn serialize_i8(self, value: i8) -> Done {
        self.signed(i64::from(value));
        Ok(())
    }

    fn serialize_i16(self, value: i16) -> Done {
        self.signed(i64::from(value));
        Ok(())
    }

    fn serialize_i32(self, value: i32) -> Done {
        self.signed(i64::from(value));
        Ok(())
    }

    fn serialize_i64(self, value: i64) -> Done {
        self.signed(value);
        Ok(())
    }

    fn serialize_i128(self, value: i128) -> Done {
        match (i64::try_from(value), u64::try_from(value)) {
            (Ok(value), _) => self.signed(value),
            (_, Ok(value)) => self.unsigned(value),
            _ => return Err(EncodeError::Integer(value.to_string())),
        }
        Ok(())
    }

    fn serialize_u8(self, value: u8) -> Done {
        self.unsigned(u64::from(value));
        Ok(())
    }

    fn serialize_u16(self, value: u16) -> Done {
        self.unsigned(u64::from(value));
        Ok(())
    }

    fn serialize_u32(self, value: u32) -> Done {
        self.unsigned(u64::from(value));
        Ok(())
    }

    fn serialize_u64(self, value: u64) -> Done {
        self.unsigned(value);
        Ok(())
    }

    fn serialize_u128(self, value: u128) -> Done {
        self.unsigned(u64::try_from(value).map_err(|_| EncodeError::Integer(value.to_string()))?);
        Ok(())
    }

    fn serialize_f32(self, value: f32) -> Done {
        self.serialize_f64(f64::from(value))
    }

    fn serialize_f64(self, value: f64) -> Done {
        self.marked(0xcb, value.to_be_bytes());
        Ok(())
    }

    fn serialize_char(self, value: char) -> Done {
        self.text(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Done {
        self.text(value)
    }

    fn serialize_bytes(self, value: &[u8]) -> Done {
        match value.len() {
            length @ 0..=0xff => self.marked(0xc4, [length as u8]),
            length @ 0x100..=0xffff => self.marked(0xc5, (length as u16).to_be_bytes()),
            length => self.marked(0xc6, count(length)?.to_be_bytes()),
        }
        self.append(value);
        Ok(())
    }

    fn serialize_none(self) -> Done {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Done {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Done {
        self.out.push(0xc0);
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Done {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Done {
        self.text(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Done {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Done {
        self.map_header(1)?;
        self.text(variant)?;
        value.serialize(self)
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<Container<'a, 'b>, EncodeError> {
        Container::begin(self, Form::Array, length)
    }

    fn serialize_tuple(self, length: usize) -> Result<Container<'a, 'b>, EncodeError> {
        Container::begin(self, Form::Array, Some(length))
    }

    fn serialize_tuple_struct(self, _: &'static str, length: usize) -> Result<Container<'a, 'b>, EncodeError> {
        Container::begin(self, Form::Array, Some(length))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Container<'a, 'b>, EncodeError> {
        self.map_header(1)?;
        self.text(variant)?;
        Container::begin(self, Form::Array, Some(length))
    }

    fn serialize_map(self, length: Option<usize>) -> Result<Container<'a, 'b>, EncodeError> {
        Container::begin(self, Form::Map, length)
    }

    fn serialize_struct(self, _: &'static str, length: usize) -> Result<Container<'a, 'b>, EncodeError> {
        Container::begin(self, Form::Map, Some(length))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Container<'a, 'b>, EncodeError> {
        self.map_header(1)?;
        self.text(variant)?;
        Container::begin(self, Form::Map, Some(length))
    }

    fn collect_str<T: fmt::Display + ?Sized>(self, value: &T) -> Done {
        self.text(&value.to_string())
    }
}
