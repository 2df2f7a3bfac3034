//! A plain, a slow and two streaming functions: what a pool does, without a model.

use std::{process::ExitCode, time::Duration};

use gen_worker::prelude::*;

#[global_allocator]
static ALLOCATOR: gen_worker_allocator::Allocator = gen_worker_allocator::Allocator;

/// A call across the pool.
#[derive(Payload)]
struct Marco {
    /// What is called.
    #[field(min_len = 1, default = "marco")]
    text: String,
}

/// The answer.
#[derive(Output)]
struct Polo {
    /// What is answered.
    response: String,
}

/// A call that takes its time.
#[derive(Payload)]
struct SlowMarco {
    /// What is called.
    #[field(min_len = 1, default = "marco")]
    text: String,
    /// How long the answer takes, in milliseconds.
    #[field(max = 3_600_000, default = 1_000)]
    delay_ms: u64,
}

/// A call that is answered many times.
#[derive(Payload)]
struct ManyMarcos {
    /// What is called.
    #[field(min_len = 1, default = "marco")]
    text: String,
    /// How many answers there are.
    #[field(max = 1_000_000, default = 3)]
    count: u64,
    /// How long each answer takes, in milliseconds.
    #[field(max = 60_000, default = 0)]
    delay_ms: u64,
}

/// One of many answers.
#[derive(Output)]
struct NumberedPolo {
    /// Which one, from 1.
    number: u64,
    /// What is answered.
    response: String,
}

/// Answers at once.
#[endpoint]
async fn marco(_ctx: &RequestContext, call: Marco) -> Result<Polo> {
    Ok(Polo { response: answer(&call.text) })
}

/// Answers after a while, telling how far it is; a cancelled call ends within a step.
#[endpoint]
async fn marco_slow(ctx: &RequestContext, call: SlowMarco) -> Result<Polo> {
    const STEPS: u32 = 10;
    let step = Duration::from_millis(call.delay_ms) / STEPS;
    for done in 1..=STEPS {
        ctx.sleep(step).await?;
        ctx.progress(f64::from(done) / f64::from(STEPS), Some("waiting"));
    }
    Ok(Polo { response: answer(&call.text) })
}

/// Answers many times.
#[endpoint]
fn marco_stream(ctx: &RequestContext, call: ManyMarcos) -> impl Stream<Item = Result<NumberedPolo>> + Send {
    try_stream! {
        for number in 1..=call.count {
            pause(ctx, call.delay_ms).await?;
            yield NumberedPolo { number, response: answer(&call.text) };
        }
    }
}

/// Answers many times, as the words of one text.
#[endpoint]
fn marco_tokens(ctx: &RequestContext, call: ManyMarcos) -> impl Stream<Item = Result<TokenDelta>> + Send {
    try_stream! {
        for number in 1..=call.count {
            pause(ctx, call.delay_ms).await?;
            let space = if number == 1 { "" } else { " " };
            yield TokenDelta::text(format!("{space}{}", answer(&call.text)));
        }
    }
}

/// A delay of zero is no delay, not even a turn of the event loop.
async fn pause(ctx: &RequestContext, delay_ms: u64) -> Result<()> {
    if delay_ms == 0 { Ok(()) } else { ctx.sleep(Duration::from_millis(delay_ms)).await }
}

/// `polo` to `marco`; anything else comes back.
fn answer(text: &str) -> String {
    match text {
        "marco" => "polo".to_owned(),
        other => format!("polo, {other}"),
    }
}

fn main() -> ExitCode {
    gen_worker_cli::main()
}
