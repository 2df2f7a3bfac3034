//! The disk begins with a large file while it comes: at its end there is little left to wait for. Kernels leave gigabytes in memory
//! for as long as half a minute otherwise.

use std::{
    fs::File,
    io,
    sync::mpsc::{SyncSender, sync_channel},
    thread::{Builder, JoinHandle},
};

/// Bytes that come between two syncs: so many that what a sync costs besides writing them does not count.
pub(super) const STEP_BYTES: u64 = 64 * 1024 * 1024;

/// A thread that syncs a file when it is asked. Dropped, it ends after what it is at.
#[derive(Debug)]
pub(super) struct EarlySync {
    ask: SyncSender<()>,
    thread: JoinHandle<io::Result<()>>,
}

impl EarlySync {
    /// Of `file`; nothing where threads or descriptors are short, since all of it is synced in the end.
    pub(super) fn of(file: &File) -> Option<Self> {
        let file = file.try_clone().ok()?;
        let (ask, asked) = sync_channel(1);
        let sync = move || asked.into_iter().try_for_each(|()| file.sync_data());
        let thread = Builder::new().name("early-sync".to_owned()).spawn(sync).ok()?;
        Some(Self { ask, thread })
    }

    /// Writes what is there, sooner or later. One that has not begun serves for this, too.
    pub(super) fn ask(&self) {
        let _asked = self.ask.try_send(());
    }

    /// Whether it has ended because of an error.
    pub(super) fn has_failed(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits until it has ended. An error is told here, or never: the kernel tells it once.
    pub(super) fn join(self) -> io::Result<()> {
        drop(self.ask);
        self.thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread that syncs has panicked")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_synced_is_told() {
        let early = EarlySync::of(&File::open("/dev/null").unwrap()).unwrap();
        early.ask();
        assert_eq!(early.join().unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn asked_often_it_ends_well() {
        let file = tempfile::tempfile().unwrap();
        let early = EarlySync::of(&file).unwrap();
        for _ in 0..100 {
            early.ask();
        }
        early.join().unwrap();
        EarlySync::of(&file).unwrap().join().unwrap();
    }
}
