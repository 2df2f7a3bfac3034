//! Shards of a checkpoint as the one file that some loaders want: its header written anew, its bytes one after the other. Owns no
//! state; blocks.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use gen_worker_hub::RepoPath;
use serde_json::{Map, Value, json};

use crate::{
    durable,
    format_gate::FormatError,
    safetensors::{HEADER_BYTES_MAX, LENGTH_BYTES, METADATA, read_header},
};

/// Headers start tensors at such addresses.
const ALIGNMENT: usize = 8;

/// Shards that become one file.
#[derive(Debug)]
pub(crate) struct Merge {
    to: PathBuf,
    header: Vec<u8>,
    shards: Vec<Shard>,
}

/// Where the tensors of a shard are.
#[derive(Debug)]
struct Shard {
    path: PathBuf,
    data_from: u64,
    data_bytes: u64,
}

/// What is gathered of shards: the tensors of all, with their places in the file.
#[derive(Default)]
struct Gathered {
    tensors: Map<String, Value>,
    homes: BTreeMap<String, String>,
    shards: Vec<Shard>,
    header_bytes: u64,
    data_bytes: u64,
}

impl Gathered {
    /// Adds the next shard; none when it does not fit to the others.
    fn add(&mut self, path: PathBuf, name: &str, header: &[u8]) -> Option<()> {
        self.header_bytes += header.len() as u64;
        if self.header_bytes > HEADER_BYTES_MAX {
            return None;
        }
        let mut tensors: Map<String, Value> = serde_json::from_slice(header).ok()?;
        tensors.remove(METADATA);
        let mut data_bytes = 0;
        for (tensor, mut entry) in tensors {
            let offsets = entry.get_mut("data_offsets")?;
            let (begin, end): (u64, u64) = serde_json::from_value(offsets.take()).ok()?;
            data_bytes = end.max(data_bytes);
            *offsets = json!([self.data_bytes.checked_add(begin)?, self.data_bytes.checked_add(end)?]);
            self.homes.insert(tensor.clone(), name.to_owned());
            if self.tensors.insert(tensor, entry).is_some() {
                return None;
            }
        }
        self.data_bytes = self.data_bytes.checked_add(data_bytes)?;
        self.shards.push(Shard { path, data_from: LENGTH_BYTES + header.len() as u64, data_bytes });
        Some(())
    }

    /// The file `to` of all of them, when that is what the index promises.
    fn merge(self, weight_map: &BTreeMap<String, String>, to: PathBuf) -> io::Result<Option<Merge>> {
        let kept = weight_map.iter().all(|(tensor, shard)| self.homes.get(tensor) == Some(shard));
        let mut header = serde_json::to_vec(&self.tensors)?;
        header.resize(header.len().next_multiple_of(ALIGNMENT), b' ');
        let fits = !self.shards.is_empty() && header.len() as u64 <= HEADER_BYTES_MAX;
        Ok((kept && fits).then_some(Merge { to, header, shards: self.shards }))
    }
}

impl Merge {
    /// The file `to` of the shards of `index` in `dir`. A failure of the disk is the outer error.
    pub(crate) fn of(
        dir: &Path,
        index: &str,
        to: PathBuf,
        weight_map: &BTreeMap<String, String>,
    ) -> io::Result<Result<Self, FormatError>> {
        let names: BTreeSet<&String> = weight_map.values().collect();
        let mut gathered = Gathered::default();
        for name in names {
            // A shard lies beside its index.
            let file = name.parse::<RepoPath>().ok().filter(|file| file.file_name() == name.as_str());
            let path = dir.join(name);
            let is_there = fs::symlink_metadata(&path).is_ok_and(|found| found.is_file());
            let Some(file) = file.filter(|_| is_there) else {
                return Ok(Err(FormatError::Index { file: index.to_owned() }));
            };
            match read_header(&path)? {
                Err(source) => return Ok(Err(FormatError::Broken { file, source })),
                Ok(header) => match gathered.add(path, name, &header) {
                    Some(()) => {}
                    None => return Ok(Err(FormatError::Index { file: index.to_owned() })),
                },
            }
        }
        Ok(gathered.merge(weight_map, to)?.ok_or_else(|| FormatError::Index { file: index.to_owned() }))
    }

    /// Bytes of the file.
    pub(crate) fn size_bytes(&self) -> u64 {
        let data = self.shards.iter().fold(0u64, |sum, shard| sum.saturating_add(shard.data_bytes));
        data.saturating_add(self.header.len() as u64 + LENGTH_BYTES)
    }

    /// Makes the file; it is whole and durable when it has its name.
    pub(crate) fn write(self) -> io::Result<PathBuf> {
        let mut temporary = self.to.clone().into_os_string();
        temporary.push(durable::TEMPORARY);
        let temporary = PathBuf::from(temporary);
        durable::remove_file(&temporary)?;
        let written = self.write_to(&temporary).and_then(|()| durable::rename(&temporary, &self.to));
        if written.is_err() {
            durable::remove_file(&temporary)?;
        }
        written.map(|()| self.to)
    }

    fn write_to(&self, path: &Path) -> io::Result<()> {
        let mut target = OpenOptions::new().write(true).create_new(true).open(path)?;
        target.write_all(&(self.header.len() as u64).to_le_bytes())?;
        target.write_all(&self.header)?;
        for shard in &self.shards {
            let mut source = durable::reader(&shard.path)?.ok_or(io::ErrorKind::NotFound)?;
            source.seek(SeekFrom::Start(shard.data_from))?;
            if io::copy(&mut source.take(shard.data_bytes), &mut target)? != shard.data_bytes {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        durable::seal(&target)?;
        target.sync_all()
    }
}
