//! Bodies that may be large: what all of them hold together is bounded, while they come and while they are worked on. Owns the
//! counts. A small one is read and worked on at once.

use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use http_body_util::{BodyExt as _, Limited};
use serde::de::DeserializeOwned;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, timeout, timeout_at},
};

use super::{
    body::{self, SMALL_MAX},
    error::ApiError,
    text::{self, Place},
};
use crate::hub::Busy;

/// Steps of [`SMALL_MAX`] that all large bodies hold while they come, besides the first of each: four of the largest.
const STEPS: usize = 128;

/// Large bodies that are worked on at once: what is made of one may take several times its text.
const AT_ONCE: usize = 4;

/// How long room and a turn are waited for. Clients come again, which costs less than to keep what they have sent.
const WAIT: Duration = Duration::from_secs(5);

/// How long a large body may take to come: clients give up after as much.
const TIME: Duration = Duration::from_secs(120);

/// Room for large bodies, and turns to work on them.
#[derive(Debug)]
pub(crate) struct LargeBodies {
    room: Semaphore,
    turns: Semaphore,
}

/// The right to work on a body; a small one needs none.
#[derive(Debug)]
#[must_use]
pub(crate) struct Turn<'a> {
    _permit: Option<SemaphorePermit<'a>>,
}

/// A body that has come, and its room.
struct Collected<'a> {
    bytes: Bytes,
    room: Option<SemaphorePermit<'a>>,
}

impl LargeBodies {
    pub fn new() -> Self {
        Self { room: Semaphore::new(STEPS), turns: Semaphore::new(AT_ONCE) }
    }

    /// Reads a body of at most `bytes_max`. With a `place`, one that says too much besides its files is refused.
    pub async fn read<T: DeserializeOwned>(
        &self,
        body: Body,
        bytes_max: usize,
        place: Option<Place>,
    ) -> Result<(T, Turn<'_>), ApiError> {
        self.taken(body, bytes_max, place, body::parse).await
    }

    /// The same; an empty body is the default (Hub contract, 1.11).
    pub async fn read_or_default<T: DeserializeOwned + Default>(
        &self,
        body: Body,
        bytes_max: usize,
        place: Option<Place>,
    ) -> Result<(T, Turn<'_>), ApiError> {
        self.taken(body, bytes_max, place, body::parse_or_default).await
    }

    async fn taken<T>(
        &self,
        body: Body,
        bytes_max: usize,
        place: Option<Place>,
        parse: fn(&[u8]) -> Result<T, ApiError>,
    ) -> Result<(T, Turn<'_>), ApiError> {
        let Collected { bytes, room } = self.collected(body, bytes_max).await?;
        let permit = match &room {
            Some(_) => Some(waited(&self.turns).await?),
            None => None,
        };
        if let (Some(place), Some(_)) = (place, &permit) {
            text::check(&bytes, place)?;
        }
        Ok((parse(&bytes)?, Turn { _permit: permit }))
    }

    async fn collected(&self, body: Body, bytes_max: usize) -> Result<Collected<'_>, ApiError> {
        let mut pieces = Limited::new(body, bytes_max).into_data_stream();
        let end = Instant::now() + TIME;
        let mut bytes = BytesMut::new();
        let mut room: Option<SemaphorePermit<'_>> = None;
        while let Some(piece) = timeout_at(end, pieces.next()).await.map_err(|_| ApiError::stalled())? {
            let piece = piece.map_err(|error| body::refused(error.as_ref(), bytes_max))?;
            let steps = bytes.len().saturating_add(piece.len()).saturating_sub(1) / SMALL_MAX;
            while room.as_ref().map_or(0, SemaphorePermit::num_permits) < steps {
                let step = waited(&self.room).await?;
                match &mut room {
                    Some(room) => room.merge(step),
                    None => room = Some(step),
                }
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(Collected { bytes: bytes.freeze(), room })
    }
}

async fn waited(on: &Semaphore) -> Result<SemaphorePermit<'_>, ApiError> {
    let busy = || ApiError::unavailable(&Busy).after(WAIT.as_secs());
    timeout(WAIT, on.acquire()).await.map_err(|_| busy())?.map_err(|_| busy())
}

#[cfg(test)]
mod tests;
