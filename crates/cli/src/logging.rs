//! Log lines on stderr: text for people or JSON for machines.

use std::io::IsTerminal as _;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{filter::Targets, fmt::MakeWriter, layer::SubscriberExt as _, util::SubscriberInitExt as _};

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
    let format = format(args, env)?.unwrap_or(LogFormat::Text);
    begin(filter(args, env, default)?, format, std::io::stderr);
    Ok(())
}

/// The same for a command that tells of its own work on stderr: warnings only, unless the environment says otherwise, through
/// `writer`; lines of JSON when that is no terminal.
///
/// # Errors
/// As [`start`].
pub(crate) fn start_warnings<W>(env: &Environment, writer: W) -> Result<(), Failure>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let args = LogArgs::default();
    let usual = if std::io::stderr().is_terminal() { LogFormat::Text } else { LogFormat::Json };
    begin(filter(&args, env, LevelFilter::WARN)?, format(&args, env)?.unwrap_or(usual), writer);
    Ok(())
}

fn begin<W>(filter: Targets, format: LogFormat, writer: W)
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let registry = tracing_subscriber::registry().with(filter);
    let layer = tracing_subscriber::fmt::layer().with_writer(writer);
    let started = match format {
        LogFormat::Text => {
            let ansi = std::io::stderr().is_terminal();
            registry.with(layer.with_ansi(ansi).with_target(false)).try_init()
        }
        LogFormat::Json => registry.with(layer.json().flatten_event(true)).try_init(),
    };
    // The only failure is that a subscriber is there already: an endpoint's own, and then it is in charge.
    drop(started);
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

fn format(args: &LogArgs, env: &Environment) -> Result<Option<LogFormat>, Failure> {
    if args.log_format.is_some() {
        return Ok(args.log_format);
    }
    match env.text(&names::GEN_WORKER_LOG_FORMAT)? {
        None => Ok(None),
        Some("text") => Ok(Some(LogFormat::Text)),
        Some("json") => Ok(Some(LogFormat::Json)),
        Some(_) => Err(Failure::usage(format!("{} must be text or json", names::GEN_WORKER_LOG_FORMAT.name))),
    }
}
