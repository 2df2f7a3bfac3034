//! The files of one worker id. Owns which record stands in which file, and how many of a file still count; blocks on
//! the disk. A file none of whose results counts any more is removed, the one being written is emptied.

use std::{
    collections::{BTreeMap, HashMap},
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use tracing::warn;

use super::{
    SpoolError, failed,
    record::{self, Record},
};
use crate::outbox::JobEnd;

/// Magic and version. Readers of another version do not touch the file.
const MAGIC: &[u8; 8] = b"gwspool1";

const HEADER_BYTES: u64 = MAGIC.len() as u64;

const SUFFIX: &str = ".spool";

/// Largest file that is read: several times what one can grow to, whatever the bounds were when it was written.
const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Longest directory name made of a worker id; file systems allow 255 bytes.
const NAME_BYTES_MAX: usize = 200;

/// Bounds of the files.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// All files together.
    pub(super) bytes_max: u64,
    /// One file, which is passed by at most one batch.
    pub(super) segment_bytes_max: u64,
}

/// Why a batch is not on disk. The files are as they were before.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotKept {
    #[error("kept results fill all {0} bytes they may have")]
    Full(u64),
    #[error("the disk did not take results")]
    Io(#[from] io::Error),
}

/// What was found in the files of an earlier process.
pub(super) struct Found {
    /// Results that still wait, oldest first, each with its record.
    pub(super) ends: Vec<JobEnd>,
    /// The first number that no record has.
    pub(super) next_record: u64,
    /// Bytes that could not be read.
    pub(super) lost_bytes: u64,
}

#[derive(Debug)]
pub(super) struct Segments {
    dir: PathBuf,
    limits: Limits,
    segments: BTreeMap<u64, Segment>,
    /// The file of each record that counts.
    records: HashMap<u64, u64>,
    current: Option<Current>,
    next_segment: u64,
}

#[derive(Debug, Default)]
struct Segment {
    bytes: u64,
    live: usize,
    /// It marks results as done with, perhaps of older files.
    marks: bool,
}

#[derive(Debug)]
struct Current {
    number: u64,
    file: File,
}

impl Segments {
    /// Reads every file of `dir`, each up to its first damage, which is cut off. Files without results are removed; one
    /// that cannot be read is left alone.
    pub(super) fn recover(dir: &Path, limits: Limits) -> Result<(Self, Found), SpoolError> {
        let mut segments = Self {
            dir: dir.to_owned(),
            limits,
            segments: BTreeMap::new(),
            records: HashMap::new(),
            current: None,
            next_segment: 1,
        };
        let mut waiting = BTreeMap::new();
        let (mut last_record, mut lost_bytes) = (0, 0);
        for number in numbers(dir).map_err(failed("read", dir))? {
            let path = segments.path(number);
            segments.next_segment = number.saturating_add(1);
            let (mut bytes, len) = match load(&path) {
                Ok(loaded) => loaded,
                Err(error) => {
                    warn!(path = %path.display(), %error, "kept results cannot be read");
                    continue;
                }
            };
            let Some(mut rest) = bytes.split_off_magic() else {
                lost_bytes += len;
                continue;
            };
            let (mut live, mut marks) = (0, false);
            while let Some(record) = record::read(&mut rest) {
                match record {
                    Record::Result { number: at, mut end } => {
                        last_record = last_record.max(at);
                        end.record = Some(at);
                        waiting.insert(at, end);
                        segments.records.insert(at, number);
                        live += 1;
                    }
                    Record::Done { number: at } => {
                        last_record = last_record.max(at);
                        marks = true;
                        waiting.remove(&at);
                        if let Some(of) = segments.records.remove(&at) {
                            segments.uncount(of, number, &mut live);
                        }
                    }
                }
            }
            let torn = len - (bytes.len_u64() - rest.len() as u64);
            if torn > 0 {
                lost_bytes += torn;
                // Reading stops there the next time too.
                if let Err(error) = cut(&path, len - torn) {
                    warn!(path = %path.display(), %error, "the damaged end of kept results cannot be cut");
                }
            }
            segments.segments.insert(number, Segment { bytes: len - torn, live, marks });
        }
        segments.remove_empty();
        let ends = waiting.into_values().collect();
        Ok((segments, Found { ends, next_record: last_record.saturating_add(1), lost_bytes }))
    }

