//! Hubs in processes of their own: this program again, which runs one of its tests as the hub.

use std::{path::Path, process::Stdio};

use anyhow::{Context as _, Result};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

/// In front of what a child says.
const SAID: &str = "hub: ";

/// Says something to whoever started this child.
pub fn says(what: &str) {
    println!("\n{SAID}{what}");
}

/// A child at work.
pub struct Served {
    pub child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    asks: ChildStdin,
}

impl Served {
    /// Runs `test` in `directory`.
    pub fn start(test: &str, directory: &Path) -> Result<Self> {
        Self::spawn(&mut Command::new(std::env::current_exe()?), test, directory)
    }

    /// The same in a world in which it may mount, and that a shell makes ready with `script`.
    pub fn start_by(script: &str, test: &str, directory: &Path) -> Result<Self> {
        let mut command = Command::new("unshare");
        let script = format!("{script}\nexec \"$@\"");
        command.args(["--mount", "--map-root-user", "sh", "-ec", &script, "sh"]);
        Self::spawn(command.arg(std::env::current_exe()?), test, directory)
    }

    fn spawn(command: &mut Command, test: &str, directory: &Path) -> Result<Self> {
        command.args(["--exact", test, "--nocapture"]).current_dir(directory);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut child = command.spawn()?;
        let lines = BufReader::new(child.stdout.take().context("its output")?).lines();
        let asks = child.stdin.take().context("its input")?;
        Ok(Self { child, lines, asks })
    }

    /// The next thing that it says.
    pub async fn says(&mut self) -> Result<String> {
        while let Some(line) = self.lines.next_line().await? {
            if let Some(said) = line.strip_prefix(SAID) {
                return Ok(said.to_owned());
            }
        }
        anyhow::bail!("the hub has ended by itself")
    }

    /// What it says to this.
    pub async fn asked(&mut self, what: &str) -> Result<String> {
        self.asks.write_all(format!("{what}\n").as_bytes()).await?;
        self.says().await
    }
}
