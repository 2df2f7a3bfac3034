//! Hubs whose disk is really full or read-only: in a world of their own, where a test may mount. What cannot be stored is refused
//! with a word that says why, everything else goes on, nothing half is left, and what was refused succeeds once there is room.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use futures::future::join_all;
use gen_worker_hub::{
    Blake3Hash, HubRef, SignedUrl,
    api::{CommitCreated, CommitMode, CompleteRequest, FileSource, PartEtag, PartUrls, UploadSource, UploadStart},
    client::{HubClient, HubClientOptions, HubError, HubTiming, RetryPolicy, UploadTarget},
    model_ref::RepoName,
    token::{Area, ByteLimits, Grant, Right},
};
use gen_worker_hubd::Visibility;
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Command,
};

use crate::{
    child::{Served, says},
    grants::Session,
    server::{Server, adding, announced, content, http, signed},
    sign::Signing,
};

/// Tells a child that it is one.
const ORDER: &str = "serve-on-this-disk";

/// Where a child has its hub.
const DATA: &str = "data";

/// A file that takes space.
const BALLAST: &str = "ballast";

/// Bytes of a part here: several pieces of what is written to a disk at once.
const PART: usize = 1 << 20;

/// A disk that holds a few parts, in the words of a shell.
const SMALL_DISK: &str = "mount -t tmpfs -o size=8m tmpfs";

/// The time of the children.
const NOW_S: u64 = 1_000_000;

/// What is said when there is no room, and when nothing may be written.
const FULL: (u16, &str, &str) = (507, "insufficient_storage", "the disk of the hub is full");
const READ_ONLY: (u16, &str, &str) = (503, "storage_read_only", "the disk of the hub is read-only");

/// Not a test by itself: the others run it in processes of their own, which have an order.
#[tokio::test]
async fn a_child_serves_on_its_disk() -> Result<()> {
    if !Path::new(ORDER).exists() {
        return Ok(());
    }
    let server = Server::start_with(Path::new(DATA), |options| {
        options.visibility = Visibility::Public;
        options.part_bytes = PART as u64;
    })
    .await?;
    says(&server.url);
    let mut asked = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = asked.next_line().await? {
        if line == "tidy" {
            says(&server.hub.tidy().await.map_or_else(|error| format!("{error:?}"), |()| "done".to_owned()));
        } else {
            let done = Command::new("sh").args(["-ec", &line]).status().await?.success();
            says(if done { "done" } else { "failed" });
        }
    }
    Ok(())
}

/// A hub on a disk of its own.
struct OnDisk {
    served: Served,
    http: reqwest::Client,
    base: String,
    client: HubClient,
    repo: RepoName,
    /// Its directory, as the child sees it.
    data: PathBuf,
    /// Dropped last.
    _place: TempDir,
}

impl OnDisk {
    /// One whose disks `script` mounts.
    async fn start(script: &str) -> Result<Self> {
        let place = tempfile::tempdir()?;
        fs::write(place.path().join(ORDER), "")?;
        fs::create_dir_all(place.path().join(DATA).join("objects"))?;
        let mut served = Served::start_by(script, "disks::a_child_serves_on_its_disk", place.path())?;
        let base = served.says().await?;
        let client = client(&base)?;
        let pid = served.child.id().context("a child that runs")?;
        let data = Path::new("/proc").join(pid.to_string()).join("cwd").join(DATA);
        Ok(Self { served, http: http()?, base, client, repo: "acme/model".parse()?, data, _place: place })
    }

    /// Kills the hub, which another one follows on the same disk.
    async fn follow(&mut self) -> Result<()> {
        self.base = self.served.asked("kill -9 $PPID").await?;
        self.client = client(&self.base)?;
        Ok(())
    }

