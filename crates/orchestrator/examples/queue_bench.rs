//! Measures the durable queue on the disk at hand. Run it by hand:
//! `cargo run --release -p gen-worker-orchestrator --features testing --example queue_bench [directory]`.
//!
//! Prints rows per second for a full life (enqueue, then finish), by batch size with one caller, and for many
//! callers of single rows, where group commit is all that helps; then whole lives as the pool writes them, and reads.
//! Processor time per row says what the rates would be on an idle machine.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::future::join_all;
use gen_worker_orchestrator::{
    queue::{
        Filter, Queue,
        sqlite::{Options, SqliteQueue},
        testing::{Draft, assign, finish, request_id, start},
    },
    request::{NewRequest, State},
};

/// A payload as an embedding request has it.
const PAYLOAD_BYTES: usize = 256;
/// How long each row of the table measures.
const SPAN: Duration = Duration::from_secs(3);

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("threads are available");
    let directory = std::env::args().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    runtime.block_on(measure(&directory));
}

async fn measure(directory: &Path) {
    let directory = tempfile::TempDir::new_in(directory).expect("the directory takes files");
    println!("{} for fdatasync of 4 KiB", text(fdatasync(directory.path())));
    println!(
        "{:>8} {:>8} {:>12} {:>12} {:>12} {:>20}",
        "callers", "batch", "enqueue/s", "finish/s", "lives/s", "cpu us per enq/fin"
    );
    for (callers, batch) in [(1, 1), (1, 16), (1, 64), (1, 512), (4, 64), (64, 1), (256, 1)] {
        let path = directory.path().join(format!("queue-{callers}-{batch}.sqlite3"));
        let queue = SqliteQueue::open(Options { path, size_bytes_max: None, history_kept: None })
            .await
            .expect("the store opens");
        let queue = Arc::new(queue);
        let cpu = [processor_time()];
        let (enqueued, enqueuing) = run(&queue, callers, batch, Step::Enqueue, usize::MAX).await;
        let cpu = [cpu[0], processor_time()];
        let (finished, finishing) = run(&queue, callers, batch, Step::Finish, enqueued / callers / batch).await;
        let cpu = [cpu[0], cpu[1], processor_time()];
        let each = |spent: Duration, rows: usize| spent.as_secs_f64() * 1e6 / rows as f64;
        let (cpu_enqueue, cpu_finish) = (each(cpu[1] - cpu[0], enqueued), each(cpu[2] - cpu[1], finished));
        let rate = |rows: usize, time: Duration| rows as f64 / time.as_secs_f64();
        let (enqueue, finish) = (rate(enqueued, enqueuing), rate(finished, finishing));
        let lives = 1.0 / (1.0 / enqueue + 1.0 / finish);
        println!(
            "{callers:>8} {batch:>8} {enqueue:>12.0} {finish:>12.0} {lives:>12.0} {cpu_enqueue:>10.1} {cpu_finish:>9.1}"
        );
        if callers == 64 {
            whole_lives(&queue, callers).await;
            reads(&queue).await;
        }
        queue.close().await.expect("closing works");
    }
}

#[derive(Clone, Copy)]
enum Step {
    Enqueue,
    Finish,
}

/// Runs one step from all callers, each for [`SPAN`] or `rounds`; the rows and the time.
async fn run(queue: &Arc<SqliteQueue>, callers: usize, batch: usize, step: Step, rounds: usize) -> (usize, Duration) {
    let begun = Instant::now();
    let callers = (0..callers).map(|caller| async move {
        let mut rows = 0;
        for round in 0..rounds {
            if begun.elapsed() > SPAN {
                break;
            }
            let ids = (0..batch).map(|index| format!("{caller:04}-{round:08}-{index:04}"));
            match step {
                Step::Enqueue => {
                    queue.enqueue(ids.map(|id| request(&id)).collect()).await.expect("the disk has room");
                }
                Step::Finish => {
                    queue.apply(ids.map(|id| finish(&id, 1)).collect()).await.expect("the disk has room");
                }
            }
            rows += batch;
        }
        rows
    });
    (join_all(callers).await.into_iter().sum(), begun.elapsed())
}

/// What the pool does for each request: enqueue, lazy assignment and start, finish.
async fn whole_lives(queue: &Arc<SqliteQueue>, callers: usize) {
    let begun = Instant::now();
    let callers = (0..callers).map(|caller| async move {
        let mut waits = Vec::new();
        for round in 0.. {
            if begun.elapsed() > SPAN {
                break;
            }
            let id = format!("life-{caller:04}-{round:08}");
            let at = Instant::now();
            queue.enqueue(vec![request(&id)]).await.expect("the disk has room");
            waits.push(at.elapsed());
            queue.apply_lazily(vec![assign(&id, 1), start(&id, 1)]);
            queue.apply(vec![finish(&id, 1)]).await.expect("the disk has room");
        }
        waits
    });
    let mut waits: Vec<_> = join_all(callers).await.into_iter().flatten().collect();
    let rate = waits.len() as f64 / begun.elapsed().as_secs_f64();
    waits.sort();
    let median = waits.get(waits.len() / 2).copied().unwrap_or_default();
    println!("         whole lives with assignment and start: {rate:.0}/s, enqueue takes {} (median)", text(median));
}

async fn reads(queue: &Arc<SqliteQueue>) {
    let get = median(|| async {
        queue.get(request_id("0000-00000000-0000")).await.expect("reading works");
    });
    println!("         get: {} (median)", text(get.await));
    for (name, filter) in [
        ("newest", Filter::default()),
        ("succeeded", Filter { state: Some(State::Succeeded), ..Filter::default() }),
        ("failed", Filter { state: Some(State::Failed), ..Filter::default() }),
    ] {
        let filter = Filter { limit: 100, ..filter };
        let page = median(|| async {
            queue.list(filter.clone()).await.expect("reading works");
        });
        println!("         page of 100, {name}: {} (median)", text(page.await));
    }
}

async fn median(work: impl AsyncFn()) -> Duration {
    let mut times = Vec::new();
    for _ in 0..200 {
        let at = Instant::now();
        work().await;
        times.push(at.elapsed());
    }
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn request(id: &str) -> NewRequest {
    Draft::new(id).payload(Bytes::from(vec![0x5A; PAYLOAD_BYTES])).build()
}

fn fdatasync(directory: &Path) -> Duration {
    use std::io::Write as _;
    let mut file = std::fs::File::create(directory.join("probe")).expect("the directory takes files");
    let mut times = Vec::new();
    for _ in 0..200 {
        file.write_all(&[0; 4096]).expect("the disk has room");
        let at = Instant::now();
        file.sync_data().expect("the disk works");
        times.push(at.elapsed());
    }
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// Processor time of this process so far; zero where the system has no `/proc`.
fn processor_time() -> Duration {
    // The two counters stand 11 fields behind the name, which ends with the last parenthesis; their unit is 10 ms.
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(10 * ticks)
}

fn text(time: Duration) -> String {
    format!("{:.3} ms", time.as_secs_f64() * 1_000.0)
}
