//! The first example of the README, word for word, as a program. A test compares the two and runs this one.

use gen_worker::prelude::*;

#[derive(Payload)]
struct Greeting {
    name: String,
}

#[derive(Output)]
struct Reply {
    text: String,
}

/// Greets by name.
#[endpoint]
async fn greet(_ctx: &RequestContext, greeting: Greeting) -> Result<Reply> {
    Ok(Reply { text: format!("hello, {}", greeting.name) })
}

fn main() -> std::process::ExitCode {
    gen_worker_cli::main()
}
