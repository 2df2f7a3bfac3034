//! How transfers look: bars on a terminal, one JSON object per line everywhere else.

use std::{
    io::{self, IsTerminal as _, Write},
    path::Path,
    sync::Arc,
};

use gen_worker_core::FetchProgress;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::super::FetchEvents;
use crate::console::{note, print_line};

/// All transfers of one command.
pub(super) enum Shown {
    /// For people.
    Bars(MultiProgress),
    /// For programs, on stdout or else on stderr.
    Lines { stdout: bool },
}

/// One of them.
pub(super) struct Fetch {
    pub(super) progress: Arc<dyn FetchProgress>,
    kind: Kind,
}

enum Kind {
    Bar(ProgressBar),
    Lines(Arc<FetchEvents>),
}

impl Shown {
    pub(super) fn new(json: bool) -> Self {
        match !json && io::stderr().is_terminal() {
            true => Self::Bars(MultiProgress::new()),
            false => Self::Lines { stdout: json },
        }
    }

    /// Writes to stderr without a bar running through it.
    pub(super) fn stderr(&self) -> Stderr {
        match self {
            Self::Bars(bars) => Stderr(Some(bars.clone())),
            Self::Lines { .. } => Stderr(None),
        }
    }

    /// The transfer of `reference` is shown from its first byte on.
    pub(super) fn fetch(&self, reference: &str, provider: &'static str) -> Fetch {
        match self {
            Self::Bars(bars) => {
                let bar = bars.add(ProgressBar::no_length().with_style(style()).with_message(reference.to_owned()));
                Fetch { progress: Arc::new(Bar(bar.clone())), kind: Kind::Bar(bar) }
            }
            Self::Lines { stdout } => {
                let stdout = *stdout;
                // Nobody reads: then nobody needs to know.
                let sink = move |line: &str| if stdout { drop(print_line(line)) } else { note(line) };
                let events = Arc::new(FetchEvents::to(reference.to_owned(), provider, sink));
                Fetch { progress: events.clone(), kind: Kind::Lines(events) }
            }
        }
    }

    /// Writes something else without a bar running through it.
    pub(super) fn aside(&self, write: impl FnOnce()) {
        match self {
            Self::Bars(bars) => bars.suspend(write),
            Self::Lines { .. } => write(),
        }
    }
}

/// Standard error, beside bars that may be on it.
#[derive(Clone)]
pub(super) struct Stderr(Option<MultiProgress>);

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let write = || io::stderr().lock().write(bytes);
        self.0.as_ref().map_or_else(write, |bars| bars.suspend(write))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().lock().flush()
    }
}

impl Fetch {
    /// The model is in `dir`.
    pub(super) fn done(&self, dir: &Path) {
        match &self.kind {
            Kind::Bar(bar) => bar.finish_and_clear(),
            Kind::Lines(events) => events.completed(dir),
        }
    }

    /// It will not come.
    pub(super) fn failed(&self) {
        if let Kind::Bar(bar) = &self.kind {
            bar.abandon();
        }
    }
}

/// A bar on a terminal, which draws itself at most some times a second.
struct Bar(ProgressBar);

impl FetchProgress for Bar {
    fn fetched(&self, bytes_done: u64, bytes_total: u64) {
        if bytes_total > 0 && self.0.length() != Some(bytes_total) {
            self.0.set_length(bytes_total);
        }
        self.0.set_position(bytes_done);
    }
}

fn style() -> ProgressStyle {
    const TEMPLATE: &str = "{msg} {wide_bar} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta}";
    ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar())
}
