//! Variables of endpoints.

use anyhow::Result;
use gen_worker_hub::{
    api::{EnvironmentEntry, EnvironmentScope},
    client::{HubClient, HubClientOptions, HubError},
    token::{Area, ByteLimits, Right},
};
use gen_worker_hubd::Visibility;
use serde_json::{Value, json};

use crate::server::{OPERATOR, Server};

fn operator(server: &Server) -> Result<HubClient> {
    let token = Some(OPERATOR.parse()?);
    Ok(HubClient::new(HubClientOptions { base_url: server.url.clone(), token, ..HubClientOptions::default() })?)
}

fn entry(name: &str, value: &str, applies_to: Option<EnvironmentScope>) -> Result<EnvironmentEntry> {
    let entry = json!({"name": name, "value": value, "sensitive": true, "applies_to": applies_to});
    Ok(serde_json::from_value(entry)?)
}

async fn call(server: &Server, method: &str, path: &str, body: Value) -> Result<(u16, Value)> {
    let url = format!("{}/api/v1/endpoints/acme/paint/env{path}", server.url);
    let request = server.http.request(method.parse()?, url).bearer_auth(OPERATOR).body(body.to_string());
    let reply = request.send().await?;
    let status = reply.status().as_u16();
    Ok((status, serde_json::from_slice(&reply.bytes().await?).unwrap_or_default()))
}

#[tokio::test]
async fn h10_1_variables_are_set_changed_listed_and_taken_away() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Private).await?;
    let client = operator(&server)?;
    client.add_variable("acme", "paint", &entry("API_KEY", "hunter2", None)?).await?;
    let again = client.add_variable("acme", "paint", &entry("API_KEY", "other", None)?).await;
    assert_eq!(again.unwrap_err().code(), Some("variable_exists"));
    client.put_variable("acme", "Paint", &entry("API_KEY", "hunter3", None)?).await?;
    let plain = json!({"value": "7", "description": "how many"});
    assert_eq!(call(&server, "PUT", "/COUNT", plain).await?.0, 201);
    let (_, list) = call(&server, "GET", "", Value::Null).await?;
    let expected = json!({"items": [
        {"name": "API_KEY", "sensitive": true, "value": "********"},
        {"name": "COUNT", "sensitive": false, "value": "7", "description": "how many"},
    ]});
    assert_eq!(list, expected);
    let release = "r1".parse()?;
    let env = client.environment("acme", "paint", &release).await?.env;
    assert_eq!(
        env.into_iter().collect::<Vec<_>>(),
        [("API_KEY", "hunter3"), ("COUNT", "7")].map(|(a, b)| (a.to_owned(), b.to_owned()))
    );
    client.remove_variable("acme", "paint", &"API_KEY".parse()?).await?;
    assert!(client.remove_variable("acme", "paint", &"API_KEY".parse()?).await.is_err());
    assert_eq!(client.environment("acme", "paint", &release).await?.env.len(), 1);
    Ok(())
}

#[tokio::test]
async fn h10_2_a_variable_is_set_for_the_releases_that_it_names() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Private).await?;
    let scope = |tags: &[&str], releases: &[&str], versions: &[&str]| {
        let own = |list: &[&str]| list.iter().map(|item| (*item).to_owned()).collect();
        Some(EnvironmentScope { tags: own(tags), release_ids: own(releases), compatibility_versions: own(versions) })
    };
    let client = operator(&server)?;
    for (name, applies_to) in [
        ("ALL", None),
        ("EMPTY", scope(&[], &[], &[])),
        ("PROD", scope(&["prod"], &["r9"], &[])),
        ("R1", scope(&[], &["r1"], &[])),
        ("V2", scope(&["dev"], &[], &["v2"])),
    ] {
        client.add_variable("acme", "paint", &entry(name, "x", applies_to)?).await?;
    }
    let names = async |query: &str| {
        let (_, reply) = call(&server, "GET", &format!("/resolve?{query}"), Value::Null).await?;
        let env = reply["env"].as_object().cloned().unwrap_or_default();
        anyhow::Ok(env.keys().cloned().collect::<Vec<_>>().join(" "))
    };
    assert_eq!(names("release_id=r1").await?, "ALL EMPTY R1");
    assert_eq!(names("release_id=r2&tag=beta&tag=prod").await?, "ALL EMPTY PROD");
    assert_eq!(names("release_id=r9&compatibility_version=v2").await?, "ALL EMPTY PROD V2");
    assert_eq!(call(&server, "GET", "/resolve", Value::Null).await?.0, 422);
    assert_eq!(call(&server, "GET", "/ALL", Value::Null).await?.0, 404);
    Ok(())
}

