//! The Prometheus text format of a worker's counts. Pure.

use std::{fmt::Write as _, sync::atomic::Ordering};

use gen_worker_proto::pb::JobStatus;

use super::{
    FunctionStats, WorkerStats,
    histogram::{BOUNDS_US, Histogram},
};

const STATUSES: [(JobStatus, &str); 5] = [
    (JobStatus::Ok, "ok"),
    (JobStatus::Invalid, "invalid"),
    (JobStatus::Retryable, "retryable"),
    (JobStatus::Fatal, "fatal"),
    (JobStatus::Canceled, "canceled"),
];

/// A histogram of every function: name, help, and where it is.
type Row = (&'static str, &'static str, fn(&FunctionStats) -> &Histogram);

const HISTOGRAMS: [Row; 6] = [
    ("job_wait_seconds", "From arrival to the start of the handler.", |stats| &stats.wait),
    ("job_run_seconds", "The handler alone.", |stats| &stats.run),
    ("cold_download_seconds", "Cold starts: bytes of models.", |stats| &stats.download),
    ("cold_spawn_seconds", "Cold starts: the start of a process.", |stats| &stats.spawn),
    ("cold_setup_seconds", "Cold starts: the author's setup.", |stats| &stats.setup),
    ("cold_warmup_seconds", "Cold starts: the author's warm-up.", |stats| &stats.warmup),
];

pub(super) fn render(stats: &WorkerStats) -> String {
    let mut out = String::with_capacity(4096 + stats.functions.len() * 4096);
    let load = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
    let connected = u64::from(stats.connected.load(Ordering::Relaxed));
    let plain = [
        ("connected", "gauge", "Whether the stream to the orchestrator is up.", connected),
        ("connections_total", "counter", "Streams that came up.", load(&stats.connections)),
        ("jobs", "gauge", "Jobs held now.", load(&stats.jobs)),
        ("jobs_refused_total", "counter", "Dispatches that were not accepted.", load(&stats.refused)),
    ];
    for (name, kind, help, value) in plain {
        head(&mut out, name, kind, help);
        line(&mut out, format_args!("gen_worker_worker_{name} {value}"));
    }
    head(&mut out, "jobs_ended_total", "counter", "Jobs that ended, by function and status.");
    for function in &stats.functions {
        for (status, name) in STATUSES {
            let count = usize::try_from(i32::from(status)).ok().and_then(|at| function.ended.get(at)).map_or(0, load);
            let function = &function.name;
            line(
                &mut out,
                format_args!("gen_worker_worker_jobs_ended_total{{function=\"{function}\",status=\"{name}\"}} {count}"),
            );
        }
    }
    for (name, help, histogram) in HISTOGRAMS {
        head(&mut out, name, "histogram", help);
        for function in &stats.functions {
            buckets(&mut out, name, &function.name, histogram(function));
        }
    }
    out
}

fn buckets(out: &mut String, name: &str, function: &str, histogram: &Histogram) {
    let (counts, sum) = histogram.read();
    let bounds = BOUNDS_US.iter().map(|bound| (*bound as f64 / 1e6).to_string()).chain(["+Inf".to_owned()]);
    for (bound, count) in bounds.zip(counts) {
        line(out, format_args!("gen_worker_worker_{name}_bucket{{function=\"{function}\",le=\"{bound}\"}} {count}"));
    }
    let all = counts.last().copied().unwrap_or(0);
    line(out, format_args!("gen_worker_worker_{name}_sum{{function=\"{function}\"}} {sum}"));
    line(out, format_args!("gen_worker_worker_{name}_count{{function=\"{function}\"}} {all}"));
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    line(out, format_args!("# HELP gen_worker_worker_{name} {help}\n# TYPE gen_worker_worker_{name} {kind}"));
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to a string succeeds");
    out.push('\n');
}
