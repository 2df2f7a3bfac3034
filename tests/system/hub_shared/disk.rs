//! A database whose disk is full.

use anyhow::{Result, ensure};
use gen_worker_postgres::Postgres;
use gen_worker_tests::HubProcess;
use serde_json::{Value, json};

use super::{Place, pulled, weights};

const METADATA: &str = "/api/v1/repos/acme/paint/metadata";

/// More than there is room for in any page of a table, in a form that does not become smaller.
fn notes() -> String {
    (0..2_000_u32).map(|number| blake3::hash(&number.to_le_bytes()).to_string()).collect()
}

/// Status, Retry-After and body of a new note of the repository.
fn put(hub: &HubProcess, text: &str) -> Result<(u16, Option<String>, Value)> {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let call = agent.put(format!("{}{METADATA}", hub.url));
    let call = call.header("authorization", format!("Bearer {}", hub.token.reveal())).header("x-cozy-owner", "acme");
    let mut reply = call.send_json(json!({"metadata": {"notes": text}}))?;
    let retry = reply.headers().get("retry-after").and_then(|value| value.to_str().ok()).map(str::to_owned);
    Ok((reply.status().as_u16(), retry, reply.body_mut().read_json()?))
}

#[test]
fn a_hub_whose_database_has_no_room_says_so_and_goes_on_once_it_has() -> Result<()> {
    let postgres = Postgres::start_with_small_disk(48)?;
    let database = postgres.database_on_small_disk()?;
    let place = Place::over(postgres, &database)?;
    let (hub, weights) = (place.hub()?, weights());
    let dir = place.files("paint", &[("model.txt", &weights)])?;
    hub.push(&dir, "acme/paint:v1")?;
    let before = put(&hub, "small")?;
    ensure!(before.0 == 200, "{before:?}");

    place.postgres.sql("test0", "CREATE TABLE ballast (t text)")?;
    // What failed keeps its pages. Rows out of a FROM would be gathered in a file of their own first.
    let fill = "INSERT INTO ballast SELECT md5(generate_series(1, 2000000)::text)";
    let refused = place.postgres.sql("test0", fill);
    ensure!(format!("{refused:?}").contains("space"), "{refused:?}");
    let (status, retry, body) = put(&hub, &notes())?;
    ensure!(status == 507 && retry.is_some(), "{status} {retry:?} {body}");
    ensure!(body.pointer("/error/code") == Some(&json!("insufficient_storage")), "{body}");
    ensure!(pulled(&hub, super::RESOLVE)? == [("model.txt".to_owned(), weights.clone())], "who reads notices nothing");

    place.postgres.sql("test0", "DROP TABLE ballast")?;
    let after = put(&hub, &notes())?;
    ensure!(after.0 == 200, "{after:?}");
    let read = ureq::get(format!("{}{METADATA}", hub.url))
        .header("authorization", format!("Bearer {}", hub.token.reveal()))
        .call()?
        .body_mut()
        .read_json::<Value>()?;
    ensure!(read.pointer("/metadata/notes") == Some(&json!(notes())), "what was acknowledged is there");
    ensure!(pulled(&hub, super::RESOLVE)? == [("model.txt".to_owned(), weights)]);
    Ok(())
}
