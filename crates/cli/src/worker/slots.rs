//! Slots as real processes: children of the binary that runs, with a socket as stdin. Owns nothing: each child belongs
//! to whoever launched it.

use std::{
    ffi::OsString,
    io,
    os::{
        fd::OwnedFd,
        unix::{net::UnixStream, process::ExitStatusExt as _},
    },
    path::PathBuf,
    process::Stdio,
};

use clap::ValueEnum as _;
use futures::future::BoxFuture;
use gen_worker_core::slot::{LaunchedSlot, SlotChild, SlotExit, SlotLauncher};
use tokio::process::{Child, Command};

use crate::args::LogArgs;

/// Starts `<this binary> slot`.
#[derive(Debug)]
pub(super) struct ProcessSlots {
    args: Vec<OsString>,
}

struct Process(Child);

impl ProcessSlots {
    /// Children that log like this process.
    pub(super) fn new(log: &LogArgs) -> Self {
        let mut args = vec![OsString::from("slot")];
        if let Some(filter) = &log.log {
            args.extend(["--log".into(), filter.into()]);
        }
        if let Some(format) = log.log_format.and_then(|format| format.to_possible_value()) {
            args.extend(["--log-format".into(), format.get_name().into()]);
        }
        Self { args }
    }
}

impl SlotLauncher for ProcessSlots {
    fn launch(&self) -> BoxFuture<'static, io::Result<LaunchedSlot>> {
        let args = self.args.clone();
        Box::pin(async move {
            let (ours, theirs) = UnixStream::pair()?;
            ours.set_nonblocking(true)?;
            let stream = tokio::net::UnixStream::from_std(ours)?;
            let mut command = Command::new(program()?);
            if let Some(name) = std::env::args_os().next() {
                command.arg0(name);
            }
            let child = command
                .args(args)
                .stdin(Stdio::from(OwnedFd::from(theirs)))
                // What handlers print goes where the worker's lines go.
                .stdout(Stdio::inherit())
                .stderr(Stdio::inherit())
                // Its own group: Ctrl-C in the terminal reaches the worker alone, which lets its jobs finish.
                .process_group(0)
                .kill_on_drop(true)
                .spawn()?;
            Ok(LaunchedSlot { stream: Box::new(stream), child: Box::new(Process(child)) })
        })
    }
}

impl SlotChild for Process {
    fn has_ended(&mut self) -> bool {
        !matches!(self.0.try_wait(), Ok(None))
    }

    fn kill(&mut self) {
        // It may have ended already.
        drop(self.0.start_kill());
    }

    fn wait(&mut self) -> BoxFuture<'_, SlotExit> {
        Box::pin(async {
            let Ok(status) = self.0.wait().await else { return SlotExit::Unknown };
            let signal = status.signal().map(SlotExit::Signal);
            signal.or_else(|| status.code().map(SlotExit::Code)).unwrap_or(SlotExit::Unknown)
        })
    }
}

/// The binary that runs. Where the system allows, by its open file rather than its path: a binary that was replaced
/// on disk would be of another version than this worker.
fn program() -> io::Result<PathBuf> {
    let open = PathBuf::from("/proc/self/exe");
    if open.exists() { Ok(open) } else { std::env::current_exe() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::LogFormat;

    #[test]
    fn children_log_like_their_worker() {
        let plain = ProcessSlots::new(&LogArgs::default());
        assert_eq!(plain.args, ["slot"]);
        let log = LogArgs { log: Some("debug".to_owned()), log_format: Some(LogFormat::Json) };
        assert_eq!(ProcessSlots::new(&log).args, ["slot", "--log", "debug", "--log-format", "json"]);
    }
}
