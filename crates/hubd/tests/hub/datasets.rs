//! Datasets.

use anyhow::{Context as _, Result};
use gen_worker_hub::{
    Blake3Hash, Snapshot,
    api::{DatasetCreate, DatasetSchema, UploadSource, UploadStart},
    client::{HubClient, HubError, UploadTarget},
    names::ServerId,
    snapshot::SnapshotFile,
    token::{Area, ByteLimits, Right},
};
use gen_worker_hubd::Visibility;
use serde_json::{Map, Value, json};

use crate::server::{Server, announced, content};

const WRITE: [(Area, Right, &str); 2] = [(Area::Dataset, Right::Write, "acme"), (Area::Media, Right::Write, "acme")];

fn tree(files: &[(&str, &[u8])]) -> Result<Snapshot> {
    let file = |(path, bytes): &(&str, &[u8])| {
        anyhow::Ok(SnapshotFile { path: path.parse()?, size_bytes: bytes.len() as u64, blake3: Blake3Hash::of(bytes) })
    };
    Ok(Snapshot::new(files.iter().map(file).collect::<Result<_>>()?)?)
}

fn faces(visibility: &str, files: &Snapshot) -> DatasetCreate {
    let features = Map::from_iter([("image".to_owned(), json!("bytes"))]);
    let schema = DatasetSchema::of_features(features).with_kind("image").with_files(files);
    DatasetCreate { owner: "acme".to_owned(), name: "Faces".to_owned(), visibility: visibility.to_owned(), schema }
}

/// Brings a file, so that datasets can name it.
async fn save(server: &Server, client: &HubClient, bytes: &[u8]) -> Result<()> {
    let target = UploadTarget::Media { owner: "acme".to_owned() };
    let (create, local) = announced(&format!("rows/{}", Blake3Hash::of(bytes)), bytes)?;
    if let UploadStart::Transfer { upload_id, source: UploadSource::Parts(urls) } =
        client.create_upload(&target, &create, &local).await?
    {
        let request = server.put_parts(&urls, bytes).await?;
        client.complete_upload(&target, &upload_id, &request, &local).await?;
    }
    Ok(())
}

async fn get(server: &Server, path: &str, grants: &[(Area, Right, &str)]) -> Result<(u16, Value)> {
    let mut request = server.http.get(format!("{}{path}", server.url));
    if let Some((_, _, owner)) = grants.first() {
        request = request.bearer_auth(server.token(owner, grants, ByteLimits::default())?.reveal());
    }
    let reply = request.send().await?;
    let status = reply.status().as_u16();
    Ok((status, serde_json::from_slice(&reply.bytes().await?).unwrap_or_default()))
}

async fn published(server: &Server, create: &DatasetCreate) -> Result<ServerId> {
    Ok(server.client("acme", &WRITE)?.publish_dataset(create, None).await?)
}

#[tokio::test]
async fn h8_2_a_dataset_is_made_changed_and_read_back_with_its_files() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Private).await?;
    let client = server.client("acme", &WRITE)?;
    let (one, two) = (content(10, 1), content(3000, 2));
    let files = tree(&[("data/one.parquet", &one), ("two.bin", &two)])?;
    save(&server, &client, &one).await?;
    let missing = published(&server, &faces("private", &files)).await.unwrap_err();
    let missing = missing.downcast::<HubError>()?;
    assert_eq!(missing.code(), Some("upload_incomplete"));
    assert!(client.datasets("acme").await?.items.is_empty(), "nothing is changed");
    save(&server, &client, &two).await?;
    let id = published(&server, &faces("private", &files)).await?;
    let found = client.datasets("ACME").await?;
    let row = found.named("faces:latest").context("a dataset")?;
    assert_eq!((&row.id, row.files()?), (&id, files));
    // 8.2: the second publish changes the first.
    let fewer = tree(&[("two.bin", &two)])?;
    let patched = client.publish_dataset(&faces("public", &fewer), Some(&json!([1]))).await?;
    assert_eq!(patched, id);
    let (status, row) = get(&server, &format!("/api/v1/datasets/{id}"), &[]).await?;
    assert_eq!((status, &row["visibility"], &row["row_artifacts"]), (200, &json!("public"), &json!([1])));
    Ok(())
}

#[tokio::test]
async fn h8_4_rows_have_the_whole_schema_and_no_features() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Private).await?;
    let bytes = content(10, 1);
    save(&server, &server.client("acme", &WRITE)?, &bytes).await?;
    let create = faces("private", &tree(&[("a.parquet", &bytes)])?);
    let id = published(&server, &create).await?;
    let (_, list) = get(&server, "/api/v1/datasets?owner=acme", &WRITE).await?;
    let row = &list["items"][0];
    assert_eq!((&row["id"], &row["schema"], row.get("features")), (&json!(id), &json!(create.schema), None));
    Ok(())
}

