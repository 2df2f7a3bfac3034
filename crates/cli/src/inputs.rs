//! What the environment says of files that payloads name, and of where jobs keep files.

use std::path::PathBuf;

use gen_worker_core::InputsOptions;
use gen_worker_store::{AddressRule, StorageBase};

use crate::{
    env::{Environment, names},
    exit::Failure,
};

/// What such a list is.
const STORAGE: &str = "at most 16 addresses such as https://minio.example:9000/models/, with commas in between";

/// Places of a storage: every address of a payload is compared with each.
const STORAGE_MAX: usize = 16;

/// How files of payloads are fetched; `extra_roots` are trusted besides the system's.
///
/// # Errors
/// A value that cannot be.
pub(crate) fn options(env: &Environment, extra_roots: Option<Vec<u8>>) -> Result<InputsOptions, Failure> {
    let mut options = InputsOptions::default();
    let expected = "a whole number of bytes, 0 or more";
    if let Some(bytes) = env.parsed::<u64>(&names::WORKER_MAX_INPUT_FILE_BYTES, expected)? {
        options.file_bytes_max = if bytes == 0 { u64::MAX } else { bytes };
    }
    options.fetch.extra_roots = extra_roots;
    if env.switch(&names::GEN_WORKER_PRIVATE_INPUTS)? {
        options.fetch.addresses = AddressRule::Any;
    }
    options.fetch.storage = storage(env)?;
    Ok(options)
}

/// The places of the pool's own storage.
fn storage(env: &Environment) -> Result<Vec<StorageBase>, Failure> {
    let variable = &names::GEN_WORKER_STORAGE;
    let listed = env.text(variable)?.unwrap_or_default();
    let bases = listed.split(',').map(str::trim).filter(|base| !base.is_empty()).map(str::parse);
    let bases: Vec<StorageBase> = bases.collect::<Result<_, _>>().map_err(|_| env.unexpected(variable, STORAGE))?;
    if bases.len() > STORAGE_MAX { Err(env.unexpected(variable, STORAGE)) } else { Ok(bases) }
}

/// Where jobs keep files. The default is each user's own: nobody may read those of another.
pub(crate) fn jobs_dir(env: &Environment) -> PathBuf {
    let own = || std::env::temp_dir().join(format!("gen-worker-jobs-{}", rustix::process::geteuid().as_raw()));
    env.raw(&names::GEN_WORKER_JOBS_DIR).map_or_else(own, PathBuf::from)
}
