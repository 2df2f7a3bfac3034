//! Files that handlers save: in the worker and in a process of their own.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use gen_worker_core::{
    Asset, Media, OutputDestination, Registry, RegistryBuilder, RequestContext, SlotOptions, UploadFailure,
    endpoint::Isolation, io_type::Payload, saves::SaveContent, slot::InMemorySlots,
};
use gen_worker_proto::pb::{self, JobStatus, job_result::Output, scheduler_message::Msg as Outbound};
use gen_worker_store::Destination;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Semaphore;

use crate::{
    fixture::Fixture,
    functions::{Count, Probe, Text, count, text},
    orchestrator::Session,
    uploads::Shelf,
};

/// Bytes of a picture, as far as anybody looks.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n....";

#[derive(Deserialize, JsonSchema)]
struct Deliver {
    output_upload: OutputDestination,
    text: String,
}

impl Payload for Deliver {}

fn functions() -> RegistryBuilder {
    let deliver = |context: RequestContext, input: Deliver| async move {
        context.save_bytes_to(&input.output_upload, input.text).await
    };
    let save = |context: RequestContext, input: Text| async move { context.save_bytes(&input.text, PNG).await };
    let save_file =
        |context: RequestContext, input: Text| async move { context.save_file("a/b.txt", input.text).await };
    let save_many = |context: RequestContext, input: Count| async move {
        let bytes = vec![7; usize::try_from(input.count).expect("small")];
        context.save_bytes("many.bin", bytes).await
    };
    let unnamed = |context: RequestContext, _: Text| async move {
        context.save_media(Media::Image, "png", None, PNG).await?;
        context.save_media(Media::Image, "png", None, PNG).await
    };
    Registry::builder()
        .asynchronous("save", save)
        .asynchronous("save_file", save_file)
        .asynchronous("save_many", save_many)
        .asynchronous("unnamed", unnamed)
        .blocking("save_blocking", |context: RequestContext, input: Text| context.save_bytes_blocking(&input.text, PNG))
        .asynchronous("deliver", deliver)
        .asynchronous("slot_deliver", deliver)
        .isolation(Isolation::Process)
        .asynchronous("slot_save", save)
        .isolation(Isolation::Process)
        .asynchronous("slot_save_file", save_file)
        .isolation(Isolation::Process)
        .asynchronous("slot_save_many", save_many)
        .isolation(Isolation::Process)
        .blocking("slot_save_blocking", |context: RequestContext, input: Text| {
            context.save_bytes_blocking(&input.text, PNG)
        })
        .isolation(Isolation::Process)
}

fn fixture(shelf: &Arc<Shelf>) -> Fixture {
    let uploader = shelf.clone();
    let slots = SlotOptions::new(Arc::new(InMemorySlots::new(|| functions().build().expect("sound"))));
    Fixture::serving(functions(), Probe::default(), |options| {
        options.uploader = Some(uploader);
        options.slots = Some(slots);
    })
}

fn job(id: &str, function: &str, payload: Vec<u8>) -> pb::RunJob {
    pb::RunJob {
        request_id: id.into(),
        attempt: 1,
        function_name: function.into(),
        input_payload: payload.into(),
        tenant: "acme".into(),
        capability_token: "secret".into(),
        ..Default::default()
    }
}

/// A token that says these limits of itself.
fn token(claims: &str) -> String {
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    format!("{}.{}.{}", part("{}"), part(claims), part("signature"))
}

async fn asset(session: &mut Session) -> Asset {
    let result = session.result().await;
    assert_eq!(result.status(), JobStatus::Ok, "{}", result.safe_message);
    let Some(Output::Inline(output)) = result.output else { panic!("an output") };
    rmp_serde::from_slice(&output).expect("an asset")
}

