//! Handlers in processes of their own, and the ways in which they can end.

use std::{fs, hint::black_box, process, process::ExitCode};

use futures::{Stream, stream};
use gen_worker::prelude::*;
use gen_worker_tasks::Scope;

/// Nothing to say.
#[derive(Payload)]
struct Nothing {}

/// Which process a handler ran in.
#[derive(Output)]
struct Pid {
    pid: u32,
}

/// In the worker's own process.
#[endpoint]
async fn worker_pid(_ctx: &RequestContext, _payload: Nothing) -> Result<Pid> {
    Ok(Pid { pid: process::id() })
}

/// In a process of its own.
#[endpoint(isolation = "process")]
async fn slot_pid(_ctx: &RequestContext, _payload: Nothing) -> Result<Pid> {
    Ok(Pid { pid: process::id() })
}

/// How `die` ends its process.
#[derive(Payload)]
struct Way {
    way: String,
}

#[endpoint(isolation = "process")]
fn die(_ctx: &RequestContext, payload: Way) -> Result<Pid> {
    match payload.way.as_str() {
        "abort" => process::abort(),
        "exit" => process::exit(3),
        "overflow" => Ok(Pid { pid: dig(1) }),
        "memory" => eat(),
        way => Err(WorkerError::validation(format!("no such way: {way}"))),
    }
}

/// Recursion that ends only with the stack.
fn dig(depth: u32) -> u32 {
    let ballast = black_box([depth; 1024]);
    let below = if black_box(depth) == 0 { 0 } else { dig(depth.wrapping_add(1).max(1)) };
    below.wrapping_add(ballast[depth as usize % ballast.len()])
}

/// Takes address space until there is none; none of it is ever touched.
fn eat() -> ! {
    let mut eaten = Vec::new();
    loop {
        eaten.push(black_box(vec![0_u8; 16 * 1024 * 1024]));
    }
}

/// Tells its process, then computes for ever, whatever it is told.
#[endpoint(isolation = "process")]
fn spin(_ctx: &RequestContext, _payload: Nothing) -> Result<Pid> {
    announce("spin")?;
    loop {
        black_box(());
    }
}

/// The same on the event loop of its process.
#[endpoint(isolation = "process")]
async fn spin_async(_ctx: &RequestContext, _payload: Nothing) -> Result<Pid> {
    announce("spin-async")?;
    loop {
        black_box(());
    }
}

/// Keeps every thread of its process busy until it is told to end.
#[endpoint(isolation = "process")]
async fn crowd(ctx: RequestContext, _payload: Nothing) -> Result<Pid> {
    announce("crowd")?;
    let scope = Scope::new("crowd");
    let spin = |ctx: RequestContext| async move {
        while !ctx.is_cancelled() {
            black_box(());
        }
    };
    for _ in 0..8 {
        scope.spawn("spin", spin(ctx.clone()));
    }
    spin(ctx).await;
    Err(WorkerError::canceled())
}

/// Tells its process, then ends when it is told to.
#[endpoint(isolation = "process")]
fn polite(ctx: &RequestContext, _payload: Nothing) -> Result<Pid> {
    announce("polite")?;
    while !ctx.is_cancelled() {
        std::thread::yield_now();
    }
    ctx.check_cancelled()?;
    Ok(Pid { pid: process::id() })
}

/// Writes the process id into a file that appears complete.
fn announce(name: &str) -> Result<()> {
    fs::write(format!("{name}.new"), process::id().to_string()).fatal()?;
    fs::rename(format!("{name}.new"), name).fatal()
}

/// What `count` takes.
#[derive(Payload)]
struct Count {
    count: u32,
}

/// One item of `count`.
#[derive(Output)]
struct Item {
    index: u32,
}

#[endpoint(isolation = "process")]
fn count(_ctx: &RequestContext, payload: Count) -> impl Stream<Item = Result<Item>> + Send {
    stream::iter((0..payload.count).map(|index| Ok(Item { index })))
}

/// What `weigh` takes.
#[derive(Payload)]
struct Load {
    data: String,
}

/// What `weigh` gives.
#[derive(Output)]
struct Weight {
    bytes: usize,
}

#[endpoint(isolation = "process")]
async fn weigh(_ctx: &RequestContext, payload: Load) -> Result<Weight> {
    Ok(Weight { bytes: payload.data.len() })
}

/// What `swell` takes.
#[derive(Payload)]
struct Size {
    bytes: usize,
}

/// Takes memory, uses it, and gives it back.
#[endpoint(isolation = "process")]
fn swell(_ctx: &RequestContext, payload: Size) -> Result<Weight> {
    let memory = black_box(vec![1_u8; payload.bytes]);
    Ok(Weight { bytes: memory.len() })
}

/// A type whose instance lives where its handlers run.
struct Counter {
    calls: std::sync::atomic::AtomicU32,
}

#[endpoint(isolation = "process")]
impl Counter {
    #[setup]
    async fn load() -> Result<Self> {
        Ok(Self { calls: 0.into() })
    }

    #[handler]
    async fn next_number(&self, _ctx: &RequestContext, _payload: Nothing) -> Result<Item> {
        Ok(Item { index: self.calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed) })
    }

    #[shutdown]
    async fn close(self) -> Result<()> {
        announce("closed")
    }
}

fn main() -> ExitCode {
    gen_worker_cli::main()
}
