//! Room for what transfers hold. It is taken as bytes come: a slow sender holds what it has sent, and no more. Owns the counts.
//!
//! Senders that hold a part of a piece each could wait for each other for ever. So one of them at a time, in the order in which
//! they began to wait, goes on with room for a whole piece that is kept for this. It has to be quick, since the others wait.

use std::{future::Future, time::Duration};

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, timeout},
};

use super::{PIECE_TIME, ReceiveError};

/// How long a sender may take who goes on alone: for the largest piece, half a megabyte in a second.
const ALONE_TIME: Duration = Duration::from_secs(10);

/// Room for the pieces of all transfers.
#[derive(Debug)]
pub(super) struct Room {
    /// One permit for each byte.
    shared: Semaphore,
    /// One permit for a whole piece.
    alone: Semaphore,
}

/// What one transfer holds, and how long its sender may still take for the piece.
#[derive(Debug)]
pub(super) struct Held<'a> {
    room: &'a Room,
    shared: Option<SemaphorePermit<'a>>,
    alone: Option<SemaphorePermit<'a>>,
    time: Duration,
}

impl Room {
    /// Room for `bytes`, those of one piece of `piece_bytes` among them.
    pub fn new(bytes: usize, piece_bytes: usize) -> Self {
        Self { shared: Semaphore::new(bytes.saturating_sub(piece_bytes)), alone: Semaphore::new(1) }
    }

    /// Begins a piece.
    pub fn hold(&self) -> Held<'_> {
        Held { room: self, shared: None, alone: None, time: PIECE_TIME }
    }

    /// Bytes that nobody holds, and whether one may go on alone.
    #[cfg(test)]
    pub fn left(&self) -> (usize, bool) {
        (self.shared.available_permits(), self.alone.available_permits() == 1)
    }
}

impl<'a> Held<'a> {
    /// Takes room for `bytes` more of the piece.
    pub async fn grow(&mut self, bytes: usize) -> Result<(), ReceiveError> {
        if self.alone.is_some() {
            return Ok(());
        }
        let permits = u32::try_from(bytes).expect("pieces are some megabytes");
        let room = self.room;
        if let Ok(more) = room.shared.try_acquire_many(permits) {
            self.add(more);
            return Ok(());
        }
        let waited = timeout(PIECE_TIME, async {
            tokio::select! {
                biased;
                more = room.shared.acquire_many(permits) => (more.ok(), None),
                alone = room.alone.acquire() => (None, alone.ok()),
            }
        });
        match waited.await.map_err(|_| ReceiveError::Stall)? {
            (Some(more), _) => self.add(more),
            (None, alone) => {
                self.alone = alone;
                self.time = self.time.min(ALONE_TIME);
            }
        }
        Ok(())
    }

    fn add(&mut self, more: SemaphorePermit<'a>) {
        match &mut self.shared {
            Some(held) => held.merge(more),
            None => self.shared = Some(more),
        }
    }

    /// Waits for the sender, who has so much time for a piece in all.
    pub async fn patient<T>(&mut self, next: impl Future<Output = T>) -> Result<T, ReceiveError> {
        let begun = Instant::now();
        let next = timeout(self.time, next).await.map_err(|_| ReceiveError::Stall)?;
        self.time = self.time.saturating_sub(begun.elapsed());
        Ok(next)
    }
}
