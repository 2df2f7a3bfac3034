//! The disk begins with a large file while it comes: at its end there is little left to wait for. Kernels leave gigabytes in memory
//! for as long as half a minute otherwise.

use std::{
    io,
    thread::{Builder, Scope, ScopedJoinHandle},
};

use super::Part;

/// Bytes that come between two syncs: so many that what a sync costs besides writing them does not count.
const STEP_BYTES: u64 = 64 * 1024 * 1024;

/// Syncs a part beside its writer, one sync at a time. Ends with the writer.
pub(crate) struct EarlySync<'scope, 'env> {
    threads: &'scope Scope<'scope, 'env>,
    running: Option<ScopedJoinHandle<'scope, io::Result<()>>>,
    /// Bytes that were there when it began.
    begun: u64,
}

impl<'scope, 'env> EarlySync<'scope, 'env> {
    /// Of `part`, of which nothing has to be synced yet.
    pub(crate) fn new(threads: &'scope Scope<'scope, 'env>, part: &Part) -> Self {
        Self { threads, running: None, begun: part.len }
    }

    /// There is more of `part`. Where threads or descriptors are short nothing happens: all of it is synced in the end.
    ///
    /// # Errors
    /// Those of the last sync, which are told once.
    pub(crate) fn appended(&mut self, part: &Part) -> io::Result<()> {
        if part.len.saturating_sub(self.begun) < STEP_BYTES {
            return Ok(());
        }
        self.running.take_if(|sync| sync.is_finished()).map_or(Ok(()), joined)?;
        if self.running.is_none()
            && let Ok(file) = part.file.try_clone()
        {
            let sync = move || file.sync_data();
            self.running = Builder::new().name("early-sync".to_owned()).spawn_scoped(self.threads, sync).ok();
            self.begun = part.len;
        }
        Ok(())
    }

    /// Waits for what is under way.
    pub(crate) fn end(self) -> io::Result<()> {
        self.running.map_or(Ok(()), joined)
    }
}

fn joined(sync: ScopedJoinHandle<'_, io::Result<()>>) -> io::Result<()> {
    sync.join().unwrap_or_else(|_| Err(io::Error::other("the thread that syncs has panicked")))
}

#[cfg(test)]
mod tests {
    use std::{fs, sync::Arc, thread};

    use gen_worker_hub::Blake3Hash;

    use super::*;
    use crate::{
        lock::{Hold, StoreLock},
        wanted::Size,
    };

    #[test]
    fn a_large_part_is_synced_while_it_comes() {
        let content = vec![7; 2 * STEP_BYTES as usize + 1];
        let dir = tempfile::tempdir().unwrap();
        let lock = StoreLock::try_take(&dir.path().join("lock"), Hold::Alone).unwrap().unwrap();
        let (path, last) = (dir.path().join("x.part"), dir.path().join("x"));
        let size = Size::Exactly(content.len() as u64);
        let mut part = Part::open(&path, Blake3Hash::of(&content).into(), size, Arc::new(lock)).unwrap();
        thread::scope(|threads| {
            let mut early = EarlySync::new(threads, &part);
            for piece in content.chunks(1 << 20) {
                part.append(piece).unwrap();
                early.appended(&part).unwrap();
            }
            assert!(early.running.is_some() && early.begun >= STEP_BYTES);
            early.end().unwrap();
        });
        assert!(part.finish(&last).unwrap());
        assert!(fs::read(last).unwrap() == content);
    }
}
