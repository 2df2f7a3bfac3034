//! One connection: bytes in chunks of any size, each a little late, until it is cut.

use std::{
    io,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf};
use tokio_util::sync::CancellationToken;

use super::Site;
use crate::{clock::pass, rng::Rng};

/// Largest chunk that passes at once, in bytes.
const CHUNK_BYTES: usize = 16 * 1024;

/// Largest of the small chunks, which fall apart in the middle of frames.
const SMALL_CHUNK_BYTES: u64 = 48;

/// A connection that can be cut.
#[derive(Debug)]
pub(super) struct Cable {
    cut: CancellationToken,
    /// Bytes that may still pass, in both directions together.
    budget: AtomicU64,
}

impl Default for Cable {
    fn default() -> Self {
        Self { cut: CancellationToken::new(), budget: AtomicU64::new(u64::MAX) }
    }
}

impl Cable {
    pub(super) fn cut(&self) {
        self.cut.cancel();
    }

    pub(super) fn is_cut(&self) -> bool {
        self.cut.is_cancelled()
    }

    pub(super) async fn is_cut_off(&self) {
        self.cut.cancelled().await;
    }

    pub(super) fn cut_after(&self, bytes: u64) {
        self.budget.store(bytes, Relaxed);
    }

    /// Carries one direction to its end.
    pub(super) async fn carry(
        &self,
        mut from: ReadHalf<DuplexStream>,
        mut to: WriteHalf<DuplexStream>,
        site: &Site,
        mut rng: Rng,
    ) -> io::Result<()> {
        let mut buffer = vec![0; CHUNK_BYTES];
        loop {
            let small = rng.percent(3);
            let limit = if small { rng.within(1, SMALL_CHUNK_BYTES) as usize } else { CHUNK_BYTES };
            let read = from.read(&mut buffer[..limit]).await?;
            if read == 0 {
                return to.shutdown().await;
            }
            site.open().await;
            if let Some(delay) = rng.maybe_millis(30, 1, 4).or_else(|| rng.maybe_millis(2, 20, 800)) {
                pass(delay).await;
                site.open().await;
            }
            let passing = self.spend(read);
            to.write_all(&buffer[..passing]).await?;
            if passing < read {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
        }
    }

    /// How many of `bytes` still pass.
    fn spend(&self, bytes: usize) -> usize {
        let budget = self.budget.load(Relaxed);
        if budget == u64::MAX {
            return bytes;
        }
        let passing = budget.min(bytes as u64);
        self.budget.store(budget - passing, Relaxed);
        usize::try_from(passing).unwrap_or(bytes)
    }
}
