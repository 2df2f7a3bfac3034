use super::*;
use crate::binding::{hf, hub};

#[tokio::test]
async fn local_models_are_found_by_wire_ref_and_by_repository() {
    let dir = std::env::temp_dir();
    let models = LocalModels::new().with("a/b:v2", &dir).with("c/d", &dir);
    for binding in [hub("a/b").tag("v2"), hf("c/d").revision("main")] {
        let binding = binding.build().expect("a binding");
        assert_eq!(models.fetch(&binding, None, &NoProgress).await.expect("a directory").dir(), dir);
    }
    assert_eq!(models.residency().len(), 2);
}

#[tokio::test]
async fn local_models_say_what_is_missing() {
    let models = LocalModels::new().with("a/b", "/nonexistent-model-directory");
    let present = hub("a/b").build().expect("a binding");
    assert!(matches!(models.fetch(&present, None, &NoProgress).await, Err(ModelError::Directory { .. })));
    let absent = hub("x/y").build().expect("a binding");
    assert!(
        matches!(models.fetch(&absent, None, &NoProgress).await, Err(ModelError::Unknown(reference)) if reference == "x/y")
    );
}
