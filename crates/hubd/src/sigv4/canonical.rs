//! The one form of a request that is signed.

use axum::http::HeaderMap;

use super::Incoming;

/// The canonical request. None when a signed header did not come or cannot be read.
pub(super) fn request(incoming: Incoming<'_>, signed: &[String], payload: &str) -> Option<String> {
    let Incoming { method, path, query, headers } = incoming;
    let path = encoded(path, true);
    let query = canonical_query(query);
    let lines: Option<Vec<String>> = signed.iter().map(|name| line(headers, name)).collect();
    Some(format!("{method}\n{path}\n{query}\n{}\n{}\n{payload}", lines?.concat(), signed.join(";")))
}

/// `text`, which may be encoded already, with exactly those bytes encoded that have to be.
pub(super) fn encoded(text: &str, keep_slash: bool) -> String {
    let mut encoded = String::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let (byte, left) = match (first, after) {
            (b'%', [high, low, left @ ..]) => {
                nibble(*high).zip(nibble(*low)).map_or((b'%', after), |(high, low)| (high << 4 | low, left))
            }
            _ => (*first, after),
        };
        rest = left;
        let is_plain = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || (keep_slash && byte == b'/');
        if is_plain {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

fn canonical_query(query: &str) -> String {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let mut pairs: Vec<(String, String)> = pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (encoded(name, false), encoded(value, false))
        })
        .collect();
    pairs.sort();
    let pairs: Vec<String> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join("&")
}

fn line(headers: &HeaderMap, name: &str) -> Option<String> {
    let values = headers.get_all(name).iter().map(|value| {
        let words: Vec<&str> = value.to_str().ok()?.split_ascii_whitespace().collect();
        Some(words.join(" "))
    });
    let values: Vec<String> = values.collect::<Option<_>>()?;
    if values.is_empty() { None } else { Some(format!("{name}:{}\n", values.join(","))) }
}
