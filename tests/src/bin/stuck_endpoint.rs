//! A handler that can only be ended together with its process.

use std::process::ExitCode;

use gen_worker::prelude::*;

/// What `stuck` takes: nothing.
#[derive(Payload)]
struct Nothing {}

/// What `stuck` would give.
#[derive(Output)]
struct Never {}

/// Blocks its thread for ever, whatever its deadline says.
#[endpoint]
fn stuck(_ctx: &RequestContext, _payload: Nothing) -> Result<Never> {
    loop {
        std::thread::park();
    }
}

fn main() -> ExitCode {
    gen_worker_cli::main()
}
