//! What is measured: a process of its own that makes one snapshot present. It prints [`Pulled`] as a line of JSON.

use std::{fs, path::Path, time::Instant};

use anyhow::{Context as _, Result, ensure};
use gen_worker_hub::api::Resolved;
use gen_worker_store::{FormatGate, Store, StoreOptions, Unheard};
use gen_worker_tasks::Cancel;
use serde::{Deserialize, Serialize};

/// Uses of what is present that are measured.
const USES: usize = 20;

/// How long it took, in seconds.
#[derive(Debug, Serialize, Deserialize)]
pub struct Pulled {
    /// Until it was present and verified.
    pub first: f64,
    /// Each use after that.
    pub again: Vec<f64>,
}

/// Makes the snapshot of the file `order` present in the store at `root`.
pub async fn pull(root: &Path, order: &Path) -> Result<Pulled> {
    let resolved = Resolved::from_snapshot(&serde_json::from_slice(&fs::read(order)?)?)?;
    let store = Store::open(StoreOptions::new(root), &Cancel::new()).await?;
    let fetch = async || store.fetch("bench/model", &resolved, FormatGate::Any, &Unheard).await;
    let begun = Instant::now();
    fetch().await?;
    let first = begun.elapsed().as_secs_f64();
    let mut again = Vec::new();
    for _ in 0..USES {
        let begun = Instant::now();
        fetch().await?;
        again.push(begun.elapsed().as_secs_f64());
    }
    Ok(Pulled { first, again })
}

/// Runs a pull in a process of its own, this program with other arguments. Gives what it printed.
pub fn in_child(root: &Path, order: &Path) -> Result<String> {
    let mut child = std::process::Command::new(std::env::current_exe()?);
    let output = child.arg("pull").args([root, order]).output()?;
    ensure!(output.status.success(), "pull failed: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).context("a pull prints text")
}
