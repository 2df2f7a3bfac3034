//! The floor: what a worker would cost that does nothing for its jobs.

use std::net::SocketAddr;

use anyhow::Result;
use bytes::Bytes;
use gen_worker_proto::{
    limits::{INLINE_OUTPUT_BYTES_MAX, MESSAGE_BYTES_MAX},
    pb::{
        self, WorkerMessage, job_result::Output, scheduler_message::Msg as Outbound, worker_message::Msg,
        worker_scheduler_client::WorkerSchedulerClient,
    },
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// Messages that the floor may have queued; above every load.
const CHANNEL: usize = 32_768;

/// Bytes in flight that it allows: a small window would be what is measured.
const WINDOW_BYTES: u32 = 8 * 1024 * 1024;

/// A bare tonic client on the contract's stream: it answers each `RunJob` at once with `JobAccepted`, so many equal
/// frames, and a `JobResult` that repeats the payload where that may travel in it. No decoding, no bookkeeping, no
/// limits. Ends with its stream.
///
/// # Errors
/// When it cannot connect, or the stream breaks.
pub async fn floor(address: SocketAddr, frames: u64, frame: Bytes) -> Result<()> {
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{address}"))?
        .tcp_nodelay(true)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .connect()
        .await?;
    let (sender, outbound) = mpsc::channel(CHANNEL);
    let reply = |msg| WorkerMessage { msg: Some(msg) };
    let hello = pb::Hello { protocol_version: 2, worker_id: "floor".into(), ..Default::default() };
    sender.send(reply(Msg::Hello(hello))).await?;
    let mut client = WorkerSchedulerClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let mut inbound = client.connect(ReceiverStream::new(outbound)).await?.into_inner();
    while let Some(message) = inbound.message().await? {
        let Some(Outbound::RunJob(run)) = message.msg else { continue };
        let (request_id, attempt) = (run.request_id, run.attempt);
        sender.send(reply(Msg::JobAccepted(pb::JobAccepted { request_id: request_id.clone(), attempt }))).await?;
        for seq in 1..=frames {
            let progress = pb::JobProgress {
                request_id: request_id.clone(),
                attempt,
                seq: i64::try_from(seq)?,
                data: frame.clone(),
                content_type: "text/plain".into(),
            };
            sender.send(reply(Msg::JobProgress(progress))).await?;
        }
        let is_small = run.input_payload.len() <= INLINE_OUTPUT_BYTES_MAX;
        let output = if is_small { run.input_payload } else { Bytes::from_static(b"\x80") };
        let result = pb::JobResult {
            request_id,
            attempt,
            status: pb::JobStatus::Ok.into(),
            output: Some(Output::Inline(output)),
            ..Default::default()
        };
        sender.send(reply(Msg::JobResult(result))).await?;
    }
    Ok(())
}
