//! MessagePack tokens out of bytes that may hold anything.

use super::DEPTH_MAX;

/// One token. Containers give their size; their items follow as tokens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Token<'a> {
    /// nil.
    Nil,
    /// true or false.
    Bool(bool),
    /// A non-negative integer.
    Unsigned(u64),
    /// A negative integer.
    Negative(i64),
    /// float32.
    F32(f32),
    /// float64.
    F64(f64),
    /// str, checked to be UTF-8.
    Text(&'a str),
    /// bin.
    Bin(&'a [u8]),
    /// Items to come.
    Array(usize),
    /// Entries to come, each a key and a value.
    Map(usize),
    /// Extension type and data.
    Extension(i8, &'a [u8]),
}

/// Bytes that are not the MessagePack that was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The bytes stop within a value.
    #[error("MessagePack ends too early at byte {0}")]
    Truncated(usize),
    /// A marker that MessagePack does not define.
    #[error("unknown MessagePack marker at byte {0}")]
    Marker(usize),
    /// A str that is not UTF-8.
    #[error("MessagePack text is not UTF-8 at byte {0}")]
    Utf8(usize),
    /// Bytes follow the value.
    #[error("something follows the MessagePack value at byte {0}")]
    Trailing(usize),
    /// The top is not a map.
    #[error("expected a MessagePack map")]
    NotAMap,
    /// A map key that is not text.
    #[error("MessagePack map key is not text at byte {0}")]
    Key(usize),
    /// Nested deeper than [`DEPTH_MAX`].
    #[error("nested deeper than {DEPTH_MAX} levels at byte {0}")]
    TooDeep(usize),
}

/// Reads tokens in order. Sizes are checked against what is left before they are believed.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the front.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Bytes read so far.
    #[must_use]
    pub fn position(&self) -> usize {
        self.at
    }

    /// Reads one token.
    ///
    /// # Errors
    /// When there is none, or the bytes are not MessagePack.
    pub fn token(&mut self) -> Result<Token<'a>, ReadError> {
        let start = self.at;
        let [marker] = self.fixed::<1>()?;
        Ok(match marker {
            0x00..=0x7f => Token::Unsigned(u64::from(marker)),
            0x80..=0x8f => self.map(usize::from(marker & 0x0f))?,
            0x90..=0x9f => self.array(usize::from(marker & 0x0f))?,
            0xa0..=0xbf => self.text(usize::from(marker & 0x1f))?,
            0xc0 => Token::Nil,
            0xc1 => return Err(ReadError::Marker(start)),
            0xc2 => Token::Bool(false),
            0xc3 => Token::Bool(true),
            0xc4..=0xc6 => {
                let len = self.len(marker - 0xc4)?;
                Token::Bin(self.take(len)?)
            }
            0xc7..=0xc9 => {
                let len = self.len(marker - 0xc7)?;
                self.extension(len)?
            }
            0xca => Token::F32(f32::from_be_bytes(self.fixed()?)),
            0xcb => Token::F64(f64::from_be_bytes(self.fixed()?)),
            0xcc => Token::Unsigned(u64::from(u8::from_be_bytes(self.fixed()?))),
            0xcd => Token::Unsigned(u64::from(u16::from_be_bytes(self.fixed()?))),
            0xce => Token::Unsigned(u64::from(u32::from_be_bytes(self.fixed()?))),
            0xcf => Token::Unsigned(u64::from_be_bytes(self.fixed()?)),
            0xd0 => signed(i64::from(i8::from_be_bytes(self.fixed()?))),
            0xd1 => signed(i64::from(i16::from_be_bytes(self.fixed()?))),
            0xd2 => signed(i64::from(i32::from_be_bytes(self.fixed()?))),
            0xd3 => signed(i64::from_be_bytes(self.fixed()?)),
            0xd4..=0xd8 => self.extension(1 << (marker - 0xd4))?,
            0xd9..=0xdb => {
                let len = self.len(marker - 0xd9)?;
                self.text(len)?
            }
            0xdc | 0xdd => {
                let len = self.len(marker - 0xdc + 1)?;
                self.array(len)?
            }
            0xde | 0xdf => {
                let len = self.len(marker - 0xde + 1)?;
                self.map(len)?
            }
            0xe0..=0xff => signed(i64::from(marker as i8)),
        })
    }

    /// Reads over one value with all that is in it. Does not recurse.
    ///
    /// # Errors
    /// As [`Reader::token`].
    pub fn skip(&mut self) -> Result<(), ReadError> {
        let mut left = 1_usize;
        while left > 0 {
            // Sums cannot overflow: every container is checked to have a byte for each of its items.
            left = left - 1
                + match self.token()? {
                    Token::Array(items) => items,
                    Token::Map(entries) => entries * 2,
                    _ => 0,
                };
        }
        Ok(())
    }

    /// Reads over one value and gives its bytes.
    ///
    /// # Errors
    /// As [`Reader::token`].
    pub fn raw(&mut self) -> Result<&'a [u8], ReadError> {
        let start = self.at;
        self.skip()?;
        Ok(self.bytes.get(start..self.at).unwrap_or_default())
    }

    /// Succeeds when everything was read.
    ///
    /// # Errors
    /// [`ReadError::Trailing`] when bytes are left.
    pub fn finish(self) -> Result<(), ReadError> {
        if self.at == self.bytes.len() { Ok(()) } else { Err(ReadError::Trailing(self.at)) }
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], ReadError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let taken = rest.get(..len).ok_or(ReadError::Truncated(self.at))?;
        self.at += len;
        Ok(taken)
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], ReadError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let taken = rest.first_chunk::<N>().ok_or(ReadError::Truncated(self.at))?;
        self.at += N;
        Ok(*taken)
    }

    /// Reads a length of 1, 2 or 4 bytes.
    fn len(&mut self, width: u8) -> Result<usize, ReadError> {
        Ok(match width {
            0 => usize::from(u8::from_be_bytes(self.fixed()?)),
            1 => usize::from(u16::from_be_bytes(self.fixed()?)),
            _ => u32::from_be_bytes(self.fixed()?) as usize,
        })
    }

    fn text(&mut self, len: usize) -> Result<Token<'a>, ReadError> {
        let start = self.at;
        std::str::from_utf8(self.take(len)?).map(Token::Text).map_err(|_| ReadError::Utf8(start))
    }

    fn array(&mut self, items: usize) -> Result<Token<'a>, ReadError> {
        self.room_for(items).map(|()| Token::Array(items))
    }

    fn map(&mut self, entries: usize) -> Result<Token<'a>, ReadError> {
        self.room_for(entries.saturating_mul(2)).map(|()| Token::Map(entries))
    }

    /// Every value takes at least one byte.
    fn room_for(&self, values: usize) -> Result<(), ReadError> {
        if values <= self.bytes.len() - self.at { Ok(()) } else { Err(ReadError::Truncated(self.at)) }
    }

    fn extension(&mut self, len: usize) -> Result<Token<'a>, ReadError> {
        let [kind] = self.fixed::<1>()?;
        Ok(Token::Extension(kind as i8, self.take(len)?))
    }
}

fn signed<'a>(value: i64) -> Token<'a> {
    u64::try_from(value).map_or(Token::Negative(value), Token::Unsigned)
}
