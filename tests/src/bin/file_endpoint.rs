//! Functions that take and make files, in the worker and in a process of their own.

use std::{fs, process::ExitCode};

use gen_worker::prelude::*;

/// A file to look at.
#[derive(Payload)]
struct Look {
    file: Asset,
}

/// What was there.
#[derive(Output)]
struct Seen {
    text: String,
    path: String,
    mime_type: Option<String>,
}

fn seen(payload: &Look) -> Result<Seen> {
    let path = payload.file.path()?;
    let text = fs::read_to_string(path).fatal()?;
    Ok(Seen { text, path: path.display().to_string(), mime_type: payload.file.mime_type.clone() })
}

#[endpoint]
fn look(_ctx: &RequestContext, payload: Look) -> Result<Seen> {
    seen(&payload)
}

#[endpoint(isolation = "process")]
fn look_isolated(_ctx: &RequestContext, payload: Look) -> Result<Seen> {
    seen(&payload)
}

/// A file to make.
#[derive(Payload)]
struct Keep {
    name: String,
    text: String,
}

/// Where it is.
#[derive(Output)]
struct Kept {
    file: Asset,
}

#[endpoint]
async fn keep(ctx: &RequestContext, payload: Keep) -> Result<Kept> {
    Ok(Kept { file: ctx.save_bytes(&payload.name, payload.text).await? })
}

#[endpoint(isolation = "process")]
async fn keep_isolated(ctx: &RequestContext, payload: Keep) -> Result<Kept> {
    Ok(Kept { file: ctx.save_bytes(&payload.name, payload.text).await? })
}

fn main() -> ExitCode {
    gen_worker_cli::main()
}
