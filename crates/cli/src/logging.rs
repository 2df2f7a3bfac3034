//! Log lines on stderr: text for people or JSON for machines.

use std::io::IsTerminal as _;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{filter::Targets, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use crate::{
    args::{LogArgs, LogFormat},
    env::{Environment, names},
    exit::Failure,
};

/// Starts logging for this process. A second call in one process changes nothing.
///
/// # Errors
/// When the filter or the format is none.
pub(crate) fn start(args: &LogArgs, env: &Environment, default: LevelFilter) -> Result<(), Failure> {
    let filter = filter(args, env, default)?;
    let registry = tracing_subscriber::registry().with(filter);
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let started = match format(args, env)? {
        LogFormat::Text => {
            let ansi = std::io::stderr().is_terminal();
            registry.with(layer.with_ansi(ansi).with_target(false)).try_init()
        }
        LogFormat::Json => registry.with(layer.json().flatten_event(true)).try_init(),
    };
    // The only failure is that a subscriber is there already: an endpoint's own, and then it is in charge.
    drop(started);
    Ok(())
}

fn filter(args: &LogArgs, env: &Environment, default: LevelFilter) -> Result<Targets, Failure> {
    let Some(text) =
        args.log.as_deref().map(Ok).or_else(|| env.text(&names::GEN_WORKER_LOG).transpose()).transpose()?
    else {
        return Ok(Targets::new().with_default(default));
    };
    text.parse()
        .map_err(|_| Failure::usage(format!("log filter {text:?} is neither a level nor a list of target=level")))
}

fn format(args: &LogArgs, env: &Environment) -> Result<LogFormat, Failure> {
    if let Some(format) = args.log_format {
        return Ok(format);
    }
    match env.text(&names::GEN_WORKER_LOG_FORMAT)? {
        None | Some("text") => Ok(LogFormat::Text),
        Some("json") => Ok(LogFormat::Json),
        Some(_) => Err(Failure::usage(format!("{} must be text or json", names::GEN_WORKER_LOG_FORMAT.name))),
    }
}
