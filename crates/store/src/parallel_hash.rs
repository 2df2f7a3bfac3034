//! BLAKE3 of large files on as many threads as there are, in parts of the tree that their hash is. Owns no state.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use gen_worker_hub::{
    Blake3Hash,
    digest::{SubtreeHash, Subtrees},
};

/// Threads that hash, at most: more would only wait for the disk.
const THREADS_MAX: usize = 8;

/// Parts of large files: enough work for a thread, few enough of them.
pub(crate) const PART_BYTES: u64 = 32 * 1024 * 1024;

/// Reads of a part: two of them fit into the cache of a core.
const READ_BYTES: usize = 256 * 1024;

/// Threads that hash at once.
pub(crate) fn threads() -> usize {
    thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX)
}

/// What one thread reads into, from part to part.
pub(crate) fn buffer() -> Vec<u8> {
    vec![0; READ_BYTES]
}

/// Hashes part `at` of `subtrees`, the first of which begins at byte `from` of `file`; none when the file ends before, or there is
/// no such part. Blocks.
pub(crate) fn hash_part(
    file: &File,
    from: u64,
    subtrees: &Subtrees,
    at: usize,
    buffer: &mut [u8],
) -> io::Result<Option<SubtreeHash>> {
    let (Some(mut hasher), Some(range)) = (subtrees.hasher(at), subtrees.parts().get(at)) else {
        return Ok(None);
    };
    let mut at = range.start;
    while at < range.end {
        let wanted = usize::try_from(range.end - at).map_or(buffer.len(), |rest| rest.min(buffer.len()));
        match file.read_at(buffer.get_mut(..wanted).unwrap_or_default(), from + at) {
            Ok(0) => break,
            Ok(read) => {
                hasher.update(buffer.get(..read).unwrap_or_default());
                at += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(hasher.finish())
}

/// The hash of the first `bytes` of `file`; none when it has fewer. Blocks until all of its threads have ended.
pub(crate) fn hash(file: &File, bytes: u64) -> io::Result<Option<Blake3Hash>> {
    let subtrees = Subtrees::of(bytes, PART_BYTES);
    let (next, parts) = (AtomicUsize::new(0), subtrees.parts().len());
    let work = || {
        let (mut buffer, mut hashes) = (buffer(), Vec::new());
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            if at >= parts {
                return Ok(hashes);
            }
            hashes.push((at, hash_part(file, 0, &subtrees, at, &mut buffer)?));
        }
    };
    let outcomes: Vec<io::Result<_>> = thread::scope(|scope| {
        // This thread is one of them, and does the work of those that the system does not give.
        let other = |_| thread::Builder::new().name("hash".to_owned()).spawn_scoped(scope, work).ok();
        let others: Vec<_> = (1..threads().min(parts)).filter_map(other).collect();
        let own = work();
        let others = others.into_iter().map(|other| other.join().unwrap_or_else(|_| Err(io::Error::other("panic"))));
        std::iter::once(own).chain(others).collect()
    });
    let mut hashes = Vec::with_capacity(parts);
    for outcome in outcomes {
        hashes.extend(outcome?);
    }
    hashes.sort_unstable_by_key(|(at, _)| *at);
    let hashes: Vec<SubtreeHash> = hashes.into_iter().filter_map(|(_, hash)| hash).collect();
    Ok(subtrees.join(&hashes))
}

#[cfg(test)]
mod tests;
