//! Finding bytes eight at a time.

const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);
const QUOTES: u64 = u64::from_ne_bytes([b'"'; 8]);
const BACKSLASHES: u64 = u64::from_ne_bytes([b'\\'; 8]);
const SPACES: u64 = u64::from_ne_bytes([0x20; 8]);

/// Bytes before the first quote, backslash or control character; all of them when there is none.
pub(super) fn plain_text_len(bytes: &[u8]) -> usize {
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let hits = special(u64::from_le_bytes(*word));
        if hits != 0 {
            return index * 8 + (hits.trailing_zeros() / 8) as usize;
        }
    }
    let before = words.len() * 8;
    before + rest.iter().position(|&byte| byte == b'"' || byte == b'\\' || byte < 0x20).unwrap_or(rest.len())
}

/// Sets the high bit of each byte that is special. Borrows may set bits above the first true hit, never below it,
/// and only the first is used.
fn special(word: u64) -> u64 {
    let equals = |pattern: u64| {
        let difference = word ^ pattern;
        difference.wrapping_sub(ONES) & !difference
    };
    let control = word.wrapping_sub(SPACES) & !word;
    (equals(QUOTES) | equals(BACKSLASHES) | control) & HIGHS
}

/// Bytes of JSON white space at the front.
pub(super) fn space_len(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| !matches!(byte, b' ' | b'\n' | b'\r' | b'\t')).unwrap_or(bytes.len())
}
