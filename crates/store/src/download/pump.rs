//! From the socket to the writer: bounded in bytes and in time.

use std::time::Duration;

use bytes::Bytes;
use reqwest::Response;
use tokio::{sync::mpsc, time::Instant};

use super::{
    batch::Batch,
    transport::{Cause, Odd, cause},
};
use crate::{
    part::Part,
    progress::{Progress, Transferred},
};

/// Batches between pump and writer. Two keep the writer busy while the next comes; each has [`BATCH_BYTES`] and a read of the
/// socket more, so a file has less than 4 MiB on its way.
///
/// [`BATCH_BYTES`]: super::batch::BATCH_BYTES
pub(super) const BATCHES_WAITING_MAX: usize = 2;

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
    pub(super) batches: mpsc::Sender<Vec<Bytes>>,
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
    pub(super) async fn run(self, response: &mut Response) -> Ended {
        let mut batch = Batch::default();
        let mut at = self.from;
        let (mut deadline, mut paced) = (Instant::now() + self.stall, 0);
        loop {
            let piece = match tokio::time::timeout_at(deadline, response.chunk()).await {
                Err(_) => return self.flushed(batch, Ended::Broken(std::sync::Arc::new(Odd::Stalled))).await,
                Ok(Err(error)) => return self.flushed(batch, Ended::Broken(cause(error))).await,
                Ok(Ok(None)) => return self.flushed(batch, Ended::Well).await,
                Ok(Ok(Some(piece))) => piece,
            };
            at += piece.len() as u64;
            if at > self.limit {
                return Ended::Overlong;
            }
            paced += piece.len() as u64;
            batch.push(piece);
            if batch.is_full() {
                if self.batches.send(batch.take()).await.is_err() {
                    return Ended::Unwanted;
                }
                self.progress.transferred(Transferred { bytes_done: at, bytes_total: self.total });
            }
            if paced >= PACE_BYTES {
                // After the writer took it: a slow disk is not the server's fault.
                (deadline, paced) = (Instant::now() + self.stall, 0);
            }
        }
    }

    /// The rest to the writer: what came is kept however the body ended.
    async fn flushed(self, mut batch: Batch, ended: Ended) -> Ended {
        let batch = batch.take();
        if batch.is_empty() || self.batches.send(batch).await.is_ok() { ended } else { Ended::Unwanted }
    }
}

/// The writer: takes batches until there are no more. Blocks.
pub(super) fn write(mut part: Part, mut batches: mpsc::Receiver<Vec<Bytes>>) -> std::io::Result<Part> {
    while let Some(batch) = batches.blocking_recv() {
        part.append(&batch)?;
    }
    Ok(part)
}
