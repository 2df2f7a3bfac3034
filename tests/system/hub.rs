//! Our hub with the clients that others wrote: the Hub contract, section 16.

mod bucket;
mod commits;
mod disks;
mod killed;
mod producers;
mod refused;
mod renewals;
mod resolves;
mod slow;
mod uploads;

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::Result;
use serde_json::{Value, json};

/// The versions of the peer.
const PEERS: [&str; 2] = ["0.11.2", "0.13.34"];

/// The one whose package can commit.
const COMMITS: &str = "0.13.34";

/// Bytes that no pattern of reading makes the same.
fn content(bytes: usize, seed: u8) -> Vec<u8> {
    let mut content = vec![0; bytes];
    blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut content);
    content
}

fn hash(content: &[u8]) -> String {
    blake3::hash(content).to_string()
}

/// Writes files below `dir` and gives their hashes by path.
fn write(dir: &Path, files: &[(&str, &[u8])]) -> Result<BTreeMap<String, String>> {
    let mut hashes = BTreeMap::new();
    for (path, content) in files {
        let place = dir.join(path);
        fs::create_dir_all(place.parent().unwrap_or(dir))?;
        fs::write(place, content)?;
        hashes.insert((*path).to_owned(), hash(content));
    }
    Ok(hashes)
}

/// What the peer answers for such files.
fn told(hashes: &BTreeMap<String, String>) -> Value {
    json!(hashes)
}
