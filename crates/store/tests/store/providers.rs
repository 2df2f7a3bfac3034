//! Models of providers, against local servers that speak their interfaces.

mod civitai;
mod hugging_face;
mod kills;
#[cfg(feature = "modelscope")]
mod model_scope;
mod site;
mod world;

#[cfg(not(feature = "modelscope"))]
#[tokio::test]
async fn m5_7_without_its_feature_the_error_is_clear() {
    use gen_worker_hub::{ModelRef, binding::Provider};
    use gen_worker_store::{ModelRequest, Reach};
    let store = world::World::new().await.store().await;
    let request = ModelRequest::new(ModelRef::parse(Provider::ModelScope, "o/r").unwrap());
    let error = world::provider_error(world::fetch(&store, &request, Reach::Cached).await);
    assert_eq!(error.to_string(), "o/r is of a provider that this build of the store does not download from");
}
