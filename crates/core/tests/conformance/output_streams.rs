//! Files that handlers write piece by piece, in the worker and in a process of their own. The clock runs: disks cannot be
//! paused.

use std::{path::PathBuf, sync::Arc};

use gen_worker_core::{
    Asset, Registry, RegistryBuilder, RequestContext, Result, SlotOptions, WorkerError,
    context::{OutputStream, StreamOptions},
    endpoint::Isolation,
    saves::SaveContent,
    slot::InMemorySlots,
};
use gen_worker_proto::pb::{self, JobStatus, job_result::Output, worker_message::Msg};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    fixture::Fixture,
    functions::{Probe, Text, text},
    orchestrator::Session,
    uploads::Shelf,
};

async fn opened(context: &RequestContext) -> Result<OutputStream> {
    context.open_output_stream("made/file.txt", StreamOptions::default()).await
}

/// Writes the words of its input, one after the other, and saves them twice.
async fn write(context: RequestContext, input: Text) -> Result<Asset> {
    let mut stream = opened(&context).await?;
    for word in input.text.split(' ') {
        stream.write(word).await?;
    }
    stream.flush().await?;
    let (first, again) = (stream.finalize().await?, stream.finalize().await?);
    if first != again || stream.write("more").await.is_ok() {
        return Err(WorkerError::fatal("Unsound", "it is final"));
    }
    Ok(first)
}

/// Gives its stream up in the way its input says.
async fn give_up(context: RequestContext, input: Text) -> Result<Text> {
    let mut stream = opened(&context).await?;
    stream.write("some words").await?;
    match input.text.as_str() {
        "drop" => drop(stream),
        "close" => {
            stream.close();
            stream.finalize().await?;
        }
        "wait" => {
            context.cancelled().await;
            let refused = stream.write("more").await.err().or(stream.finalize().await.err());
            return Err(refused.unwrap_or_else(|| WorkerError::fatal("Unsound", "it was cancelled")));
        }
        _ => drop(context.open_output_stream("a", StreamOptions { expected_bytes: Some(u64::MAX), ..opts() }).await?),
    }
    Ok(input)
}

fn opts() -> StreamOptions {
    StreamOptions { create: true, ..StreamOptions::default() }
}

fn functions() -> RegistryBuilder {
    Registry::builder()
        .asynchronous("write", write)
        .asynchronous("slot_write", write)
        .isolation(Isolation::Process)
        .blocking("write_blocking", |context: RequestContext, input: Text| {
            let runtime = tokio::runtime::Handle::current();
            let mut stream = runtime.block_on(context.open_output_stream("made/file.txt", opts()))?;
            input.text.split(' ').try_for_each(|word| stream.write_blocking(word))?;
            stream.finalize_blocking()
        })
        .asynchronous("give_up", give_up)
        .asynchronous("slot_give_up", give_up)
        .isolation(Isolation::Process)
        .asynchronous("keep_place", |context: RequestContext, _: Text| async move {
            let (place, same) = (context.scratch()?, context.scratch()?);
            assert_eq!(place, same);
            Ok(Text { text: place.display().to_string() })
        })
}

struct Stage {
    session: Session,
    shelf: Arc<Shelf>,
    dir: TempDir,
    _fixture: Fixture,
}

impl Stage {
    async fn start() -> Self {
        let (dir, shelf) = (tempfile::tempdir().expect("a directory"), Arc::new(Shelf::of(usize::MAX)));
        let slots = SlotOptions::new(Arc::new(InMemorySlots::new(|| functions().build().expect("sound"))));
        let (uploader, place) = (shelf.clone(), dir.path().join("jobs"));
        let mut fixture = Fixture::serving(functions(), Probe::default(), |options| {
            options.uploader = Some(uploader);
            options.slots = Some(slots);
            options.scratch = Some(place);
        });
        Self { session: fixture.session().await, shelf, dir, _fixture: fixture }
    }

    /// The result of a job, and what it told on its way.
    async fn run(&mut self, id: &str, function: &str, words: &str) -> (pb::JobResult, Vec<Value>) {
        self.session.run(id, 1, function, &text(words)).await;
        let mut told = Vec::new();
        loop {
            match self.session.next().await {
                Msg::JobProgress(frame) => {
                    let event: Value = serde_json::from_slice(&frame.data).expect("an event");
                    assert_eq!(event["type"], "request.upload_progress");
                    told.push(event["payload"].clone());
                }
                Msg::JobResult(result) => return (result, told),
                _ => {}
            }
        }
    }

