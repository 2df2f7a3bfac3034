//! Spans over OTLP. Owns the exporter; its own thread sends batches, and what it cannot send it drops.
//!
//! All attempts of one request are one trace: its id is made from the request's, so that no worker has to be told of
//! another's.

use std::{sync::Arc, time::Duration};

use gen_worker_core::{JobObserver, JobRecord};
use gen_worker_proto::pb::JobStatus;
use gen_worker_tasks::Scope;
use opentelemetry::{
    Context, KeyValue, SpanId, TraceFlags, TraceId,
    trace::{
        Span as _, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt as _, TraceState, Tracer as _,
        TracerProvider as _,
    },
};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::{
    Resource,
    trace::{SdkTracer, SdkTracerProvider},
};
use tracing::{debug, warn};
use uuid::Uuid;

/// Namespace of trace ids; any constant would do.
const REQUESTS: Uuid = Uuid::from_u128(0x6765_6e2d_776f_726b_6572_2f72_6571_7565);

/// Time for what is left at the end of the process.
const FLUSH_LIMIT: Duration = Duration::from_secs(5);

/// Exports spans until it is flushed.
pub(in crate::worker) struct Spans {
    provider: SdkTracerProvider,
    observer: Arc<JobSpans>,
}

struct JobSpans(SdkTracer);

impl Spans {
    /// To the collector at `endpoint`, in the name of `service`.
    pub(super) fn to(endpoint: &str, service: &str) -> Result<Self, ExporterBuildError> {
        let exporter = SpanExporter::builder().with_tonic().with_endpoint(endpoint).build()?;
        let resource = Resource::builder().with_service_name(service.to_owned()).build();
        let provider = SdkTracerProvider::builder().with_resource(resource).with_batch_exporter(exporter).build();
        let observer = Arc::new(JobSpans(provider.tracer("gen-worker")));
        Ok(Self { provider, observer })
    }

    /// Makes spans of jobs.
    pub(in crate::worker) fn observer(&self) -> Arc<dyn JobObserver> {
        self.observer.clone()
    }

    /// Sends what is left.
    pub(in crate::worker) async fn flush(self) {
        let Self { provider, .. } = self;
        let flushed = Scope::new("spans").spawn_blocking(move || provider.shutdown_with_timeout(FLUSH_LIMIT));
        match flushed.await {
            Ok(Ok(())) => debug!("spans flushed"),
            Ok(Err(error)) => warn!(%error, "the last spans were not sent"),
            Err(_) => debug!("the runtime is going"),
        }
    }
}

impl JobObserver for JobSpans {
    fn ended(&self, record: &JobRecord<'_>) {
        let tracer = &self.0;
        let end = record.arrived + record.took;
        let pair = record.pair;
        let job = SpanBuilder::from_name(format!("job {}", record.function))
            .with_kind(SpanKind::Consumer)
            .with_start_time(record.arrived)
            .with_attributes([
                KeyValue::new("gen_worker.request_id", pair.request_id.as_str().to_owned()),
                KeyValue::new("gen_worker.attempt", pair.attempt.0),
                KeyValue::new("gen_worker.function", record.function.to_string()),
                KeyValue::new("gen_worker.status", record.status.as_str_name().to_ascii_lowercase()),
            ]);
        let mut job = tracer.build_with_context(job, &request(pair.request_id.as_str()));
        let within = Context::new().with_remote_span_context(job.span_context().clone());
        for phase in record.phases {
            let start = record.arrived + phase.start;
            let span = SpanBuilder::from_name(phase.kind.as_str()).with_start_time(start);
            tracer.build_with_context(span, &within).end_with_timestamp(start + phase.took);
        }
        if matches!(record.status, JobStatus::Fatal | JobStatus::Retryable | JobStatus::Invalid) {
            job.set_status(Status::error(record.status.as_str_name()));
        }
        job.end_with_timestamp(end);
    }
}

/// The request as the parent of its attempts.
fn request(request_id: &str) -> Context {
    let id = Uuid::new_v5(&REQUESTS, request_id.as_bytes());
    let trace = TraceId::from_bytes(*id.as_bytes());
    // Half of the id again: a span is named within its trace only.
    let (_, low) = id.as_u64_pair();
    let span = SpanId::from_bytes(low.to_be_bytes());
    Context::new().with_remote_span_context(SpanContext::new(trace, span, TraceFlags::SAMPLED, true, TraceState::NONE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_of_a_request_share_a_trace() {
        let of = |id: &str| request(id).span().span_context().clone();
        assert!(of("a").is_valid() && of("a").is_sampled());
        assert_eq!(of("a"), of("a"));
        assert_ne!(of("a").trace_id(), of("b").trace_id());
    }
}
