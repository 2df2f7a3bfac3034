//! Hubs whose clients read from the bucket, and that are killed while they join what came in parts.

use gen_worker_tests::eventually;

use super::*;

/// Kills, each when another number of objects has been joined.
const KILLS: usize = 3;

/// Contents of several parts.
const FILES: usize = 6;

fn file(number: usize) -> (String, Vec<u8>) {
    let bytes = format!("file {number}, again and again; ").repeat(45_000);
    (format!("{number}.weights"), bytes.into_bytes())
}

/// Contents that are one object, and those that are several.
fn joined(place: &Place) -> Result<(usize, usize)> {
    let count = |sql: &str| -> Result<usize> { Ok(place.postgres.sql("test0", sql)?.trim().parse()?) };
    let several = count("SELECT count(*) FROM hub.segments WHERE number = 2")?;
    Ok((count("SELECT count(DISTINCT blake3) FROM hub.segments")? - several, several))
}

#[test]
fn h4_30_hubs_that_are_killed_while_they_join_lose_nothing_and_others_go_on() -> Result<()> {
    let place = Place::new()?;
    let files: Vec<_> = (0..FILES).map(file).collect();
    let parts: Vec<_> = files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())).collect();
    let dir = place.files("paint", &parts)?;
    let through = place.hub()?;
    through.push(&dir, "acme/paint:v1")?;
    ensure!(joined(&place)? == (0, FILES), "a hub that passes on what is in the bucket joins nothing");
    let joining = |dir| place.hub_with(dir, "secret", &["--objects-reads", "bucket"]);
    for kill_at in 0..KILLS {
        // Two of them at once, which may be at the same.
        let hubs = [joining(tempfile::tempdir()?)?, joining(tempfile::tempdir()?)?];
        eventually("something is joined", || (joined(&place).ok()?.0 > kill_at).then_some(()))?;
        for hub in hubs {
            kill(hub)?;
        }
        ensure!(pulled(&through, RESOLVE)? == files, "as it was, whatever they were at");
    }
    let hub = joining(tempfile::tempdir()?)?;
    eventually("all of it is joined", || (joined(&place).ok()? == (FILES, 0)).then_some(()))?;
    let resolved = Api::new(&hub.url).get(RESOLVE)?;
    let agent: ureq::Agent = ureq::Agent::config_builder().max_redirects(0).http_status_as_error(false).build().into();
    for entry in resolved.body.get("files").and_then(Value::as_array).context("files")? {
        let url = entry.get("url").and_then(Value::as_str).context("an address")?;
        let reply = agent.get(url).call()?;
        let to = reply.headers().get("location").context("a way to the bucket")?.to_str()?;
        ensure!(to.starts_with(&place.moto.url) && to.contains("X-Amz-Signature="), "{to}");
    }
    ensure!(pulled(&hub, RESOLVE)? == files, "from the bucket");
    ensure!(pulled(&through, RESOLVE)? == files, "through a hub");
    // What contents are made of is there: of what killed hubs began only the names may be left.
    let named = place.postgres.sql("test0", "SELECT key FROM hub.segments")?;
    let (_, there) = place.objects()?;
    let gone: Vec<&str> = named.lines().filter(|key| !there.contains(*key)).collect();
    ensure!(gone.is_empty() && named.lines().count() == FILES, "gone: {gone:?}");
    Ok(())
}
