//! JSON numbers: integers stay integers, everything else is a float64.

/// A number as it goes into MessagePack.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    Unsigned(u64),
    Negative(i64),
    Float(f64),
}

/// Why a number was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NumberError {
    /// Not the grammar of JSON.
    Syntax,
    /// Beyond 64 bits.
    Range,
}

/// Powers of ten that a float64 holds exactly.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];

/// Up to here every integer is a float64.
const EXACT_MAX: u64 = 1 << 53;

/// Digits that 64 bits hold whatever they are.
const SAFE_DIGITS: usize = 19;

/// Digits gathered so far.
#[derive(Default)]
struct Digits {
    value: u64,
    count: usize,
    overflow: bool,
}

impl Digits {
    /// Takes the digits at the front of `bytes`; returns how many.
    fn take(&mut self, bytes: &[u8]) -> usize {
        let len = bytes.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(bytes.len());
        let digits = bytes.get(..len).unwrap_or_default().iter().map(|byte| u64::from(byte - b'0'));
        self.count += len;
        if self.count <= SAFE_DIGITS {
            self.value = digits.fold(self.value, |value, digit| value * 10 + digit);
        } else {
            for digit in digits {
                match self.value.checked_mul(10).and_then(|value| value.checked_add(digit)) {
                    Some(value) => self.value = value,
                    None => self.overflow = true,
                }
            }
        }
        len
    }
}

/// Reads the number at the front of `bytes`; returns it with its length. What follows is not looked at.
pub(super) fn parse(bytes: &[u8]) -> Result<(Number, usize), NumberError> {
    let negative = bytes.first() == Some(&b'-');
    let start = usize::from(negative);
    let rest = bytes.get(start..).unwrap_or_default();
    let mut digits = Digits::default();
    let whole = digits.take(rest);
    if whole == 0 || (whole > 1 && rest.first() == Some(&b'0')) {
        return Err(NumberError::Syntax);
    }
    match rest.get(whole) {
        Some(b'.' | b'e' | b'E') => {
            let (value, len) = float(rest, whole, digits)?;
            Ok((Number::Float(if negative { -value } else { value }), start + len))
        }
        _ => Ok((integer(&digits, negative)?, start + whole)),
    }
}

fn integer(digits: &Digits, negative: bool) -> Result<Number, NumberError> {
    if digits.overflow {
        return Err(NumberError::Range);
    }
    if !negative || digits.value == 0 {
        return Ok(Number::Unsigned(digits.value));
    }
    0_i64.checked_sub_unsigned(digits.value).map(Number::Negative).ok_or(NumberError::Range)
}

/// Reads a float without its sign whose first `whole` digits are already in `digits`.
fn float(text: &[u8], whole: usize, mut digits: Digits) -> Result<(f64, usize), NumberError> {
    let mut len = whole;
    let mut fraction = 0;
    if text.get(len) == Some(&b'.') {
        fraction = digits.take(text.get(len + 1..).unwrap_or_default());
        if fraction == 0 {
            return Err(NumberError::Syntax);
        }
        len += 1 + fraction;
    }
    let mut exponent = Some(0_i64);
    if matches!(text.get(len), Some(b'e' | b'E')) {
        let sign = text.get(len + 1).copied();
        len += 1 + usize::from(matches!(sign, Some(b'+' | b'-')));
        let mut written = Digits::default();
        let count = written.take(text.get(len..).unwrap_or_default());
        if count == 0 {
            return Err(NumberError::Syntax);
        }
        len += count;
        exponent = i64::try_from(written.value).ok().filter(|_| !written.overflow);
        if sign == Some(b'-') {
            exponent = exponent.map(|value| -value);
        }
    }
    let exact = (!digits.overflow && digits.value <= EXACT_MAX)
        .then(|| scale(digits.value, exponent? - i64::try_from(fraction).ok()?))
        .flatten();
    let value = match exact {
        Some(value) => value,
        None => slow(text.get(..len).unwrap_or_default())?,
    };
    if value.is_finite() { Ok((value, len)) } else { Err(NumberError::Range) }
}

/// `value * 10^exponent` when both factors are exact, so that one rounding gives the nearest float64.
fn scale(value: u64, exponent: i64) -> Option<f64> {
    let power = *POWERS.get(usize::try_from(exponent.unsigned_abs()).ok()?)?;
    let value = value as f64;
    Some(if exponent < 0 { value / power } else { value * power })
}

fn slow(text: &[u8]) -> Result<f64, NumberError> {
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or(NumberError::Syntax)
}
