//! What a process uses, as the kernel tells.

use std::fs;

use anyhow::{Context, Result};

/// Resident memory of a process now, in units of 10^6 bytes.
///
/// # Errors
/// When it is gone.
pub fn resident_mb(id: u32) -> Result<f64> {
    status_mb(id, "VmRSS:")
}

/// The most that was resident since it started, in units of 10^6 bytes.
///
/// # Errors
/// When it is gone.
pub fn resident_peak_mb(id: u32) -> Result<f64> {
    status_mb(id, "VmHWM:")
}

/// Files, sockets and pipes that it holds open.
///
/// # Errors
/// When it is gone.
pub fn open_handles(id: u32) -> Result<usize> {
    let entries = fs::read_dir(format!("/proc/{id}/fd")).context("list the process's handles")?;
    Ok(entries.count())
}

fn status_mb(id: u32, name: &str) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).context("read the process's status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no {name}"))?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse().with_context(|| name.to_owned())?;
    Ok(kib * 1024.0 / 1e6)
}
