//! Types that move, and what they share with others.

use std::path::Path;

use gen_worker::{ComponentKey, Device, Movable, SharedComponent, prelude::*};
use gen_worker_core::LocalModels;
use serde_json::json;

use crate::{
    functions::Text,
    support::{call, function, registry},
};

/// A pipeline of its own over an encoder that others use, too.
struct Pipeline {
    encoder: SharedComponent<String>,
    at: Device,
}

impl Movable for Pipeline {
    fn move_to(&mut self, device: Device) -> Result<()> {
        self.at = device;
        Ok(())
    }

    fn bytes_by_device(&self) -> Vec<(Device, u64)> {
        vec![(self.at, 4)]
    }
}

#[endpoint(slots(base = hub("o/1")), movable)]
impl Pipeline {
    #[setup]
    async fn load(slots: Slots) -> Result<Self> {
        let dir = slots.dir("base")?;
        let key = ComponentKey { reference: "o/1".into(), subfolder: "encoder".into(), ..ComponentKey::default() };
        let encoder = slots.shared(key, async { Ok((dir.path().join("encoder").display().to_string(), 4)) }).await?;
        Ok(Self { encoder, at: slots.device() })
    }

    #[handler]
    async fn encode_text(&self, _ctx: &RequestContext, _payload: Text) -> Result<Text> {
        Ok(Text::of(self.encoder.as_str()))
    }
}

#[tokio::test]
async fn m9_shared_a_setup_takes_a_component_that_others_may_have() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    let models = LocalModels::new().with("o/1", dir);
    let output = call(&function("encode-text"), json!({"text": "x"}), models).await.expect("encodes");
    assert_eq!(output["text"], dir.join("encoder").display().to_string());
}

#[test]
fn m9_4_a_type_that_says_so_moves() {
    let declared = gen_worker_core::endpoint::linked_endpoints();
    let movable = |name: &str| {
        let decl = declared.iter().find(|decl| decl.type_name == Some(name)).expect("declared here");
        decl.movable
    };
    let mut pipeline: Box<dyn std::any::Any + Send + Sync> = Box::new(7_u8);
    let as_movable = movable("Pipeline").expect("it moves");
    assert!(as_movable(&mut *pipeline).is_none(), "this is another type");
    assert!(movable("Counter").is_none() && registry().get("encode-text").is_some());
}
