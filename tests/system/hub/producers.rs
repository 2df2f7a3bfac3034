//! What contexts of producing functions do besides: attributes, blobs, datasets.

use anyhow::{Result, ensure};
use gen_worker_hubd::Visibility;
use gen_worker_tests::OwnHub;
use serde_json::json;

use super::PEERS;

#[test]
fn h7_1_the_wheel_reads_and_replaces_attributes() -> Result<()> {
    let hub = OwnHub::start(Visibility::Private)?;
    let token = hub.producer("acme")?;
    for version in PEERS {
        let (repo, metadata) = (format!("acme/of-{version}"), json!({"family": "sdxl", "nested": {"a": [1, 2]}}));
        let call = json!({"token": token.reveal(), "owner": "acme", "repo": repo, "metadata": metadata});
        let done = hub.peer_does(version, "metadata", call)?;
        ensure!(done["before"]["exists"] == false && done["before"]["metadata"] == json!({}), "{done}");
        ensure!(done["after"]["exists"] == true && done["after"]["metadata"] == metadata, "{done}");
    }
    Ok(())
}
