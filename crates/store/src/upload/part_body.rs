//! The bytes of one part on their way: read piece by piece, so memory does not grow with the part.

use std::{
    path::PathBuf,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use gen_worker_hub::{
    Digest,
    api::PartRange,
    digest::{DigestAlgorithm, DigestHasher},
};
use http_body::{Body, Frame, SizeHint};
use parking_lot::Mutex;
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    task::JoinHandle,
};

use super::{
    content::{Source, read_at},
    error::UploadError,
    pace::Pace,
};
use gen_worker_tasks::Scope;

/// Bytes of a piece: few wake-ups, little in memory.
pub(super) const PIECE_BYTES: u64 = 256 * 1024;

/// Pieces between the reader of a file and the socket. Two keep both busy.
const PIECES_WAITING_MAX: usize = 2;

/// The body of one attempt.
pub(super) struct PartBody {
    pieces: Pieces,
    left: u64,
    pace: Arc<Pace>,
    /// Ends with the last byte.
    turn: Turn,
}

/// The turn of an attempt, which ends with the attempt or when the last byte is on its way. It is not the body's alone: a client
/// may keep a body for long after the answer has come.
#[derive(Clone)]
pub(super) struct Turn(Arc<Mutex<Option<OwnedSemaphorePermit>>>);

/// Ends a turn when it is dropped.
pub(super) struct EndOfTurn(Turn);

/// SHA-256 of a part, known when all of it is on its way. It is that of the last attempt that came so far; the file is the same
/// for all of them.
#[derive(Clone, Default)]
pub(super) struct Sha256OnTheWay(Arc<Mutex<Option<Digest>>>);

/// Reads the file of a body; what went wrong there.
pub(super) type Reader = JoinHandle<Result<(), UploadError>>;

enum Pieces {
    Read(mpsc::Receiver<Bytes>),
    There(Bytes),
}

/// The reader of the file has given up; it knows why.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the part cannot be read")]
pub(super) struct Unread;

impl PartBody {
    /// The bytes of `range`. A file is opened anew and read by a thread that ends with the body.
    pub(super) fn of(
        source: &Source,
        range: PartRange,
        pace: Arc<Pace>,
        turn: Turn,
        sha256: Option<&Sha256OnTheWay>,
        scope: &Scope,
    ) -> (Self, Option<Reader>) {
        let (pieces, reader) = match source {
            Source::Bytes(bytes) => (Pieces::There(part_of(bytes, range)), None),
            Source::File { path, .. } => {
                let (sender, pieces) = mpsc::channel(PIECES_WAITING_MAX);
                let (source, path, sha256) = (source.clone(), path.clone(), sha256.cloned());
                let reader = scope.spawn_blocking(move || read(&source, path, range, sha256.as_ref(), &sender));
                (Pieces::Read(pieces), Some(reader))
            }
        };
        (Self { pieces, left: range.length, pace, turn }, reader)
    }
}

impl Sha256OnTheWay {
    /// What it is, if it is known.
    pub(super) fn known(&self) -> Option<Digest> {
        *self.0.lock()
    }

    fn is(&self, digest: Digest) {
        *self.0.lock() = Some(digest);
    }
}

impl Turn {
    /// Begins it.
    pub(super) fn new(permit: OwnedSemaphorePermit) -> (Self, EndOfTurn) {
        let turn = Self(Arc::new(Mutex::new(Some(permit))));
        (turn.clone(), EndOfTurn(turn))
    }

    fn end(&self) {
        *self.0.lock() = None;
    }
}

impl Drop for EndOfTurn {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl Body for PartBody {
    type Data = Bytes;
    type Error = Unread;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Unread>>> {
        let this = self.get_mut();
        if this.left == 0 {
            return Poll::Ready(None);
        }
        let piece = match &mut this.pieces {
            Pieces::Read(pieces) => std::task::ready!(pieces.poll_recv(cx)),
            Pieces::There(rest) if rest.is_empty() => None,
            Pieces::There(rest) => Some(rest.split_to(rest.len().min(PIECE_BYTES as usize))),
        };
        let Some(piece) = piece else { return Poll::Ready(Some(Err(Unread))) };
        this.left = this.left.saturating_sub(piece.len() as u64);
        this.pace.moved(piece.len() as u64);
        if this.left == 0 {
            this.turn.end();
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

pub(super) fn part_of(bytes: &Bytes, range: PartRange) -> Bytes {
    let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
    bytes.slice(at(range.offset)..at(range.offset.saturating_add(range.length)))
}

/// Gives the pieces of `range` until nobody wants them any more. Blocks.
fn read(
    source: &Source,
    path: PathBuf,
    range: PartRange,
    sha256: Option<&Sha256OnTheWay>,
    pieces: &mpsc::Sender<Bytes>,
) -> Result<(), UploadError> {
    let file = source.open(&path)?;
    let end = range.offset.saturating_add(range.length);
    let (buffers, mut at) = (Buffers::default(), range.offset);
    let mut hasher = sha256.map(|_| DigestHasher::new(DigestAlgorithm::Sha256));
    while at < end {
        let mut piece = buffers.piece(PIECE_BYTES.min(end - at) as usize);
        read_at(&file, &path, &mut piece.buffer, at)?;
        at += piece.buffer.len() as u64;
        if let Some(hasher) = &mut hasher {
            hasher.update(&piece.buffer);
        }
        // Before the last piece goes: whoever has all of it may answer at once.
        if at >= end
            && let (Some(sha256), Some(hasher)) = (sha256, &hasher)
        {
            sha256.is(hasher.digest());
        }
        if pieces.blocking_send(Bytes::from_owner(piece)).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// Memory of pieces that were sent, for the next ones: what is new has to be made zero, and every page of it costs a fault.
#[derive(Clone, Default)]
struct Buffers(Arc<Mutex<Vec<Vec<u8>>>>);

/// A piece; its memory goes back when it was sent.
struct Piece {
    buffer: Vec<u8>,
    back: Buffers,
}

impl Buffers {
    /// A piece of `len` bytes, whatever is in it.
    fn piece(&self, len: usize) -> Piece {
        let mut buffer = self.0.lock().pop().unwrap_or_default();
        buffer.resize(len, 0);
        Piece { buffer, back: self.clone() }
    }
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.back.0.lock().push(std::mem::take(&mut self.buffer));
    }
}
