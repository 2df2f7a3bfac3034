//! Two hubs of which each collects what the other is about to name.

use gen_worker_tests::eventually;

use super::*;

/// Files that each client writes.
const WRITES: usize = 150;

/// Commits of each client.
const COMMITS: usize = 15;

/// Contents that clients of media take turns with: more than they have refs, so that some are always without a name.
const CONTENTS: usize = 6;

/// A round of collection follows the other, and what has lost its last name may go at once.
const EAGER: [&str; 4] = ["--tidy-interval", "0.02", "--unused-grace", "0"];

fn content(of: &str, number: usize) -> Vec<u8> {
    format!("{of} {number} ").repeat(100).into_bytes()
}

/// A client with an owner of its own at one of the hubs.
struct Client {
    url: String,
    token: String,
    owner: String,
}

impl Client {
    fn call(&self, method: &str, path: &str, body: &[u8]) -> Result<Value> {
        let request = http::Request::builder().method(method).uri(format!("{}{path}", self.url));
        let request = request.header("authorization", format!("Bearer {}", self.token));
        let request = request.header("x-cozy-owner", &self.owner).body(body.to_vec())?;
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let mut reply = agent.run(request).with_context(|| format!("{method} {path}"))?;
        let status = reply.status();
        let text = reply.body_mut().read_to_string()?;
        ensure!(status.is_success(), "{method} {path} by {}: {status} {text}", self.owner);
        Ok(serde_json::from_str(&text).unwrap_or_default())
    }

    /// Puts contents under one ref in turns, so that each loses its name again and again. Which is there in the end.
    fn media(&self, step: usize) -> Result<usize> {
        let of = |number: usize| number * step % CONTENTS;
        for number in 0..WRITES {
            self.call("PUT", "/api/v1/file/ref", &content("media", of(number)))?;
        }
        Ok(of(WRITES - 1))
    }

    /// Commits contents that others commit as well: each is given up when all of it has come, and then made again.
    fn commits(&self) -> Result<()> {
        for number in 0..COMMITS {
            for is_kept in [false, true] {
                self.commit(&format!("{number}.txt"), &content("commit", number), is_kept)?;
            }
        }
        Ok(())
    }

    fn commit(&self, path: &str, bytes: &[u8], is_kept: bool) -> Result<()> {
        let commits = format!("/api/v1/repos/{}/model/commits", self.owner);
        let blake3 = blake3::hash(bytes).to_string();
        let add = json!({"type": "add", "path": path, "blake3": blake3, "size_bytes": bytes.len()});
        let body = json!({"operations": [add], "mode": "merge", "message": is_kept.to_string()}).to_string();
        let opened = self.call("POST", &commits, body.as_bytes())?;
        let commit = format!("{commits}/{}", opened["revision_id"].as_str().context("an id")?);
        let upload = &opened["uploads"][0];
        if let (Some(url), Some(id)) = (upload["part_urls"][0].as_str(), upload["upload_id"].as_str()) {
            let put = ureq::put(url).send(bytes)?;
            let etag = put.headers().get("etag").context("an etag")?.to_str()?.to_owned();
            let parts = json!({"parts": [{"part_number": 1, "etag": etag}]}).to_string();
            self.call("POST", &format!("{commit}/uploads/{id}/complete"), parts.as_bytes())?;
        }
        match is_kept {
            true => self.call("POST", &format!("{commit}/finalize"), b"")?,
            false => self.call("DELETE", &commit, b"")?,
        };
        Ok(())
    }
}

#[test]
fn h4_4_what_one_hub_names_while_another_collects_it_is_there() -> Result<()> {
    let place = Place::new()?;
    let hubs = [
        place.hub_with(tempfile::tempdir()?, "secret", &EAGER)?,
        place.hub_with(tempfile::tempdir()?, "secret", &EAGER)?,
    ];
    let client = |hub: usize, owner: &str| {
        let (url, token) = (hubs[hub].url.clone(), hubs[hub].token.reveal().to_owned());
        Client { url, token, owner: owner.to_owned() }
    };
    // Each goes through the contents in another order.
    let media = [(client(0, "ann"), 1), (client(1, "bob"), 5)];
    let commits = [client(0, "cid"), client(1, "dot")];
    let named = std::thread::scope(|scope| -> Result<Vec<_>> {
        let media: Vec<_> = media.iter().map(|(one, step)| scope.spawn(|| one.media(*step))).collect();
        let commits: Vec<_> = commits.iter().map(|one| scope.spawn(|| one.commits())).collect();
        for ended in commits {
            ended.join().map_err(|_| anyhow::anyhow!("a client broke off"))??;
        }
        media.into_iter().map(|ended| ended.join().map_err(|_| anyhow::anyhow!("a client broke off"))?).collect()
    })?;
    // Without this nothing was tried. The database counts, and says so a moment later.
    let sql = "SELECT n_tup_del FROM pg_stat_user_tables WHERE schemaname = 'hub' AND relname = 'blobs'";
    let collected = || place.postgres.sql("test0", sql).ok()?.parse::<usize>().ok().filter(|count| *count >= CONTENTS);
    eventually("contents that were collected", collected)?;
    let read = |url: &str, expected: &[u8], what: &str| -> Result<()> {
        for hub in &hubs {
            let url = hubs.iter().fold(url.to_owned(), |url, other| url.replace(&other.url, &hub.url));
            let (status, bytes) = Api::new("").get_bytes(&url)?;
            ensure!(status == 200 && bytes == expected, "{what} by {}: status {status}", hub.url);
        }
        Ok(())
    };
    for ((client, _), of) in media.iter().zip(&named) {
        let found = client.call("POST", "/api/v1/media/urls", json!({"refs": ["ref"]}).to_string().as_bytes())?;
        let url = found["urls"]["ref"]["url"].as_str().with_context(|| format!("it is gone: {found}"))?;
        read(url, &content("media", *of), &client.owner)?;
    }
    for client in &commits {
        let resolved = client.call("GET", &format!("/api/v1/repos/{}/model/resolve", client.owner), b"")?;
        let files = resolved["files"].as_array().context("files")?;
        ensure!(files.len() == COMMITS, "{} files", files.len());
        for file in files {
            let path = file["path"].as_str().context("a path")?;
            let number: usize = path.trim_end_matches(".txt").parse()?;
            read(file["url"].as_str().context("an address")?, &content("commit", number), path)?;
        }
    }
    // An object is deleted before it is forgotten: both hubs are still at that.
    eventually("objects of all that is named", || {
        place.objects().ok().filter(|(named, there)| named.is_subset(there))
    })?;
    Ok(())
}
