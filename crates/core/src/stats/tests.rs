//! What the page says.
use std::time::Duration;

use gen_worker_proto::pb::JobStatus;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::WorkerStats;
use crate::{
    Registry, RequestContext,
    io_type::{Output, Payload},
    ledger::ColdStart,
};

#[derive(Serialize, Deserialize, JsonSchema)]
struct Text {
    text: String,
}

impl Payload for Text {}
impl Output for Text {}

#[test]
fn the_page_counts_by_function_and_status() {
    let registry = Registry::builder()
        .asynchronous("echo", |_: RequestContext, input: Text| async move { Ok(input) })
        .build()
        .expect("sound");
    let stats = WorkerStats::new(&registry);
    let cold = ColdStart { setup: Duration::from_secs(2), ..ColdStart::default() };
    stats.ended(0, JobStatus::Ok, Duration::from_secs(2), Some(Duration::from_millis(3)), cold);
    stats.ended(0, JobStatus::Ok, Duration::from_micros(40), Some(Duration::from_hours(2)), ColdStart::default());
    stats.ended(0, JobStatus::Canceled, Duration::from_micros(40), None, ColdStart::default());
    stats.ended(7, JobStatus::Ok, Duration::ZERO, None, ColdStart::default());
    let page = stats.prometheus();
    let has = |line: &str| assert!(page.lines().any(|other| other == line), "{line} in\n{page}");
    has("gen_worker_worker_connected 0");
    has("gen_worker_worker_jobs_ended_total{function=\"echo\",status=\"ok\"} 2");
    has("gen_worker_worker_jobs_ended_total{function=\"echo\",status=\"canceled\"} 1");
    has("gen_worker_worker_job_run_seconds_bucket{function=\"echo\",le=\"0.005\"} 1");
    has("gen_worker_worker_job_run_seconds_bucket{function=\"echo\",le=\"3600\"} 1");
    has("gen_worker_worker_job_run_seconds_bucket{function=\"echo\",le=\"+Inf\"} 2");
    has("gen_worker_worker_job_run_seconds_count{function=\"echo\"} 2");
    has("gen_worker_worker_job_wait_seconds_bucket{function=\"echo\",le=\"0.0001\"} 2");
    has("gen_worker_worker_cold_setup_seconds_sum{function=\"echo\"} 2");
    has("gen_worker_worker_cold_setup_seconds_count{function=\"echo\"} 1");
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        assert!(line.starts_with("gen_worker_worker_") && line.split(' ').count() == 2, "{line}");
    }
}
