//! Where keys are published: a URL, cut into what a connection needs.

use std::{fmt, net::IpAddr};

use http::{Uri, uri::Scheme};

/// An `https` or `http` URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeySource {
    uri: Uri,
    tls: bool,
}

/// Why a text is no such URL.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("expected an https:// or http:// address without a user")]
pub(crate) struct SourceError;

impl KeySource {
    /// Reads a URL.
    ///
    /// # Errors
    /// When it is none, has another scheme, or holds a user name, which would be a secret in a public place.
    pub(crate) fn parse(text: &str) -> Result<Self, SourceError> {
        let uri: Uri = text.trim().parse().map_err(|_| SourceError)?;
        let tls = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => false,
            _ => return Err(SourceError),
        };
        let authority = uri.authority().ok_or(SourceError)?;
        if authority.as_str().contains('@') || authority.host().is_empty() {
            return Err(SourceError);
        }
        Ok(Self { uri, tls })
    }

    /// Where a redirect to `location` leads: to the same scheme or nowhere, so that nobody can talk us out of TLS.
    pub(super) fn redirected(&self, location: &str) -> Option<Self> {
        let absolute = match location.strip_prefix('/') {
            Some(rest) if !rest.starts_with('/') => format!("{}://{}{location}", self.scheme(), self.authority()),
            _ => location.to_owned(),
        };
        Self::parse(&absolute).ok().filter(|to| to.tls == self.tls)
    }

    fn scheme(&self) -> &'static str {
        if self.tls { "https" } else { "http" }
    }

    /// Whether others can read and change what comes from there: no TLS, and not from this machine.
    pub(crate) fn is_open(&self) -> bool {
        let loopback = self.host().parse().map_or(self.host() == "localhost", |address: IpAddr| address.is_loopback());
        !self.tls && !loopback
    }

    /// Host and port as written.
    pub(super) fn authority(&self) -> &str {
        self.uri.authority().map(http::uri::Authority::as_str).unwrap_or_default()
    }

    /// The host to dial, without the brackets of an IPv6 address.
    pub(super) fn host(&self) -> &str {
        self.uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']')
    }

    /// The port to dial.
    pub(super) fn port(&self) -> u16 {
        self.uri.port_u16().unwrap_or(if self.tls { 443 } else { 80 })
    }

    /// Path and query.
    pub(super) fn target(&self) -> &str {
        self.uri.path_and_query().map(http::uri::PathAndQuery::as_str).unwrap_or("/")
    }

    /// Whether the connection is encrypted.
    pub(super) fn tls(&self) -> bool {
        self.tls
    }
}

impl fmt::Display for KeySource {
    /// Without the query, which may be a signature.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme(), self.authority(), self.uri.path())
    }
}