    /// Fills the disk on which `folder` is, but for so many bytes.
    fn fill(&self, folder: &str, left_bytes: usize) -> Result<()> {
        let mut file = File::create_new(self.data.join(folder).join(BALLAST))?;
        let mut bytes = 0;
        loop {
            match file.write(&[1; 64 << 10]) {
                Ok(written) => bytes += written,
                Err(error) if error.kind() == ErrorKind::StorageFull => break,
                Err(error) => return Err(error.into()),
            }
        }
        ensure!(bytes > left_bytes, "a disk with more room than that");
        Ok(file.set_len(u64::try_from(bytes - left_bytes)?)?)
    }

    /// Makes room again.
    fn empty(&self, folder: &str) -> Result<()> {
        Ok(fs::remove_file(self.data.join(folder).join(BALLAST))?)
    }

    /// Has the child do something.
    async fn does(&mut self, what: &str) -> Result<()> {
        let said = self.served.asked(what).await?;
        ensure!(said == "done", "{what}: {said}");
        Ok(())
    }

    /// Opens a commit of one file.
    async fn open(&self, path: &str, bytes: &[u8]) -> Result<(CommitCreated, PartUrls)> {
        let created = self.client.create_commit(&self.repo, &adding(CommitMode::Merge, &[(path, bytes)])?).await?;
        let upload = created.uploads.first().context("an upload")?;
        let UploadSource::Parts(urls) = &upload.source else { anyhow::bail!("parts are expected") };
        let urls = urls.clone();
        Ok((created, urls))
    }

    /// Completes the one upload of a commit.
    async fn complete(&self, created: &CommitCreated, etags: &[PartEtag]) -> Result<Result<(), HubError>> {
        let upload = created.uploads.first().context("an upload")?;
        let request = CompleteRequest::of_parts(etags.to_vec());
        Ok(self.client.complete_commit_upload(&self.repo, &created.revision_id, &upload.upload_id, &request).await)
    }

    /// Opens an upload of media.
    async fn save(&self, reference: &str, bytes: &[u8]) -> Result<UploadStart, HubError> {
        let (create, local) = announced(reference, bytes).expect("a file");
        self.client.create_upload(&UploadTarget::Media { owner: "acme".to_owned() }, &create, &local).await
    }

    /// Sends a part: its ETag, or what was said of it.
    async fn put(&self, url: &SignedUrl, part: &[u8]) -> Result<Result<String, Refusal>> {
        let reply = self.http.put(url.reveal()).body(part.to_vec()).send().await?;
        if reply.status().is_success() {
            return Ok(Ok(reply.headers().get("etag").context("an etag")?.to_str()?.to_owned()));
        }
        let after = reply.headers().get("retry-after").context("when to come again")?.to_str()?.parse::<u64>()?;
        ensure!(after > 0, "it says when to come again");
        let status = reply.status().as_u16();
        let said: Value = serde_json::from_slice(&reply.bytes().await?)?;
        let text = |name: &str| said["error"][name].as_str().unwrap_or_default().to_owned();
        Ok(Err((status, text("code"), text("message"))))
    }

    /// Brings a file that is read back later.
    async fn commit(&self, path: &str, bytes: &[u8]) -> Result<()> {
        let (created, urls) = self.open(path, bytes).await?;
        let (_, url) = urls.parts().next().context("a part")?;
        let etag = self.put(url, bytes).await?.map_err(|refusal| anyhow::anyhow!("{refusal:?}"))?;
        self.complete(&created, &[PartEtag { part_number: 1, etag }]).await??;
        self.client.finalize_commit(&self.repo, &created.revision_id).await?;
        Ok(())
    }

    /// Reads the files of the repository: their paths and contents.
    async fn read(&self) -> Result<Vec<(String, Blake3Hash)>> {
        let mut files = Vec::new();
        for file in self.client.resolve(&HubRef::parse("acme/model")?).await?.files {
            let FileSource::Url(url) = &file.source else { anyhow::bail!("an address is expected") };
            let bytes = self.http.get(url.reveal()).send().await?.error_for_status()?.bytes().await?;
            ensure!(Blake3Hash::of(&bytes) == file.blake3, "other bytes");
            files.push((file.path.to_string(), file.blake3));
        }
        Ok(files)
    }

