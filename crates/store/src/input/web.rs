//! The client for addresses that strangers chose. Owns the connections.

use std::{error::Error, net::IpAddr, sync::Arc};

use gen_worker_hub::client::tls_config;
use reqwest::{
    Client, Response, Url,
    dns::{Addrs, Name, Resolve, Resolving},
    header, redirect,
};

use super::{error::InputError, public_address::AddressRule, storage::StorageBase};

/// What the client calls itself.
const USER_AGENT: &str = concat!("gen-worker/", env!("CARGO_PKG_VERSION"));

/// As browsers of old: more is a circle.
const REDIRECTS_MAX: usize = 5;

/// Resolves names to addresses that may be connected to. Connections go to what it gives, so nobody can answer otherwise
/// later.
pub(crate) struct CheckedNames(pub(crate) AddressRule);

/// What the client found wrong on its way. It is inside of an error of the library.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("no address of the web")]
    Scheme,
    #[error("{0} is not a public host")]
    Private(String),
    #[error("{0} cannot be resolved")]
    Unknown(String, #[source] Arc<std::io::Error>),
}

/// Asks for what addresses lead to. Cheap to clone; clones share the connections.
#[derive(Clone, Debug)]
pub(super) struct Web {
    rule: AddressRule,
    /// Places that are asked wherever they are.
    storage: Arc<[StorageBase]>,
    /// Connects where the rule allows.
    public: Client,
    /// Connects to the pool's own storage.
    own: Client,
}

impl Web {
    pub(super) fn new(
        rule: AddressRule,
        storage: Arc<[StorageBase]>,
        extra_roots: Option<&[u8]>,
    ) -> Result<Self, InputError> {
        let public = client(rule, extra_roots)?;
        let own = if rule == AddressRule::Any { public.clone() } else { client(AddressRule::Any, extra_roots)? };
        Ok(Self { rule, storage, public, own })
    }

    /// The answer for `url`, or for where it leads. What has the origin of `own`, or is in the storage, is asked for wherever
    /// that is; each redirect is judged by itself.
    pub(super) async fn get(&self, mut url: Url, own: Option<&str>) -> Result<Response, InputError> {
        let own = own.and_then(|own| own.parse::<Url>().ok()).map(|own| own.origin()).filter(|own| own.is_tuple());
        for _ in 0..=REDIRECTS_MAX {
            let is_own = own.as_ref().is_some_and(|own| url.origin() == *own)
                || self.storage.iter().any(|base| base.covers(&url));
            let (client, rule) = if is_own { (&self.own, AddressRule::Any) } else { (&self.public, self.rule) };
            check(&url, rule)?;
            let asked = client.get(url.clone()).header(header::ACCEPT_ENCODING, "identity").send();
            let response = asked.await.map_err(Self::failed)?;
            match next(&url, &response)? {
                None => return Ok(response),
                Some(next) => url = next,
            }
        }
        Err(InputError::Redirects)
    }

    /// What went wrong, told by the refusal inside of `error` if there is one.
    pub(super) fn failed(error: reqwest::Error) -> InputError {
        refused(&error).unwrap_or_else(|| InputError::Broken(Box::new(error.without_url())))
    }
}

/// The refusal inside of `error`, if there is one.
pub(crate) fn refused(error: &reqwest::Error) -> Option<InputError> {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(inner) = cause {
        if let Some(refusal) = inner.downcast_ref::<Refusal>() {
            return Some(refusal.clone().into());
        }
        cause = inner.source();
    }
    None
}

/// Where `response` sends whoever asked for `url`, if it does.
fn next(url: &Url, response: &Response) -> Result<Option<Url>, InputError> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let Some(place) = response.headers().get(header::LOCATION) else { return Ok(None) };
    let place = place.to_str().map_err(|_| InputError::Address)?;
    url.join(place).map(Some).map_err(|_| InputError::Address)
}

fn client(rule: AddressRule, extra_roots: Option<&[u8]>) -> Result<Client, InputError> {
    let tls = tls_config(extra_roots).map_err(|error| InputError::Setup(Box::new(error)))?;
    let client = Client::builder()
        .tls_backend_preconfigured(tls)
        .dns_resolver(Arc::new(CheckedNames(rule)))
        // Each is judged before it is followed.
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .referer(false)
        .user_agent(USER_AGENT)
        // A kept connection would lead to an address that was checked for another job.
        .pool_max_idle_per_host(0)
        .build();
    client.map_err(|error| InputError::Setup(Box::new(error.without_url())))
}

/// Whether `url` may be asked, as far as that can be told without asking for its name.
///
/// # Errors
/// Why not.
pub(crate) fn checked(url: &str, rule: AddressRule) -> Result<(), InputError> {
    let url: Url = url.parse().map_err(|_| InputError::Address)?;
    Ok(check(&url, rule)?)
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

impl From<Refusal> for InputError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
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
