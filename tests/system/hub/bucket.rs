//! The hub with its bytes in a bucket of an S3 server that others wrote.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use gen_worker_hubd::Visibility;
use gen_worker_store::{InputError, InputFetcher, InputOptions, InputRequest, MimeList, PictureLimits};
use gen_worker_tasks::Scope;
use gen_worker_tests::{Moto, OwnHub};
use object_store::{ObjectStoreExt as _, path::Path};
use serde_json::{Value, json};

use super::{COMMITS, PEERS, content, hash, told, write};

#[test]
fn h4_30_a_commit_lies_in_a_bucket_and_comes_back() -> Result<()> {
    let moto = Moto::start()?;
    let hub = OwnHub::start_over(moto.bucket()?, Visibility::Public)?;
    let token = hub.producer("acme")?;
    // More than one part, and parts of less than the 5 MiB from which a bucket takes them in pieces.
    let weights = content(3_000_000, 1);
    let files: [(&str, &[u8]); 3] = [("config.json", b"{}"), ("model.safetensors", &weights), ("empty.txt", b"")];
    let dir = tempfile::tempdir()?;
    let hashes = told(&write(dir.path(), &files)?);
    let call = json!({"token": token.reveal(), "owner": "acme", "repo": "acme/paint", "dir": dir.path()});
    let done = hub.peer_does(COMMITS, "commit", call)?;
    ensure!(done["uploaded"] == 3, "{done}");
    for version in PEERS {
        let dir = tempfile::tempdir()?;
        let pulled = hub.peer_does(version, "pull", json!({"ref": "acme/paint", "dir": dir.path()}))?;
        ensure!(pulled == hashes, "{version}: {pulled}");
    }
    Ok(())
}

#[test]
fn h4_30_clients_read_from_the_bucket_what_is_one_object_of_it() -> Result<()> {
    let moto = Moto::start()?;
    let hub = OwnHub::start_beside(&moto, Visibility::Public)?;
    let token = hub.producer("acme")?;
    let weights = content(3_000_000, 1);
    let files: [(&str, &[u8]); 2] = [("config.json", b"{}"), ("model.safetensors", &weights)];
    let dir = tempfile::tempdir()?;
    let hashes = told(&write(dir.path(), &files)?);
    let call = json!({"token": token.reveal(), "owner": "acme", "repo": "acme/paint", "dir": dir.path()});
    hub.peer_does(COMMITS, "commit", call)?;
    let resolved: Value =
        ureq::get(format!("{}/api/v1/repos/acme/paint/resolve", hub.url)).call()?.body_mut().read_json()?;
    let address = |path: &str| {
        let entries = resolved["files"].as_array().into_iter().flatten();
        let found = entries.filter(|entry| entry["path"] == path).find_map(|entry| entry["url"].as_str());
        found.map(str::to_owned).context("an address")
    };
    let agent: ureq::Agent = ureq::Agent::config_builder().max_redirects(0).http_status_as_error(false).build().into();
    let leads = |path: &str| -> Result<Option<String>> {
        let reply = agent.get(address(path)?).call()?;
        let location = reply.headers().get("location").map(|to| to.to_str().map(str::to_owned)).transpose()?;
        ensure!(location.is_some() == (reply.status() == 307), "{reply:?}");
        Ok(location)
    };
    ensure!(leads("model.safetensors")?.is_none(), "it came in three parts, which are three objects");
    hub.join()?;
    ensure!(leads("config.json")?.is_none(), "a small one is not worth the way");
    let to = leads("model.safetensors")?.context("it is one object")?;
    ensure!(to.starts_with(&moto.url), "{to}");
    ensure!(agent.get(&to).call()?.body_mut().read_to_vec()? == weights);
    let range = agent.get(&to).header("range", "bytes=2999990-").call()?.body_mut().read_to_vec()?;
    ensure!(range == weights[2_999_990..]);
    // Both methods lead there: one object has one name.
    let head = agent.head(address("model.safetensors")?).call()?;
    let to = head.headers().get("location").context("a way")?.to_str()?;
    let told = agent.head(to).call()?;
    ensure!(told.status() == 200 && told.headers()["content-length"] == "3000000", "{told:?}");
    // Who knows the content by the hub's name for it is answered by the hub.
    let name = format!("\"{}\"", hash(&weights));
    let rest = agent.get(address("model.safetensors")?).header("if-range", &name).header("range", "bytes=2999990-");
    let mut rest = rest.call()?;
    ensure!(rest.status() == 206 && rest.body_mut().read_to_vec()? == weights[2_999_990..], "{rest:?}");
    for version in PEERS {
        let dir = tempfile::tempdir()?;
        let pulled = hub.peer_does(version, "pull", json!({"ref": "acme/paint", "dir": dir.path()}))?;
        ensure!(pulled == hashes, "{version}: {pulled}");
    }
    Ok(())
}

#[tokio::test]
async fn h14_1_a_signed_address_of_the_pools_own_bucket_is_fetched_and_no_other_of_its_server() -> Result<()> {
    let moto = Moto::start()?;
    let bucket = moto.bucket()?;
    bucket.put(&Path::from("outputs/r1/a picture.png"), b"a picture".as_slice().into()).await?;
    let signed = moto.signed("outputs/r1/a picture.png").await?;
    let (directory, accepted) = (tempfile::tempdir()?, MimeList::default());
    let fetch = async |storage: &[&str], url: &str, number: usize| {
        let storage = storage.iter().map(|base| base.parse()).collect::<Result<_, _>>().expect("places");
        let options = InputOptions { storage, ..InputOptions::default() };
        let fetcher = InputFetcher::new(options, Arc::new(Scope::new("inputs"))).expect("a fetcher");
        let directory = directory.path();
        let (accepted, expected) = (&accepted, &[][..]);
        let (bytes_max, own, picture) = (None, None, PictureLimits::default());
        let request = InputRequest { url, number, directory, bytes_max, accepted, expected, own, picture };
        fetcher.fetch(&request).await
    };
    let own = format!("{}/hub/outputs", moto.url);
    let file = fetch(&[&own], &signed, 1).await?;
    ensure!(std::fs::read(&file.path)? == b"a picture", "{file:?}");
    // The server's own pages, and other objects of the bucket, are not what was named; without a name nothing is.
    for (number, (storage, url)) in [
        (vec![own.as_str()], format!("{}/moto-api/", moto.url)),
        (vec![own.as_str()], format!("{}/hub/secrets/a?X-Amz-Signature=1", moto.url)),
        (vec![own.as_str()], format!("{}/hub/outputs/../secrets/a", moto.url)),
        (vec![], signed.clone()),
    ]
    .into_iter()
    .enumerate()
    {
        let refused = fetch(&storage, &url, number + 2).await;
        ensure!(matches!(refused, Err(InputError::Private { .. })), "{url}: {refused:?}");
    }
    Ok(())
}
