//! Finding the endpoint binary that a command means.

#[cfg(test)]
mod tests;

use std::{
    env::consts::EXE_SUFFIX,
    ffi::OsStr,
    path::{Path, PathBuf},
};

use super::project::Project;
use crate::{
    args::EndpointArgs,
    env::{Environment, names},
    exit::Failure,
};

/// How far above the project a `target` directory is looked for: a workspace member lies one or two levels deep,
/// the bound keeps odd mounts from being walked to their root.
const LEVELS_UP_MAX: usize = 8;

/// Profile directories of Cargo's output.
const PROFILES: [&str; 2] = ["release", "debug"];

/// Where binaries may lie. Plain values, so that the search is testable.
#[derive(Debug, Default)]
pub(crate) struct Places {
    /// Build output directory that the user chose.
    pub(crate) target_dir: Option<PathBuf>,
    /// The search path.
    pub(crate) path: Vec<PathBuf>,
}

impl Places {
    /// The places this process knows of.
    pub(crate) fn of(env: &Environment) -> Self {
        let path = env.raw(&names::PATH).map(|path| std::env::split_paths(path).collect());
        Self { target_dir: env.raw(&names::CARGO_TARGET_DIR).map(PathBuf::from), path: path.unwrap_or_default() }
    }

    /// The endpoint binary that `args` name: `--module`, else `main` of the project.
    ///
    /// # Errors
    /// No project, no `main`, or a binary that is not built; the text then has the command that builds it.
    pub(crate) fn endpoint(&self, args: &EndpointArgs) -> Result<PathBuf, Failure> {
        let here = Path::new(".");
        let project = match &args.module {
            Some(module) => Project { root: here.to_owned(), main: module.clone() },
            None => Project::read(args.config.as_deref().unwrap_or(here))
                .map_err(|error| Failure::usage(error.to_string()))?,
        };
        self.binary(&project).ok_or_else(|| {
            Failure::usage(format!("endpoint binary `{0}` is not built: cargo build --release --bin {0}", project.main))
        })
    }

    /// The newest build of the project's binary, else the first one on the search path.
    fn binary(&self, project: &Project) -> Option<PathBuf> {
        let name = format!("{}{EXE_SUFFIX}", project.main);
        // A name with a separator would reach outside of the places.
        Path::new(&name).file_name().filter(|file| *file == OsStr::new(&name))?;
        let root = std::path::absolute(&project.root).ok()?;
        let above = root.ancestors().take(LEVELS_UP_MAX).map(|dir| dir.join("target"));
        let outputs = self.target_dir.iter().cloned().chain(above);
        outputs
            .filter_map(|output| newest(PROFILES.iter().map(|profile| output.join(profile).join(&name))))
            .next()
            .or_else(|| self.path.iter().map(|dir| dir.join(&name)).find(|file| is_program(file)))
    }
}

fn newest(files: impl Iterator<Item = PathBuf>) -> Option<PathBuf> {
    let built = files.filter(|file| is_program(file));
    built.max_by_key(|file| file.metadata().and_then(|metadata| metadata.modified()).ok())
}

fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}
