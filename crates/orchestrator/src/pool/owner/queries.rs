//! Questions of the API that are not about one wait: cancel and lists.

use gen_worker_proto::RequestId;

use super::{Owner, ending::Detail};
use crate::{
    lifecycle::{Happened, Phase},
    pool::{
        live::{Canceler, Live},
        views::CancelOutcome,
    },
    queue::{Change, Filter, LIST_ROWS_MAX},
    request::Request,
};

impl Owner {
    /// Cancels (P-14). One that waits in the queue is answered when its end is on disk, one on a worker when the wish
    /// is: no restart forgets what was promised.
    pub(super) fn cancel(&mut self, id: &RequestId, reply: Canceler) {
        let Some(live) = self.table.find_mut(id.as_str()) else { return drop(reply.send(None)) };
        if live.state.is_terminal() {
            let request = live.shown();
            return drop(reply.send(Some(CancelOutcome::AlreadyFinished(request))));
        }
        let sequence = live.request.sequence;
        let waits = live.life.phase() == Phase::Queued;
        if waits {
            live.cancelers.push(reply);
            self.happen(sequence, Happened::Cancel, Detail::default());
            return;
        }
        let is_first = !live.life.cancel_requested();
        let may_be_forgotten = matches!(live.life.phase(), Phase::Assigned | Phase::Running | Phase::Requeueing);
        if live.is_durable() && may_be_forgotten && (is_first || !live.asked.is_empty()) {
            live.asked.push(reply);
            if is_first {
                let pair = live.pair();
                self.work.changes.push(Change::Cancel { pair });
                self.happen(sequence, Happened::Cancel, Detail::default());
            }
            return;
        }
        self.happen(sequence, Happened::Cancel, Detail::default());
        let request = self.table.get_mut(sequence).map(Live::shown);
        drop(reply.send(request.map(CancelOutcome::Requested)));
    }

    /// A page over both homes of requests. Rows of the store are replaced by what is newer here.
    pub(super) fn list(&self, filter: &Filter, rows: Vec<Request>) -> Vec<Request> {
        let unfinished_only = filter.state.is_some_and(|state| !state.is_terminal());
        let mut page: Vec<Request> = rows
            .into_iter()
            .map(|row| {
                let newer = filter.state.is_none().then(|| self.table.find(row.submitted.id.as_str())).flatten();
                newer.filter(|live| live.is_durable()).map_or(row, Live::row)
            })
            .collect();
        // Durable requests come with the rows, unless the store lags behind for this state.
        let here = self.table.iter().filter(|live| unfinished_only || !live.is_durable());
        page.extend(here.filter(|live| matches(filter, live)).map(Live::row));
        page.sort_unstable_by_key(|request| std::cmp::Reverse(request.sequence));
        page.truncate(filter.limit.clamp(1, LIST_ROWS_MAX));
        page
    }
}

fn matches(filter: &Filter, live: &Live) -> bool {
    let submitted = &live.request.submitted;
    filter.tenant.as_ref().is_none_or(|tenant| *tenant == submitted.tenant)
        && filter.state.is_none_or(|state| state == live.state)
        && filter.function.as_ref().is_none_or(|function| *function == submitted.function)
        && filter.since.is_none_or(|since| submitted.created_at >= since)
        && filter.before_sequence.is_none_or(|before| live.request.sequence < before)
}
