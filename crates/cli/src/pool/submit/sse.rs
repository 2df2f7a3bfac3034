//! Server-sent events out of bytes. Pure; owns the bytes of the event it is reading.

/// Longest event we take, in bytes: a stream frame is at most one message of the wire, and base64 makes it longer.
const EVENT_BYTES_MAX: usize = 128 * 1024 * 1024;

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SseEvent {
    /// Its kind; `message` when none was given.
    pub(super) kind: String,
    /// Its data lines, joined.
    pub(super) data: String,
    /// Its id; empty when none was given.
    pub(super) id: String,
}

/// Reads events from chunks that end anywhere.
#[derive(Debug, Default)]
pub(super) struct SseReader {
    line: Vec<u8>,
    event: SseEvent,
    size: usize,
}

/// An event is longer than this client takes.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("event of more than {EVENT_BYTES_MAX} bytes")]
pub(super) struct TooLong;

impl SseReader {
    /// Takes the next bytes and gives the events that they complete.
    ///
    /// # Errors
    /// When an event grows too long.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<Vec<SseEvent>, TooLong> {
        let mut complete = Vec::new();
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.size += part.len();
            if self.size > EVENT_BYTES_MAX {
                return Err(TooLong);
            }
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                complete.extend(self.end_line(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n'])));
            }
        }
        Ok(complete)
    }

    /// Takes a whole line; an empty one ends the event.
    fn end_line(&mut self, line: &str) -> Option<SseEvent> {
        if line.is_empty() {
            self.size = 0;
            let event = std::mem::take(&mut self.event);
            return (!event.data.is_empty() || !event.kind.is_empty()).then_some(event);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event.kind),
            "id" => value.clone_into(&mut self.event.id),
            "data" => {
                if !self.event.data.is_empty() {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            // Comments, which keep proxies awake, and fields we have no use for.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p10_events_come_out_whole_however_the_bytes_are_cut() {
        let text = ": hello\r\n\r\nevent: chunk\nid: 1-1\ndata: {\"text\":\ndata: \"a\"}\n\nevent:result\ndata:{}\n\n";
        let chunk = SseEvent { kind: "chunk".into(), data: "{\"text\":\n\"a\"}".into(), id: "1-1".into() };
        let result = SseEvent { kind: "result".into(), data: "{}".into(), id: String::new() };
        for size in 1..text.len() {
            let mut reader = SseReader::default();
            let events: Vec<SseEvent> =
                text.as_bytes().chunks(size).flat_map(|bytes| reader.push(bytes).unwrap()).collect();
            assert_eq!(events, [chunk.clone(), result.clone()], "cut every {size} bytes");
        }
    }
}
