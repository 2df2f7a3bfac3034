//! What a worker prints, passed on line by line under its name.

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};

use crate::console::note;

/// Longest line that is passed on whole, in bytes; a longer one is cut into several. Bounds what a worker that prints
/// without line ends can make us hold.
const LINE_BYTES_MAX: u64 = 64 * 1024;

/// How lines are marked.
#[derive(Clone, Debug)]
pub(super) enum Mark {
    /// `[name] line`.
    Prefix(String),
    /// A member `worker` in the JSON object that the line is, or around a line that is none.
    Member(String),
}

impl Mark {
    fn line(&self, line: &str) -> String {
        match self {
            Self::Prefix(name) => format!("[{name}] {line}"),
            Self::Member(name) => {
                let mut object = match serde_json::from_str(line) {
                    Ok(Value::Object(object)) => object,
                    _ => serde_json::Map::from_iter([("message".to_owned(), line.into())]),
                };
                object.insert("worker".to_owned(), name.as_str().into());
                Value::Object(object).to_string()
            }
        }
    }
}

/// Passes `output` on to stderr until it ends.
pub(super) async fn pass_on(output: impl AsyncRead + Unpin, mark: Mark) {
    let mut output = BufReader::new(output);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut output).take(LINE_BYTES_MAX).read_until(b'\n', &mut line).await {
            // The end, or a pipe that broke because the worker is gone.
            Ok(0) | Err(_) => return,
            Ok(_) => note(&mark.line(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_carry_the_name_of_their_worker() {
        assert_eq!(Mark::Prefix("a/0".into()).line("hello"), "[a/0] hello");
        let json = Mark::Member("a/0".into());
        assert_eq!(json.line(r#"{"level":"INFO"}"#), r#"{"level":"INFO","worker":"a/0"}"#);
        assert_eq!(json.line("panic"), r#"{"message":"panic","worker":"a/0"}"#);
    }
}
