//! From the socket to the writer: bounded in bytes and in time.

use std::{sync::Arc, thread, time::Duration};

use reqwest::Response;
use tokio::{sync::mpsc, time::Instant};

use super::{
    batch::Batch,
    transport::{Cause, Odd, cause},
};
use crate::{
    part::{EarlySync, Part},
    progress::{Progress, Transferred},
};

/// Batches between pump and writer, and as many again that the writer has taken: it takes all that wait at once, so the pump is woken
/// once for four of them. Woken for each, it cost a pull of 2 GiB a fifth of its time. Each has [`BATCH_BYTES`], and one is being
/// filled, so a file has less than 4 MiB on its way.
///
/// [`BATCH_BYTES`]: super::batch::BATCH_BYTES
pub(super) const BATCHES_WAITING_MAX: usize = 4;

/// A server that sends less than this within the stall time has stalled: it may not drip for days.
pub const PACE_BYTES: u64 = 64 * 1024;

/// How a body ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// As its framing says.
    Well,
    /// More came than the file has.
    Overlong,
    /// The writer does not take more: it knows why.
    Unwanted,
    /// The connection broke or stalled.
    Broken(Cause),
}

/// Where the bytes of one answer go.
pub(super) struct Pump<'a> {
    /// To the writer.
    pub(super) batches: mpsc::Sender<Batch>,
    /// From the writer: buffers that are free again.
    pub(super) free: mpsc::Receiver<Batch>,
    /// Bytes that are there.
    pub(super) from: u64,
    /// Bytes that may be there in the end.
    pub(super) limit: u64,
    /// Size that is told to those who wait, 0 = unknown.
    pub(super) total: u64,
    /// See [`PACE_BYTES`].
    pub(super) stall: Duration,
    /// Those who wait.
    pub(super) progress: &'a dyn Progress,
}

impl Pump<'_> {
    /// Moves the body of `response`.
    pub(super) async fn run(mut self, response: &mut Response) -> Ended {
        let (mut batch, mut at) = (Batch::new(self.limit.saturating_sub(self.from)), self.from);
        let (mut deadline, mut paced) = (Instant::now() + self.stall, 0);
        loop {
            let mut piece = match tokio::time::timeout_at(deadline, response.chunk()).await {
                Err(_) => return self.flushed(batch, Ended::Broken(Arc::new(Odd::Stalled))).await,
                Ok(Err(error)) => return self.flushed(batch, Ended::Broken(cause(error))).await,
                Ok(Ok(None)) => return self.flushed(batch, Ended::Well).await,
                Ok(Ok(Some(piece))) => piece,
            };
            at += piece.len() as u64;
            if at > self.limit {
                return Ended::Overlong;
            }
            paced += piece.len() as u64;
            while !piece.is_empty() {
                batch.fill(&mut piece);
                if batch.is_full() {
                    let bytes_done = at - piece.len() as u64;
                    let rest = self.limit.saturating_sub(bytes_done);
                    let next = self.free.try_recv().unwrap_or_else(|_| Batch::new(rest));
                    if self.batches.send(std::mem::replace(&mut batch, next)).await.is_err() {
                        return Ended::Unwanted;
                    }
                    self.progress.transferred(Transferred { bytes_done, bytes_total: self.total });
                }
            }
            if paced >= PACE_BYTES {
                // After the writer took it: a slow disk is not the server's fault.
                (deadline, paced) = (Instant::now() + self.stall, 0);
            }
        }
    }

    /// The rest to the writer: what came is kept however the body ended.
    async fn flushed(self, batch: Batch, ended: Ended) -> Ended {
        if batch.bytes().is_empty() || self.batches.send(batch).await.is_ok() { ended } else { Ended::Unwanted }
    }
}

/// The writer: takes batches until there are no more, and gives their buffers back. Blocks.
pub(super) fn write(
    mut part: Part,
    mut batches: mpsc::Receiver<Batch>,
    free: &mpsc::Sender<Batch>,
) -> std::io::Result<Part> {
    thread::scope(|threads| {
        let (mut early, mut synced) = (EarlySync::new(threads, &part), Ok(()));
        let mut taken = Vec::with_capacity(BATCHES_WAITING_MAX);
        let mut written = Ok(());
        while written.is_ok() && synced.is_ok() && batches.blocking_recv_many(&mut taken, BATCHES_WAITING_MAX) > 0 {
            for batch in taken.drain(..) {
                written = part.append(batch.bytes());
                // A pump that has enough of them lets this one go.
                drop(free.try_send(batch.emptied()));
                synced = early.appended(&part);
                if written.is_err() || synced.is_err() {
                    break;
                }
            }
        }
        part.synced(synced.and(early.end()))?;
        written
    })?;
    Ok(part)
}
