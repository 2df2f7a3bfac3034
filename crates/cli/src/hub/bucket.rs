//! The bucket of a hub: where it is, and with which keys.

use std::{fmt, sync::Arc, time::Duration};

use object_store::{ClientOptions, ObjectStore, aws::AmazonS3Builder, path::Path, prefix::PrefixStore};
use tokio_rustls::rustls::crypto::ring::default_provider;

use super::args::StoreArgs;
use crate::{
    env::{Environment, names},
    exit::Failure,
};

/// What the addresses of buckets begin with.
const SCHEME: &str = "s3://";

/// Where Amazon has what is nowhere in particular.
const REGION: &str = "us-east-1";

/// How long the server of a bucket may be silent. Bodies themselves may take as long as whoever reads them likes.
const SILENCE: Duration = Duration::from_secs(60);

/// A bucket.
pub(super) struct Bucket {
    name: String,
    prefix: Path,
    endpoint: Option<String>,
    region: String,
    keys: Option<Keys>,
}

/// Who opens it; without them whoever the machine is.
struct Keys {
    id: String,
    secret: String,
    token: Option<String>,
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bucket").field("name", &self.name).field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl Bucket {
    /// The bucket that flags and environment name.
    ///
    /// # Errors
    /// What is none, and half a key (exit 2).
    pub(super) fn given(args: &StoreArgs, env: &Environment) -> Result<Option<Self>, Failure> {
        let Some(url) = args.objects.as_deref().or(env.text(&names::GEN_WORKER_HUB_OBJECTS)?) else { return Ok(None) };
        let place = url.trim().strip_prefix(SCHEME).map(|place| place.split_once('/').unwrap_or((place, "")));
        let is_name = |name: &str| {
            (3..=63).contains(&name.len())
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
        };
        let place = place.filter(|(name, _)| is_name(name));
        let (name, prefix) = place.ok_or_else(|| Failure::usage("objects: `s3://bucket/prefix` is expected"))?;
        let prefix = Path::parse(prefix).map_err(|_| Failure::usage("objects: the prefix is no path"))?;
        let or_set = |flag: &Option<String>, variable| {
            Ok::<_, Failure>(flag.as_deref().or(env.text(variable)?).map(str::to_owned))
        };
        let endpoint = or_set(&args.objects_endpoint, &names::AWS_ENDPOINT_URL)?;
        let region = or_set(&args.objects_region, &names::AWS_REGION)?.unwrap_or_else(|| REGION.to_owned());
        Ok(Some(Self { name: name.to_owned(), prefix, endpoint, region, keys: keys(env)? }))
    }

    /// The objects in it.
    pub(super) fn open(&self) -> Result<Arc<dyn ObjectStore>, Failure> {
        // Its HTTP client wants one. The first of a process stays.
        drop(default_provider().install_default());
        let is_plain = self.endpoint.as_deref().is_some_and(|endpoint| endpoint.starts_with("http://"));
        let client = ClientOptions::new().with_timeout_disabled().with_read_timeout(SILENCE).with_allow_http(is_plain);
        let mut bucket =
            AmazonS3Builder::new().with_client_options(client).with_bucket_name(&self.name).with_region(&self.region);
        if let Some(endpoint) = &self.endpoint {
            bucket = bucket.with_endpoint(endpoint);
        }
        if let Some(Keys { id, secret, token }) = &self.keys {
            bucket = bucket.with_access_key_id(id).with_secret_access_key(secret);
            if let Some(token) = token {
                bucket = bucket.with_token(token);
            }
        }
        let bucket = bucket.build().map_err(|error| Failure::usage(format!("objects: {error}")))?;
        Ok(Arc::new(PrefixStore::new(bucket, self.prefix.clone())))
    }
}

fn keys(env: &Environment) -> Result<Option<Keys>, Failure> {
    let text = |variable| Ok::<_, Failure>(env.text(variable)?.map(str::to_owned));
    let token = text(&names::AWS_SESSION_TOKEN)?;
    match (text(&names::AWS_ACCESS_KEY_ID)?, text(&names::AWS_SECRET_ACCESS_KEY)?) {
        (Some(id), Some(secret)) => Ok(Some(Keys { id, secret, token })),
        (None, None) => Ok(None),
        _ => Err(Failure::usage("objects: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY go together")),
    }
}
