//! What handlers did, recorded by the handlers themselves. Owns the executions.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;

use crate::trace::Trace;

/// How an execution ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It still runs.
    Running,
    /// It returned a value, or streamed to its end.
    Returned,
    /// It returned an error.
    Failed,
    /// It was dropped where it was.
    Dropped,
}

/// One run of a handler.
#[derive(Clone, Debug)]
pub(crate) struct Execution {
    pub(crate) request: String,
    pub(crate) attempt: i64,
    pub(crate) worker_id: Arc<str>,
    pub(crate) fate: Fate,
}

/// Every execution of a run. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    book: Arc<Mutex<Book>>,
    trace: Trace,
}

#[derive(Debug, Default)]
struct Book {
    executions: Vec<Execution>,
    /// Attempts begun, by request.
    begun: BTreeMap<String, Vec<i64>>,
}

/// An execution under way; its drop is its end.
pub(crate) struct Running {
    number: usize,
    ledger: Ledger,
}

impl Ledger {
    pub(crate) fn new(trace: Trace) -> Self {
        Self { book: Arc::default(), trace }
    }

    /// A handler begins.
    pub(crate) fn begin(&self, request: &str, attempt: i64, worker_id: &Arc<str>) -> Running {
        let mut book = self.book.lock();
        let number = book.executions.len();
        let worker_id = Arc::clone(worker_id);
        self.trace.note(format_args!("{worker_id}: execution {number} of {request}/{attempt} begins"));
        let attempts = book.begun.entry(request.to_owned()).or_default();
        self.trace.check(!attempts.contains(&attempt), || format!("{request}/{attempt} ran twice"));
        attempts.push(attempt);
        book.executions.push(Execution { request: request.to_owned(), attempt, worker_id, fate: Fate::Running });
        Running { number, ledger: self.clone() }
    }

    /// An execution, by its number.
    pub(crate) fn execution(&self, number: usize) -> Option<Execution> {
        self.book.lock().executions.get(number).cloned()
    }

    /// Executions in all.
    pub(crate) fn len(&self) -> usize {
        self.book.lock().executions.len()
    }

    /// Executions that have not ended.
    pub(crate) fn running(&self) -> usize {
        self.book.lock().executions.iter().filter(|execution| execution.fate == Fate::Running).count()
    }

    /// Executions in one process, which gave this very id to its handlers, that have not ended.
    pub(crate) fn running_on(&self, worker_id: &Arc<str>) -> usize {
        let on = |it: &&Execution| it.fate == Fate::Running && Arc::ptr_eq(&it.worker_id, worker_id);
        self.book.lock().executions.iter().filter(on).count()
    }

    /// Highest attempt of a request that ever began; 0 when none did.
    pub(crate) fn last_attempt(&self, request: &str) -> i64 {
        self.book.lock().begun.get(request).and_then(|attempts| attempts.iter().max().copied()).unwrap_or(0)
    }
}

impl Running {
    /// Number of the execution.
    pub(crate) fn number(&self) -> usize {
        self.number
    }

    /// It ends like this.
    pub(crate) fn end(self, fate: Fate) {
        self.note(fate);
    }

    fn note(&self, fate: Fate) {
        let mut book = self.ledger.book.lock();
        if let Some(execution) = book.executions.get_mut(self.number).filter(|it| it.fate == Fate::Running) {
            execution.fate = fate;
            self.ledger.trace.note(format_args!("{}: execution {} {fate:?}", execution.worker_id, self.number));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.note(Fate::Dropped);
    }
}
