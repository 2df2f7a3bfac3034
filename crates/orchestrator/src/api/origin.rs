//! Keeps web pages away from a server that asks nobody for a token.
//!
//! Any page a developer opens can send requests to `127.0.0.1`: plain POSTs need no permission of the server, and a
//! page whose own name is made to point at the loopback address (DNS rebinding) may even read the replies. Programs
//! and command lines send no `Origin` and name the server by address, so neither check is in their way.

use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderValue, Uri, header, uri::Authority};

/// Why a request without a token is refused; `None` when it may come in.
pub(super) fn refusal(uri: &Uri, headers: &HeaderMap) -> Option<&'static str> {
    let host = match uri.authority() {
        Some(authority) => Some(authority.clone()),
        None => match headers.get(header::HOST).map(parse) {
            Some(None) => return Some("the Host header names no host"),
            Some(host) => host,
            // Only HTTP/1.0 leaves it out; browsers do not speak that.
            None => None,
        },
    };
    if host.as_ref().is_some_and(|host| !is_unforgeable(host.host())) {
        return Some("without tokens this server answers only to an IP address or `localhost` as its name");
    }
    let origin = headers.get(header::ORIGIN)?;
    let authority = origin.to_str().ok().and_then(|text| text.split_once("://")).map(|(_, authority)| authority);
    let own = host.as_ref().map(Authority::as_str);
    (authority.is_none() || authority != own)
        .then_some("without tokens this server takes no requests from web pages of another origin")
}

fn parse(value: &HeaderValue) -> Option<Authority> {
    value.to_str().ok()?.parse().ok()
}

/// Whether no name server can make this name point elsewhere.
fn is_unforgeable(host: &str) -> bool {
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    address.parse::<IpAddr>().is_ok() || host.eq_ignore_ascii_case("localhost")
}

#[cfg(test)]
mod tests;
