//! `gen-worker hub push`: a directory becomes a checkpoint (Hub contract, section 6).
//!
//! ```text
//! walk, hash ──> create (what does the hub lack?) ──> parts of some files at once, complete each ──> finalize (wait while it runs)
//!                                                        └─ failure, Ctrl-C ──> abort
//! ```
//! The bytes are sent by the [`CommitSender`]; what the hub has already is not sent.

mod tree;

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use futures::{StreamExt as _, stream};
use gen_worker_hub::{
    BearerToken, HubRef, RepoPath,
    api::{
        CommitCreate, CommitCreated, CommitFinalized, CommitMode, CommitTag, CommitUpload, MergeBase, ProducedFlavor,
    },
    client::{HubClient, HubClientOptions, HubError, RetryPolicy},
    model_ref::RepoName,
    snapshot::SnapshotFile,
};
use gen_worker_store::{CommitFile, CommitSender, Progress, Unheard, UploadError, UploadOptions, Uploader};
use gen_worker_tasks::Scope;
use serde_json::json;
use tracing::{info, level_filters::LevelFilter, warn};

use self::tree::{Tree, TreeError};
use super::{args::PushArgs, directory::read_tokens};
use crate::{
    env::{Environment, names},
    exit::{Exit, Failure, Outcome, chain},
    logging,
    signals::StopSignals,
};

/// The tag that every commit moves (Hub contract, 6.16): naming it is not needed.
const LATEST: &str = "latest";

/// Threads that send: what goes to a bucket is hashed on them, and signals are heard meanwhile.
const THREADS: usize = 2;

/// Files under way at once: twice those that the sender sends at once, so that it does not wait for what the hub says of others.
const FILES: usize = 8;

/// Time in which the hub has to take something of a part, or to answer.
const PART_STALL: Duration = Duration::from_secs(600);

/// What to push, and where to.
struct Push {
    contents: HashMap<RepoPath, CommitFile>,
    repo: RepoName,
    commit: CommitCreate,
    client: HubClient,
    sender: CommitSender,
}

/// Why nothing was pushed.
#[derive(Debug, thiserror::Error)]
enum PushError {
    #[error(transparent)]
    Hub(#[from] HubError),
    #[error("{path}")]
    Send {
        path: RepoPath,
        #[source]
        source: UploadError,
    },
    #[error(transparent)]
    File(UploadError),
    #[error("{0}: the hub wants a file that was not announced")]
    Unknown(RepoPath),
    #[error("interrupted")]
    Interrupted,
}

/// Runs the command.
pub(super) fn run(args: PushArgs, env: &Environment) -> Outcome {
    logging::start(&args.log, env, LevelFilter::INFO)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("could not start the runtime: {error}")))?;
    let outcome = runtime.block_on(push(args, env));
    // A file that is still hashed may take its time, and nobody wants it any more.
    runtime.shutdown_background();
    outcome
}

async fn push(args: PushArgs, env: &Environment) -> Outcome {
    let mut signals = StopSignals::listen()?;
    let client = client(&args, env)?;
    let reference = HubRef::parse(&args.reference)
        .map_err(|error| Failure::usage(format!("ref {}: {}", args.reference, chain(&error))))?;
    if reference.digest().is_some() {
        return Err(Failure::usage(format!("ref {}: a digest comes of the files, it cannot be given", args.reference)));
    }
    let dir = args.dir.clone();
    let scope = Arc::new(Scope::new("push"));
    let read = tokio::select! {
        read = scope.spawn_blocking(move || tree::read(&dir)) => read,
        _ = signals.next() => return Ok(Exit::Interrupted),
    };
    let files = read.map_err(|error| Failure::failed(format!("could not read the files: {error}")))?;
    let Tree { files, contents } = files.map_err(|error| match error {
        TreeError::File(error @ UploadError::Changed { .. }) => Failure::failed(chain(&error)),
        error => Failure::usage(chain(&error)),
    })?;
    let (count, size_bytes) = (files.len(), files.iter().map(|file| file.size_bytes).sum::<u64>());
    info!(files = count, bytes = size_bytes, "read {}", args.dir.display());
    let push = Push {
        repo: format!("{}/{}", reference.owner(), reference.repo())
            .parse()
            .map_err(|error| Failure::usage(format!("ref {}: {error}", args.reference)))?,
        commit: commit(&args, &reference, files)?,
        sender: sender(scope).map_err(|error| Failure::failed(chain(&error)))?,
        contents,
        client,
    };
    match push.run(&mut signals).await {
        Ok((finalized, sent_bytes)) => {
            let result = json!({
                "checkpoint_id": finalized.checkpoint_id.to_string(), "ref": reference.to_string(), "files": count,
                "size_bytes": size_bytes, "sent_bytes": sent_bytes, "unsafe_weights": finalized.unsafe_weights,
            });
            crate::embedded::print_text(&format!("{result}\n"))
        }
        Err(PushError::Interrupted) => Ok(Exit::Interrupted),
        Err(error) => Err(Failure::failed(chain(&error))),
    }
}

