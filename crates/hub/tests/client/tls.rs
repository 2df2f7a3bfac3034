//! Servers that have to be trusted.

use std::sync::Arc;

use gen_worker_hub::{
    HubRef,
    client::{HubClient, HubClientOptions, HubError},
};
use serde_json::json;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring::default_provider,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    },
};

use crate::server::{Answer, Server};

const CERTIFICATE: &[u8] = include_bytes!("../../../../tests/tls/server.pem");
const KEY: &[u8] = include_bytes!("../../../../tests/tls/server.key");
const ROOT: &[u8] = include_bytes!("../../../../tests/tls/ca.pem");
const OTHER_ROOT: &[u8] = include_bytes!("../../../../tests/tls/other.pem");

fn acceptor() -> TlsAcceptor {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(CERTIFICATE).collect();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain.unwrap(), PrivateKeyDer::from_pem_slice(KEY).unwrap())
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

async fn resolve(server: &Server, root: Option<&[u8]>) -> HubError {
    let options = HubClientOptions { extra_roots: root.map(<[u8]>::to_vec), ..server.options() };
    HubClient::new(options).unwrap().resolve(&HubRef::parse("o/r").unwrap()).await.unwrap_err()
}

#[tokio::test]
async fn a_server_is_trusted_if_a_root_vouches_for_it() {
    let server = Server::start_tls(vec![Answer::Json(404, json!({}))], acceptor()).await;
    let error = resolve(&server, Some(ROOT)).await;
    assert!(matches!(error, HubError::NotFound { .. }), "{error:?}");
    for root in [None, Some(OTHER_ROOT)] {
        let error = resolve(&server, root).await;
        assert!(matches!(error, HubError::Transport { .. }), "{error:?}");
    }
    // Nobody who does not trust the server has told it anything.
    assert_eq!(server.lines().len(), 1);
}