#[tokio::test(start_paused = true)]
async fn e90_saved_bytes_go_to_the_file_api_in_the_name_of_the_job() {
    let shelf = Arc::new(Shelf::of(usize::MAX));
    let mut fixture = fixture(&shelf);
    let mut session = fixture.session().await;
    for (at, function) in ["save", "save-blocking", "slot-save", "slot-save-blocking"].into_iter().enumerate() {
        session.run_job(job(&format!("r{at}"), function, text(" /pictures/a "))).await;
        let asset = asset(&mut session).await;
        assert_eq!(
            (asset.reference.as_str(), asset.owner.as_deref()),
            ("stored/pictures/a", Some("acme")),
            "{function}"
        );
        assert_eq!((asset.size_bytes, asset.mime_type.as_deref()), (Some(PNG.len() as u64), Some("image/png")));
        assert_eq!((asset.inline_bytes, asset.local_path, asset.download_token), (None, None, None));
        let upload = shelf.uploads.lock().pop().expect("an upload");
        assert_eq!((upload.name.as_str(), upload.file_base_url.as_str()), ("pictures/a", "http://files"));
        assert_eq!((upload.tenant.as_str(), upload.capability_token.as_str()), ("acme", "secret"));
        assert!(matches!(upload.content, SaveContent::Bytes(bytes) if *bytes == *PNG));
    }
}

