//! `models pin`, `unpin` and `gc`: what stays, what leaves.

use gen_worker_store::{Evictable, Store};
use indicatif::BinaryBytes;
use serde_json::json;

use super::{args::GcArgs, failed, report};
use crate::{
    console::{print_document, print_line},
    exit::{Exit, Failure, Outcome},
};

/// Says whether models have to stay.
pub(super) async fn pin(store: &Store, refs: &[String], pinned: bool) -> Outcome {
    let mut absent = Vec::new();
    for reference in refs {
        if !store.pin(reference, pinned).await.map_err(|error| failed(&error))? {
            absent.push(reference.as_str());
        }
    }
    match absent.is_empty() {
        true => Ok(Exit::Success),
        false => Err(Failure::model(format!("not in the store: {}", absent.join(", ")))),
    }
}

/// Removes what no model needs, and models until the target is free. Exit 1 when it cannot be reached.
pub(super) async fn collect(store: &Store, args: GcArgs) -> Outcome {
    let GcArgs { target, dry_run, json } = args;
    let target = target.unwrap_or(0);
    let models = store.models().await.map_err(|error| failed(&error))?;
    let before = store.usage().await.map_err(|error| failed(&error))?;
    let (left, after, unfinished): (Vec<String>, _, _) = if dry_run {
        let Evictable { models, unfinished_bytes } = store.evictable(target).await.map_err(|error| failed(&error))?;
        (models.into_iter().map(|(reference, _)| reference).collect(), before.clone(), unfinished_bytes)
    } else {
        let left = store.collect(target).await.map_err(|error| failed(&error))?;
        let after = store.usage().await.map_err(|error| failed(&error))?;
        let unfinished = before.unfinished_bytes.saturating_sub(after.unfinished_bytes);
        (left, after, unfinished)
    };
    let freed = before.total_bytes.saturating_sub(after.total_bytes);
    if json {
        let evicted: Vec<_> =
            left.iter().filter_map(|reference| Some(report::row(reference, models.get(reference)?))).collect();
        let document = json!({
            "available_bytes": after.available_bytes,
            "dry_run": dry_run,
            "evicted": evicted,
            "freed_bytes": freed,
            "unfinished_bytes": unfinished,
        });
        print_document(&document, false)?;
    } else {
        let word = if dry_run { "would leave" } else { "left" };
        for reference in &left {
            let bytes = models.get(reference).map_or(0, |model| model.bytes);
            print_line(&format!("{word}\t{reference}\t{}", BinaryBytes(bytes)))?;
        }
        if unfinished > 0 {
            print_line(&format!("{word}\t(unfinished downloads)\t{}", BinaryBytes(unfinished)))?;
        }
        if !dry_run {
            print_line(&format!("freed {}", BinaryBytes(freed)))?;
        }
    }
    // What a dry run would free is known only roughly: it promises nothing.
    match after.available_bytes {
        Some(available) if !dry_run && available < target => {
            let (wanted, available) = (BinaryBytes(target), BinaryBytes(available));
            let why = "models leave only when that is enough, those in use and pinned ones stay, and other files fill the disk too";
            Err(Failure::failed(format!("{wanted} were to be free, {available} are: {why}")))
        }
        _ => Ok(Exit::Success),
    }
}
