//! An endpoint that knows how often it allocates.

use std::process::ExitCode;

use gen_worker::prelude::*;
use gen_worker_tests::Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting::new();

/// What `echo` takes.
#[derive(Payload)]
struct Text {
    text: String,
}

/// What `echo` gives.
#[derive(Output)]
struct Echo {
    response: String,
}

#[endpoint]
async fn echo(_ctx: &RequestContext, payload: Text) -> Result<Echo> {
    Ok(Echo { response: payload.text })
}

/// What `allocated` takes: nothing.
#[derive(Payload)]
struct Nothing {}

/// What this process has asked its allocator for.
#[derive(Output)]
struct Allocated {
    allocations: u64,
    bytes: u64,
}

#[endpoint]
async fn allocated(_ctx: &RequestContext, _payload: Nothing) -> Result<Allocated> {
    let (allocations, bytes) = ALLOCATOR.counted();
    Ok(Allocated { allocations, bytes })
}

fn main() -> ExitCode {
    gen_worker_cli::main()
}