    /// Bytes of all files.
    pub(super) fn bytes(&self) -> u64 {
        self.segments.values().map(|segment| segment.bytes).sum()
    }

    /// Appends records, `batch` encoded, of these numbers. Durable when it returns.
    pub(super) fn append(&mut self, batch: &[u8], numbers: &[u64]) -> Result<(), NotKept> {
        if self.bytes() + HEADER_BYTES + batch.len() as u64 > self.limits.bytes_max {
            return Err(NotKept::Full(self.limits.bytes_max));
        }
        let segment = self.write(batch, true)?;
        if let Some(entry) = self.segments.get_mut(&segment) {
            entry.live += numbers.len();
        }
        self.records.extend(numbers.iter().map(|number| (*number, segment)));
        Ok(())
    }

    /// Records are done with: files that hold no other are removed, for the rest marks are written. A mark that
    /// cannot be written costs a duplicate after a crash, nothing else.
    pub(super) fn forget(&mut self, numbers: impl Iterator<Item = u64>) {
        let mut marks = Vec::new();
        for number in numbers {
            let Some(of) = self.records.remove(&number) else { continue };
            if let Some(segment) = self.segments.get_mut(&of) {
                segment.live = segment.live.saturating_sub(1);
            }
            record::write_done(number, &mut marks);
        }
        self.remove_empty();
        // With no result left on disk there is nothing that a mark could speak of.
        if self.records.is_empty() || marks.is_empty() {
            return;
        }
        match self.write(&marks, false) {
            Ok(number) => self.segments.entry(number).or_default().marks = true,
            Err(_) => self.current = None,
        }
    }

    /// Writes to the current file, a new one if it is full. Returns its number.
    fn write(&mut self, bytes: &[u8], durable: bool) -> io::Result<u64> {
        let full = |current: &Current| {
            self.segments.get(&current.number).is_none_or(|segment| segment.bytes >= self.limits.segment_bytes_max)
        };
        if self.current.as_ref().is_none_or(full) {
            self.current = Some(self.create()?);
            self.remove_empty();
        }
        let Some(current) = &mut self.current else { return Err(io::ErrorKind::NotFound.into()) };
        let number = current.number;
        let written =
            current.file.write_all(bytes).and_then(|()| if durable { current.file.sync_data() } else { Ok(()) });
        let segment = self.segments.entry(number).or_default();
        match written {
            Ok(()) => {
                segment.bytes += bytes.len() as u64;
                Ok(number)
            }
            Err(error) => {
                // What a file holds after a failed sync is unknown: cut it back as far as that works, and never
                // write to it again.
                let good = segment.bytes;
                drop(current.file.set_len(good));
                self.current = None;
                Err(error)
            }
        }
    }

