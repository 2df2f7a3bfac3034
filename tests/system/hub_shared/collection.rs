//! Two hubs of which each collects what the other is about to name.

use super::*;

/// Files that each client writes; they take turns in having the same few contents.
const WRITES: usize = 60;

/// Different contents: so few that each is lost and written again all the time.
const CONTENTS: usize = 3;

/// Refs of one client.
const REFS: usize = 2;

/// A round of collection follows the other, and what has lost its last name may go at once.
const EAGER: [&str; 4] = ["--tidy-interval", "0.02", "--unused-grace", "0"];

fn content(number: usize) -> Vec<u8> {
    format!("content {number} ").repeat(100).into_bytes()
}

/// A client with an owner of its own at one of the hubs.
struct Client {
    url: String,
    token: String,
    owner: String,
}

impl Client {
    fn call(&self, method: &str, path: &str, body: &[u8]) -> Result<Value> {
        let request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.url));
        let request = request.header("authorization", format!("Bearer {}", self.token));
        let request = request.header("x-cozy-owner", &self.owner).body(body.to_vec())?;
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let mut reply = agent.run(request).with_context(|| format!("{method} {path}"))?;
        let status = reply.status();
        let text = reply.body_mut().read_to_string()?;
        ensure!(status.is_success(), "{method} {path} by {}: {status} {text}", self.owner);
        Ok(serde_json::from_str(&text).unwrap_or_default())
    }

    /// Puts contents under the same refs in turns, so that each content loses its name again and again. What is under each ref
    /// in the end.
    fn media(&self, turn: usize) -> Result<Vec<(String, usize)>> {
        let mut last = vec![0; REFS];
        for number in 0..WRITES {
            let (at, of) = (number % REFS, (number / REFS + turn + number) % CONTENTS);
            self.call("PUT", &format!("/api/v1/file/ref-{at}"), &content(of))?;
            if let Some(last) = last.get_mut(at) {
                *last = of;
            }
        }
        Ok(last.into_iter().enumerate().map(|(at, of)| (format!("ref-{at}"), of)).collect())
    }

    /// Commits the same contents; every other commit is given up when all of it has come.
    fn commits(&self) -> Result<()> {
        let commits = format!("/api/v1/repos/{}/model/commits", self.owner);
        for number in 0..WRITES / 2 {
            let bytes = content(number % CONTENTS);
            let add = json!({"type": "add", "path": format!("{number}.txt"), "blake3": blake3::hash(&bytes).to_string(),
                             "size_bytes": bytes.len()});
            // The repositories of this client are private, and given up at first: nobody may read what they hold.
            let body = json!({"operations": [add], "mode": "merge", "message": number.to_string()}).to_string();
            let opened = self.call("POST", &commits, body.as_bytes())?;
            let commit = format!("{commits}/{}", opened["revision_id"].as_str().context("an id")?);
            let upload = &opened["uploads"][0];
            if let (Some(url), Some(id)) = (upload["part_urls"][0].as_str(), upload["upload_id"].as_str()) {
                let put = ureq::put(url).send(&bytes[..])?;
                let etag = put.headers().get("etag").context("an etag")?.to_str()?.to_owned();
                let parts = json!({"parts": [{"part_number": 1, "etag": etag}]}).to_string();
                self.call("POST", &format!("{commit}/uploads/{id}/complete"), parts.as_bytes())?;
            }
            match number % 2 {
                0 => self.call("DELETE", &commit, b"")?,
                _ => self.call("POST", &format!("{commit}/finalize"), b"")?,
            };
        }
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
    let media = [client(0, "ann"), client(1, "bob"), client(1, "ann2")];
    let commits = [client(0, "cid"), client(1, "dot")];
    let named = std::thread::scope(|scope| -> Result<Vec<_>> {
        let media: Vec<_> = media.iter().enumerate().map(|(turn, one)| scope.spawn(move || one.media(turn))).collect();
        let commits: Vec<_> = commits.iter().map(|one| scope.spawn(|| one.commits())).collect();
        for ended in commits {
            ended.join().map_err(|_| anyhow::anyhow!("a client broke off"))??;
        }
        media.into_iter().map(|ended| ended.join().map_err(|_| anyhow::anyhow!("a client broke off"))?).collect()
    })?;
    let read = |url: &str, of: usize, what: &str| -> Result<()> {
        for hub in &hubs {
            let url = hubs.iter().fold(url.to_owned(), |url, other| url.replace(&other.url, &hub.url));
            let (status, bytes) = Api::new("").get_bytes(&url)?;
            ensure!(
                status == 200 && bytes == content(of),
                "{what} by {}: status {status}, {} bytes",
                hub.url,
                bytes.len()
            );
        }
        Ok(())
    };
    for (client, refs) in media.iter().zip(&named) {
        for (reference, of) in refs {
            let found =
                client.call("POST", "/api/v1/media/urls", json!({"refs": [reference]}).to_string().as_bytes())?;
            let url = found["urls"][reference]["url"].as_str().with_context(|| format!("{reference} is gone"))?;
            read(url, *of, reference)?;
        }
    }
    for client in &commits {
        let resolved = client.call("GET", &format!("/api/v1/repos/{}/model/resolve", client.owner), b"")?;
        let files = resolved["files"].as_array().context("files")?;
        ensure!(files.len() == WRITES / 4, "{} files", files.len());
        for file in files {
            let path = file["path"].as_str().context("a path")?;
            let number: usize = path.trim_end_matches(".txt").parse()?;
            read(file["url"].as_str().context("an address")?, number % CONTENTS, path)?;
        }
    }
    let (named, there) = place.objects()?;
    ensure!(named.is_subset(&there), "gone: {:?}", named.difference(&there).collect::<Vec<_>>());
    Ok(())
}