#[tokio::test]
async fn h8_8_newer_peers_name_the_tenant_find_the_id_and_fetch_the_files() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Private).await?;
    let bytes = content(10, 1);
    save(&server, &server.client("acme", &WRITE)?, &bytes).await?;
    let id = published(&server, &faces("private", &tree(&[("a.parquet", &bytes)])?)).await?;
    for query in ["owner=acme", "tenant=acme", "tenant=ACME"] {
        let (_, list) = get(&server, &format!("/api/v1/datasets?{query}"), &WRITE).await?;
        let row = &list["items"][0];
        assert_eq!((&row["id"], &row["dataset_id"]), (&json!(id), &json!(id)), "{query}");
    }
    let path = format!("/api/v1/datasets/{id}/materialize?format=parquet&include_urls=true&wait=30");
    let (status, reply) = get(&server, &path, &WRITE).await?;
    assert_eq!((status, &reply["entries"][0]["path"]), (200, &json!("a.parquet")));
    // What the newer peer checks, and where it keeps what it fetched.
    let digest = format!("blake3:{}", Blake3Hash::of(&bytes));
    assert_eq!(
        (&reply["entries"][0]["checksum"], &reply["entries"][0]["blob_digest"]),
        (&json!(digest), &json!(digest))
    );
    assert!(reply["snapshot_id"].as_str().is_some_and(|id| id.len() == 64), "{reply}");
    let url = reply["entries"][0]["url"].as_str().context("an address")?;
    assert_eq!(server.http.get(url).send().await?.bytes().await?, bytes);
    let other = get(&server, &format!("/api/v1/datasets/{id}/materialize?format=csv"), &WRITE).await?;
    assert_eq!((other.0, &other.1["error"]["code"]), (422, &json!("format_unavailable")));
    Ok(())
}

#[tokio::test]
async fn h8_7_a_second_create_is_a_conflict_and_nonsense_is_refused() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Private).await?;
    let token = server.token("acme", &WRITE, ByteLimits::default())?;
    let post = async |body: Value| {
        let request = server.http.post(format!("{}/api/v1/datasets", server.url)).bearer_auth(token.reveal());
        let reply = request.body(body.to_string()).send().await?;
        let status = reply.status().as_u16();
        let reply: Value = serde_json::from_slice(&reply.bytes().await?)?;
        anyhow::Ok((status, reply["error"]["code"].as_str().unwrap_or_default().to_owned()))
    };
    let body = |name: &str| json!({"owner": "acme", "name": name, "visibility": "private", "schema": {"features": {}}});
    assert_eq!(post(body("Faces")).await?, (201, String::new()));
    assert_eq!(post(body("faces")).await?, (409, "dataset_exists".to_owned()));
    let mut later = body("masks");
    later["tenant"] = later["owner"].take();
    later.as_object_mut().context("an object")?.remove("owner");
    assert_eq!(post(later).await?, (201, String::new()), "8.8: the other name of the owner");
    assert_eq!(post(body("a/b")).await?, (422, "invalid_name".to_owned()));
    assert_eq!(post(body(" ")).await?, (422, "invalid_name".to_owned()));
    assert_eq!(post(json!({"owner": "eve", "name": "x"})).await?, (403, "forbidden_owner".to_owned()));
    assert_eq!(
        post(json!({"owner": "acme", "name": "x", "visibility": "all"})).await?,
        (422, "invalid_visibility".to_owned())
    );
    for path in ["../x", "/etc/passwd", "a\\b"] {
        let manifest = json!([{"path": path, "digest": Blake3Hash::of(b""), "size_bytes": 0}]);
        let schema = json!({"features": {}, "__cozy_snapshot_manifest__": manifest});
        let refused = post(json!({"owner": "acme", "name": "x", "schema": schema})).await?;
        assert_eq!(refused, (422, "invalid_manifest".to_owned()), "{path}");
    }
    Ok(())
}

#[tokio::test]
async fn h7_4_files_of_a_dataset_are_read_by_who_may_read_it() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Private).await?;
    let bytes = content(3000, 1);
    save(&server, &server.client("acme", &WRITE)?, &bytes).await?;
    let files = tree(&[("a", &bytes)])?;
    let id = published(&server, &faces("private", &files)).await?;
    let blob = format!("/api/v1/blobs/blake3:{}/content", Blake3Hash::of(&bytes));
    let row = format!("/api/v1/datasets/{id}");
    let reader = [(Area::Dataset, Right::Read, "acme")];
    let stranger = [(Area::Dataset, Right::Write, "eve")];
    for path in [&blob, &row] {
        assert_eq!(get(&server, path, &reader).await?.0, 200);
        assert_eq!(get(&server, path, &stranger).await?.0, 404);
        assert_eq!(get(&server, path, &[]).await?.0, 404);
    }
    let (_, list) = get(&server, "/api/v1/datasets?owner=acme", &stranger).await?;
    assert_eq!(list, json!({"items": []}));
    // Who may read may not change.
    let reading = server.client("acme", &reader)?;
    assert!(matches!(reading.publish_dataset(&faces("public", &files), None).await, Err(HubError::Auth { .. })));
    // To know the hash of a content is not to have it.
    let thief = server.client("eve", &stranger)?;
    let stolen =
        thief.publish_dataset(&DatasetCreate { owner: "eve".to_owned(), ..faces("public", &files) }, None).await;
    assert_eq!(stolen.unwrap_err().code(), Some("upload_incomplete"));
    published(&server, &faces("public", &files)).await?;
    for path in [&blob, &row] {
        assert_eq!(get(&server, path, &[]).await?.0, 200);
    }
    Ok(())
}
