//! The bucket of a hub: where it is, and with which keys.

use std::{fmt, sync::Arc, time::Duration};

use gen_worker_hubd::blobs::BlobStore;
use gen_worker_tasks::Scope;
use object_store::{
    ClientOptions,
    aws::{AmazonS3, AmazonS3Builder},
    path::Path,
    prefix::PrefixStore,
};
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
    reads: Reads,
}

/// How clients read what is in a bucket.
enum Reads {
    /// Through the hub.
    Hub,
    /// By addresses of the bucket, with this endpoint in them when it is not the hub's own.
    Bucket(Option<String>),
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
        let reads = or_set(&args.objects_reads, &names::GEN_WORKER_HUB_OBJECTS_READS)?;
        let reads = reads.map_or(Ok(Reads::by_default(endpoint.as_deref())), |text| Reads::parse(&text))?;
        Ok(Some(Self { name: name.to_owned(), prefix, endpoint, region, keys: keys(env)?, reads }))
    }

    /// Whether clients are led to an address of it that is not encrypted.
    pub(super) fn is_read_in_the_open(&self) -> bool {
        let Reads::Bucket(endpoint) = &self.reads else { return false };
        endpoint.as_ref().or(self.endpoint.as_ref()).is_some_and(|endpoint| endpoint.starts_with("http://"))
    }

    /// The objects in it. Work on them runs in `scope`.
    ///
    /// # Errors
    /// What is no endpoint (exit 2).
    pub(super) fn open(&self, scope: Arc<Scope>) -> Result<BlobStore, Failure> {
        let objects = PrefixStore::new(self.s3(self.endpoint.as_deref())?, self.prefix.clone());
        let blobs = BlobStore::remote(Arc::new(objects), scope);
        let Reads::Bucket(endpoint) = &self.reads else { return Ok(blobs) };
        let signer = self.s3(endpoint.as_deref().or(self.endpoint.as_deref()))?;
        Ok(blobs.read_directly(Arc::new(signer), self.prefix.clone()))
    }

    fn s3(&self, endpoint: Option<&str>) -> Result<AmazonS3, Failure> {
        // Its HTTP client wants one. The first of a process stays.
        drop(default_provider().install_default());
        let is_plain = endpoint.is_some_and(|endpoint| endpoint.starts_with("http://"));
        let client = ClientOptions::new().with_timeout_disabled().with_read_timeout(SILENCE).with_allow_http(is_plain);
        let mut bucket =
            AmazonS3Builder::new().with_client_options(client).with_bucket_name(&self.name).with_region(&self.region);
        if let Some(endpoint) = endpoint {
            bucket = bucket.with_endpoint(endpoint);
        }
        if let Some(Keys { id, secret, token }) = &self.keys {
            bucket = bucket.with_access_key_id(id).with_secret_access_key(secret);
            if let Some(token) = token {
                bucket = bucket.with_token(token);
            }
        }
        bucket.build().map_err(|error| Failure::usage(format!("objects: {error}")))
    }
}

impl Reads {
    /// Amazon's buckets can be reached by everybody; whether others can nobody knows.
    fn by_default(endpoint: Option<&str>) -> Self {
        if endpoint.is_some() { Self::Hub } else { Self::Bucket(None) }
    }

    fn parse(text: &str) -> Result<Self, Failure> {
        match text.trim() {
            "hub" => Ok(Self::Hub),
            "bucket" => Ok(Self::Bucket(None)),
            url if url.starts_with("http://") || url.starts_with("https://") => Ok(Self::Bucket(Some(url.to_owned()))),
            _ => Err(Failure::usage("objects-reads: `hub`, `bucket` or an http(s) address of the bucket is expected")),
        }
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