#[tokio::test(start_paused = true)]
async fn e90_saved_files_are_read_where_they_are() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("file");
    std::fs::write(&path, "words").expect("a file");
    let (there, gone) = (path.to_str().expect("a path"), directory.path().join("gone"));
    let shelf = Arc::new(Shelf::of(usize::MAX));
    let mut fixture = fixture(&shelf);
    let mut session = fixture.session().await;
    for function in ["save-file", "slot-save-file"] {
        session.run_job(job(&format!("there-{function}"), function, text(there))).await;
        assert_eq!(asset(&mut session).await.mime_type.as_deref(), Some("text/plain"), "{function}");
        for (at, missing) in
            [gone.to_str().expect("a path"), directory.path().to_str().expect("a path")].iter().enumerate()
        {
            session.run_job(job(&format!("gone-{function}-{at}"), function, text(missing))).await;
            assert_eq!(session.result().await.status(), JobStatus::Fatal, "{function}");
        }
    }
    assert_eq!(shelf.uploads.lock().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn e90_bytes_of_any_size_leave_a_slot() {
    let shelf = Arc::new(Shelf::of(usize::MAX));
    let mut fixture = fixture(&shelf);
    let mut session = fixture.session().await;
    for bytes in [1, 4 << 20, (9 << 20) + 1] {
        session.run_job(job(&format!("r{bytes}"), "slot-save-many", count(bytes))).await;
        assert_eq!(asset(&mut session).await.size_bytes, Some(bytes));
    }
    session.run_job(job("empty", "slot-save-many", count(0))).await;
    assert_eq!(session.result().await.status(), JobStatus::Invalid);
}

#[tokio::test(start_paused = true)]
async fn e90_refs_that_are_none_end_before_any_upload() {
    let shelf = Arc::new(Shelf::of(usize::MAX));
    let mut fixture = fixture(&shelf);
    let mut session = fixture.session().await;
    for function in ["save", "slot-save"] {
        for (at, reference) in [" ", "../a", "https://a/b"].into_iter().enumerate() {
            session.run_job(job(&format!("{function}-{at}"), function, text(reference))).await;
            assert_eq!(session.result().await.status(), JobStatus::Invalid, "{function} {reference}");
        }
    }
    assert!(shelf.uploads.lock().is_empty());
}

#[tokio::test(start_paused = true)]
async fn h9_11_e91_unnamed_media_do_not_replace_each_other() {
    let shelf = Arc::new(Shelf::of(usize::MAX));
    let mut fixture = fixture(&shelf);
    let mut session = fixture.session().await;
    session.run_job(job("r1", "unnamed", text(""))).await;
    assert_eq!(asset(&mut session).await.reference, "stored/outputs/r1/image-2.png");
    let names: Vec<_> = shelf.uploads.lock().iter().map(|upload| upload.name.clone()).collect();
    assert_eq!(names, ["outputs/r1/image.png", "outputs/r1/image-2.png"]);
}

#[tokio::test(start_paused = true)]
async fn h9_10_inline_mode_keeps_small_files_in_the_asset_and_never_the_envelope() {
    let shelf = Arc::new(Shelf::of(usize::MAX));
    let mut fixture = fixture(&shelf);
    let mut session = fixture.session().await;
    let inline = |id: &str, function: &str, bytes: u64| pb::RunJob {
        output_mode: pb::OutputMode::Inline.into(),
        ..job(id, function, count(bytes))
    };
    for (id, function) in [("a", "save-many"), ("b", "slot-save-many")] {
        session.run_job(inline(id, function, 1000)).await;
        let asset = asset(&mut session).await;
        assert_eq!((asset.inline_bytes.map(|bytes| bytes.len()), asset.size_bytes), (Some(1000), Some(1000)));
        assert!(asset.sha256.is_some() && asset.blake3.is_none());
        assert!(shelf.uploads.lock().is_empty());
    }
    session.run_job(inline("c", "save-many", 100_000)).await;
    let result = session.result().await;
    assert_eq!(result.output, Some(Output::BlobRef("stored/results/c.msgpack".into())));
    assert_eq!(shelf.uploads.lock().drain(..).count(), 1, "the envelope");
    session.run_job(inline("d", "save-many", (4 << 20) + 1)).await;
    assert_eq!(asset(&mut session).await.inline_bytes, None);
}

#[tokio::test(start_paused = true)]
async fn h9_1_files_keep_to_the_limits_of_the_token_and_bytes_do_not() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("file");
    std::fs::write(&path, "0123456789").expect("a file");
    let path = path.to_str().expect("a path");
    let shelf = Arc::new(Shelf::of(usize::MAX));
    let mut fixture = fixture(&shelf);
    let mut session = fixture.session().await;
    let cases = [
        (r#"{"max_bytes_per_file": 9}"#, JobStatus::Invalid),
        (r#"{"max_total_bytes": 9}"#, JobStatus::Invalid),
        (r#"{"max_bytes_per_file": 10, "max_total_bytes": 10}"#, JobStatus::Ok),
        (r#"{"max_bytes_per_file": 0, "max_total_bytes": -1}"#, JobStatus::Ok),
    ];
    for (at, (claims, status)) in cases.into_iter().enumerate() {
        for function in ["save-file", "slot-save-file"] {
            let run = job(&format!("{function}-{at}"), function, text(path));
            session.run_job(pb::RunJob { capability_token: token(claims), ..run }).await;
            assert_eq!(session.result().await.status(), status, "{claims}");
        }
    }
    let run = pb::RunJob { capability_token: token(r#"{"max_bytes_per_file": 1}"#), ..job("b", "save", text("a")) };
    session.run_job(run).await;
    assert_eq!(session.result().await.status(), JobStatus::Ok);
}

#[tokio::test(start_paused = true)]
async fn e90_a_failed_save_says_whether_another_attempt_may_succeed() {
    for (refusal, status) in [
        (UploadFailure::Auth, JobStatus::Fatal),
        (UploadFailure::Unsupported, JobStatus::Fatal),
        (UploadFailure::Retryable, JobStatus::Retryable),
        (UploadFailure::Terminal, JobStatus::Fatal),
    ] {
        let shelf = Arc::new(Shelf { refusal: Some(refusal), ..Shelf::of(usize::MAX) });
        let mut fixture = fixture(&shelf);
        let mut session = fixture.session().await;
        for function in ["save", "slot-save"] {
            session.run_job(job(function, function, text("a"))).await;
            let result = session.result().await;
            assert_eq!(result.status(), status, "{refusal:?}");
            assert!(!result.safe_message.contains("shelf"), "{}", result.safe_message);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn c20_a_job_in_its_upload_window_lets_the_other_run_and_a_cancel_there_leaks_no_slot() {
    let gate = Arc::new(Semaphore::new(0));
    let shelf = Arc::new(Shelf { gate: Some(gate.clone()), ..Shelf::of(usize::MAX) });
    let mut fixture = fixture(&shelf);
    let mut session = fixture.session().await;
    let cuda = |id: &str, function: &str| pb::RunJob {
        compute: Some(pb::ResolvedCompute { accelerator: "cuda".into(), ..Default::default() }),
        ..job(id, function, text("a"))
    };
    for (round, function) in ["save", "save-blocking", "slot-save"].into_iter().enumerate() {
        let before = shelf.uploads.lock().len();
        let (a, b) = (format!("a{round}"), format!("b{round}"));
        session.run_job(cuda(&a, function)).await;
        session.accepted().await;
        shelf.arrivals(before + 1).await;
        session.run_job(cuda(&b, "save")).await;
        session.accepted().await;
        shelf.arrivals(before + 2).await;
        session.send(Outbound::CancelJob(pb::CancelJob { request_id: a.clone(), attempt: 1 })).await;
        let result = session.result().await;
        assert_eq!((result.request_id.as_str(), result.status()), (a.as_str(), JobStatus::Canceled), "{function}");
        gate.add_permits(2);
        let result = session.result().await;
        assert_eq!((result.request_id.as_str(), result.status()), (b.as_str(), JobStatus::Ok), "{function}");
        gate.try_acquire_many(u32::try_from(gate.available_permits()).expect("few")).expect("free").forget();
        // Both permits are free again: one job after the other gets them.
        let c = format!("c{round}");
        gate.add_permits(1);
        session.run_job(cuda(&c, "save")).await;
        assert_eq!(session.result().await.status(), JobStatus::Ok, "{function}");
    }
}

#[tokio::test(start_paused = true)]
async fn h11_6_an_output_goes_where_its_input_wants_it() {
    let shelf = Arc::new(Shelf::of(usize::MAX));
    let mut fixture = fixture(&shelf);
    let mut session = fixture.session().await;
    let put = json!({
        "put_url": "https://files.example/a.png?signature=hush", "headers": {"content-type": "image/png"},
        "public_url": "https://cdn.example/a.png",
    });
    let s3 = json!({"s3": {
        "bucket": "b", "key": "dir/a.txt", "region": "eu", "access_key_id": "id", "secret_access_key": "hush",
    }});
    for function in ["deliver", "slot-deliver"] {
        for (place, reference, kind) in
            [(&put, "https://cdn.example/a.png", "image/png"), (&s3, "s3://b/dir/a.txt", "text/plain")]
        {
            let payload = rmp_serde::to_vec_named(&json!({"output_upload": place, "text": "words"})).expect("encodes");
            session.run_job(job(&format!("{function}-{kind}"), function, payload)).await;
            let asset = asset(&mut session).await;
            assert_eq!((asset.reference.as_str(), asset.mime_type.as_deref()), (reference, Some(kind)), "{function}");
            assert_eq!((asset.size_bytes, asset.sha256.as_deref()), (Some(5), Some("of the shelf")));
            let (destination, bytes) = shelf.deliveries.lock().pop().expect("a delivery");
            assert_eq!(bytes, b"words");
            match destination {
                Destination::Put { headers, .. } => assert_eq!(headers, [("content-type".into(), "image/png".into())]),
                Destination::Bucket(grant) => {
                    assert_eq!(grant.endpoint_url.reveal(), "https://s3.eu.amazonaws.com");
                    assert_eq!((grant.key.as_str(), grant.region.as_str()), ("dir/a.txt", "eu"));
                }
            }
        }
    }
    assert!(shelf.uploads.lock().is_empty(), "the hub has nothing of it");
    let nowhere = json!({"put_url": "no address", "public_url": "a"});
    let payload = rmp_serde::to_vec_named(&json!({"output_upload": nowhere, "text": "words"})).expect("encodes");
    session.run_job(job("nowhere", "deliver", payload)).await;
    let result = session.result().await;
    assert_eq!(result.status(), JobStatus::Invalid, "{}", result.safe_message);
}
