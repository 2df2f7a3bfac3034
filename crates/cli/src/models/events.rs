//! How the fetch of a model goes, as one JSON object per line (C-100). Owns when it was last told.

use std::{path::Path, time::Duration};

use gen_worker_core::{Binding, FetchProgress};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::console::note;

/// Between two reports of one transfer (3.9).
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// Tells of one fetch. A model that is there already is no fetch: nothing is told.
pub(crate) struct FetchEvents {
    reference: String,
    provider: &'static str,
    sink: Box<dyn Fn(&str) + Send + Sync>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    started: bool,
    told: Option<Instant>,
    /// The latest numbers, when nobody heard them.
    untold: Option<(u64, u64)>,
}

impl FetchEvents {
    /// Tells `sink`, line by line, of the fetch of `reference`.
    pub(crate) fn to(reference: String, provider: &'static str, sink: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self { reference, provider, sink: Box::new(sink), state: Mutex::default() }
    }

    /// On stderr, of the fetch of `binding`.
    pub(crate) fn on_stderr(binding: &Binding) -> Self {
        Self::to(binding.wire_ref(), binding.provider().as_str(), note)
    }

    /// The model is there.
    pub(crate) fn completed(&self, dir: &Path) {
        let mut state = self.state.lock();
        if !std::mem::take(&mut state.started) {
            return;
        }
        if let Some((done, total)) = state.untold.take() {
            self.progress(done, total);
        }
        self.tell("completed", json!({"local_dir": dir.display().to_string()}));
    }

    fn progress(&self, done: u64, total: u64) {
        let total = Some(total).filter(|total| *total > 0);
        self.tell("progress", json!({"done_bytes": done, "total_bytes": total}));
    }

    fn tell(&self, kind: &str, more: Value) {
        let mut event = match more {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        event.insert("kind".to_owned(), format!("model_fetch.{kind}").into());
        event.insert("provider".to_owned(), self.provider.into());
        event.insert("ref".to_owned(), self.reference.clone().into());
        (self.sink)(&Value::Object(event).to_string());
    }
}

impl FetchProgress for FetchEvents {
    fn fetched(&self, bytes_done: u64, bytes_total: u64) {
        let mut state = self.state.lock();
        if !std::mem::replace(&mut state.started, true) {
            self.tell("started", Value::Null);
        }
        let now = Instant::now();
        if state.told.is_some_and(|told| now.saturating_duration_since(told) < REPORT_EVERY) {
            state.untold = Some((bytes_done, bytes_total));
            return;
        }
        (state.told, state.untold) = (Some(now), None);
        self.progress(bytes_done, bytes_total);
    }

    fn resolving_again(&self) {
        self.tell("reresolve", json!({"reason": "url_expired"}));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn events() -> (FetchEvents, Arc<Mutex<Vec<String>>>) {
        let lines = Arc::<Mutex<Vec<String>>>::default();
        let heard = lines.clone();
        (FetchEvents::to("o/r".to_owned(), "tensorhub", move |line| heard.lock().push(line.to_owned())), lines)
    }

    #[tokio::test(start_paused = true)]
    async fn c100_fetches_are_told_at_most_every_second_and_at_their_end() {
        let (events, lines) = events();
        events.fetched(0, 0);
        events.fetched(10, 100);
        tokio::time::advance(REPORT_EVERY).await;
        events.fetched(50, 100);
        events.resolving_again();
        events.fetched(99, 100);
        events.fetched(100, 100);
        events.completed(Path::new("/store/x"));
        events.completed(Path::new("/store/x"));
        let end = r#""provider":"tensorhub","ref":"o/r""#;
        assert_eq!(
            *lines.lock(),
            [
                format!(r#"{{"kind":"model_fetch.started",{end}}}"#),
                format!(r#"{{"done_bytes":0,"kind":"model_fetch.progress",{end},"total_bytes":null}}"#),
                format!(r#"{{"done_bytes":50,"kind":"model_fetch.progress",{end},"total_bytes":100}}"#),
                r#"{"kind":"model_fetch.reresolve","provider":"tensorhub","reason":"url_expired","ref":"o/r"}"#
                    .to_owned(),
                format!(r#"{{"done_bytes":100,"kind":"model_fetch.progress",{end},"total_bytes":100}}"#),
                format!(r#"{{"kind":"model_fetch.completed","local_dir":"/store/x",{end}}}"#),
            ]
        );
    }

    #[test]
    fn c100_what_is_there_already_is_not_told() {
        let (events, lines) = events();
        events.completed(Path::new("/store/x"));
        assert!(lines.lock().is_empty());
    }
}
