//! What a seed plans: who works, who asks for what and when. Plain values, drawn once at the start.

use std::time::Duration;

use bytes::Bytes;
use gen_worker_orchestrator::{
    pool,
    request::{NewRequest, Options, UnixMs},
};
use gen_worker_proto::{FunctionName, RequestId};

use crate::{
    handlers::{FUNCTIONS, Work},
    rng::Rng,
};

/// Weights of [`FUNCTIONS`], in the same order.
const WEIGHTS: [u64; FUNCTIONS.len()] = [40, 15, 25, 8, 6, 6];

/// Longest padding of a payload: several frames, and more than what a window or a pipe of the test holds at once.
const PADDING_BYTES: usize = 150_000;

/// A run.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    /// Jobs each worker takes at once.
    pub(crate) capacities: Vec<usize>,
    /// Settings of every orchestrator.
    pub(crate) pool: pool::Options,
    /// How long things go wrong.
    pub(crate) trouble: Duration,
    /// Whether nothing goes wrong at all.
    pub(crate) calm: bool,
    pub(crate) plans: Vec<Plan>,
}

/// What one client does.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) id: RequestId,
    pub(crate) function: &'static str,
    pub(crate) work: Work,
    /// When it submits, from the start of the run.
    pub(crate) at: Duration,
    /// Its deadline counts from then.
    pub(crate) deadline: Option<Duration>,
    pub(crate) options: Options,
    /// It goes away this long into its first submit, and comes back.
    pub(crate) impatient: Option<Duration>,
    /// When it submits the same again, after it was accepted.
    pub(crate) again: Option<Duration>,
    /// When somebody else tries to take its id.
    pub(crate) thief: Option<Duration>,
    /// When it cancels.
    pub(crate) cancel: Option<Duration>,
    /// When it begins to read its events.
    pub(crate) watch: Option<Duration>,
}

impl Scenario {
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        let workers = rng.within(1, 4);
        let trouble = rng.millis(5_000, 60_000);
        let per_worker = rng.within(1, 4);
        let pool = pool::Options {
            jobs_per_worker_max: u32::try_from(per_worker).unwrap_or(1),
            ended_kept: rng.millis(5_000, 60_000),
            overtime: Duration::from_secs(30),
            ..pool::Options::default()
        };
        let capacity = |rng: &mut Rng| rng.within(1, per_worker + 1) as usize;
        let capacities = (0..workers).map(|_| capacity(rng)).collect();
        let requests = rng.within(3, 30);
        let mut plans = rng.fork();
        Self {
            capacities,
            pool,
            trouble,
            calm: rng.percent(5),
            plans: (0..requests).map(|number| Plan::draw(number, trouble, &mut plans)).collect(),
        }
    }

    /// Jobs that all workers together run at once.
    pub(crate) fn permits(&self) -> usize {
        let sent_at_most = self.pool.jobs_per_worker_max as usize;
        self.capacities.iter().map(|capacity| (*capacity).min(sent_at_most)).sum()
    }
}

impl Plan {
    fn draw(number: u64, trouble: Duration, rng: &mut Rng) -> Self {
        let function = FUNCTIONS[weighted(rng)];
        let run_ms = match rng.within(0, 9) {
            0 if function != "stream" => rng.within(3_000, 25_000),
            1..=3 => rng.within(50, 1_500),
            _ => rng.within(0, 50),
        };
        let fails_until = if rng.percent(20) { i64::from(rng.percent(50)) + 1 } else { 0 };
        let padding = if rng.percent(15) { rng.index(PADDING_BYTES) } else { 0 };
        let trouble_ms = u64::try_from(trouble.as_millis()).unwrap_or(0);
        Self {
            id: RequestId::parse(format!("r{number}")).expect("a short id"),
            function,
            work: Work { run_ms, fails_until, items: rng.within(0, 30), padding: "x".repeat(padding) },
            at: rng.millis(0, trouble_ms),
            deadline: rng.maybe_millis(10, 500, 30_000),
            options: Options {
                timeout_ms: if rng.percent(10) { i64::try_from(rng.within(100, 5_000)).unwrap_or(0) } else { 0 },
                priority: i16::try_from(rng.within(0, 4)).unwrap_or(0) - 2,
                max_attempts: u8::try_from(rng.within(1, 5)).unwrap_or(1),
                ..Options::default()
            },
            impatient: rng.maybe_millis(15, 0, 5),
            again: rng.maybe_millis(25, 0, 20_000),
            thief: rng.maybe_millis(10, 0, 20_000),
            cancel: rng.maybe_millis(20, 0, 10_000),
            watch: rng.maybe_millis(50, 0, 5_000),
        }
    }

    /// A job of the last round.
    pub(crate) fn plain(id: String, function: &'static str) -> Self {
        Self {
            id: RequestId::parse(id).expect("a short id"),
            function,
            work: Work::default(),
            at: Duration::ZERO,
            deadline: None,
            options: Options::default(),
            impatient: None,
            again: None,
            thief: None,
            cancel: None,
            watch: None,
        }
    }

    /// What is submitted at `now`; `deadline` is that of the first try.
    pub(crate) fn request(&self, now: UnixMs, deadline: Option<UnixMs>) -> NewRequest {
        let payload = rmp_serde::to_vec_named(&self.work).expect("plain values");
        NewRequest {
            id: self.id.clone(),
            function: FunctionName::parse(self.function).expect("a name"),
            tenant: "sim".to_owned(),
            release_id: "sim".to_owned(),
            body_digest: *blake3::hash(&payload).as_bytes(),
            payload: Bytes::from(payload),
            options: Options { deadline, ..self.options.clone() },
            metadata: serde_json::Value::Null,
            created_at: now,
        }
    }

    /// Why it may end out of time.
    pub(crate) fn is_timed(&self) -> bool {
        self.deadline.is_some() || self.options.timeout_ms > 0
    }
}

fn weighted(rng: &mut Rng) -> usize {
    let mut drawn = rng.within(0, WEIGHTS.iter().sum::<u64>() - 1);
    for (index, weight) in WEIGHTS.iter().enumerate() {
        if drawn < *weight {
            return index;
        }
        drawn -= weight;
    }
    0
}
