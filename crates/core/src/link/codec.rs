//! The codec of the one stream: our own outgoing form, generated incoming messages. Owns no state.

use gen_worker_proto::pb::SchedulerMessage;
use tonic::{
    Status,
    codec::{BufferSettings, Codec, EncodeBuf, Encoder},
};
use tonic_prost::ProstDecoder;

use super::encode::encode;
use crate::outbox::Outgoing;

/// Encoded bytes that are gathered before a DATA frame is made of them: two HTTP/2 frames of default size.
const GATHER_BYTES: usize = 32 * 1024;

/// First size of the buffers: a batch of small messages fits without growing them.
const BUFFER_BYTES: usize = 16 * 1024;

#[derive(Clone, Copy, Debug)]
pub(super) struct WorkerCodec;

#[derive(Clone, Copy, Debug)]
pub(super) struct OutgoingEncoder;

impl Codec for WorkerCodec {
    type Encode = Outgoing;
    type Decode = SchedulerMessage;
    type Encoder = OutgoingEncoder;
    type Decoder = ProstDecoder<SchedulerMessage>;

    fn encoder(&mut self) -> Self::Encoder {
        OutgoingEncoder
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstDecoder::new(settings())
    }
}

impl Encoder for OutgoingEncoder {
    type Item = Outgoing;
    type Error = Status;

    fn encode(&mut self, message: Outgoing, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        encode(message, buffer);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        settings()
    }
}

fn settings() -> BufferSettings {
    BufferSettings::new(BUFFER_BYTES, GATHER_BYTES)
}
