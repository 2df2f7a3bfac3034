//! One large file, by our client through presigned parts, and by a plain PUT to the sink: that of the same client, and that of a
//! bare one. In turns, each time another content.
//!
//! What either side stores stays until the end: the memory of a removed file is free, and a virtual machine may give free memory
//! back, so that who writes next pays several times what is measured here for having it again.

use std::{path::Path, process::Command, sync::Arc, time::Instant};

use anyhow::{Context, Result, ensure};
use futures::stream;
use gen_worker_hub::{
    api::{CommitMode, ProducedFlavor, UploadPlace},
    client::{HubClient, UploadTarget},
    model_ref::RepoName,
    snapshot::SnapshotFile,
};
use gen_worker_store::{
    AddressRule, CommitFile, Destination, Progress, Unheard, Upload, UploadContent, UploadOptions, Uploader,
};
use gen_worker_tasks::Scope;
use gen_worker_tests::{Figure, HubProcess, Process, percentile};
use tokio::io::AsyncReadExt as _;

/// Bytes of the file.
const BYTES: u64 = 2 << 30;

/// Rounds; odd, so that the median is a measurement.
const ROUNDS: u64 = 3;

/// Bytes of a read of the plain client.
const READ_BYTES: usize = 256 * 1024;

/// What goes through the hub.
#[derive(Clone, Copy)]
enum Kind {
    /// A file of a checkpoint, up to the checkpoint.
    Checkpoint,
    /// A file of a job, of which the hub tells SHA-256 besides.
    Media,
}

/// What that is measured by.
#[derive(Clone, Copy)]
enum Plain {
    /// A client that hashes nothing.
    Bare,
    /// Our client, which tells the same of the file afterwards: size, BLAKE3 and SHA-256.
    Ours,
}

pub(crate) async fn bench() -> Result<()> {
    let bar = |figure: Figure| {
        let met = figure.ratio.map(|ratio| ratio >= 0.8);
        Figure { bar: Some(">= 0.8x".to_owned()), met, ..figure }
    };
    bar(compare(Kind::Checkpoint, Plain::Bare).await?).print();
    bar(compare(Kind::Media, Plain::Ours).await?).print();
    compare(Kind::Media, Plain::Bare).await?.print();
    Ok(())
}

async fn compare(kind: Kind, with: Plain) -> Result<Figure> {
    let hub = HubProcess::start(&[])?;
    let dir = tempfile::tempdir()?;
    let mut sink = Process::start("sink", Command::new(std::env::current_exe()?).arg("--sink").arg(dir.path()))?;
    let line = sink.wait_for_line("listening on")?;
    let address = line.rsplit(' ').next().context("an address")?.to_owned();
    let file = dir.path().join("file");
    super::make_file(&file, BYTES)?;
    // The sink is of this machine.
    let options = UploadOptions { outside: AddressRule::Any, ..UploadOptions::default() };
    let scope = Arc::new(Scope::new("bench"));
    let (client, uploader) = (hub.client()?, Uploader::new(options, Arc::clone(&scope))?);
    let (mut ours, mut plain) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        super::change_file(&file, round)?;
        let url = format!("http://{address}/stored-{round}");
        plain.push(match with {
            Plain::Bare => put(&url, &file).await?,
            Plain::Ours => deliver(&uploader, &url, &file).await?,
        });
        ours.push(match kind {
            Kind::Checkpoint => commit(&client, &uploader, &scope, &file).await?,
            Kind::Media => upload(&client, &uploader, &file).await?,
        });
    }
    let rate = |seconds: &mut Vec<f64>| BYTES as f64 / percentile(seconds, 50) / 1e9;
    let (ours, plain) = (rate(&mut ours), rate(&mut plain));
    let metric = match kind {
        Kind::Checkpoint => "a checkpoint's file, hashed and verified",
        Kind::Media => "a job's file, hashed and verified, with SHA-256",
    };
    let reference = match with {
        Plain::Bare => "a plain PUT to a server that only stores, nothing hashed",
        Plain::Ours => "the same client's plain PUT to that server, with the same hashes",
    };
    Ok(Figure {
        reference: Some(plain),
        reference_name: Some(reference.to_owned()),
        ratio: Some(ours / plain),
        ..Figure::of("hub-upload-2-gib", metric, "GB/s", ours)
    })
}

/// From the file to the checkpoint.
async fn commit(client: &HubClient, uploader: &Uploader, scope: &Scope, file: &Path) -> Result<f64> {
    let begun = Instant::now();
    let (place, repo): (_, RepoName) = (file.to_owned(), "bench/file".parse()?);
    let content = scope.spawn_blocking(move || CommitFile::read(place)).await??;
    let (size_bytes, blake3) = (content.size_bytes(), content.blake3());
    let files = vec![SnapshotFile { path: "file".parse()?, size_bytes, blake3 }];
    let commit = ProducedFlavor { files, ..ProducedFlavor::default() }.commit(CommitMode::default());
    let created = client.create_commit(&repo, &commit).await?;
    ensure!(created.uploads.len() == 1, "the hub has the file already");
    let sender = uploader.commit();
    for lacked in &created.uploads {
        let request = sender.send(&content, &lacked.source, &(Arc::new(Unheard) as Arc<dyn Progress>)).await?;
        client.complete_commit_upload(&repo, &created.revision_id, &lacked.upload_id, &request).await?;
    }
    client.finalize_commit(&repo, &created.revision_id).await?;
    Ok(begun.elapsed().as_secs_f64())
}

/// From the file to the server's word that it has it, hashing included.
async fn deliver(uploader: &Uploader, url: &str, file: &Path) -> Result<f64> {
    let begun = Instant::now();
    let to = Destination::Put { url: url.parse()?, headers: Vec::new() };
    let done = uploader.deliver(&to, UploadContent::File(file.to_owned())).await?;
    ensure!(done.size_bytes == BYTES, "{} bytes arrived", done.size_bytes);
    Ok(begun.elapsed().as_secs_f64())
}

/// From the file to the hub's word that it has it, hashing included.
async fn upload(client: &HubClient, uploader: &Uploader, file: &Path) -> Result<f64> {
    let begun = Instant::now();
    let target = UploadTarget::Media { owner: "bench".to_owned() };
    let upload = Upload::new(target, UploadPlace::media("file")?, UploadContent::File(file.to_owned()));
    let done = uploader.upload(client, upload).await?;
    ensure!(done.size_bytes == BYTES, "{} bytes arrived", done.size_bytes);
    Ok(begun.elapsed().as_secs_f64())
}

async fn put(url: &str, file: &Path) -> Result<f64> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let begun = Instant::now();
    let body = stream::try_unfold(tokio::fs::File::open(file).await?, |mut file| async move {
        let mut piece = bytes::BytesMut::with_capacity(READ_BYTES);
        let read = file.read_buf(&mut piece).await?;
        Ok::<_, std::io::Error>((read > 0).then(|| (piece.freeze(), file)))
    });
    let request = client.put(url).header("content-length", BYTES).body(reqwest::Body::wrap_stream(body));
    request.send().await?.error_for_status()?;
    Ok(begun.elapsed().as_secs_f64())
}
