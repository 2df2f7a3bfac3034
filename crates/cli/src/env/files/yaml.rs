//! YAML: one mapping from names to plain values. Read event by event, so that no alias can multiply what was written
//! and every mistake has a line.

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError};

use super::{BadLine, Values, known};

/// Where the reader stands.
enum At {
    /// Before the first key.
    Start,
    /// Between a value and the next key.
    Key,
    /// Behind a key: the variable it names, if it is one of ours.
    Value(Option<&'static str>),
    /// Inside a list or mapping that is the value of a key of somebody else; how deep.
    Nested(usize),
    /// Behind the mapping.
    End,
}

/// Reads the known variables; of repeated ones the last counts. Keys that are not known may have any value.
pub(super) fn parse(text: &str) -> Result<Values, BadLine> {
    let mut values = Values::new();
    let mut at = At::Start;
    for event in Parser::new_from_str(text) {
        // The parser's own words may quote the file.
        let broken = |error: ScanError| BadLine { line: error.marker().line(), why: "not valid YAML" };
        let (event, span) = event.map_err(broken)?;
        at = step(at, event, &mut values).map_err(|why| BadLine { line: span.start.line(), why })?;
    }
    Ok(values)
}

fn step(at: At, event: Event<'_>, values: &mut Values) -> Result<At, &'static str> {
    Ok(match (at, event) {
        // One document is all there may be; another one would begin behind the end.
        (at, Event::StreamStart | Event::StreamEnd | Event::DocumentEnd | Event::Nothing) => at,
        (At::Start, Event::DocumentStart(_)) => At::Start,
        (At::Start, Event::MappingStart(..)) => At::Key,
        // A file of comments alone.
        (At::Start, Event::Scalar(text, ScalarStyle::Plain, ..)) if is_null(&text) => At::End,
        (At::Start, _) => return Err("expected NAME: VALUE"),
        (At::Key, Event::MappingEnd) => At::End,
        (At::Key, Event::Scalar(key, ..)) => At::Value(known(&key)),
        (At::Key, _) => return Err("a name must be plain text"),
        (At::Value(name), Event::Scalar(text, style, ..)) => {
            let null = style == ScalarStyle::Plain && is_null(&text);
            if let Some(name) = name.filter(|_| !null) {
                values.insert(name, text.as_ref().into());
            }
            At::Key
        }
        (At::Value(Some(_)), _) => return Err("the value must be plain text, a number or a switch"),
        (At::Value(None), Event::MappingStart(..) | Event::SequenceStart(..)) => At::Nested(1),
        (At::Value(None), _) => At::Key,
        (At::Nested(depth), Event::MappingStart(..) | Event::SequenceStart(..)) => At::Nested(depth + 1),
        (At::Nested(1), Event::MappingEnd | Event::SequenceEnd) => At::Key,
        (At::Nested(depth), Event::MappingEnd | Event::SequenceEnd) => At::Nested(depth - 1),
        (At::Nested(depth), _) => At::Nested(depth),
        (At::End, _) => return Err("one document is expected"),
    })
}

fn is_null(text: &str) -> bool {
    ["", "~", "null", "Null", "NULL"].contains(&text)
}
