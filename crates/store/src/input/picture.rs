//! How large a picture is, as its header says (PNG, JPEG, WebP, GIF), and how large it may be. Nothing is decoded: a small file
//! can stand for a picture that fills the memory of whoever decodes it, and this is how to know before. Blocks.
//!
//! Strict on purpose: what a decoder might read otherwise than this does is no picture here. Sizes are those that are stored, not
//! turned as the metadata of a photograph may ask for.

use std::io::{self, BufReader, Read, Seek};

use super::error::InputError;

/// Segments of a JPEG before its size. Profiles and previews of cameras take some hundred.
const SEGMENTS_MAX: usize = 4096;

/// Most that a picture may measure, in pixels; none = anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PictureLimits {
    /// Of its width.
    pub width_max: Option<u64>,
    /// Of its height.
    pub height_max: Option<u64>,
    /// Of both multiplied.
    pub pixels_max: Option<u64>,
}

/// What a picture measures, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PictureSize {
    pub(super) width: u64,
    pub(super) height: u64,
}

impl PictureLimits {
    /// Whether there is any.
    #[must_use]
    pub fn is_any(&self) -> bool {
        *self != Self::default()
    }

    /// Whether the picture in `file` is within them.
    ///
    /// # Errors
    /// When it cannot be read. The inner error is [`InputError::Picture`] when it is too large, and [`InputError::NoPicture`] when
    /// there is none whose size can be known.
    pub(super) fn check(&self, file: impl Read + Seek) -> io::Result<Result<(), InputError>> {
        Ok(match measure(file)? {
            Some(size) => self.admit(size),
            None => Err(InputError::NoPicture),
        })
    }

    fn admit(&self, size: PictureSize) -> Result<(), InputError> {
        let PictureSize { width, height } = size;
        let measures = [
            ("width", width, self.width_max),
            ("height", height, self.height_max),
            ("number of pixels", width.saturating_mul(height), self.pixels_max),
        ];
        let over = measures.into_iter().find(|(_, found, most)| most.is_some_and(|most| *found > most));
        over.map_or(Ok(()), |(measure, found, most)| {
            Err(InputError::Picture { measure, found, most: most.unwrap_or(u64::MAX) })
        })
    }
}

/// The size of the picture in `file`, which is at its beginning. None when it is no picture of a kind that is known here, or ends
/// before its size is known.
///
/// # Errors
/// When it cannot be read.
pub(super) fn measure(file: impl Read + Seek) -> io::Result<Option<PictureSize>> {
    let found = sized(&mut Picture(BufReader::new(file)));
    match found {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        found => Ok(found?.filter(|size| size.width > 0 && size.height > 0)),
    }
}

fn sized(picture: &mut Picture<impl Read + Seek>) -> io::Result<Option<PictureSize>> {
    match picture.take()? {
        [0xFF, 0xD8] => picture.jpeg(),
        [0x89, b'P'] => picture.png(),
        [b'G', b'I'] => picture.gif(),
        [b'R', b'I'] => picture.webp(),
        _ => Ok(None),
    }
}

/// A picture that is being read, past the two bytes that tell its kind.
struct Picture<R>(BufReader<R>);