    async fn is_clean(&self) {
        let below = |dir: PathBuf| -> Vec<PathBuf> {
            std::fs::read_dir(dir).map(|all| all.flatten().map(|entry| entry.path()).collect()).unwrap_or_default()
        };
        while below(self.dir.path().join("jobs")).into_iter().any(|process| !below(process).is_empty()) {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn e95_what_is_written_piece_by_piece_is_saved_as_a_whole_and_told() {
    let mut stage = Stage::start().await;
    for function in ["write", "slot-write", "write-blocking"] {
        let (result, told) = stage.run(function, function, "some words more").await;
        assert_eq!(result.status(), JobStatus::Ok, "{function}: {}", result.safe_message);
        let Some(Output::Inline(output)) = result.output else { panic!("an output") };
        let asset: Asset = rmp_serde::from_slice(&output).expect("an asset");
        assert_eq!(asset.reference, "stored/made/file.txt");
        assert_eq!((asset.size_bytes, asset.stream_mode.as_deref()), (Some(13), Some("presigned")), "{function}");
        let upload = stage.shelf.uploads.lock().pop().expect("one upload");
        assert!(matches!(upload.content, SaveContent::File(_)) && stage.shelf.uploads.lock().is_empty(), "{function}");
        assert_eq!(upload.create, function == "write-blocking");
        let stages: Vec<_> = told.iter().map(|event| event["stage"].as_str().expect("a stage")).collect();
        assert!(stages.ends_with(&["stream_upload", "stream_finalized"]), "{function}: {stages:?}");
        let last = told.last().expect("an event");
        let counts = ["bytes_written", "bytes_uploaded", "chunks_written", "chunks_uploaded"].map(|name| &last[name]);
        assert_eq!(counts, [13, 13, 3, 3], "{function}");
        assert_eq!((&last["ref"], &last["stream_mode"]), (&"made/file.txt".into(), &"presigned".into()));
        assert_eq!(told[told.len() - 2]["bytes_uploaded"], 0, "{function}");
        stage.is_clean().await;
    }
}

#[tokio::test]
async fn e95_what_is_not_finalized_is_saved_nowhere() {
    let mut stage = Stage::start().await;
    for function in ["give-up", "slot-give-up"] {
        let (result, _) = stage.run(&format!("{function}-drop"), function, "drop").await;
        assert_eq!(result.status(), JobStatus::Ok, "{function}: {}", result.safe_message);
        let (result, told) = stage.run(&format!("{function}-close"), function, "close").await;
        assert_eq!((result.status(), result.safe_message.contains("StreamOver")), (JobStatus::Fatal, true));
        assert_eq!(told.last().expect("an event")["stage"], "stream_aborted");
        let (result, _) = stage.run(&format!("{function}-large"), function, "large").await;
        assert_eq!(result.status(), JobStatus::Invalid, "{}", result.safe_message);
        stage.is_clean().await;
    }
    assert!(stage.shelf.uploads.lock().is_empty());
}

#[tokio::test]
async fn e95_an_empty_file_and_a_refused_one_are_not_saved() {
    let mut stage = Stage::start().await;
    let (result, told) = stage.run("r1", "write", "").await;
    assert_eq!(result.status(), JobStatus::Invalid, "{}", result.safe_message);
    let last = told.last().expect("an event");
    assert_eq!((&last["stage"], &last["error_class"]), (&"stream_aborted".into(), &"ValidationError".into()));
    stage.is_clean().await;
}

#[tokio::test]
async fn e100_a_request_has_a_directory_that_goes_with_it() {
    let mut stage = Stage::start().await;
    let (result, _) = stage.run("r1", "keep-place", "").await;
    let Some(Output::Inline(output)) = result.output else { panic!("{}", result.safe_message) };
    let place: Text = rmp_serde::from_slice(&output).expect("a text");
    assert!(PathBuf::from(&place.text).starts_with(stage.dir.path()), "{}", place.text);
    stage.is_clean().await;
}