#[tokio::test]
async fn h10_2_the_launcher_names_a_release_and_gets_what_its_tags_and_its_version_are_set_for() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Private).await?;
    let client = operator(&server)?;
    let scope = |tags: &[&str], versions: &[&str]| {
        let own = |list: &[&str]| list.iter().map(|item| (*item).to_owned()).collect();
        Some(EnvironmentScope { tags: own(tags), release_ids: Vec::new(), compatibility_versions: own(versions) })
    };
    for (owner, endpoint, name, applies_to) in [
        ("acme", "paint", "PROD", scope(&["prod"], &[])),
        ("acme", "paint", "V2", scope(&[], &["v2"])),
        ("acme", "paint", "V3", scope(&[], &["v3"])),
        ("acme", "erase", "PROD", scope(&["prod"], &[])),
        ("eve", "paint", "PROD", scope(&["prod"], &["v2"])),
    ] {
        client.add_variable(owner, endpoint, &entry(name, "x", applies_to)?).await?;
    }
    let post = async |path: &str, body: Value| {
        let url = format!("{}/api/v1/projects/acme/studio/{path}", server.url);
        let reply = server.http.post(url).bearer_auth(OPERATOR).body(body.to_string()).send().await?;
        anyhow::Ok(serde_json::from_slice::<Value>(&reply.bytes().await?)?)
    };
    let manifest = json!({"functions": [{"name": "paint"}, {"name": "erase"}]});
    let published = post("releases", json!({"manifest": manifest, "compatibility_version": "v2"})).await?;
    let release = published["release_id"].as_str().unwrap_or_default().parse()?;
    let names = async |owner: &str, endpoint: &str| {
        let env = client.environment(owner, endpoint, &release).await?.env;
        anyhow::Ok(env.into_keys().collect::<Vec<_>>().join(" "))
    };
    assert_eq!(names("acme", "paint").await?, "V2", "no tag points at it");
    post("promote", json!({"release_id": release, "endpoints": ["paint"]})).await?;
    assert_eq!(names("acme", "paint").await?, "PROD V2");
    assert_eq!(names("acme", "erase").await?, "", "the tag of another endpoint");
    assert_eq!(names("eve", "paint").await?, "", "the release of another owner");
    let query = format!("/resolve?release_id={release}&compatibility_version=v3");
    let (_, reply) = call(&server, "GET", &query, Value::Null).await?;
    assert_eq!(reply["env"].as_object().map(|env| env.len()), Some(3), "what the query says is added");
    Ok(())
}

#[tokio::test]
async fn h10_3_reserved_names_and_impossible_values_are_refused() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Private).await?;
    for name in ["PATH", "HOME", "path", "WORKER_X", "HF_TOKEN", "LD_PRELOAD", "PYTHONPATH", "CUDA_VISIBLE_DEVICES"] {
        for (method, path) in [("POST", String::new()), ("PUT", format!("/{name}"))] {
            let (status, reply) = call(&server, method, &path, json!({"name": name, "value": "x"})).await?;
            assert_eq!((status, &reply["error"]["code"]), (422, &json!("reserved_name")), "{method} {name}");
        }
    }
    for (body, code) in [
        (json!({"name": "A-B", "value": ""}), "invalid_name"),
        (json!({"name": "A", "value": "\u{0}"}), "invalid_value"),
        (json!({"name": "A", "value": "x".repeat(64 * 1024 + 1)}), "invalid_value"),
        (json!({"name": "A", "value": "", "description": "x".repeat(5000)}), "invalid_description"),
        (json!({"name": "A", "value": "", "description": "a\u{0}b"}), "invalid_description"),
        (json!({"name": "A", "value": "", "applies_to": {"tags": vec!["x"; 257]}}), "invalid_scope"),
        (json!({"value": ""}), "invalid_body"),
    ] {
        let (status, reply) = call(&server, "POST", "", body).await?;
        assert_eq!((status, &reply["error"]["code"]), (422, &json!(code)));
    }
    let (status, _) = call(&server, "PUT", "/A", json!({"name": "B", "value": ""})).await?;
    assert_eq!(status, 422);
    Ok(())
}

#[tokio::test]
async fn h10_4_values_are_for_operators_and_never_on_the_disk() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Private).await?;
    operator(&server)?.add_variable("acme", "paint", &entry("KEY", "correct-horse-battery", None)?).await?;
    let grants = [(Area::Media, Right::Write, "acme"), (Area::Repo, Right::Write, "acme")];
    let job = server.client("acme", &grants)?;
    let refused = job.environment("acme", "paint", &"r1".parse()?).await;
    assert!(matches!(refused, Err(HubError::Auth { .. })), "{refused:?}");
    let anonymous = server.client("acme", &[])?.environment("acme", "paint", &"r1".parse()?).await;
    assert!(matches!(anonymous, Err(HubError::Auth { .. })), "{anonymous:?}");
    let token = server.token("acme", &grants, ByteLimits::default())?;
    for (method, path) in [("GET", ""), ("POST", ""), ("PUT", "/KEY"), ("DELETE", "/KEY")] {
        let url = format!("{}/api/v1/endpoints/acme/paint/env{path}", server.url);
        let reply = server.http.request(method.parse()?, url).bearer_auth(token.reveal()).body("{}").send().await?;
        assert_eq!(reply.status(), 403, "{method}");
    }
    server.stop().await;
    for file in std::fs::read_dir(directory.path())?.flatten().filter(|file| file.path().is_file()) {
        let bytes = std::fs::read(file.path())?;
        assert!(!bytes.windows(21).any(|window| window == b"correct-horse-battery"), "{:?}", file.path());
    }
    Ok(())
}