    fn create(&mut self) -> io::Result<Current> {
        let number = self.next_segment;
        self.next_segment = number.saturating_add(1);
        let path = self.path(number);
        let mut options = File::options();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&path)?;
        let made = file.write_all(MAGIC).and_then(|()| sync_directory(&self.dir));
        if let Err(error) = made {
            drop(fs::remove_file(&path));
            return Err(error);
        }
        self.segments.insert(number, Segment { bytes: HEADER_BYTES, ..Segment::default() });
        Ok(Current { number, file })
    }

    /// Removes files without results, and empties the current one. Marks stay as long as an older file has results:
    /// they may speak of it.
    fn remove_empty(&mut self) {
        let current = self.current.as_ref().map(|current| current.number);
        let (mut empty, mut older_live) = (Vec::new(), false);
        for (number, segment) in &self.segments {
            if segment.live > 0 {
                older_live = true;
            } else if !(segment.marks && older_live) {
                empty.push(*number);
            }
        }
        for number in empty {
            if Some(number) != current {
                self.segments.remove(&number);
                // One that cannot be removed holds results that are fenced: the next process tries again.
                drop(fs::remove_file(self.path(number)));
            } else if self.empty_current().is_err() {
                self.current = None;
            }
        }
    }

    /// Takes the current file back to its magic.
    fn empty_current(&mut self) -> io::Result<()> {
        let Some(current) = &mut self.current else { return Ok(()) };
        let Some(segment) = self.segments.get_mut(&current.number).filter(|segment| segment.bytes > HEADER_BYTES)
        else {
            return Ok(());
        };
        current.file.set_len(HEADER_BYTES)?;
        current.file.seek(SeekFrom::Start(HEADER_BYTES))?;
        (segment.bytes, segment.marks) = (HEADER_BYTES, false);
        Ok(())
    }

    /// One result less in file `of`; `live` counts file `reading`, which is not in the table yet.
    fn uncount(&mut self, of: u64, reading: u64, live: &mut usize) {
        let count =
            if of == reading { Some(live) } else { self.segments.get_mut(&of).map(|segment| &mut segment.live) };
        if let Some(count) = count {
            *count = count.saturating_sub(1);
        }
    }

    fn path(&self, number: u64) -> PathBuf {
        self.dir.join(format!("{number:010}{SUFFIX}"))
    }
}

/// A file's bytes with the magic in front.
struct Loaded(Bytes);

impl Loaded {
    fn split_off_magic(&mut self) -> Option<Bytes> {
        self.0.starts_with(MAGIC).then(|| self.0.slice(MAGIC.len()..))
    }

    fn len_u64(&self) -> u64 {
        self.0.len() as u64
    }
}

/// Reads a file. Also tells its length on disk.
fn load(path: &Path) -> io::Result<(Loaded, u64)> {
    let file = File::open(path)?;
    let len = file.metadata()?.len();
    if len > FILE_BYTES_MAX {
        return Err(io::Error::other("it is larger than any file of kept results"));
    }
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok((Loaded(bytes.into()), len))
}

fn cut(path: &Path, len: u64) -> io::Result<()> {
    let file = File::options().write(true).open(path)?;
    file.set_len(len)?;
    file.sync_data()
}

/// Makes the names in a directory durable.
fn sync_directory(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Numbers of the files in `dir`, in order.
fn numbers(dir: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        numbers.extend(name.to_str().and_then(|name| name.strip_suffix(SUFFIX)?.parse::<u64>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Whether a directory has a file with more than its magic.
pub(super) fn has_results(dir: &Path) -> bool {
    let Ok(entries) = fs::read_dir(dir) else { return false };
    entries.flatten().any(|entry| {
        let named = entry.file_name().to_str().is_some_and(|name| name.ends_with(SUFFIX));
        named && entry.metadata().is_ok_and(|metadata| metadata.len() > HEADER_BYTES)
    })
}

/// The directory of a worker id: bytes that file systems treat specially are written as `%` and two hex digits, a
/// long one ends in its checksum instead.
pub(super) fn directory_name(worker_id: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let mut name = String::new();
    for (at, byte) in worker_id.bytes().enumerate() {
        if plain(byte) || (byte == b'.' && at > 0) {
            name.push(char::from(byte));
        } else {
            name.push_str(&format!("%{byte:02x}"));
        }
    }
    if name.len() > NAME_BYTES_MAX {
        name.truncate(NAME_BYTES_MAX - 9);
        name.push_str(&format!("~{:08x}", crc32fast::hash(worker_id.as_bytes())));
    }
    name
}

/// The worker id of a directory, unless its name was cut.
pub(super) fn worker_id(name: &str) -> Option<String> {
    let mut id = Vec::new();
    let mut bytes = name.bytes();
    while let Some(byte) = bytes.next() {
        id.push(match byte {
            b'~' => return None,
            b'%' => {
                let digits = [bytes.next()?, bytes.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            plain => plain,
        });
    }
    String::from_utf8(id).ok()
}
