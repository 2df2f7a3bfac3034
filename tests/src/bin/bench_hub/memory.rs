//! The hub's memory while many send large files at once.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use gen_worker_hub::{
    Blake3Hash,
    api::{CompleteRequest, LocalFile, PartEtag, PartRange, UploadCreate, UploadPlace, UploadSource, UploadStart},
    client::{HubClient, UploadTarget},
};
use gen_worker_tests::{Figure, HubProcess, resident_mb, resident_peak_mb};

/// Senders.
const SENDERS: usize = 32;

/// Bytes of each file: of zeros, all the same. Each sender brings them nevertheless, for nobody has them yet.
const BYTES: u64 = 1 << 30;

/// Bytes that are sent at once.
const PIECE_BYTES: usize = 256 * 1024;

pub(crate) async fn bench() -> Result<()> {
    let hub = HubProcess::start(&[])?;
    let id = hub.process.id();
    let idle = resident_mb(id)?;
    let content = Arc::new(zeros()?);
    let (client, http) = (hub.client()?, reqwest::Client::builder().no_proxy().build()?);
    // All are open before the first is complete: none finds its content there.
    let mut opened = Vec::new();
    for sender in 0..SENDERS {
        opened.push(open(&client, sender, &content).await?);
    }
    let all = opened.into_iter().map(|upload| send(&client, &http, upload, &content));
    let done: Vec<()> = stream::iter(all).buffer_unordered(SENDERS).try_collect().await?;
    ensure!(done.len() == SENDERS, "{} arrived", done.len());
    let figure = |metric: &str, value| Figure::of("hub-memory", metric, "MB", value);
    figure("resident memory, idle", idle).print();
    figure("resident memory, peak with 32 uploads of 1 GiB at once", resident_peak_mb(id)?).at_most(64.0).print();
    Ok(())
}

/// What an upload announces.
fn zeros() -> Result<LocalFile> {
    let piece = vec![0; 1 << 20];
    let mut hasher = blake3::Hasher::new();
    for _ in 0..BYTES >> 20 {
        hasher.update(&piece);
    }
    let blake3 = Blake3Hash::from_bytes(*hasher.finalize().as_bytes());
    let mime_type = "application/octet-stream".to_owned();
    Ok(LocalFile { reference: "zeros".to_owned(), size_bytes: BYTES, blake3, mime_type })
}

fn target() -> UploadTarget {
    UploadTarget::Media { owner: "bench".to_owned() }
}

async fn open(client: &HubClient, sender: usize, content: &LocalFile) -> Result<UploadStart> {
    let create = UploadCreate {
        blake3: content.blake3,
        size_bytes: BYTES,
        request_id: None,
        job_id: None,
        content_type: None,
        create: false,
        place: UploadPlace::media(&format!("zeros-{sender}"))?,
    };
    Ok(client.create_upload(&target(), &create, content).await?)
}

/// Sends all parts, one after the other, and completes.
async fn send(client: &HubClient, http: &reqwest::Client, upload: UploadStart, content: &LocalFile) -> Result<()> {
    let UploadStart::Transfer { upload_id, source: UploadSource::Parts(urls) } = upload else {
        anyhow::bail!("parts are expected")
    };
    let mut etags = Vec::new();
    for (range, url) in urls.parts() {
        let reply = http.put(url.reveal()).header("content-length", range.length).body(body(range)).send().await?;
        let reply = reply.error_for_status()?;
        let etag = reply.headers().get("etag").context("an etag")?.to_str()?.to_owned();
        etags.push(PartEtag { part_number: range.number, etag });
    }
    let request = CompleteRequest::of_parts(etags);
    client.complete_upload(&target(), &upload_id, &request, content).await?;
    Ok(())
}

fn body(range: PartRange) -> reqwest::Body {
    let piece = Bytes::from_static(&[0; PIECE_BYTES]);
    let pieces = stream::unfold(range.length, move |rest| {
        let now = piece.slice(..piece.len().min(usize::try_from(rest).unwrap_or(usize::MAX)));
        let rest = rest - now.len() as u64;
        std::future::ready((!now.is_empty()).then_some((Ok::<_, std::io::Error>(now), rest)))
    });
    reqwest::Body::wrap_stream(pieces)
}
