//! Spans of jobs, as a collector gets them.

use std::{process::Command, sync::Arc};

use anyhow::{Context, Result, ensure};
use gen_worker_tasks::Scope;
use gen_worker_tests::{Pool, PoolOptions, Process, built};
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    trace::v1::Span,
};
use parking_lot::Mutex;
use rustix::process::Signal;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, transport::Server};

/// Keeps what it is sent: service name and span.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<(String, Span)>>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        for resource in request.into_inner().resource_spans {
            let service = format!("{:?}", resource.resource);
            let spans = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
            self.0.lock().extend(spans.map(|span| (service.clone(), span)));
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_and_its_phases_are_spans_of_one_trace() -> Result<()> {
    let scope = Scope::new("test");
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let endpoint = format!("http://{}", listener.local_addr()?);
    let collector = Collector::default();
    let served = Server::builder()
        .add_service(TraceServiceServer::new(collector.clone()))
        .serve_with_incoming(TcpListenerStream::new(listener));
    // It ends with its scope.
    scope.spawn("collector", async move { drop(served.await) });

    let pool = Pool::start(&PoolOptions::default())?;
    let mut command = Command::new(built("conformance-endpoint")?);
    command
        .args(["worker", "--spool", "never"])
        .env("ORCHESTRATOR_PUBLIC_ADDR", format!("grpc://{}", pool.wire()?))
        .env("WORKER_ID", "w1")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        .env("OTEL_SERVICE_NAME", "painters");
    let mut worker = Process::start("worker", &mut command)?;
    pool.worker("w1")?;
    for (id, function) in [("a", "echo"), ("b", "refuse")] {
        pool.api.put(&format!("/v1/requests/{id}"), &json!({"function": function, "payload": {"text": "x"}}))?;
        pool.api.ended(id)?;
    }
    // The end of the process sends what is left.
    worker.signal(Signal::TERM)?;
    let status = worker.wait()?;
    ensure!(status.code() == Some(0), "{status}: {}", worker.log());

    let spans = collector.0.lock().clone();
    let find = |name: &str| {
        let found = spans.iter().find(|(_, span)| span.name == name);
        found.with_context(|| format!("no span {name} in {spans:?}"))
    };
    let (service, echo) = find("job echo")?;
    ensure!(service.contains("painters"), "{service}");
    let of_echo = |span: &Span| span.trace_id == echo.trace_id && span.parent_span_id == echo.span_id;
    ensure!(spans.iter().any(|(_, span)| span.name == "run" && of_echo(span)), "{spans:?}");
    ensure!(!echo.parent_span_id.is_empty(), "the request is its parent");
    let (_, refused) = find("job refuse")?;
    ensure!(refused.trace_id != echo.trace_id && refused.status.is_some(), "{refused:?}");
    let attributes = format!("{:?}", refused.attributes);
    ensure!(attributes.contains("job_status_invalid"), "{attributes}");
    Ok(())
}
