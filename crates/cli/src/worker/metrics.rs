//! The page of a worker's counts, in the Prometheus text format, on an address of its own. Owns the listener. It answers
//! `GET /metrics` and nothing else, one request per connection.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use gen_worker_core::{
    WorkerStats,
    model_cache::{CacheStats, ModelCache},
    slot::SlotCounters,
};
use gen_worker_tasks::{Cancel, Scope};
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, sync::Semaphore, time::timeout};
use tracing::{debug, info};

use crate::exit::Failure;

/// Readers at once; a scraper is one, and others wait in the kernel's line.
const CONNECTIONS_MAX: usize = 16;

/// Time for one request and its answer: both are a few kilobytes.
const CONNECTION_LIMIT: Duration = Duration::from_secs(10);

/// What the page shows.
#[derive(Clone)]
pub(super) struct Page {
    pub(super) stats: Arc<WorkerStats>,
    pub(super) slots: Option<Arc<SlotCounters>>,
    pub(super) models: Arc<ModelCache>,
}

/// Answers on `address` until `scope` ends.
///
/// # Errors
/// When the address cannot be listened on.
pub(super) async fn serve(address: SocketAddr, page: Page, scope: &Scope) -> Result<(), Failure> {
    let cannot = |error| Failure::usage(format!("metrics cannot be served on {address}: {error}"));
    let listener = TcpListener::bind(address).await.map_err(cannot)?;
    let bound = listener.local_addr().map_err(cannot)?;
    info!(address = %bound, "metrics");
    let cancel = scope.cancel().clone();
    scope.spawn("metrics", accept(listener, page, cancel));
    Ok(())
}

async fn accept(listener: TcpListener, page: Page, cancel: Cancel) {
    let connections = Scope::under("metrics", &cancel);
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    // The semaphore is never closed.
    while let Ok(place) = places.clone().acquire_owned().await {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                debug!(%error, "a reader of metrics went away");
                // Out of file handles, perhaps: not to be asked again at once.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let page = page.clone();
        connections.spawn("reader", async move {
            let answer = service_fn(move |request| std::future::ready(Ok::<_, Infallible>(page.answer(&request))));
            let mut server = http1::Builder::new();
            server.timer(TokioTimer::new()).header_read_timeout(CONNECTION_LIMIT).keep_alive(false);
            let served = timeout(CONNECTION_LIMIT, server.serve_connection(TokioIo::new(stream), answer)).await;
            debug!(ok = matches!(served, Ok(Ok(()))), "metrics read");
            drop(place);
        });
    }
}

impl Page {
    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let (status, body) = match (request.method(), request.uri().path()) {
            (&Method::GET, "/metrics") => (StatusCode::OK, self.text()),
            (_, "/metrics") => (StatusCode::METHOD_NOT_ALLOWED, "only GET\n".to_owned()),
            _ => (StatusCode::NOT_FOUND, "there is only /metrics\n".to_owned()),
        };
        let mut response = Response::new(Full::new(body.into()));
        *response.status_mut() = status;
        let text = header::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, text);
        response
    }

    fn text(&self) -> String {
        let mut text = self.stats.prometheus();
        models(&mut text, &self.models.stats());
        let counts = self.slots.as_ref().map(|slots| slots.read()).unwrap_or_default();
        for (name, help, value) in [
            ("slots_started_total", "Processes started for isolated handlers.", counts.started),
            ("slots_crashed_total", "Of these, those that ended by themselves.", counts.crashed),
            ("slots_killed_total", "Of these, those killed because a handler ignored its cancel.", counts.killed),
            ("slot_cancels_total", "Isolated calls that were cancelled and have ended.", counts.cancels),
            (
                "cpu_ms_after_cancel_total",
                "Milliseconds from cancels to ends, without an accelerator.",
                counts.cpu_ms_after_cancel,
            ),
            (
                "gpu_ms_after_cancel_total",
                "Milliseconds from cancels to ends, on an accelerator.",
                counts.gpu_ms_after_cancel,
            ),
        ] {
            let name = format!("gen_worker_worker_{name}");
            text.push_str(&format!("# HELP {name} {help}\n# TYPE {name} counter\n{name} {value}\n"));
        }
        text
    }
}

/// Models by where they are, and what they take of accelerators. Refs are no labels: there is no end to them.
fn models(text: &mut String, stats: &CacheStats) {
    text.push_str("# HELP gen_worker_worker_models Models by where they are.\n# TYPE gen_worker_worker_models gauge\n");
    for (place, count) in [
        ("vram", stats.vram_models.len()),
        ("disk", stats.disk_models.len()),
        ("downloading", stats.downloading_models.len()),
    ] {
        text.push_str(&format!("gen_worker_worker_models{{place=\"{place}\"}} {count}\n"));
    }
    for (name, help, value) in [
        ("models_vram_used_gb", "Accelerator memory that models take, in GiB.", stats.used_vram_gb),
        ("models_vram_total_gb", "What they may take.", stats.total_vram_gb),
    ] {
        let name = format!("gen_worker_worker_{name}");
        text.push_str(&format!("# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}\n"));
    }
}
