//! Where clients find a hub: signed addresses and workers need one answer.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use gen_worker_hub::SignedUrl;
use tracing::warn;

use crate::{
    env::{Environment, names},
    exit::Failure,
};

/// The address that was given, by flag or environment, without a slash at its end.
///
/// # Errors
/// When it is no address, or has a query (exit 2).
pub(crate) fn given_public_url(flag: Option<&str>, env: &Environment) -> Result<Option<String>, Failure> {
    let set = env.text(&names::GEN_WORKER_HUB_PUBLIC_URL)?;
    let Some(url) = flag.or(set) else { return Ok(None) };
    let url = url.trim().trim_end_matches('/');
    let parsed = url.parse::<SignedUrl>();
    // It is not shown: a user or a query in it may be a secret.
    let parsed = parsed.map_err(|error| Failure::usage(format!("public URL: {error}")))?;
    if parsed.without_query() != url {
        return Err(Failure::usage("public URL: it has a query"));
    }
    Ok(Some(url.to_owned()))
}

/// The address of what listens on `address`, for clients on this machine.
pub(crate) fn local_url(address: SocketAddr) -> String {
    let mut reachable = address;
    if address.ip().is_unspecified() {
        // Of all addresses of this machine, one that is always there.
        reachable.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
        warn!("listening on {address}, but signed addresses lead to {reachable}: other machines need --public-url");
    }
    format!("http://{reachable}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h1_1_a_slash_at_the_end_goes_and_a_prefix_stays() {
        let given = |url: &str| given_public_url(Some(url), &Environment::of_pairs(&[])).unwrap();
        assert_eq!(given(" https://hub.example/files/ ").as_deref(), Some("https://hub.example/files"));
        let env = Environment::of_pairs(&[("GEN_WORKER_HUB_PUBLIC_URL", "http://h")]);
        assert_eq!(given_public_url(None, &env).unwrap().as_deref(), Some("http://h"));
        assert_eq!(given_public_url(None, &Environment::of_pairs(&[])).unwrap(), None);
    }

    #[test]
    fn what_is_no_address_is_refused_without_its_query() {
        for url in ["hub.example", "ftp://h", "http://h/?token=hunter2", "http://user:hunter2@h"] {
            let failure = given_public_url(Some(url), &Environment::of_pairs(&[])).unwrap_err();
            assert!(failure.message().starts_with("public URL"), "{failure:?}");
            assert!(!failure.message().contains("hunter2"), "{failure:?}");
        }
    }

    #[test]
    fn every_address_of_the_machine_is_none_that_clients_can_use() {
        assert_eq!(local_url(SocketAddr::from(([0, 0, 0, 0], 7))), "http://127.0.0.1:7");
        assert_eq!(local_url(SocketAddr::from(([192, 0, 2, 1], 7))), "http://192.0.2.1:7");
        assert_eq!(local_url("[::1]:7".parse().unwrap()), "http://[::1]:7");
    }
}
