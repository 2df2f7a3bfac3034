//! The flags of `gen-worker models`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use gen_worker_core::binding::Provider;

#[derive(Debug, Args)]
pub(crate) struct ModelsArgs {
    /// Directory of the store, instead of TENSORHUB_CAS_DIR
    #[arg(long, value_name = "PATH", global = true)]
    pub(super) store: Option<PathBuf>,
    #[command(subcommand)]
    pub(super) command: ModelsCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum ModelsCommand {
    /// List the models that are on disk
    List(ReportArgs),
    /// Bring models to this disk: owner/repo:tag#flavor (tag and flavor may be left out), hf:owner/repo, civitai:VERSION, modelscope:owner/repo
    Pull(PullArgs),
    /// Hash models and take away those that are damaged
    Verify(VerifyArgs),
    /// Keep models when others leave for lack of space
    Pin(RefsArgs),
    /// Let models leave again
    Unpin(RefsArgs),
    /// Remove what no model needs and, with a target, models until so much of the disk is free
    Gc(GcArgs),
    /// Say how much of the disk the models take
    Du(ReportArgs),
}

#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    /// Print one JSON document
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct PullArgs {
    /// What to bring
    #[arg(value_name = "REF", required = true)]
    pub(super) refs: Vec<String>,
    /// Who has them, for refs without a prefix: tensorhub, hf, civitai or modelscope
    #[arg(long, value_name = "NAME")]
    pub(super) provider: Option<Provider>,
    /// Flavor of them, for refs that name none
    #[arg(long, value_name = "NAME")]
    pub(super) flavor: Option<String>,
    /// No network: only say whether they are here
    #[arg(long)]
    pub(super) offline: bool,
    /// Print events as JSON lines on stdout
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// Which, as `list` calls them; all without any
    #[arg(value_name = "REF")]
    pub(super) refs: Vec<String>,
    /// Print one JSON document
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct RefsArgs {
    /// Which, as `list` calls them
    #[arg(value_name = "REF", required = true)]
    pub(super) refs: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct GcArgs {
    /// Bytes that are to be free, such as 500M or 20G (powers of 1024)
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub(super) target: Option<u64>,
    /// Only say what would leave
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Print one JSON document
    #[arg(long)]
    pub(super) json: bool,
}

/// A number of bytes, with the letter of a power of 1024 behind it or none.
fn bytes(text: &str) -> Result<u64, &'static str> {
    const EXPECTED: &str = "expected a number of bytes such as 1048576, 500M or 20G";
    let text = text.trim();
    let units = [('K', 10), ('M', 20), ('G', 30), ('T', 40)];
    let unit = text.chars().last().map(|last| last.to_ascii_uppercase());
    let (digits, shift) = match units.iter().find(|(letter, _)| Some(*letter) == unit) {
        Some((_, shift)) => (text.get(..text.len() - 1).unwrap_or_default(), *shift),
        None => (text, 0),
    };
    let number = digits.trim_end().parse::<u64>().map_err(|_| EXPECTED)?;
    number.checked_mul(1 << shift).ok_or(EXPECTED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_units() {
        for (text, expected) in
            [("0", 0), ("1048576", 1 << 20), ("500m", 500 << 20), ("20G", 20 << 30), ("3 T", 3 << 40)]
        {
            assert_eq!(bytes(text), Ok(expected), "{text}");
        }
        for text in ["", "G", "-1", "1.5G", "1GB", "99999999999T", "é"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }
}
