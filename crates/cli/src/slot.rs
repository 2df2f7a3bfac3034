//! `slot`: the child's side of an isolated handler. A worker starts it with a socket as stdin and says what to run.
//!
//! It ends when the socket does, so none outlives its worker, however that ended. Signals to stop are the worker's to
//! hear: it lets its children go in order.

use std::{
    fs::{self, File},
    io,
    os::{fd::AsFd as _, unix::net::UnixStream},
    sync::Arc,
};

use gen_worker_core::{Registry, gpu::CudaDriver, memory::SystemMemory, slot::serve_slot};
use tokio::runtime::{Builder, Handle, Runtime};
use tracing::{debug, level_filters::LevelFilter};

use crate::{
    args::SlotArgs,
    env::Environment,
    exit::{Exit, Failure, Outcome, chain},
    logging,
    run::load,
    signals::StopSignals,
};

/// Threads that drive the handler: one may stay inside it while it computes without yielding. The conversation with the
/// worker has the main thread and a runtime for itself, so that it goes on when all of these are busy.
const THREADS: usize = 2;

/// Threads for work that blocks: the handler, a set-up, and name lookups and file reads of the runtime.
const BLOCKING_THREADS: usize = 16;

/// How much sooner than other processes the kernel ends this one when memory runs out (from -1000 to 1000): rather a
/// job than its worker with all jobs.
const OOM_SCORE: &str = "500";

/// Runs the command.
pub(crate) fn run(args: &SlotArgs, env: &Environment) -> Outcome {
    logging::start(&args.log, env, LevelFilter::INFO)?;
    let stream = take_stdin().map_err(|error| {
        Failure::usage(format!("this command is for workers, which start it with a socket as stdin: {error}"))
    })?;
    if let Err(error) = fs::write("/proc/self/oom_score_adj", OOM_SCORE) {
        debug!(%error, "the kernel will not prefer this process when memory runs out");
    }
    let registry = load()?;
    let handlers = built(
        Builder::new_multi_thread()
            .worker_threads(THREADS)
            .max_blocking_threads(BLOCKING_THREADS)
            .thread_name("handler"),
    )?;
    let conversation = built(&mut Builder::new_current_thread())?;
    let outcome = conversation.block_on(serve(&registry, stream, handlers.handle()));
    // A handler that goes on must not keep the process.
    handlers.shutdown_background();
    outcome
}

fn built(runtime: &mut Builder) -> Result<Runtime, Failure> {
    let built = runtime.enable_all().build();
    built.map_err(|error| Failure::failed(format!("could not start the runtime: {error}")))
}

async fn serve(registry: &Registry, stream: UnixStream, handlers: &Handle) -> Outcome {
    let mut signals = StopSignals::listen()?;
    let stream = tokio::net::UnixStream::from_std(stream)
        .map_err(|error| Failure::failed(format!("could not use the socket: {error}")))?;
    // Looks for a driver when the first call runs on an accelerator.
    let memory = Arc::new(SystemMemory::new(Arc::new(CudaDriver::default())));
    let mut served = std::pin::pin!(serve_slot(registry, Box::new(stream), handlers, memory));
    loop {
        tokio::select! {
            ended = &mut served => return match ended {
                Ok(()) => Ok(Exit::Success),
                Err(error) => Err(Failure::failed(chain(&error))),
            },
            signal = signals.next() => debug!(signal, "left to the worker"),
        }
    }
}

/// The socket that is stdin. Stdin itself is empty from here on: a handler that reads it must not read frames.
fn take_stdin() -> io::Result<UnixStream> {
    let stream = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    // Fails for everything that is no socket.
    stream.local_addr()?;
    stream.set_nonblocking(true)?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    Ok(stream)
}
