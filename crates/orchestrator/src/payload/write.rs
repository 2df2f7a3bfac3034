//! MessagePack tokens into a buffer, always in their shortest form.

use super::number::Number;

/// The two containers; they differ in their markers only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Container {
    Array,
    Map,
}

/// Appends a number.
pub(super) fn number(out: &mut Vec<u8>, value: Number) {
    match value {
        Number::Unsigned(value) => unsigned(out, value),
        Number::Negative(value) => negative(out, value),
        Number::Float(value) => float(out, value),
    }
}

/// Appends a non-negative integer.
pub(super) fn unsigned(out: &mut Vec<u8>, value: u64) {
    if value < 0x80 {
        out.push(value as u8);
    } else if let Ok(value) = u8::try_from(value) {
        out.extend_from_slice(&[0xcc, value]);
    } else if let Ok(value) = u16::try_from(value) {
        tagged(out, 0xcd, value.to_be_bytes());
    } else if let Ok(value) = u32::try_from(value) {
        tagged(out, 0xce, value.to_be_bytes());
    } else {
        tagged(out, 0xcf, value.to_be_bytes());
    }
}

/// Appends a negative integer (a non-negative one goes through [`unsigned`]).
pub(super) fn negative(out: &mut Vec<u8>, value: i64) {
    if let Ok(value) = u64::try_from(value) {
        unsigned(out, value);
    } else if value >= -32 {
        out.push(value as u8);
    } else if let Ok(value) = i8::try_from(value) {
        tagged(out, 0xd0, value.to_be_bytes());
    } else if let Ok(value) = i16::try_from(value) {
        tagged(out, 0xd1, value.to_be_bytes());
    } else if let Ok(value) = i32::try_from(value) {
        tagged(out, 0xd2, value.to_be_bytes());
    } else {
        tagged(out, 0xd3, value.to_be_bytes());
    }
}

/// Appends a float64.
pub(super) fn float(out: &mut Vec<u8>, value: f64) {
    tagged(out, 0xcb, value.to_be_bytes());
}

/// Appends a string.
pub(super) fn text(out: &mut Vec<u8>, value: &[u8]) {
    let len = value.len();
    if len < 32 {
        out.push(0xa0 | len as u8);
    } else if let Ok(len) = u8::try_from(len) {
        out.extend_from_slice(&[0xd9, len]);
    } else if let Ok(len) = u16::try_from(len) {
        tagged(out, 0xda, len.to_be_bytes());
    } else {
        tagged(out, 0xdb, wide(len));
    }
    out.extend_from_slice(value);
}

/// Appends bytes.
pub(super) fn bin(out: &mut Vec<u8>, value: &[u8]) {
    if let Ok(len) = u8::try_from(value.len()) {
        out.extend_from_slice(&[0xc4, len]);
    } else if let Ok(len) = u16::try_from(value.len()) {
        tagged(out, 0xc5, len.to_be_bytes());
    } else {
        tagged(out, 0xc6, wide(value.len()));
    }
    out.extend_from_slice(value);
}

/// Appends an extension value.
pub(super) fn extension(out: &mut Vec<u8>, kind: i8, value: &[u8]) {
    match value.len() {
        1 => out.push(0xd4),
        2 => out.push(0xd5),
        4 => out.push(0xd6),
        8 => out.push(0xd7),
        16 => out.push(0xd8),
        len => match (u8::try_from(len), u16::try_from(len)) {
            (Ok(len), _) => out.extend_from_slice(&[0xc7, len]),
            (_, Ok(len)) => tagged(out, 0xc8, len.to_be_bytes()),
            _ => tagged(out, 0xc9, wide(len)),
        },
    }
    out.push(kind as u8);
    out.extend_from_slice(value);
}

/// Starts a container whose size is not known yet; returns where. Its items follow, then [`close`].
pub(super) fn open(out: &mut Vec<u8>) -> usize {
    out.push(0);
    out.len() - 1
}

/// Ends the container opened at `at` with `count` items (entries of a map). Up to 15 the marker is one byte and
/// stands where it was reserved; above, the items move up once to make room.
pub(super) fn close(out: &mut Vec<u8>, at: usize, count: usize, container: Container) {
    let (fix, narrow) = match container {
        Container::Array => (0x90, 0xdc),
        Container::Map => (0x80, 0xde),
    };
    let items = at + 1;
    let end = out.len();
    if count < 16 {
        overwrite(out, at, &[fix | count as u8]);
    } else if let Ok(count) = u16::try_from(count) {
        let [a, b] = count.to_be_bytes();
        out.extend_from_slice(&[0; 2]);
        out.copy_within(items..end, items + 2);
        overwrite(out, at, &[narrow, a, b]);
    } else {
        let [a, b, c, d] = wide(count);
        out.extend_from_slice(&[0; 4]);
        out.copy_within(items..end, items + 4);
        overwrite(out, at, &[narrow + 1, a, b, c, d]);
    }
}

fn overwrite(out: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(place) = out.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}

fn tagged<const N: usize>(out: &mut Vec<u8>, tag: u8, bytes: [u8; N]) {
    out.push(tag);
    out.extend_from_slice(&bytes);
}

/// Lengths above 32 bits cannot occur: `from_json` and [`super::Reader`] refuse inputs of 4 GiB.
fn wide(len: usize) -> [u8; 4] {
    u32::try_from(len).expect("inputs are below 4 GiB").to_be_bytes()
}
