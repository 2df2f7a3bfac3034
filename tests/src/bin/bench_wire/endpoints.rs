//! The endpoints whose cost is measured.

use bytes::Bytes;
use gen_worker::prelude::*;

use super::load::BLOB_BYTES;

#[derive(Payload)]
struct Marco {
    text: String,
}

#[derive(Output)]
struct Polo {
    response: String,
}

/// Decode, one move, encode.
#[endpoint]
async fn bench_echo(_context: &RequestContext, input: Marco) -> Result<Polo, WorkerError> {
    Ok(Polo { response: input.text })
}

#[derive(Payload)]
struct Length {
    chunks: u64,
}

/// Streams short texts that are all ready at once.
#[endpoint]
fn bench_chunks(
    _context: &RequestContext,
    input: Length,
) -> impl Stream<Item = Result<TokenDelta, WorkerError>> + Send + use<> {
    futures::stream::iter((0..input.chunks).map(|_| Ok(TokenDelta { text: "token".to_owned(), item_id: None })))
}

#[derive(Payload)]
struct Blob {
    blob: Bytes,
}

#[derive(Output)]
struct Size {
    bytes: u64,
}

/// Takes many bytes and gives few.
#[endpoint]
async fn bench_size(_context: &RequestContext, input: Blob) -> Result<Size, WorkerError> {
    Ok(Size { bytes: input.blob.len() as u64 })
}

/// Streams large chunks.
#[endpoint]
fn bench_blobs(
    _context: &RequestContext,
    input: Length,
) -> impl Stream<Item = Result<BatchItemDelta, WorkerError>> + Send + use<> {
    let chunk = Bytes::from(vec![7; BLOB_BYTES]);
    futures::stream::iter((0..input.chunks).map(move |index| {
        Ok(BatchItemDelta {
            index,
            total: input.chunks,
            item_id: None,
            finished: false,
            error: String::new(),
            chunk: chunk.clone(),
            content_type: "application/octet-stream".to_owned(),
        })
    }))
}