    /// The objects, those that are still being written among them.
    fn objects(&self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for folder in fs::read_dir(self.data.join("objects/blobs"))? {
            for file in fs::read_dir(folder?.path())? {
                names.push(file?.file_name().to_string_lossy().into_owned());
            }
        }
        Ok(names)
    }
}

/// A client that does everything once: what is refused is told at once.
fn client(base_url: &str) -> Result<HubClient> {
    let base_url = base_url.to_owned();
    let all = [Area::Repo, Area::Media].map(|area| Grant::new(area, Right::Write, "acme", "*"));
    let token = signed("acme", all.into_iter().collect::<Result<_, _>>()?, ByteLimits::default(), NOW_S, 3600)?;
    let once = RetryPolicy { attempts: 1, ..RetryPolicy::CONTROL };
    let timing = HubTiming { control_retry: once, complete_retry: once, ..HubTiming::default() };
    Ok(HubClient::new(HubClientOptions { base_url, token: Some(token), timing, ..HubClientOptions::default() })?)
}

/// A status, its code and its text.
type Refusal = (u16, String, String);

fn is(refusal: &Refusal, (status, code, message): (u16, &str, &str)) -> bool {
    (refusal.0, refusal.1.as_str(), refusal.2.as_str()) == (status, code, message)
}

/// Whether a client was told this.
fn was_told<T>(told: &Result<T, HubError>, (expected, word, message): (u16, &str, &str)) -> bool {
    let Err(HubError::Status { status, code, detail, .. }) = told else { return false };
    *status == expected && code.as_deref() == Some(word) && detail.contains(message)
}

#[tokio::test]
async fn h4_10_parts_that_fill_the_disk_are_refused_and_taken_once_there_is_room() -> Result<()> {
    let mut hub = OnDisk::start(&format!("{SMALL_DISK} data/objects")).await?;
    let (known, large) = (content(1000, 1), content(3 * PART + 5, 2));
    hub.commit("known", &known).await?;
    let before = hub.read().await?;
    let (created, urls) = hub.open("large", &large).await?;
    let parts: Vec<_> = urls
        .parts()
        .map(|(range, url)| (range.number, url, &large[at(range.offset)..at(range.offset + range.length)]))
        .collect();
    // All at once, for which there is no room.
    hub.fill("objects", PART + PART / 2)?;
    let mut etags = Vec::new();
    let mut again = Vec::new();
    for (part, told) in parts.iter().zip(join_all(parts.iter().map(|(_, url, bytes)| hub.put(url, bytes))).await) {
        match told? {
            Ok(etag) => etags.push(PartEtag { part_number: part.0, etag }),
            Err(refusal) => {
                assert!(is(&refusal, FULL), "{refusal:?}");
                again.push(part);
            }
        }
    }
    assert!(again.len() >= 2, "three mebibytes are more than one and a half: {}", again.len());
    // Nothing of those is left, reads go on, and the commit is as it was.
    let objects = hub.objects()?;
    assert_eq!(objects.len(), 1 + etags.len(), "{objects:?}");
    assert!(objects.iter().all(|name| !name.contains('#')), "{objects:?}");
    assert_eq!(hub.read().await?, before);
    let unfinished = hub.complete(&created, &etags).await?.unwrap_err();
    assert_eq!(unfinished.code(), Some("upload_incomplete"));
    let unfinished = hub.client.finalize_commit(&hub.repo, &created.revision_id).await.unwrap_err();
    assert_eq!(unfinished.code(), Some("upload_incomplete"));
    // The same parts of the same commit.
    hub.empty("objects")?;
    for (number, url, bytes) in again {
        let etag = hub.put(url, bytes).await?.map_err(|refusal| anyhow::anyhow!("{refusal:?}"))?;
        etags.push(PartEtag { part_number: *number, etag });
    }
    hub.complete(&created, &etags).await??;
    hub.client.finalize_commit(&hub.repo, &created.revision_id).await?;
    hub.does("tidy").await?;
    assert_eq!(hub.objects()?.len(), 1 + parts.len());
    let after = [("known".to_owned(), Blake3Hash::of(&known)), ("large".to_owned(), Blake3Hash::of(&large))];
    assert_eq!(hub.read().await?, after);
    Ok(())
}

