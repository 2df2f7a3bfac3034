//! TLS of the client: rustls on ring, with the roots of the system and of the caller.

use std::sync::Arc;

use tokio_rustls::rustls::{
    self, ClientConfig, RootCertStore,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, pem::PemObject as _},
};

use super::error::HubError;

/// A configuration that trusts the system's roots and those of `extra`, in PEM.
///
/// # Errors
/// [`HubError::Roots`] when `extra` holds something else. A root of the system that cannot be used is its business.
pub fn config(extra: Option<&[u8]>) -> Result<ClientConfig, HubError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    for certificate in CertificateDer::pem_slice_iter(extra.unwrap_or_default()) {
        let certificate = certificate.map_err(|error| HubError::Roots(error.into()))?;
        roots.add(certificate).map_err(|error| HubError::Roots(error.into()))?;
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error: rustls::Error| HubError::Roots(error.into()))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
