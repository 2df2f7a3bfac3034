//! Files to buckets that others own, on an S3 server that others wrote: by the grant of a hub, and by credentials of a client.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use axum::{Json, Router, routing::post};
use gen_worker_hub::{
    Blake3Hash,
    api::{TransferGrant, UploadPlace},
    client::{HubClient, HubClientOptions, UploadTarget},
};
use gen_worker_store::{AddressRule, Destination, GrantOptions, Upload, UploadContent, UploadOptions, Uploader};
use gen_worker_tasks::Scope;
use gen_worker_tests::Moto;
use object_store::{ObjectStoreExt as _, path::Path};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// The smallest part that a bucket takes which is not the last one.
const PART_BYTES: u64 = 5 << 20;

/// One file that goes in one piece, and one of three parts.
const SIZES: [usize; 2] = [1024, (12 << 20) + 1];

fn content(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at % 251) as u8).collect()
}

fn uploader() -> Result<Uploader> {
    let grant = GrantOptions { part_bytes: PART_BYTES, ..GrantOptions::default() };
    let options = UploadOptions { grant, outside: AddressRule::Any, ..UploadOptions::default() };
    Ok(Uploader::new(options, Arc::new(Scope::new("uploads")))?)
}

/// Credentials for one object of the bucket.
fn grant(moto: &Moto, key: &str) -> Value {
    json!({
        "endpoint_url": moto.url, "bucket": "hub", "key": key, "access_key_id": "testing",
        "secret_access_key": "testing", "session_token": "of-a-session", "region": "us-east-1",
    })
}

/// What is in the bucket is `expected`, and came in so many parts; none for one that came as one.
async fn assert_arrived(moto: &Moto, key: &str, expected: &[u8], parts: Option<usize>) -> Result<()> {
    let arrived = moto.bucket()?.get(&Path::from(key)).await?;
    let tag = arrived.meta.e_tag.clone().context("a tag")?;
    let told = tag.trim_matches('"').split_once('-').map(|(_, parts)| parts.parse()).transpose()?;
    ensure!(told == parts, "{tag}");
    ensure!(arrived.bytes().await? == expected, "other bytes arrived as {key}");
    Ok(())
}

/// How many parts a file of so many bytes has.
fn parts(bytes: usize) -> Option<usize> {
    (bytes as u64 >= PART_BYTES).then(|| bytes.div_ceil(PART_BYTES as usize))
}

#[tokio::test]
async fn h11_6_files_reach_a_bucket_by_the_credentials_of_a_client() -> Result<()> {
    let (moto, uploader) = (Moto::start()?, uploader()?);
    for size in SIZES {
        let (key, content) = (format!("results/a file of {size}"), content(size));
        let credentials: TransferGrant = serde_json::from_value(grant(&moto, &key))?;
        let destination = Destination::Bucket(Box::new(credentials));
        let delivered = uploader.deliver(&destination, UploadContent::Bytes(content.clone().into())).await?;
        ensure!((delivered.size_bytes, delivered.blake3) == (size as u64, Blake3Hash::of(&content)), "{delivered:?}");
        assert_arrived(&moto, &key, &content, parts(size)).await?;
    }
    Ok(())
}

/// A hub whose files all go to one object, and what it is told of them.
async fn granting(grant: Value, scope: &Scope) -> Result<(HubClient, tokio::sync::mpsc::Receiver<Value>)> {
    let (told, hears) = tokio::sync::mpsc::channel(1);
    let complete = move |Json(body): Json<Value>| async move {
        drop(told.send(body).await);
        Json(json!({"created": true}))
    };
    let created = json!({"upload_id": "u1", "transfer_grant": grant});
    let uploads = "/api/v1/repos/acme/model/revisions/s1/uploads";
    let router = Router::new()
        .route(uploads, post(|| async move { Json(created) }))
        .route(&format!("{uploads}/u1/complete"), post(complete));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let base_url = format!("http://{}", listener.local_addr()?);
    scope.spawn("hub", async move { drop(axum::serve(listener, router).await) });
    let token = Some("a-token".parse()?);
    Ok((HubClient::new(HubClientOptions { base_url, token, ..HubClientOptions::default() })?, hears))
}

#[tokio::test]
async fn h4_25_files_reach_a_bucket_by_the_grant_of_a_hub() -> Result<()> {
    let (moto, uploader, scope) = (Moto::start()?, uploader()?, Scope::new("hub"));
    let directory = tempfile::tempdir()?;
    for size in SIZES {
        let (key, content) = (format!("cas/a file of {size}"), content(size));
        let (client, mut hears) = granting(grant(&moto, &key), &scope).await?;
        let path = directory.path().join("file");
        std::fs::write(&path, &content)?;
        let target = UploadTarget::Revision { repo: "acme/model".parse()?, session: "s1".parse()? };
        let upload = Upload::new(target, UploadPlace::Path("a.bin".parse()?), UploadContent::File(path));
        let file = uploader.upload(&client, upload).await?;
        ensure!((file.size_bytes, file.blake3) == (size as u64, Blake3Hash::of(&content)), "{file:?}");
        let told = hears.recv().await.context("what the hub is told")?;
        let transfer = &told["transfer"];
        ensure!(transfer["key"] == key.as_str() && transfer["size_bytes"] == size, "{told}");
        ensure!(transfer["blake3"] == Blake3Hash::of(&content).to_string(), "{told}");
        assert_arrived(&moto, &key, &content, parts(size)).await?;
    }
    Ok(())
}