#[tokio::test]
async fn h4_29_an_object_of_a_grant_that_finds_the_disk_full_is_refused_in_the_words_of_s3() -> Result<()> {
    let hub = OnDisk::start(&format!("{SMALL_DISK} data/objects")).await?;
    hub.commit("known", b"1").await?;
    let session = Session::of(hub.client.clone()).await?;
    let bytes = content(PART, 2);
    let (id, grant) = session.grant("step-1/a", &bytes).await?;
    hub.fill("objects", PART / 2)?;
    let put = Signing::new(&grant, "PUT", "", &bytes);
    let (status, said) = put.send(&hub.http, bytes.clone()).await?;
    // Under a status and a code after which its clients come again.
    assert_eq!(status, 503, "{said}");
    assert!(said.contains("<Code>ServiceUnavailable</Code>") && said.contains(FULL.2), "{said}");
    assert_eq!(hub.objects()?.len(), 1, "known");
    hub.empty("objects")?;
    assert_eq!(put.send(&hub.http, bytes.clone()).await?.0, 200);
    session.complete(&id, &grant, &bytes).await?;
    assert_eq!(hub.objects()?.len(), 2);
    Ok(())
}

#[tokio::test]
async fn a_hub_that_cannot_write_what_it_knows_changes_nothing_and_reads_on() -> Result<()> {
    // The objects have room; what is known of them has none.
    let mut hub =
        OnDisk::start(&format!("{SMALL_DISK} data; mkdir data/objects; mount -t tmpfs tmpfs data/objects")).await?;
    hub.commit("known", &content(1000, 1)).await?;
    let before = hub.read().await?;
    let (ready, late) = (content(500, 2), content(600, 3));
    let (ready_commit, urls) = hub.open("ready", &ready).await?;
    let (_, url) = urls.parts().next().context("a part")?;
    let etag = hub.put(url, &ready).await?.map_err(|refusal| anyhow::anyhow!("{refusal:?}"))?;
    hub.complete(&ready_commit, &[PartEtag { part_number: 1, etag }]).await??;
    let (late_commit, urls) = hub.open("late", &late).await?;
    let (_, late_url) = urls.parts().next().context("a part")?;
    hub.fill("", 0)?;
    // Whatever would write.
    let refusal = hub.put(late_url, &late).await?.unwrap_err();
    assert!(is(&refusal, FULL), "{refusal:?}");
    let told = hub.client.create_commit(&hub.repo, &adding(CommitMode::Merge, &[("more", b"1")])?).await;
    assert!(was_told(&told, FULL), "{told:?}");
    let told = hub.save("media", b"2").await;
    assert!(was_told(&told, FULL), "{told:?}");
    let told = hub.client.put_metadata(&hub.repo, &attributes("1")).await;
    assert!(was_told(&told, FULL), "{told:?}");
    let told = hub.client.finalize_commit(&hub.repo, &ready_commit.revision_id).await;
    assert!(was_told(&told, FULL), "{told:?}");
    // The object of the refused part is no one's, and goes without being on record.
    hub.does("tidy").await?;
    assert_eq!(hub.objects()?.len(), 2, "known and ready");
    assert_eq!(hub.read().await?, before);
    assert_eq!(hub.client.metadata(&hub.repo).await?.context("a token")?.metadata, Map::new());
    // The same calls again.
    hub.empty("")?;
    let etag = hub.put(late_url, &late).await?.map_err(|refusal| anyhow::anyhow!("{refusal:?}"))?;
    hub.complete(&late_commit, &[PartEtag { part_number: 1, etag }]).await??;
    hub.client.finalize_commit(&hub.repo, &ready_commit.revision_id).await?;
    hub.client.finalize_commit(&hub.repo, &late_commit.revision_id).await?;
    hub.save("media", b"2").await?;
    hub.client.put_metadata(&hub.repo, &attributes("1")).await?;
    let paths: Vec<_> = hub.read().await?.into_iter().map(|(path, _)| path).collect();
    assert_eq!(paths, ["known", "late", "ready"]);
    Ok(())
}

