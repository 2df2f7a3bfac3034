//! Connecting, and bringing both views of the jobs together again.

use std::time::Duration;

use gen_worker_proto::pb::worker_message::Msg;
use tokio::time::{Instant, timeout};

use super::{Driver, Pumped};
use crate::{
    chaos::{
        ledger::{Key, Ledger},
        session::{Received, Session},
    },
    exit::Failure,
};

/// Longest time for which an ack is held back, to see whether the worker waits for it.
const ACK_HELD_MAX: Duration = Duration::from_millis(20);

/// Calls in a row that may break before the ack. A worker whose calls never get that far is of no use.
const BROKEN_CALLS_MAX: u32 = 8;

/// Processes in a row that may fail to connect.
const FAILED_PROCESSES_MAX: u32 = 2;

impl Driver<'_> {
    /// Waits for the worker to call, acknowledges its Hello, and settles what both sides think of each job.
    ///
    /// # Errors
    /// When no process gets that far.
    pub(in crate::chaos) async fn reconnect(&mut self) -> Result<(), Failure> {
        for _ in 0..FAILED_PROCESSES_MAX {
            if self.connect().await {
                self.reconcile().await;
                return Ok(());
            }
            let ended = self.worker.has_ended();
            let how = ended.map_or_else(|| "does not connect".to_owned(), |status| format!("ended with {status}"));
            // Before the first connection it is no violation: nothing has been done to it yet.
            if self.connections == 0 {
                let said = self.worker.last_words().await;
                return Err(Failure::failed(format!("the worker {how}\n{said}").trim_end()));
            }
            self.ledger.findings.violation("W18", format!("the worker {how} after the fault"));
            self.restart().await?;
        }
        let said = self.worker.last_words().await;
        Err(Failure::failed(format!("the worker does not connect any more\n{said}").trim_end()))
    }

    /// Whether a call came and was taken through the handshake.
    async fn connect(&mut self) -> bool {
        let limit = self.limit();
        for _ in 0..BROKEN_CALLS_MAX {
            let call = tokio::select! {
                biased;
                call = self.server.next_call() => call,
                _ = self.worker.ended() => return false,
                () = tokio::time::sleep_until(limit) => return false,
            };
            if self.handshake(Session::new(call), limit).await {
                self.connections += 1;
                return true;
            }
        }
        false
    }

    async fn handshake(&mut self, mut session: Session, limit: Instant) -> bool {
        let hello = match session.receive(limit).await {
            Received::Message(message) => match *message {
                Msg::Hello(hello) => hello,
                other => {
                    self.ledger.findings.violation("W1", format!("the first message is {other:?}"));
                    return false;
                }
            },
            Received::Nothing => {
                self.ledger.findings.violation("W1", "a call without Hello");
                return false;
            }
            Received::Ended | Received::Broken => return false,
        };
        self.ledger.connected(&hello, &self.worker_id);
        let held = Instant::now() + self.dice.moment(ACK_HELD_MAX);
        match session.receive(held).await {
            Received::Nothing => {}
            Received::Message(early) => {
                self.ledger.findings.violation("W1", "a message before HelloAck");
                self.ledger.message(*early, Instant::now().into_std());
            }
            Received::Ended | Received::Broken => return false,
        }
        session.acknowledge();
        self.session = Some(session);
        true
    }

    /// What the worker does not list it must not hold. A pair it had accepted is sent again: silence means that its
    /// result was written and lost with the connection (W9), an answer that the Hello was wrong. Either way the request
    /// then goes on with the next attempt.
    async fn reconcile(&mut self) {
        let unlisted = self.ledger.unlisted();
        let (owned, _): (Vec<_>, Vec<_>) = unlisted.iter().cloned().partition(|(_, is_owned)| *is_owned);
        if !owned.is_empty() && self.is_same_process() {
            for (key, _) in &owned {
                self.ledger.probed(key);
                self.send_again(key);
            }
            self.barrier().await;
        }
        self.reconciled_process = self.processes;
        for (key, _) in unlisted {
            if !self.ledger.answered_probe(&key) {
                self.send_next_attempt(&key);
            }
        }
    }

    /// Whether this connection is of the process that had the one before.
    fn is_same_process(&self) -> bool {
        self.reconciled_process == self.processes
    }

    /// Waits until the worker offers everything that is called.
    ///
    /// # Errors
    /// When it does not, with its reason.
    pub(in crate::chaos) async fn wait_ready(&mut self) -> Result<(), Failure> {
        let names: Vec<String> = self.plan.calls.iter().map(|call| call.function.clone()).collect();
        let limit = self.limit();
        for name in names {
            let known = |ledger: &Ledger| ledger.is_available(&name) || ledger.why_unavailable(&name).is_some();
            let pumped = self.pump(limit, known).await;
            if self.ledger.is_available(&name) {
                continue;
            }
            let why = match (self.ledger.why_unavailable(&name), pumped) {
                (Some(why), _) => format!("says why: {why}"),
                (None, Pumped::Lost) => "broke off".to_owned(),
                (None, _) => format!("had {} s", self.plan.patience.as_secs_f64()),
            };
            return Err(Failure::failed(format!("the worker does not offer function {name}: it {why}")));
        }
        Ok(())
    }

    /// Waits until every job has its result, through as many connections as that takes.
    pub(in crate::chaos) async fn settle(&mut self) -> Result<(), Failure> {
        let limit = self.limit();
        loop {
            match self.pump(limit, |ledger| ledger.is_settled()).await {
                Pumped::Done => return Ok(()),
                Pumped::Lost if Instant::now() < limit => {
                    self.unprovoked().await;
                    self.reconnect().await?;
                }
                Pumped::Late | Pumped::Lost => {
                    let lost: Vec<Key> = self.ledger.unsettled();
                    self.ledger.lost(self.plan.patience);
                    lost.iter().for_each(|key| self.send_cancel(key));
                    return Ok(());
                }
            }
        }
    }

    /// The connection ended although nothing was done to it.
    async fn unprovoked(&mut self) {
        // The end of the process follows that of its connection at once, if it is the cause.
        let ended = timeout(ACK_HELD_MAX, self.worker.ended()).await;
        let what = match ended {
            Ok(code) => format!("the process ended by itself, code {code:?}"),
            Err(_) => "the worker broke its stream by itself".to_owned(),
        };
        self.ledger.findings.violation("section 3", what);
    }
}
