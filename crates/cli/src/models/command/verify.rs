//! `models verify`: all bytes again.

use gen_worker_store::{Store, Verified};
use serde_json::{Value, json};

use super::{args::VerifyArgs, failed};
use crate::{
    console::{print_document, print_line},
    exit::{Exit, Failure, Outcome},
};

/// Checks models. Exit 1 when one is damaged, else 3 when one is not there.
pub(super) async fn run(store: &Store, args: VerifyArgs) -> Outcome {
    let refs = match args.refs.is_empty() {
        true => store.models().await.map_err(|error| failed(&error))?.into_keys().collect(),
        false => args.refs,
    };
    let (mut rows, mut damaged, mut absent) = (Vec::new(), Vec::new(), Vec::new());
    for reference in refs {
        let found = store.verify(&reference).await.map_err(|error| failed(&error))?;
        let (word, files) = word(&found);
        match found {
            Verified::Damaged(_) => damaged.push(reference.clone()),
            Verified::Absent => absent.push(reference.clone()),
            Verified::Sound | Verified::SoundStructure => {}
        }
        if args.json {
            rows.push(json!({"files": files, "ref": reference, "state": word}));
        } else {
            let files = files.join(" ");
            print_line(format!("{word}\t{reference}\t{files}").trim_end())?;
        }
    }
    if args.json {
        print_document(&Value::Array(rows), false)?;
    }
    match (damaged.is_empty(), absent.is_empty()) {
        (true, true) => Ok(Exit::Success),
        (true, false) => Err(Failure::model(format!("not in the store: {}", absent.join(", ")))),
        (false, _) => Err(Failure::failed(format!("damaged, and taken away: {}", damaged.join(", ")))),
    }
}

/// How a finding is called, and the files that are wrong.
fn word(found: &Verified) -> (&'static str, Vec<&str>) {
    match found {
        Verified::Sound => ("sound", Vec::new()),
        Verified::SoundStructure => ("sound-structure", Vec::new()),
        Verified::Damaged(files) => ("damaged", files.iter().map(|file| file.as_str()).collect()),
        Verified::Absent => ("absent", Vec::new()),
    }
}