#[tokio::test]
async fn a_hub_that_was_killed_on_a_full_disk_begins_again_and_is_read() -> Result<()> {
    // Objects and what is known of them are on one disk, as they are by default. One hub, and then another.
    let mut hub = OnDisk::start(&format!("{SMALL_DISK} data; mkdir data/objects; \"$@\" || true")).await?;
    hub.commit("known", &content(1000, 1)).await?;
    let before = hub.read().await?;
    let (created, urls) = hub.open("late", b"2").await?;
    let (_, url) = urls.parts().next().context("a part")?;
    hub.fill("", 0)?;
    hub.follow().await?;
    assert_eq!(hub.read().await?, before);
    let told = hub.save("media", b"3").await;
    assert!(was_told(&told, FULL), "{told:?}");
    hub.empty("")?;
    // The address of the part was that of the other hub.
    let told = hub.client.finalize_commit(&hub.repo, &created.revision_id).await.unwrap_err();
    assert_eq!(told.code(), Some("upload_incomplete"));
    let path = url.reveal().split_once("/api/").context("a path")?.1;
    let url = format!("{}/api/{path}", hub.base).parse()?;
    let etag = hub.put(&url, b"2").await?.map_err(|refusal| anyhow::anyhow!("{refusal:?}"))?;
    hub.complete(&created, &[PartEtag { part_number: 1, etag }]).await??;
    hub.client.finalize_commit(&hub.repo, &created.revision_id).await?;
    assert_eq!(hub.read().await?.len(), 2);
    Ok(())
}

#[tokio::test]
async fn objects_that_become_read_only_are_read_on_and_written_again_afterwards() -> Result<()> {
    let mut hub = OnDisk::start("mount --bind data/objects data/objects").await?;
    hub.commit("known", &content(1000, 1)).await?;
    let before = hub.read().await?;
    let bytes = content(2000, 2);
    let (created, urls) = hub.open("late", &bytes).await?;
    let (_, url) = urls.parts().next().context("a part")?;
    // An object that nothing names any more, and that cannot be removed now.
    let (given_up, urls) = hub.open("given up", b"3").await?;
    hub.put(urls.parts().next().context("a part")?.1, b"3").await?.map_err(|refusal| anyhow::anyhow!("{refusal:?}"))?;
    hub.does("mount -o remount,bind,ro data/objects").await?;
    hub.client.abort_commit(&hub.repo, &given_up.revision_id).await;
    let refusal = hub.put(url, &bytes).await?.unwrap_err();
    assert!(is(&refusal, READ_ONLY), "{refusal:?}");
    hub.does("tidy").await?;
    assert_eq!(hub.read().await?, before);
    hub.does("mount -o remount,bind,rw data/objects").await?;
    let etag = hub.put(url, &bytes).await?.map_err(|refusal| anyhow::anyhow!("{refusal:?}"))?;
    hub.complete(&created, &[PartEtag { part_number: 1, etag }]).await??;
    hub.client.finalize_commit(&hub.repo, &created.revision_id).await?;
    hub.does("tidy").await?;
    assert_eq!(hub.objects()?.len(), 2, "known and late");
    assert_eq!(hub.read().await?.len(), 2);
    Ok(())
}

fn at(offset: u64) -> usize {
    usize::try_from(offset).expect("a small file")
}

fn attributes(value: &str) -> Map<String, Value> {
    [("key".to_owned(), json!(value))].into_iter().collect()
}
