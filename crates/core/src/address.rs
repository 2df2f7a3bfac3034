//! Where the orchestrator is: the address forms of the wire contract, section 3. Owns no state; must not resolve
//! or dial anything.

use std::fmt;

/// Port of an address that names none: the one its scheme implies.
const PORT_TLS: u16 = 443;
/// See [`PORT_TLS`].
const PORT_PLAINTEXT: u16 = 80;

/// An address to dial.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    host: String,
    port: u16,
    tls: bool,
}

/// A text that is not an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Nothing is left after trimming, or there is no host.
    #[error("orchestrator address {0:?} has no host")]
    NoHost(String),
    /// The scheme is none of `grpc`, `grpcs`, `http`, `https`.
    #[error("orchestrator address {address:?} has the unknown scheme {scheme:?}; use grpc:// or grpcs://")]
    UnknownScheme {
        /// The whole text.
        address: String,
        /// What stands before `://`.
        scheme: String,
    },
    /// The port is not a number between 1 and 65535.
    #[error("orchestrator address {0:?} has a bad port")]
    BadPort(String),
    /// Something follows the port.
    #[error("orchestrator address {0:?} carries a path; only host and port are used")]
    Path(String),
}

impl Address {
    /// Reads an address: `grpcs://` and `https://` mean TLS, `grpc://` and `http://` plaintext, in any letter
    /// case. Without a scheme it is TLS when the text ends in `:443` or when `tls_without_scheme` says so.
    ///
    /// # Errors
    /// When the text names no host, an unknown scheme, a bad port, or more than host and port.
    pub fn parse(text: &str, tls_without_scheme: bool) -> Result<Self, AddressError> {
        let text = text.trim();
        let (tls, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (scheme_tls(text, scheme)?, rest),
            None => (tls_without_scheme || text.ends_with(":443"), text),
        };
        Self::host_and_port(text, rest, tls)
    }

    /// The target of a redirect, `host:port`. It keeps the TLS mode of the connection that was refused, never a
    /// weaker one.
    ///
    /// # Errors
    /// When `target` is not a host with an optional port.
    pub fn redirected(&self, target: &str) -> Result<Self, AddressError> {
        let target = target.trim();
        if let Some((scheme, _)) = target.split_once("://") {
            return Err(AddressError::UnknownScheme { address: target.to_owned(), scheme: scheme.to_owned() });
        }
        Self::host_and_port(target, target, self.tls)
    }

    /// Name or IP address; an IPv6 address has no brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// TCP port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether the connection is encrypted.
    #[must_use]
    pub fn tls(&self) -> bool {
        self.tls
    }

    fn host_and_port(text: &str, rest: &str, tls: bool) -> Result<Self, AddressError> {
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains(['/', '?', '#', '@']) {
            return Err(AddressError::Path(text.to_owned()));
        }
        let (host, port) = split_port(text, rest)?;
        if host.is_empty() || host.contains(char::is_whitespace) {
            return Err(AddressError::NoHost(text.to_owned()));
        }
        let port = match port {
            None if tls => PORT_TLS,
            None => PORT_PLAINTEXT,
            Some(digits) => match digits.parse() {
                Ok(port) if port != 0 => port,
                _ => return Err(AddressError::BadPort(text.to_owned())),
            },
        };
        Ok(Self { host: host.to_owned(), port, tls })
    }
}

fn scheme_tls(text: &str, scheme: &str) -> Result<bool, AddressError> {
    match scheme.to_ascii_lowercase().as_str() {
        "grpcs" | "https" => Ok(true),
        "grpc" | "http" => Ok(false),
        _ => Err(AddressError::UnknownScheme { address: text.to_owned(), scheme: scheme.to_owned() }),
    }
}

/// Splits `host[:port]`, `[v6][:port]` or a bare IPv6 address.
fn split_port<'a>(text: &str, rest: &'a str) -> Result<(&'a str, Option<&'a str>), AddressError> {
    if let Some(after) = rest.strip_prefix('[') {
        let (host, tail) = after.split_once(']').ok_or_else(|| AddressError::NoHost(text.to_owned()))?;
        return match tail.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if tail.is_empty() => Ok((host, None)),
            None => Err(AddressError::BadPort(text.to_owned())),
        };
    }
    match rest.rsplit_once(':') {
        Some((host, _)) if host.contains(':') => Ok((rest, None)),
        Some((host, port)) => Ok((host, Some(port))),
        None => Ok((rest, None)),
    }
}

impl fmt::Display for Address {
    /// Scheme, host and port, as [`Address::parse`] reads them back.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "grpcs" } else { "grpc" };
        if self.host.contains(':') {
            write!(f, "{scheme}://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{scheme}://{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests;
