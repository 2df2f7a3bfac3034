//! What may stand in a log or an error text: section 1.14 of the Hub contract, section 10 of the wire contract. Owns no state.
//!
//! Credentials become `[redacted]`, absolute paths `[path]`, URL queries vanish, and the text is cut. The caller
//! decides which text to send; this only cleans it. Beyond the contracts, values of keys that name a secret and the
//! user part of URLs are credentials too.

/// Longest text in a log or an error, in characters: the Hub contract's figure.
pub const REDACTED_CHARS_MAX: usize = 1024;

const REDACTED: &str = "[redacted]";
const PATH: &str = "[path]";

/// Keys whose values are secrets, as they stand in queries, headers and configuration.
const SECRET_KEYS: [&str; 12] = [
    "signature=",
    "sig=",
    "token=",
    "access_token=",
    "refresh_token=",
    "api_key=",
    "apikey=",
    "password=",
    "secret=",
    "client_secret=",
    "awsaccesskeyid=",
    "x-goog-signature=",
];

/// The form of `text` that others may see: trimmed, at most `chars_max` characters, without bearer tokens,
/// presigned-query credentials, signatures, URL queries and absolute paths.
#[must_use]
pub fn redact(text: &str, chars_max: usize) -> String {
    let text = text.trim();
    let mut out = String::with_capacity(text.len().min(chars_max));
    let mut rest = text;
    let mut before = None;
    while let Some(next) = rest.chars().next() {
        let (replacement, taken) = secret(rest, before).unwrap_or_default();
        if taken > 0 {
            out.push_str(replacement);
            before = rest.get(..taken).and_then(|cut| cut.chars().next_back());
            rest = rest.get(taken..).unwrap_or("");
        } else {
            out.push(next);
            before = Some(next);
            rest = rest.get(next.len_utf8()..).unwrap_or("");
        }
    }
    if out.chars().nth(chars_max).is_some() {
        out = out.chars().take(chars_max).collect();
    }
    out
}

/// What to write instead of the start of `rest`, and how many bytes of it that replaces. `before` is the
/// character in front.
fn secret(rest: &str, before: Option<char>) -> Option<(&'static str, usize)> {
    let at_word = before.is_none_or(|c| !c.is_alphanumeric());
    match rest.as_bytes().first()? {
        b'b' | b'B' if at_word => {
            let token = strip_prefix_ignoring_case(rest, "bearer ")?.trim_start();
            let end = value_end(token);
            (end > 0).then(|| (REDACTED, rest.len() - token.len() + end))
        }
        b'x' | b'X' if at_word && strip_prefix_ignoring_case(rest, "x-amz-").is_some() => {
            let key = strip_prefix_ignoring_case(rest, "x-amz-")?;
            let name = key.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))?;
            let value = key.get(name..)?.strip_prefix('=')?;
            Some((REDACTED, rest.len() - value.len() + value_end(value)))
        }
        b':' => {
            // The user part of a URL.
            let authority = rest.strip_prefix("://")?;
            let end = authority.find(['/', '?', '#']).unwrap_or(authority.len());
            let user = authority.get(..end.min(word_end(authority)))?.rfind('@')?;
            Some(("://[redacted]", "://".len() + user))
        }
        b'f' | b'F' if at_word && strip_prefix_ignoring_case(rest, "file://").is_some() => {
            Some((PATH, word_end(rest).max("file://".len())))
        }
        b'?' if before.is_some_and(|c| !c.is_whitespace()) => {
            // A query: the mark right behind a word, something right after it, and a `=` inside.
            let end = word_end(rest);
            let query = rest.get(1..end)?;
            query.contains('=').then_some(("", end))
        }
        b'/' if starts_path(before) => {
            let end = word_end(rest);
            let path = rest.get(..end)?.trim_end_matches([':', '.', ',', ';']);
            (path.len() > 1 && !path.starts_with("//")).then_some((PATH, path.len()))
        }
        _ if at_word => SECRET_KEYS.iter().find_map(|key| {
            let value = strip_prefix_ignoring_case(rest, key)?;
            Some((REDACTED, rest.len() - value.len() + value_end(value)))
        }),
        _ => None,
    }
}

fn starts_path(before: Option<char>) -> bool {
    before.is_none_or(|c| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '(' | '[' | '{' | '=' | ',' | ':' | '<'))
}

/// End of a secret value: the next delimiter of a query, a header or a sentence.
fn value_end(text: &str) -> usize {
    text.find(|c: char| c.is_whitespace() || matches!(c, '&' | '"' | '\'' | ',' | ';' | ')' | '}' | ']' | '<' | '>'))
        .unwrap_or(text.len())
}

fn word_end(text: &str) -> usize {
    text.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | ')' | ']' | '}' | '<' | '>'))
        .unwrap_or(text.len())
}

fn strip_prefix_ignoring_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let head = text.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then(|| text.get(prefix.len()..)).flatten()
}

#[cfg(test)]
mod tests;
