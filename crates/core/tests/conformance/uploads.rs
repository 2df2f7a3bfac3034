//! Outputs that are too large for the stream, through the uploader seam.

use std::sync::Arc;

use futures::{FutureExt, future::BoxFuture};
use gen_worker_core::{OutputUpload, OutputUploader, UploadError, UploadFailure, saves::SaveContent};
use gen_worker_hub::{
    Blake3Hash,
    api::{LocalFile, UploadedFile},
};
use gen_worker_proto::pb::{self, JobStatus, job_result::Output, scheduler_message::Msg as Outbound};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::{fixture::Fixture, functions::count};

/// Keeps what it is told of; refuses files above `bytes_max`.
#[derive(Default)]
pub struct Shelf {
    pub bytes_max: usize,
    pub uploads: Mutex<Vec<OutputUpload>>,
    /// How files are refused.
    pub refusal: Option<UploadFailure>,
    /// Uploads wait for it, if there is one.
    pub gate: Option<Arc<Semaphore>>,
}

impl Shelf {
    pub fn of(bytes_max: usize) -> Self {
        Self { bytes_max, ..Self::default() }
    }

    /// Waits until so many uploads have come.
    pub async fn arrivals(&self, count: usize) {
        while self.uploads.lock().len() < count {
            tokio::task::yield_now().await;
        }
    }
}

impl OutputUploader for Shelf {
    fn upload(&self, upload: OutputUpload) -> BoxFuture<'static, Result<UploadedFile, UploadError>> {
        let bytes = match &upload.content {
            SaveContent::Bytes(bytes) => bytes.to_vec(),
            SaveContent::File(path) => std::fs::read(path).expect("a file"),
        };
        let failure = self.refusal.or_else(|| (bytes.len() > self.bytes_max).then_some(UploadFailure::Retryable));
        let (pair, gate) = (upload.pair.clone(), self.gate.clone());
        let local = LocalFile {
            reference: format!("stored/{}", upload.name),
            size_bytes: bytes.len() as u64,
            blake3: Blake3Hash::of(&bytes),
            mime_type: upload.mime_type.clone().unwrap_or_default(),
        };
        self.uploads.lock().push(upload);
        async move {
            if let Some(gate) = gate {
                gate.acquire().await.expect("never closed").forget();
            }
            match failure {
                None => Ok(UploadedFile::from_reply(b"", &local).expect("nothing to misread")),
                Some(failure) => Err(UploadError { pair, failure, source: "the shelf is full".into() }),
            }
        }
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
    let shelf = Arc::new(Shelf::of(100_000));
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

#[tokio::test(start_paused = true)]
async fn c30_without_an_uploader_a_large_output_is_refused_once() {
    let mut fixture = Fixture::start();
    let mut session = fixture.session().await;
    session.run_job(large("r1", 70_000)).await;
    let result = session.result().await;
    assert_eq!(result.status(), JobStatus::Invalid, "another attempt would end the same");
    assert!(result.safe_message.starts_with("output payload too large: 700"), "{}", result.safe_message);
}

#[tokio::test(start_paused = true)]
async fn w8_7_without_an_uploader_a_long_stream_ends_with_a_cut_summary() {
    let mut fixture = Fixture::start();
    let mut session = fixture.session().await;
    session.run("r1", 1, "tokens", &count(100)).await;
    let result = session.result().await;
    assert_eq!(result.status(), JobStatus::Ok, "its chunks told everything");
    let Some(Output::Inline(summary)) = result.output else { panic!("a summary") };
    let summary: serde_json::Value = rmp_serde::from_slice(&summary).expect("MessagePack");
    assert_eq!(summary["truncated"], true);
    assert!(summary["text"].as_str().is_some_and(|text| text.len() > 60_000));
}

#[test]
fn an_upload_shows_neither_its_token_nor_its_output() {
    let upload = OutputUpload {
        pair: gen_worker_proto::Pair::parse("r1", 1).expect("a pair"),
        file_base_url: "http://files".into(),
        capability_token: "s3cret".into(),
        tenant: "acme".into(),
        name: "results/r1.msgpack".into(),
        content: SaveContent::Bytes("private".into()),
        mime_type: None,
        create: false,
    };
    let shown = format!("{upload:?}");
    assert!(shown.contains("results/r1.msgpack") && !shown.contains("s3cret") && !shown.contains("private"), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn c30_a_file_above_the_cap_is_refused_before_any_uploader_sees_it() {
    let shelf = Arc::new(Shelf::of(usize::MAX));
    let uploader = shelf.clone();
    let mut fixture = Fixture::with(|options| {
        options.uploader = Some(uploader);
        options.upload_bytes_max = 80_000;
    });
    let mut session = fixture.session().await;
    session.run_job(large("r1", 70_000)).await;
    assert_eq!(session.result().await.status(), JobStatus::Ok);
    session.run_job(large("r2", 90_000)).await;
    let result = session.result().await;
    assert_eq!(result.status(), JobStatus::Invalid, "another attempt would end the same");
    let message = result.safe_message;
    assert!(message.starts_with("output payload too large: 900"), "{message}");
    assert!(message.ends_with("and this worker uploads files of at most 80000 bytes"), "{message}");
    assert_eq!(shelf.uploads.lock().len(), 1);
    // Outputs that travel in the result are no files.
    session.run_job(large("r3", 10_000)).await;
    assert_eq!(session.result().await.status(), JobStatus::Ok);
}

#[tokio::test(start_paused = true)]
async fn w8_7_the_summary_of_a_stream_is_cut_to_what_may_be_uploaded() {
    for (bytes_max, blob) in [(0, true), (1, false)] {
        let uploader = Arc::new(Shelf::of(usize::MAX));
        let mut fixture = Fixture::with(|options| {
            options.uploader = Some(uploader);
            options.upload_bytes_max = bytes_max;
        });
        let mut session = fixture.session().await;
        session.run("r1", 1, "tokens", &count(100)).await;
        let result = session.result().await;
        assert_eq!(result.status(), JobStatus::Ok, "its chunks told everything");
        assert_eq!(matches!(result.output, Some(Output::BlobRef(_))), blob, "{bytes_max}");
    }
}
