//! MessagePack tokens, read from a slice. Knows nothing of types.

use super::decode_error::DecodeError;

/// Position in a payload.
#[derive(Clone)]
pub(crate) struct Reader<'de> {
    input: &'de [u8],
    at: usize,
}

/// One token. Containers give the number of values that follow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Token<'de> {
    Nil,
    Bool(bool),
    /// Zero or above.
    Uint(u64),
    /// Below zero.
    Int(i64),
    Float(f64),
    Str(&'de str),
    Bin(&'de [u8]),
    Array(usize),
    /// Pairs.
    Map(usize),
    Ext,
}

impl Token<'_> {
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Nil => "null",
            Self::Bool(_) => "bool",
            Self::Uint(_) | Self::Int(_) => "int",
            Self::Float(_) => "float",
            Self::Str(_) => "str",
            Self::Bin(_) => "bytes",
            Self::Array(_) => "array",
            Self::Map(_) => "object",
            Self::Ext => "ext",
        }
    }
}

impl<'de> Reader<'de> {
    pub(crate) fn new(input: &'de [u8]) -> Self {
        Self { input, at: 0 }
    }

    /// Bytes read so far.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.at == self.input.len()
    }

    /// What was read since `start`.
    pub(crate) fn since(&self, start: usize) -> &'de [u8] {
        self.input.get(start..self.at).unwrap_or_default()
    }

    /// A reader of the same input at an earlier place.
    pub(crate) fn back_at(&self, position: usize) -> Self {
        Self { input: self.input, at: position }
    }

    pub(crate) fn next_is_nil(&self) -> bool {
        self.input.get(self.at) == Some(&0xc0)
    }

    pub(crate) fn next_is_map(&self) -> bool {
        matches!(self.input.get(self.at), Some(0x80..=0x8f | 0xde | 0xdf))
    }

    #[inline]
    pub(crate) fn token(&mut self) -> Result<Token<'de>, DecodeError> {
        let marker = self.byte()?;
        Ok(match marker {
            0x00..=0x7f => Token::Uint(u64::from(marker)),
            0x80..=0x8f => self.map(usize::from(marker & 0x0f))?,
            0x90..=0x9f => self.array(usize::from(marker & 0x0f))?,
            0xa0..=0xbf => self.text(usize::from(marker & 0x1f))?,
            0xe0..=0xff => Token::Int(i64::from(marker as i8)),
            _ => return self.long(marker),
        })
    }

    /// Passes over one value with everything in it. Needs no stack, however deep it is.
    pub(crate) fn skip(&mut self) -> Result<(), DecodeError> {
        let mut due = 1_u64;
        while due > 0 {
            due -= 1;
            due += match self.token()? {
                Token::Array(length) => length as u64,
                Token::Map(length) => 2 * length as u64,
                _ => 0,
            };
        }
        Ok(())
    }

    /// The bytes of one value with everything in it.
    pub(crate) fn raw(&mut self) -> Result<&'de [u8], DecodeError> {
        let start = self.at;
        self.skip()?;
        Ok(self.since(start))
    }

    fn long(&mut self, marker: u8) -> Result<Token<'de>, DecodeError> {
        Ok(match marker {
            0xc0 => Token::Nil,
            0xc2 => Token::Bool(false),
            0xc3 => Token::Bool(true),
            0xc4..=0xc6 => {
                let length = self.length(marker - 0xc4)?;
                Token::Bin(self.bytes(length)?)
            }
            0xc7..=0xc9 => {
                let length = self.length(marker - 0xc7)?;
                self.ext(length)?
            }
            0xca => Token::Float(f64::from(f32::from_be_bytes(self.array_of()?))),
            0xcb => Token::Float(f64::from_be_bytes(self.array_of()?)),
            0xcc => Token::Uint(u64::from(self.byte()?)),
            0xcd => Token::Uint(u64::from(u16::from_be_bytes(self.array_of()?))),
            0xce => Token::Uint(u64::from(u32::from_be_bytes(self.array_of()?))),
            0xcf => Token::Uint(u64::from_be_bytes(self.array_of()?)),
            0xd0 => signed(i64::from(i8::from_be_bytes(self.array_of()?))),
            0xd1 => signed(i64::from(i16::from_be_bytes(self.array_of()?))),
            0xd2 => signed(i64::from(i32::from_be_bytes(self.array_of()?))),
            0xd3 => signed(i64::from_be_bytes(self.array_of()?)),
            0xd4..=0xd8 => self.ext(1 << (marker - 0xd4))?,
            0xd9..=0xdb => {
                let length = self.length(marker - 0xd9)?;
                self.text(length)?
            }
            0xdc | 0xdd => {
                let length = self.length(marker - 0xdc + 1)?;
                self.array(length)?
            }
            0xde | 0xdf => {
                let length = self.length(marker - 0xde + 1)?;
                self.map(length)?
            }
            // 0xc1; the caller takes every other marker.
            _ => return Err(DecodeError::new("MessagePack data is malformed: invalid opcode 0xc1")),
        })
    }

    fn byte(&mut self) -> Result<u8, DecodeError> {
        let byte = *self.input.get(self.at).ok_or_else(DecodeError::truncated)?;
        self.at += 1;
        Ok(byte)
    }

    fn bytes(&mut self, length: usize) -> Result<&'de [u8], DecodeError> {
        let rest = self.input.get(self.at..).unwrap_or_default();
        let bytes = rest.get(..length).ok_or_else(DecodeError::truncated)?;
        self.at += length;
        Ok(bytes)
    }

    fn array_of<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let bytes = self.bytes(N)?;
        bytes.first_chunk().copied().ok_or_else(DecodeError::truncated)
    }

    /// A length of one, two or four bytes.
    fn length(&mut self, width: u8) -> Result<usize, DecodeError> {
        Ok(match width {
            0 => usize::from(self.byte()?),
            1 => usize::from(u16::from_be_bytes(self.array_of()?)),
            _ => u32::from_be_bytes(self.array_of()?) as usize,
        })
    }

    fn text(&mut self, length: usize) -> Result<Token<'de>, DecodeError> {
        match std::str::from_utf8(self.bytes(length)?) {
            Ok(text) => Ok(Token::Str(text)),
            Err(_) => Err(DecodeError::new("Invalid UTF-8")),
        }
    }

    fn ext(&mut self, length: usize) -> Result<Token<'de>, DecodeError> {
        self.byte()?;
        self.bytes(length)?;
        Ok(Token::Ext)
    }

    fn array(&self, length: usize) -> Result<Token<'de>, DecodeError> {
        self.room_for(length)?;
        Ok(Token::Array(length))
    }

    fn map(&self, length: usize) -> Result<Token<'de>, DecodeError> {
        self.room_for(length.saturating_mul(2))?;
        Ok(Token::Map(length))
    }

    /// Every value takes a byte at least, so a header cannot promise more than what is left: nobody reserves
    /// memory for it.
    fn room_for(&self, values: usize) -> Result<(), DecodeError> {
        if values > self.input.len() - self.at { Err(DecodeError::truncated()) } else { Ok(()) }
    }
}

fn signed(value: i64) -> Token<'static> {
    u64::try_from(value).map_or(Token::Int(value), Token::Uint)
}
