//! What has to come from the system's package manager.

use std::process::Command;

use anyhow::{Result, bail};

use super::{Need, Part, python};
use crate::environment;
use crate::paths::Paths;
use crate::process;

/// A package of the system, and how to see that it is there.
struct Package {
    debian: &'static str,
    provides: &'static str,
    present: fn() -> bool,
}

const PACKAGES: [Package; 4] = [
    Package { debian: "gcc", provides: "a C compiler `cc`", present: || environment::find_program("cc").is_some() },
    Package {
        debian: "libc6-dev",
        provides: "C headers",
        // The compiler is there without them when it was installed without recommended packages.
        present: || process::succeeds(Command::new("cc").args(["-E", "-include", "stdlib.h", "-x", "c", "/dev/null"])),
    },
    Package { debian: "git", provides: "`git`", present: || environment::find_program("git").is_some() },
    Package {
        // Brings python3 itself.
        debian: "python3-venv",
        provides: "Python 3.11 or newer with venv and pip",
        present: || python::interpreter().is_some(),
    },
];

/// Servers that tests start for themselves.
const SERVERS: [Package; 1] =
    [Package { debian: "postgresql", provides: "the programs of PostgreSQL", present: has_postgres }];

/// What everything is built with. Only root can install it.
pub(super) fn packages() -> Part {
    part("system packages", Need::Demo, &PACKAGES)
}

/// What tests meet. Only root can install it.
pub(super) fn servers() -> Part {
    part("servers for tests", Need::Test, &SERVERS)
}

fn part(name: &str, need: Need, packages: &'static [Package]) -> Part {
    Part {
        name: name.to_owned(),
        need,
        missing: Box::new(move |_| {
            let missing: Vec<_> = missing(packages).map(|package| package.provides).collect();
            (!missing.is_empty()).then(|| missing.join(", "))
        }),
        install: Box::new(move |paths| install(paths, packages)),
    }
}

/// Debian puts each version into a directory of its own, and none of them on the path.
fn has_postgres() -> bool {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut programs = versions.map(|version| version.path().join("bin/initdb"));
    programs.any(|program| program.is_file()) || environment::find_program("initdb").is_some()
}

fn missing(packages: &'static [Package]) -> impl Iterator<Item = &'static Package> {
    packages.iter().filter(|package| !(package.present)())
}

fn install(paths: &Paths, packages: &'static [Package]) -> Result<()> {
    let names: Vec<_> = missing(packages).map(|package| package.debian).collect();
    let provides: Vec<_> =
        missing(packages).map(|package| format!("  {} (Debian: {})", package.provides, package.debian)).collect();
    let root = rustix::process::geteuid().is_root();
    if !root || environment::find_program("apt-get").is_none() {
        let why = if root { "there is no apt-get here" } else { "only root may install packages" };
        bail!("{why}; please install\n{}", provides.join("\n"));
    }
    let apt = || {
        let mut command = paths.command("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive");
        command
    };
    process::run(apt().args(["update", "-qq"]))?;
    process::run(apt().args(["install", "-qq", "-y", "--no-install-recommends"]).args(names))
}
