//! Outputs that are too large for the stream, through the uploader seam.

use std::sync::Arc;

use futures::{FutureExt, future::BoxFuture};
use gen_worker_core::{OutputUpload, OutputUploader, UploadError};
use gen_worker_proto::pb::{self, JobStatus, job_result::Output, scheduler_message::Msg as Outbound};
use parking_lot::Mutex;

use crate::{fixture::Fixture, functions::count};

/// Keeps what it is given; refuses outputs above `bytes_max`.
struct Shelf {
    bytes_max: usize,
    uploads: Mutex<Vec<OutputUpload>>,
}

impl OutputUploader for Shelf {
    fn upload(&self, upload: OutputUpload) -> BoxFuture<'static, Result<String, UploadError>> {
        let fits = upload.output.len() <= self.bytes_max;
        let pair = upload.pair.clone();
        let file_ref = format!("stored/{}", upload.name);
        self.uploads.lock().push(upload);
        async move { if fits { Ok(file_ref) } else { Err(UploadError { pair, source: "the shelf is full".into() }) } }
            .boxed()
    }
}

fn large(request_id: &str, bytes: u64) -> pb::RunJob {
    pb::RunJob {
        request_id: request_id.into(),
        attempt: 1,
        function_name: "large".into(),
        input_payload: count(bytes).into(),
        tenant: "acme".into(),
        capability_token: "secret".into(),
        ..Default::default()
    }
}

#[tokio::test(start_paused = true)]
async fn c30_c31_large_outputs_are_uploaded_to_the_latest_base_url() {
    let shelf = Arc::new(Shelf { bytes_max: 100_000, uploads: Mutex::default() });
    let uploader = shelf.clone();
    let mut fixture = Fixture::with(|options| options.uploader = Some(uploader));
    let mut session = fixture.session().await;
    session.run_job(large("r1", 70_000)).await;
    let result = session.result().await;
    let file_ref = "stored/results/r1.msgpack".to_owned();
    assert_eq!((result.status(), result.output), (JobStatus::Ok, Some(Output::BlobRef(file_ref))));

    let ack = pb::HelloAck { protocol_version: 2, file_base_url: "http://other".into(), ..Default::default() };
    session.send(Outbound::HelloAck(ack)).await;
    session.run_job(large("r2", 200_000)).await;
    let result = session.result().await;
    assert_eq!((result.status(), result.safe_message.as_str()), (JobStatus::Retryable, "output upload failed"));

    let seen: Vec<_> = shelf.uploads.lock().iter().map(|upload| upload.file_base_url.clone()).collect();
    assert_eq!(seen, ["http://files", "http://other"]);
    let first = shelf.uploads.lock().first().cloned().expect("an upload");
    assert_eq!((first.tenant.as_str(), first.capability_token.as_str()), ("acme", "secret"));
}
