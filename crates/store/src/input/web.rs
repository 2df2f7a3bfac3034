//! The client for addresses that strangers chose. Owns the connections.

use std::{error::Error, net::IpAddr, sync::Arc};

use gen_worker_hub::client::tls_config;
use reqwest::{
    Client, Url,
    dns::{Addrs, Name, Resolve, Resolving},
    redirect,
};

use super::{error::InputError, public_address::AddressRule};

/// What the client calls itself.
const USER_AGENT: &str = concat!("gen-worker/", env!("CARGO_PKG_VERSION"));

/// As browsers of old: more is a circle.
const REDIRECTS_MAX: usize = 5;

/// Resolves names to addresses that may be connected to. Connections go to what it gives, so nobody can answer otherwise
/// later.
struct CheckedNames(AddressRule);

/// What the client found wrong on its way. It is inside of an error of the library.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("too many redirects")]
    Redirects,
    #[error("no address of the web")]
    Scheme,
    #[error("{0} is not a public host")]
    Private(String),
    #[error("{0} cannot be resolved")]
    Unknown(String, #[source] Arc<std::io::Error>),
}

pub(super) fn client(rule: AddressRule, extra_roots: Option<&[u8]>) -> Result<Client, InputError> {
    let tls = tls_config(extra_roots).map_err(|error| InputError::Setup(Box::new(error)))?;
    let follow = move |attempt: redirect::Attempt<'_>| {
        if attempt.previous().len() > REDIRECTS_MAX {
            return attempt.error(Refusal::Redirects);
        }
        match check(attempt.url(), rule) {
            Ok(()) => attempt.follow(),
            Err(refusal) => attempt.error(refusal),
        }
    };
    let client = Client::builder()
        .tls_backend_preconfigured(tls)
        .dns_resolver(Arc::new(CheckedNames(rule)))
        .redirect(redirect::Policy::custom(follow))
        .retry(reqwest::retry::never())
        .no_proxy()
        .referer(false)
        .user_agent(USER_AGENT)
        // A kept connection would lead to an address that was checked for another job.
        .pool_max_idle_per_host(0)
        .build();
    client.map_err(|error| InputError::Setup(Box::new(error.without_url())))
}

/// Checks all of `url` that can be told without asking for its name.
pub(super) fn check(url: &Url, rule: AddressRule) -> Result<(), Refusal> {
    let host = match (url.scheme(), url.host_str()) {
        ("http" | "https", Some(host)) => host,
        _ => return Err(Refusal::Scheme),
    };
    // Literal addresses are not resolved, so nobody else looks at them. Odd spellings are plain ones by now.
    match host.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(address) if !rule.allows(address) => Err(Refusal::Private(host.to_owned())),
        _ => Ok(()),
    }
}

impl Resolve for CheckedNames {
    fn resolve(&self, name: Name) -> Resolving {
        let rule = self.0;
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let found = tokio::net::lookup_host((host.clone(), 0)).await;
            let found: Vec<_> = match found {
                Ok(found) => found.collect(),
                Err(error) => return Err(Refusal::Unknown(host, Arc::new(error)).into()),
            };
            // One that is private makes the name one of a private network, whatever the others are.
            if found.iter().any(|address| !rule.allows(address.ip())) {
                return Err(Refusal::Private(host).into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// What went wrong, told by the refusal inside of `error` if there is one.
pub(super) fn failed(error: reqwest::Error) -> InputError {
    let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
    while let Some(inner) = cause {
        if let Some(refusal) = inner.downcast_ref::<Refusal>() {
            return refusal.clone().into();
        }
        cause = inner.source();
    }
    InputError::Broken(Box::new(error.without_url()))
}

impl From<Refusal> for InputError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Redirects => Self::Redirects,
            Refusal::Scheme => Self::Address,
            Refusal::Private(host) => Self::Private { host },
            Refusal::Unknown(host, source) => {
                let source = std::io::Error::new(source.kind(), source);
                Self::Unknown { host, source }
            }
        }
    }
}

#[cfg(test)]
mod tests;
