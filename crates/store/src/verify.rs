//! Hashing all files of a tree (rule 6.23), on as many threads as there are: small files side by side, large ones in parts of the
//! tree that their hash is. Owns no state.

use std::{
    collections::BTreeSet,
    fs::File,
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use gen_worker_hub::{
    Blake3Hash, RepoPath,
    digest::{SubtreeHash, Subtrees},
};

use crate::{
    blob::{self, Found, is_damage},
    disk_pool::DiskPool,
    durable,
    fetch_error::FetchError,
    parallel_hash::{PART_BYTES, buffer, hash_part, threads},
    tree::{Tree, TreeFile},
};

/// All that is to be hashed of a tree.
struct Plan {
    tree: Arc<Tree>,
    pieces: Vec<PlannedPiece>,
    steps: Vec<Step>,
}

/// One piece of a file.
struct PlannedPiece {
    /// Index of the file.
    file: usize,
    /// Where it begins in the file.
    from: u64,
    blake3: Blake3Hash,
    subtrees: Subtrees,
}

/// What one thread does at a time, by indexes.
#[derive(Clone, Copy)]
enum Step {
    /// A part of a piece.
    Part { piece: usize, part: usize },
    /// A file whose size nobody said.
    File(usize),
}

/// What came out of a step.
enum Outcome {
    /// The hash of a part; none when it cannot be read.
    Hash { piece: usize, hash: Option<SubtreeHash> },
    /// Whether a file is right.
    File { file: usize, is_right: bool },
}

/// Hashes all files of `dir` and gives those that are wrong.
///
/// # Cancel safety
/// May be dropped; what is being hashed is hashed to its end.
pub(crate) async fn verify(disk: &DiskPool, dir: &Path, tree: &Arc<Tree>) -> Result<Vec<RepoPath>, FetchError> {
    let plan = Arc::new(Plan::of(Arc::clone(tree)));
    let next = Arc::new(AtomicUsize::new(0));
    let running = (0..threads()).map(|_| {
        let (next, plan, dir) = (Arc::clone(&next), Arc::clone(&plan), dir.to_owned());
        disk.run(move || plan.work(&next, &dir))
    });
    let mut outcomes: Vec<_> = futures::future::try_join_all(running).await?.into_iter().flatten().collect();
    outcomes.sort_by_key(|(step, _)| *step);
    Ok(plan.wrong(outcomes.into_iter().map(|(_, outcome)| outcome)))
}

impl Plan {
    fn of(tree: Arc<Tree>) -> Self {
        let (mut pieces, mut steps) = (Vec::new(), Vec::new());
        for (file, listed) in tree.files().iter().enumerate() {
            if listed.size_bytes().is_none() {
                steps.push(Step::File(file));
                continue;
            }
            let mut from = 0;
            for piece in &listed.pieces {
                let bytes = piece.size_bytes.unwrap_or(0);
                let subtrees = Subtrees::of(bytes, PART_BYTES);
                steps.extend((0..subtrees.parts().len()).map(|part| Step::Part { piece: pieces.len(), part }));
                pieces.push(PlannedPiece { file, from, blake3: piece.blake3, subtrees });
                from += bytes;
            }
        }
        Self { tree, pieces, steps }
    }

    /// Does the steps that nobody does, one after the other. Gives what came out of each.
    fn work(&self, next: &AtomicUsize, dir: &Path) -> Result<Vec<(usize, Outcome)>, FetchError> {
        let (mut buffer, mut done) = (buffer(), Vec::new());
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(step) = self.steps.get(at) else { return Ok(done) };
            let outcome = match *step {
                Step::File(file) => {
                    let is_right = self.file(file, dir, |path, listed| {
                        Ok(matches!(blob::check(path, &listed.pieces)?, Found::Right(_)))
                    })?;
                    Outcome::File { file, is_right }
                }
                Step::Part { piece, part } => {
                    let Some(planned) = self.pieces.get(piece) else { continue };
                    let hash =
                        self.file(planned.file, dir, |path, listed| planned.hash(path, listed, part, &mut buffer))?;
                    Outcome::Hash { piece, hash }
                }
            };
            done.push((at, outcome));
        }
    }

    /// What `look` finds in a file; the default where the disk cannot read it any more.
    fn file<T: Default>(
        &self,
        file: usize,
        dir: &Path,
        look: impl FnOnce(&Path, &TreeFile) -> io::Result<T>,
    ) -> Result<T, FetchError> {
        let Some(listed) = self.tree.files().get(file) else { return Ok(T::default()) };
        let path = dir.join(listed.path.as_str());
        match look(&path, listed) {
            Err(error) if error.kind() == io::ErrorKind::InvalidInput || is_damage(&error) => Ok(T::default()),
            found => found.map_err(FetchError::disk("check of a file", &path)),
        }
    }

    /// The files that are wrong, by what came out of all steps, in their order.
    fn wrong(&self, outcomes: impl IntoIterator<Item = Outcome>) -> Vec<RepoPath> {
        let mut hashes: Vec<Vec<SubtreeHash>> = self.pieces.iter().map(|_| Vec::new()).collect();
        let mut wrong = BTreeSet::new();
        for outcome in outcomes {
            match outcome {
                Outcome::File { file, is_right: false } => drop(wrong.insert(file)),
                Outcome::File { .. } => {}
                Outcome::Hash { piece, hash } => {
                    if let Some(hashes) = hashes.get_mut(piece) {
                        hashes.extend(hash);
                    }
                }
            }
        }
        for (piece, hashes) in self.pieces.iter().zip(hashes) {
            if piece.subtrees.join(&hashes) != Some(piece.blake3) {
                wrong.insert(piece.file);
            }
        }
        wrong.into_iter().filter_map(|file| self.tree.files().get(file)).map(|file| file.path.clone()).collect()
    }
}

impl PlannedPiece {
    /// Hashes one part of the file at `path`; none when the file has another size, or is not there.
    fn hash(&self, path: &Path, listed: &TreeFile, part: usize, buffer: &mut [u8]) -> io::Result<Option<SubtreeHash>> {
        let Some(file) = durable::reader(path)?.filter(|file| has_size(file, listed.size_bytes())) else {
            return Ok(None);
        };
        hash_part(&file, self.from, &self.subtrees, part, buffer)
    }
}

fn has_size(file: &File, bytes: Option<u64>) -> bool {
    file.metadata().is_ok_and(|found| Some(found.len()) == bytes)
}

#[cfg(test)]
mod tests;
