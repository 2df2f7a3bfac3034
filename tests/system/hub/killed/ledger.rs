//! What clients began at a hub, and what of it the hub acknowledged.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

/// Files by their hashes.
pub(super) type Tree = BTreeMap<String, String>;

/// One line of a client.
#[derive(Debug, Deserialize)]
pub(super) struct Event {
    pub event: Stage,
    pub client: String,
    #[serde(flatten)]
    pub what: What,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Stage {
    Begin,
    Done,
    Failed,
    Wrong,
}

/// What it does.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub(super) enum What {
    Media {
        #[serde(rename = "ref")]
        reference: String,
        blake3: String,
    },
    Blob {
        blake3: String,
    },
    Commit {
        repo: String,
        files: Tree,
        checkpoint: Option<String>,
    },
    Pull,
    Resolve,
    Any {
        error: String,
    },
}

/// What a name may stand for.
#[derive(Clone, Debug)]
pub(super) struct Named<T> {
    /// What was acknowledged last, and what was begun since.
    pub maybe: Vec<T>,
    /// Whether anything was.
    pub is_acknowledged: bool,
}

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self { maybe: Vec::new(), is_acknowledged: false }
    }
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    pub refs: BTreeMap<String, Named<String>>,
    pub repos: BTreeMap<String, Named<Tree>>,
    /// Contents that stay, by their hashes.
    pub blobs: BTreeSet<String>,
    /// Checkpoints: repository, digest, files.
    pub checkpoints: Vec<(String, String, Tree)>,
    /// Acknowledgements by client.
    pub counts: BTreeMap<String, usize>,
    /// What must not happen.
    pub wrong: Vec<String>,
    /// Why something failed last.
    pub failed: Option<String>,
}

impl<T> Named<T> {
    fn note(&mut self, stage: Stage, value: T) {
        if stage == Stage::Done {
            (self.maybe, self.is_acknowledged) = (vec![value], true);
        } else {
            self.maybe.push(value);
        }
    }
}

impl Ledger {
    /// Takes a line of a client.
    pub fn read(&mut self, line: &str) {
        match serde_json::from_str(line) {
            Ok(event) => self.note(event),
            Err(error) => self.wrong.push(format!("{error}: {line}")),
        }
    }

    pub fn note(&mut self, Event { event, client, what }: Event) {
        match event {
            Stage::Wrong => self.wrong.push(format!("{client}: {what:?}")),
            Stage::Failed => self.failed = Some(format!("{client}: {what:?}")),
            Stage::Begin | Stage::Done => {
                if event == Stage::Done {
                    *self.counts.entry(client).or_default() += 1;
                }
                self.keep(event, what);
            }
        }
    }

    fn keep(&mut self, stage: Stage, what: What) {
        match what {
            What::Media { reference, blake3 } => self.refs.entry(reference).or_default().note(stage, blake3),
            What::Blob { blake3 } if stage == Stage::Done => drop(self.blobs.insert(blake3)),
            What::Commit { repo, files, checkpoint } => {
                self.repos.entry(repo.clone()).or_default().note(stage, files.clone());
                self.checkpoints.extend(checkpoint.map(|digest| (repo, digest, files)));
            }
            What::Blob { .. } | What::Pull | What::Resolve | What::Any { .. } => {}
        }
    }
}
