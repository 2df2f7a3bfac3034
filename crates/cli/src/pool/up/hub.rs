//! The hub inside a pool, as the orchestrator sees it: tokens are signed with the hub's own secret, refs and outputs are looked up
//! without HTTP. Whoever may use the pool without a token is the one owner of this machine, and reads what an operator may read;
//! every other tenant reads what is public and what is its own.

use std::{
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures::{FutureExt as _, future::BoxFuture};
use gen_worker_hub::{
    HubRef,
    api::FileSource,
    token::{Area, ByteLimits, CapabilityClaims, Grant, Right, TokenCheck, TokenSigner, Workload},
};
use gen_worker_hubd::{Asker, Direct, Seen, Visibility, metadata::MetadataError};
use gen_worker_orchestrator::{
    api::DEV_TENANT,
    hub::{Hub, HubUnavailable, JobGrant, Lookup, NotItsToken, Renewed, Resolved},
};
use gen_worker_proto::{Pair, pb};
use tracing::warn;

use crate::{
    exit::{Failure, chain},
    hub::{Directory, HubSettings, LocalHub, Stores, Tidy},
};

/// Part of the life of an address that a snapshot is handed out with: the rest is for the download.
const SPARE: Duration = Duration::from_secs(60 * 60);

/// Resolves without a token that one address may ask for in a minute (Hub contract, 3.13).
const ANONYMOUS_PER_MINUTE: u32 = 60;

/// Beyond the time of its handler: downloads, set-up and waits of the same attempt (as the pool's own overtime).
const OVERTIME: Duration = Duration::from_secs(15 * 60);

/// A hub of this process, and the directory of one that is gone with the process.
pub(super) struct PoolHub {
    local: LocalHub,
    directory: PathBuf,
    _temporary: Option<tempfile::TempDir>,
}

impl PoolHub {
    /// Opens the hub in `directory`, or one that ends with the pool.
    ///
    /// # Errors
    /// As [`Directory::open`] and [`LocalHub::open`].
    pub(super) async fn open(directory: Option<&Path>, public_url: &str) -> Result<Self, Failure> {
        let made = || tempfile::Builder::new().prefix("gen-worker-hub-").tempdir();
        let temporary = if directory.is_none() {
            Some(made().map_err(|error| Failure::failed(format!("temporary directory of the hub: {error}")))?)
        } else {
            None
        };
        let path = directory.or(temporary.as_ref().map(tempfile::TempDir::path)).unwrap_or(Path::new("."));
        let settings = HubSettings {
            public_url: public_url.to_owned(),
            stores: Stores::default(),
            secret_file: None,
            token_files: Vec::new(),
            visibility: Visibility::Private,
            anonymous_per_minute: ANONYMOUS_PER_MINUTE,
            part_bytes: gen_worker_hub::api::PART_SIZE_DEFAULT,
            tidy: Tidy::default(),
        };
        let local = LocalHub::open(Directory::open(path)?, settings).await?;
        Ok(Self { local, directory: path.to_owned(), _temporary: temporary })
    }

    /// The hub itself.
    pub(super) fn local(&self) -> &LocalHub {
        &self.local
    }

    /// Where it keeps what it has.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// What the orchestrator gets.
    ///
    /// # Errors
    /// Never in practice.
    pub(super) fn access(&self) -> Result<HubAccess, Failure> {
        let signer = self.local.signer()?;
        let check = signer.check();
        Ok(HubAccess { direct: Direct::new(self.local.hub().clone()), signer, check })
    }

    /// Ends it, once nobody serves it any more.
    pub(super) async fn close(self) {
        self.local.close().await;
    }
}

/// The hub as the orchestrator sees it.
#[derive(Debug)]
pub(super) struct HubAccess {
    direct: Direct,
    signer: TokenSigner,
    check: TokenCheck,
}

impl Hub for HubAccess {
    fn token(&self, job: &JobGrant<'_>) -> String {
        let signed = self.signer.sign(&claims(job, now_s()));
        // Claims are a few names; only a name of many kilobytes makes a token too long, and such a job has no files.
        signed.map_or_else(|_| String::from("none"), |token| token.reveal().to_owned())
    }

    fn renew(&self, pair: &Pair, token: &str) -> Result<Renewed, NotItsToken> {
        let now_s = now_s();
        let token = token.parse().map_err(|_| NotItsToken)?;
        let mut claims = self.check.verify_for_renewal(&token, now_s).map_err(|_| NotItsToken)?;
        let same = claims.request_id == pair.request_id.as_str() && i64::from(claims.attempt) == pair.attempt.0;
        if !same {
            return Err(NotItsToken);
        }
        let life_s = claims.exp.saturating_sub(claims.iat);
        (claims.iat, claims.exp) = (now_s, now_s.saturating_add(life_s));
        let token = self.signer.sign(&claims).map_err(|_| NotItsToken)?;
        Ok(Renewed { token: token.reveal().to_owned(), expires_at_unix: claims.exp })
    }

    fn resolve(&self, tenant: &str, reference: &str) -> BoxFuture<'static, Result<Lookup, HubUnavailable>> {
        let (direct, tenant, reference) = (self.direct.clone(), tenant.to_owned(), HubRef::parse(reference));
        async move {
            // Refs of other providers are none of ours.
            let Ok(reference) = reference else { return Ok(Lookup::Absent) };
            let asker = if tenant == DEV_TENANT { Asker::Operator } else { Asker::Tenant(&tenant) };
            let seen = direct.resolve(&reference, asker).await.map_err(|error| unavailable(&error))?;
            let valid = Direct::ADDRESS_LIFE.saturating_sub(SPARE);
            Ok(match seen {
                Seen::There(found) => Lookup::Found(Resolved { snapshot: snapshot(found), valid }),
                Seen::Hidden => Lookup::Hidden,
                Seen::Gone => Lookup::Absent,
            })
        }
        .boxed()
    }

    fn output(&self, tenant: &str, reference: &str) -> BoxFuture<'static, Result<Option<String>, HubUnavailable>> {
        let (direct, tenant, reference) = (self.direct.clone(), tenant.to_owned(), reference.to_owned());
        async move {
            let url = direct.media_url(&tenant, &reference).await.map_err(|error| unavailable(&error))?;
            Ok(url.map(|url| url.reveal().to_owned()))
        }
        .boxed()
    }

    fn is_present(&self) -> bool {
        true
    }
}

