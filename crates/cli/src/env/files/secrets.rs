//! `/run/secrets`: one file per variable, named like it, as container platforms mount secrets.

use std::{fs, io, path::Path};

use super::{ConfigError, Layer, Values, is_absent, known, read_text};

/// Most entries of the directory that are looked at. Platforms mount tens.
const ENTRIES_MAX: usize = 1024;

/// Reads the files of known names; line breaks at the end are not part of a value.
///
/// Without the right to list the directory there are no secrets for us in it: some systems mount their own there.
pub(super) fn read(directory: &Path) -> Result<Option<Layer>, ConfigError> {
    let unreadable = |source| ConfigError::Read { path: directory.to_owned(), source };
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if is_absent(&error) || error.kind() == io::ErrorKind::PermissionDenied => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    let mut values = Values::new();
    for (number, entry) in entries.enumerate() {
        if number == ENTRIES_MAX {
            return Err(ConfigError::TooMany { path: directory.to_owned(), max: ENTRIES_MAX });
        }
        let file = entry.map_err(unreadable)?.file_name();
        let Some(name) = file.to_str().and_then(known) else { continue };
        if let Some(text) = read_text(&directory.join(&file))? {
            values.insert(name, text.trim_end_matches(['\r', '\n']).into());
        }
    }
    Ok(Some(Layer { origin: directory.display().to_string(), values }))
}