impl<R: Read + Seek> Picture<R> {
    fn take<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.0.read_exact(&mut bytes).map(|()| bytes)
    }

    fn byte(&mut self) -> io::Result<u8> {
        self.take().map(|[byte]| byte)
    }

    /// Two numbers of two bytes.
    fn pair(&mut self, number: fn([u8; 2]) -> u16) -> io::Result<(u64, u64)> {
        Ok((number(self.take()?).into(), number(self.take()?).into()))
    }

    /// What is behind the end shows at the next byte.
    fn skip(&mut self, bytes: u32) -> io::Result<()> {
        self.0.seek_relative(bytes.into())
    }

    fn png(&mut self) -> io::Result<Option<PictureSize>> {
        if self.take()? != *b"NG\r\n\x1a\n\0\0\0\x0dIHDR" {
            return Ok(None);
        }
        let (width, height) = (u32::from_be_bytes(self.take()?).into(), u32::from_be_bytes(self.take()?).into());
        Ok(Some(PictureSize { width, height }))
    }

    /// Segments up to the one with the size. Nothing may be between them but what may fill up.
    fn jpeg(&mut self) -> io::Result<Option<PictureSize>> {
        for _ in 0..SEGMENTS_MAX {
            if self.byte()? != 0xFF {
                return Ok(None);
            }
            let mut marker = self.byte()?;
            while marker == 0xFF {
                marker = self.byte()?;
            }
            match marker {
                // Tables, and arithmetic coding: no frames.
                0xC4 | 0xC8 | 0xCC => {}
                0xC0..=0xCF => {
                    let [_, _, _] = self.take()?;
                    let (height, width) = self.pair(u16::from_be_bytes)?;
                    return Ok(Some(PictureSize { width, height }));
                }
                // Without a length, or not before a frame.
                0x00..=0x01 | 0xD0..=0xDA => return Ok(None),
                _ => {}
            }
            let Some(rest) = u16::from_be_bytes(self.take()?).checked_sub(2) else { return Ok(None) };
            self.skip(rest.into())?;
        }
        Ok(None)
    }

    fn webp(&mut self) -> io::Result<Option<PictureSize>> {
        let [b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', kind @ .., _, _, _, _]: [u8; 18] = self.take()? else {
            return Ok(None);
        };
        let (width, height) = match &kind {
            b"VP8X" => {
                let [_, _, _, _, width @ .., a, b, c] = self.take::<10>()?;
                (plus_one(width), plus_one([a, b, c]))
            }
            b"VP8L" => {
                let [0x2F, bits @ ..] = self.take::<5>()? else { return Ok(None) };
                let bits = u32::from_le_bytes(bits);
                (u64::from(bits & 0x3FFF) + 1, u64::from(bits >> 14 & 0x3FFF) + 1)
            }
            b"VP8 " => {
                let [_, _, _, 0x9D, 0x01, 0x2A] = self.take::<6>()? else { return Ok(None) };
                let (width, height) = self.pair(u16::from_le_bytes)?;
                (width & 0x3FFF, height & 0x3FFF)
            }
            _ => return Ok(None),
        };
        Ok(Some(PictureSize { width, height }))
    }

    /// All frames: some decoders make the picture as large as its largest.
    fn gif(&mut self) -> io::Result<Option<PictureSize>> {
        if !matches!(&self.take()?, b"F87a" | b"F89a") {
            return Ok(None);
        }
        let (width, height) = self.pair(u16::from_le_bytes)?;
        let mut size = PictureSize { width, height };
        let [flags, _, _] = self.take()?;
        self.skip_colors(flags)?;
        let mut has_frames = false;
        loop {
            let block = match self.byte() {
                // Many have no last block.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => 0x3B,
                block => block?,
            };
            match block {
                0x21 => drop(self.byte()?),
                0x2C => {
                    let (left, top) = self.pair(u16::from_le_bytes)?;
                    let (width, height) = self.pair(u16::from_le_bytes)?;
                    size.width = size.width.max(left + width);
                    size.height = size.height.max(top + height);
                    has_frames = true;
                    let flags = self.byte()?;
                    self.skip_colors(flags)?;
                    self.skip(1)?;
                }
                0x3B => return Ok(has_frames.then_some(size)),
                _ => return Ok(None),
            }
            loop {
                match self.byte()? {
                    0 => break,
                    bytes => self.skip(bytes.into())?,
                }
            }
        }
    }

    /// The table of colors of a GIF, if these flags say that there is one.
    fn skip_colors(&mut self, flags: u8) -> io::Result<()> {
        if flags & 0x80 == 0 { Ok(()) } else { self.skip(3 * (2 << (flags & 7))) }
    }
}

/// A number of three bytes, and one more.
fn plus_one([low, middle, high]: [u8; 3]) -> u64 {
    u64::from(u32::from_le_bytes([low, middle, high, 0])) + 1
}

#[cfg(test)]
mod tests;
