//! Where PostgreSQL is, and as whom it runs: it refuses root.

use std::{fs, os::unix::fs::MetadataExt as _, path::PathBuf};

use anyhow::{Context as _, Result};

/// Below this Debian puts each version into a directory of its own.
const VERSIONS: &str = "/usr/lib/postgresql";

/// Where others put it.
const ELSEWHERE: [&str; 3] = ["/usr/bin", "/usr/local/bin", "/usr/local/pgsql/bin"];

/// Accounts that a server may have where the tests run as root.
const ACCOUNTS: [&str; 2] = ["postgres", "nobody"];

/// Who a process is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Account {
    pub(crate) user: u32,
    pub(crate) group: u32,
}

/// A program of the newest PostgreSQL of this machine.
pub(crate) fn program(name: &str) -> Result<PathBuf> {
    let version = |path: &PathBuf| path.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok());
    let versions = fs::read_dir(VERSIONS).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let mut versions: Vec<PathBuf> = versions.filter(|path| version(path).is_some()).collect();
    versions.sort_by_key(|path| std::cmp::Reverse(version(path)));
    let places = versions.into_iter().map(|path| path.join("bin")).chain(ELSEWHERE.map(PathBuf::from));
    let mut found = places.map(|place| place.join(name)).filter(|path| path.is_file());
    found.next().with_context(|| format!("no {name} of PostgreSQL on this machine: run `cargo xtask setup`"))
}

/// As whom the server runs; none for as whom the test does.
pub(crate) fn account() -> Result<Option<Account>> {
    // Who this process is, without a call into the system that needs a crate.
    if fs::metadata("/proc/self").context("look at this process")?.uid() != 0 {
        return Ok(None);
    }
    let accounts = fs::read_to_string("/etc/passwd").context("read the accounts of this machine")?;
    let account = |name: &str| {
        let line = accounts.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut numbers = line.split(':').skip(2).map(str::parse);
        Some(Account { user: numbers.next()?.ok()?, group: numbers.next()?.ok()? })
    };
    ACCOUNTS.into_iter().find_map(account).map(Some).context("no account for PostgreSQL")
}
