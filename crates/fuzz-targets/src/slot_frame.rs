//! The frames between a worker and the child of a slot, from any bytes.

use bytes::BytesMut;
use gen_worker_core::slot::frame::{Frame, FrameError, decode, encode};

/// However the bytes are cut, the same frames and the same error come out; and each frame encodes to bytes that mean
/// the same.
pub fn slot_frame(input: &[u8]) {
    let whole = read(std::iter::once(input));
    let pieces = read(input.chunks(3));
    assert_eq!(bytes(&whole.0), bytes(&pieces.0), "the cut changed a frame");
    assert_eq!(whole.1, pieces.1, "the cut changed the error");
    let sent = bytes(&whole.0);
    let (again, error) = read(std::iter::once(sent.as_slice()));
    assert_eq!(error, None, "what was encoded does not decode");
    assert_eq!(bytes(&again), sent, "decoding changed a frame");
}

/// All frames in `pieces`, and what ended them.
fn read<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Frame>, Option<FrameError>) {
    let (mut buffer, mut frames) = (BytesMut::new(), Vec::new());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            match decode(&mut buffer) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
    }
    (frames, None)
}

/// Compared as bytes: a number that is not equal to itself may be in it.
fn bytes(frames: &[Frame]) -> Vec<u8> {
    let mut buffer = BytesMut::new();
    for frame in frames {
        encode(frame.clone(), &mut buffer).expect("it came in a frame, and its encoding is no longer");
    }
    buffer.to_vec()
}
