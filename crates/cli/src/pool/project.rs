//! The project file: which binary target is the endpoint.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Project files in the order in which a directory is searched, with the table that holds `main`.
const FILES: [(&str, &[&str]); 2] =
    [("pyproject.toml", &["tool", "gen_worker"]), ("Cargo.toml", &["package", "metadata", "gen_worker"])];

/// What a project says about its endpoint.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Project {
    /// Directory of the project.
    pub(super) root: PathBuf,
    /// Name of the binary target.
    pub(super) main: String,
}

/// Why a project names no endpoint. All of these are exit 2.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProjectError {
    #[error("no project file in {}: looked for pyproject.toml with [tool.gen_worker] and Cargo.toml with [package.metadata.gen_worker]", .0.display())]
    None(PathBuf),
    #[error("project file {} cannot be read: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("project file {} is not TOML: {detail}", path.display())]
    Syntax { path: PathBuf, detail: String },
    #[error("project file {} names no endpoint: set `main` in [{table}]", path.display())]
    NoMain { path: PathBuf, table: String },
}

impl Project {
    /// Reads the project at `path`, a directory or one of the project files.
    pub(super) fn read(path: &Path) -> Result<Self, ProjectError> {
        if !path.is_dir() {
            return Self::from_file(path, table_of(path));
        }
        // A Python project file without our table is none of ours: the next one may be.
        let mut first_error = None;
        for (name, table) in FILES {
            let file = path.join(name);
            if !file.is_file() {
                continue;
            }
            match Self::from_file(&file, table) {
                Ok(project) => return Ok(project),
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        Err(first_error.unwrap_or_else(|| ProjectError::None(path.to_owned())))
    }

    fn from_file(path: &Path, table: &[&str]) -> Result<Self, ProjectError> {
        let text = fs::read_to_string(path).map_err(|source| ProjectError::Read { path: path.to_owned(), source })?;
        let document: toml::Table = text.parse().map_err(|error: toml::de::Error| ProjectError::Syntax {
            path: path.to_owned(),
            detail: error.message().to_owned(),
        })?;
        let mut at = Some(&document);
        for segment in table {
            at = at.and_then(|table| table.get(*segment)).and_then(toml::Value::as_table);
        }
        let main = at.and_then(|table| table.get("main")).and_then(toml::Value::as_str).map(str::trim);
        let Some(main) = main.filter(|main| !main.is_empty()) else {
            return Err(ProjectError::NoMain { path: path.to_owned(), table: table.join(".") });
        };
        let root = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Ok(Self { root: root.to_owned(), main: main.to_owned() })
    }
}

fn table_of(path: &Path) -> &'static [&'static str] {
    let [(_, python), (rust, cargo)] = FILES;
    if path.file_name().is_some_and(|name| name == rust) { cargo } else { python }
}
