//! The functions of the worker bench: equal ones in the worker's process and in one of their own, results that wait,
//! and a handler that cannot be stopped.

use std::{hint::black_box, path::Path, process::ExitCode, time::Duration};

use gen_worker::prelude::*;

#[global_allocator]
static ALLOCATOR: gen_worker_allocator::Allocator = gen_worker_allocator::Allocator;

/// How often `hold` looks for its file: thousands of calls look at the same time.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What the echoes take.
#[derive(Payload)]
struct Text {
    text: String,
}

/// What the echoes give.
#[derive(Output)]
struct Echo {
    response: String,
}

/// In the worker's own process.
#[endpoint]
async fn echo(_ctx: &RequestContext, payload: Text) -> Result<Echo> {
    Ok(Echo { response: payload.text })
}

/// In a process of its own.
#[endpoint(isolation = "process")]
async fn echo_isolated(_ctx: &RequestContext, payload: Text) -> Result<Echo> {
    Ok(Echo { response: payload.text })
}

/// What `hold` takes.
#[derive(Payload)]
struct Hold {
    bytes: usize,
}

/// Gives so many bytes once there is a file `release`.
#[endpoint]
async fn hold(ctx: &RequestContext, payload: Hold) -> Result<Echo> {
    while !Path::new("release").exists() {
        ctx.sleep(LOOK_EVERY).await?;
    }
    Ok(Echo { response: "x".repeat(payload.bytes) })
}

/// What `stubborn` takes.
#[derive(Payload)]
struct Stubborn {
    for_ever: bool,
}

/// Tells that it runs; then computes for ever if it is to, whatever it is told.
#[endpoint(isolation = "process")]
fn stubborn(ctx: &RequestContext, payload: Stubborn) -> Result<Echo> {
    ctx.progress(0.0, None);
    if !payload.for_ever {
        return Ok(Echo { response: String::new() });
    }
    loop {
        black_box(());
    }
}

fn main() -> ExitCode {
    gen_worker_cli::main()
}