/// What the token of a job says (Hub contract, 9.2, 9.5, 9.7). Every job may read and write the files of its tenant; what makes
/// checkpoints and datasets may write those too.
fn claims(job: &JobGrant<'_>, now_s: u64) -> CapabilityClaims {
    let kind = match job.kind {
        "training" => Workload::Training,
        "conversion" | "dataset" => Workload::Conversion,
        _ => Workload::Inference,
    };
    let makes_repos = kind != Workload::Inference;
    let areas = [(Area::Media, true), (Area::Repo, makes_repos), (Area::Dataset, makes_repos)];
    let grant = |(area, right)| Grant::new(area, right, job.tenant, "*").ok();
    let right = |(area, may_write)| (area, if may_write { Right::Write } else { Right::Read });
    let life = job.timeout.map_or(kind.ttl(), |timeout| kind.ttl().max(timeout.saturating_add(OVERTIME)));
    CapabilityClaims {
        sub: job.worker_id.to_owned(),
        tenant: job.tenant.to_owned(),
        request_id: job.pair.request_id.as_str().to_owned(),
        attempt: u32::try_from(job.pair.attempt.0).unwrap_or(u32::MAX),
        kind,
        grants: areas.into_iter().map(right).filter_map(grant).collect(),
        limits: ByteLimits::default(),
        iat: now_s,
        exp: now_s.saturating_add(life.as_secs()),
    }
}

/// The wire form of resolved files. A file that is not behind an address has no place there.
fn snapshot(resolved: gen_worker_hub::api::Resolved) -> pb::Snapshot {
    let files = resolved.files.into_iter().filter_map(|file| match file.source {
        FileSource::Url(url) => Some(pb::SnapshotFile {
            path: file.path.to_string(),
            size_bytes: i64::try_from(file.size_bytes).unwrap_or(i64::MAX),
            blake3: file.blake3.to_string(),
            url: url.reveal().to_owned(),
        }),
        FileSource::TransferGrant(_) => None,
    });
    pb::Snapshot { digest: resolved.snapshot.to_string(), files: files.collect() }
}

fn unavailable(error: &MetadataError) -> HubUnavailable {
    warn!(error = chain(error), "hub cannot be asked");
    HubUnavailable
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests;
