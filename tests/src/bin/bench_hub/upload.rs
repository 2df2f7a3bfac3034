//! One large file, by our client through presigned parts, and by a plain PUT to the sink: that of the same client, and that of a
//! bare one. In turns, each time another content.
//!
//! What either side stores stays until the end: the memory of a removed file is free, and a virtual machine may give free memory
//! back, so that who writes next pays several times what is measured here for having it again.

use std::{path::Path, process::Command, sync::Arc, time::Instant};

use anyhow::{Context, Result, ensure};
use futures::stream;
use gen_worker_hub::{
    api::UploadPlace,
    client::{HubClient, UploadTarget},
};
use gen_worker_store::{AddressRule, Destination, Upload, UploadContent, UploadOptions, Uploader};
use gen_worker_tasks::Scope;
use gen_worker_tests::{Figure, HubProcess, Process, percentile};
use tokio::io::AsyncReadExt as _;

/// Bytes of the file.
const BYTES: u64 = 2 << 30;

/// Rounds; odd, so that the median is a measurement.
const ROUNDS: u64 = 3;

/// Bytes of a read of the plain client.
const READ_BYTES: usize = 256 * 1024;

/// What our upload through the hub is measured by.
#[derive(Clone, Copy)]
enum Plain {
    /// Our client, which tells the same of the file afterwards: size, BLAKE3 and SHA-256.
    Ours,
    /// A client that knows nothing of the file.
    Bare,
}

pub(crate) async fn bench() -> Result<()> {
    compare(Plain::Ours).await?.print();
    compare(Plain::Bare).await?.print();
    Ok(())
}

async fn compare(with: Plain) -> Result<Figure> {
    let hub = HubProcess::start(&[])?;
    let dir = tempfile::tempdir()?;
    let mut sink = Process::start("sink", Command::new(std::env::current_exe()?).arg("--sink").arg(dir.path()))?;
    let line = sink.wait_for_line("listening on")?;
    let address = line.rsplit(' ').next().context("an address")?.to_owned();
    let file = dir.path().join("file");
    super::make_file(&file, BYTES)?;
    // The sink is of this machine.
    let options = UploadOptions { outside: AddressRule::Any, ..UploadOptions::default() };
    let (client, uploader) = (hub.client()?, Uploader::new(options, Arc::new(Scope::new("bench")))?);
    let (mut ours, mut plain) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        super::change_file(&file, round)?;
        let url = format!("http://{address}/stored-{round}");
        plain.push(match with {
            Plain::Ours => deliver(&uploader, &url, &file).await?,
            Plain::Bare => put(&url, &file).await?,
        });
        ours.push(upload(&client, &uploader, &file).await?);
    }
    let rate = |seconds: &mut Vec<f64>| BYTES as f64 / percentile(seconds, 50) / 1e9;
    let (ours, plain) = (rate(&mut ours), rate(&mut plain));
    let figure = Figure {
        reference: Some(plain),
        ratio: Some(ours / plain),
        ..Figure::of("hub-upload-2-gib", "throughput, hashed and verified", "GB/s", ours)
    };
    Ok(match with {
        Plain::Ours => Figure {
            reference_name: Some("the same client's plain PUT to a server that only stores".to_owned()),
            bar: Some(">= 0.8x".to_owned()),
            met: Some(ours / plain >= 0.8),
            ..figure
        },
        Plain::Bare => {
            Figure { reference_name: Some("a PUT to the same by a client that hashes nothing".to_owned()), ..figure }
        }
    })
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
