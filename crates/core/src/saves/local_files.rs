//! Saved files below a directory of this machine (command line contract, C-101). Owns nothing but the path.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use futures::future::BoxFuture;
use gen_worker_hub::digest::{DigestAlgorithm, DigestHasher};
use gen_worker_tasks::Scope;

use super::{Asset, FILE_BYTES_MAX, FileSaver, Save, SaveContent, naming::own};
use crate::worker_error::{Result, WorkerError};

/// Bytes copied at once (endpoint contract, section 11).
const PIECE_BYTES: usize = 8 * 1024 * 1024;

/// Saves below a directory, which is made when the first file comes.
#[derive(Clone, Debug)]
pub struct LocalFiles {
    root: PathBuf,
    scope: Arc<Scope>,
}

impl LocalFiles {
    /// Saves below `root`; the copying is done in `scope`.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>, scope: Arc<Scope>) -> Self {
        Self { root: root.into(), scope }
    }
}

impl FileSaver for LocalFiles {
    fn save(&self, save: Save) -> BoxFuture<'static, Result<Asset>> {
        let (root, scope) = (self.root.clone(), self.scope.clone());
        Box::pin(async move {
            let written = scope.spawn_blocking(move || write(&root, save)).await;
            written.unwrap_or_else(|_| Err(WorkerError::canceled()))
        })
    }

    fn stream_mode(&self) -> &'static str {
        "local_fallback"
    }
}

/// The ref without what would lead elsewhere; a name by chance for one that says nothing.
fn sanitized(text: &str) -> Result<String> {
    let parts: Vec<&str> = own(text)?.split(['/', '\\']).filter(|part| !matches!(*part, "" | "." | "..")).collect();
    let known = parts.join("/").replace(char::is_control, "_");
    if !known.is_empty() {
        return Ok(known);
    }
    let random = random_number();
    Ok(format!("out-{random:08x}"))
}

/// Thirty-two bits of the system's entropy.
fn random_number() -> u32 {
    (crate::backoff::random_unit() * f64::from(u32::MAX)) as u32
}

fn write(root: &Path, save: Save) -> Result<Asset> {
    let reference = sanitized(&save.reference)?;
    let place = root.join(&reference);
    let failed = |operation: &str| {
        let message = format!("{operation} of {reference} failed");
        move |error: io::Error| WorkerError::resource(format!("{message}: {error}")).with_source(error)
    };
    let dir = place.parent().unwrap_or(root);
    fs::create_dir_all(dir).map_err(failed("making of the directory"))?;
    within(root, dir).map_err(failed("making of the directory"))?;
    let mut source: Box<dyn io::Read> = match save.content {
        SaveContent::Bytes(bytes) => Box::new(io::Cursor::new(bytes)),
        SaveContent::File(path) => Box::new(open(&path).map_err(failed("opening"))?),
    };
    let mut file = Temporary::beside(&place).map_err(failed("making"))?;
    let (size_bytes, sha256) = copy(&mut source, &mut file.file, failed("writing"))?;
    match save.create {
        false => file.becomes(&place).map_err(failed("placing"))?,
        // A second name of the file, which nothing that is there makes way for.
        true => fs::hard_link(&file.path, &place).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => WorkerError::validation(format!("{reference} is there already")),
            _ => failed("placing")(error),
        })?,
    }
    let local_path = std::path::absolute(&place).unwrap_or(place).to_string_lossy().into_owned();
    let (local_path, size_bytes, sha256) = (Some(local_path), Some(size_bytes), Some(sha256));
    Ok(Asset { reference, local_path, size_bytes, sha256, ..Asset::default() })
}

/// A link inside the directory must not lead out of it.
fn within(root: &Path, dir: &Path) -> io::Result<()> {
    if dir.canonicalize()?.starts_with(root.canonicalize()?) {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "a link leads out of the output directory"))
}

/// Looked at before it is opened: opening a pipe would wait for its writer.
fn open(path: &Path) -> io::Result<File> {
    if fs::metadata(path)?.is_file() {
        return File::open(path);
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no file"))
}

/// Copies and hashes; refuses a file above the cap before it is all there.
fn copy(
    source: &mut dyn io::Read,
    target: &mut File,
    failed: impl Fn(io::Error) -> WorkerError,
) -> Result<(u64, String)> {
    let mut hasher = DigestHasher::new(DigestAlgorithm::Sha256);
    let mut piece = vec![0; PIECE_BYTES];
    let mut size_bytes: u64 = 0;
    loop {
        let read = source.read(&mut piece).map_err(&failed)?;
        let bytes = piece.get(..read).unwrap_or_default();
        if bytes.is_empty() {
            return Ok((size_bytes, hasher.digest().hex()));
        }
        size_bytes += bytes.len() as u64;
        if size_bytes > FILE_BYTES_MAX {
            return Err(WorkerError::output_too_large(size_bytes, FILE_BYTES_MAX));
        }
        hasher.update(bytes);
        target.write_all(bytes).map_err(&failed)?;
    }
}

/// A file that is gone again unless it got its place.
struct Temporary {
    file: File,
    path: PathBuf,
    placed: bool,
}

impl Temporary {
    fn beside(place: &Path) -> io::Result<Self> {
        let mut name = place.as_os_str().to_owned();
        name.push(format!(".{}-{:08x}.tmp", std::process::id(), random_number()));
        let path = PathBuf::from(name);
        let file = File::options().write(true).create_new(true).open(&path)?;
        Ok(Self { file, path, placed: false })
    }

    fn becomes(mut self, place: &Path) -> io::Result<()> {
        fs::rename(&self.path, place)?;
        self.placed = true;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.placed {
            drop(fs::remove_file(&self.path));
        }
    }
}

#[cfg(test)]
mod tests;