/// A client of the hub that the arguments or the environment name.
fn client(args: &PushArgs, env: &Environment) -> Result<HubClient, Failure> {
    let set = env.text(&names::TENSORHUB_URL)?;
    let base_url = args.url.as_deref().or(set).unwrap_or_default().to_owned();
    let token: Option<BearerToken> = match &args.token_file {
        Some(path) => read_tokens(path)?.into_iter().next(),
        None => {
            let token = env.text(&names::TENSORHUB_TOKEN)?.map(str::parse).transpose();
            token.map_err(|error| Failure::usage(format!("TENSORHUB_TOKEN: {error}")))?
        }
    };
    if token.is_none() {
        return Err(Failure::usage("no token is given: set TENSORHUB_TOKEN or --token-file"));
    }
    let options = HubClientOptions { base_url, token, ..HubClientOptions::default() };
    HubClient::new(options).map_err(|error| Failure::usage(chain(&error)))
}

/// Parts of a commit are repeated like its calls, and have the time of those (Hub contract, 6.4 and 6.5).
fn sender(scope: Arc<Scope>) -> Result<CommitSender, UploadError> {
    let options =
        UploadOptions { part_retry: RetryPolicy::CONTROL, part_stall: PART_STALL, ..UploadOptions::default() };
    Ok(Uploader::new(options, scope)?.commit())
}

fn commit(args: &PushArgs, reference: &HubRef, files: Vec<SnapshotFile>) -> Result<CommitCreate, Failure> {
    let mode = if args.merge { CommitMode::Merge } else { CommitMode::default() };
    let flavor = reference.flavor().map(ToString::to_string).unwrap_or_default();
    let mut commit = ProducedFlavor { flavor, files, ..ProducedFlavor::default() }.commit(mode);
    commit.message.clone_from(&args.message);
    // Otherwise a merge starts from the flavor that `latest` means by itself, and mixes formats (Hub contract, 6.14).
    commit.merge_base = (args.merge && reference.flavor().is_some()).then_some(MergeBase::Flavor);
    if reference.tag() != LATEST {
        let tag = reference.tag().parse();
        let tag = tag.map_err(|error| Failure::usage(format!("tag {}: {error}", reference.tag())))?;
        commit.tags.push(CommitTag { tag, default_flavor: None });
    }
    Ok(commit)
}

impl Push {
    /// What it became, and bytes that were sent.
    async fn run(&self, signals: &mut StopSignals) -> Result<(CommitFinalized, u64), PushError> {
        let created = self.client.create_commit(&self.repo, &self.commit).await?;
        let sent = tokio::select! {
            sent = self.send_all(&created) => sent,
            _ = signals.next() => Err(PushError::Interrupted),
        };
        let sent_bytes = match sent {
            Ok(sent) => sent,
            Err(error) => {
                self.client.abort_commit(&self.repo, &created.revision_id).await;
                return Err(error);
            }
        };
        // From here on the hub decides alone: it may have made the checkpoint whatever is heard of it.
        let finalized = self.client.finalize_commit(&self.repo, &created.revision_id).await?;
        if let Some(flavor) = &finalized.normalized_flavor {
            info!(flavor, "the hub has normalised the flavor");
        }
        if finalized.unsafe_weights {
            let why = "weights that can run code when they are loaded (.bin, .pt, .ckpt and the like)";
            let name = if self.commit.flavor.is_empty() { "digest" } else { "flavor or its digest" };
            warn!("the checkpoint has {why}: only who names its {name} gets it, and safe loaders refuse it");
        }
        Ok((finalized, sent_bytes))
    }

    async fn send_all(&self, created: &CommitCreated) -> Result<u64, PushError> {
        let wanted = created.uploads.len();
        info!(wanted, "the hub lacks {wanted} files");
        let sending = stream::iter(&created.uploads).map(|upload| self.send(created, upload));
        let (mut sending, mut sent_bytes, mut number) = (sending.buffer_unordered(FILES), 0_u64, 0_u64);
        while let Some(sent) = sending.next().await {
            let upload = sent?;
            (sent_bytes, number) = (sent_bytes.saturating_add(upload.size_bytes), number + 1);
            info!(path = %upload.path, bytes = upload.size_bytes, "sent {number} of {wanted}");
        }
        Ok(sent_bytes)
    }

    /// Sends one file, until the hub says that it has it.
    async fn send<'a>(&self, created: &CommitCreated, upload: &'a CommitUpload) -> Result<&'a CommitUpload, PushError> {
        let (path, nobody) = (&upload.path, Arc::new(Unheard) as Arc<dyn Progress>);
        let content = self.contents.get(path).ok_or_else(|| PushError::Unknown(path.clone()))?;
        let sent = self.sender.send(content, &upload.source, &nobody).await;
        let request = sent.map_err(|source| match source {
            // These name it themselves.
            UploadError::Disk { .. } | UploadError::Changed { .. } => PushError::File(source),
            source => PushError::Send { path: path.clone(), source },
        })?;
        self.client.complete_commit_upload(&self.repo, &created.revision_id, &upload.upload_id, &request).await?;
        Ok(upload)
    }
}

/// Files of a directory by their place in it.
type Found = BTreeMap<String, PathBuf>;
