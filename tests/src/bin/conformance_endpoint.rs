//! The functions of the conformance scenarios, on our worker. The Python peer has the same in `tests/peer`.

use std::{fs, fs::OpenOptions, io::Write as _, iter, path::Path, process::ExitCode, time::Duration};

use futures::{FutureExt as _, Stream, stream};
use gen_worker::{Done, Error, prelude::*};

/// How often `hold` looks for its file.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What `echo` and `refuse` take.
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
fn echo(_ctx: &RequestContext, payload: Text) -> Result<Echo> {
    Ok(Echo { response: payload.text })
}

#[endpoint]
fn refuse(_ctx: &RequestContext, payload: Text) -> Result<Echo> {
    Err(WorkerError::validation(format!("refused {}", payload.text)))
}

/// What `count_up` takes.
#[derive(Payload)]
struct Count {
    #[field(default = 3)]
    count: u32,
    /// A file to wait for; none where it is empty.
    #[field(default = "")]
    after: String,
}

/// One item of `count_up`.
#[derive(Output)]
struct Item {
    index: u32,
}

/// Counts once its file is there, and writes down that it did.
#[endpoint]
fn count_up(_ctx: &RequestContext, payload: Count) -> impl Stream<Item = Result<Item>> + Send {
    let items = (0..payload.count).map(|index| Ok(Item { index }));
    let counted = iter::once_with(|| fs::write("counted", "").fatal().err().map(Err)).flatten();
    let counting = async move {
        while !payload.after.is_empty() && !Path::new(&payload.after).exists() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        stream::iter(items.chain(counted))
    };
    counting.flatten_stream()
}

/// What `hold` takes.
#[derive(Payload)]
struct Hold {
    name: String,
    /// Whether a cancel is ignored.
    #[field(default = false)]
    stubborn: bool,
}

/// A token for each letter, then the end; without letters, a failure.
#[endpoint]
fn speak(_ctx: &RequestContext, payload: Text) -> impl Stream<Item = Result<StreamEvent>> + Send {
    let tokens = payload.text.chars().map(|letter| StreamEvent::Token(TokenDelta::text(letter)));
    let failure = payload.text.is_empty().then(|| StreamEvent::Error(Error { message: "nothing to say".to_owned() }));
    let end = [StreamEvent::Done(Done {}), StreamEvent::Token(TokenDelta::text("never read"))];
    let items: Vec<_> = failure.into_iter().chain(tokens).chain(end).map(Ok).collect();
    stream::iter(items)
}

/// What `hold` gives.
#[derive(Output)]
struct Held {
    name: String,
}

/// Writes down that it started, then waits for a file.
#[endpoint]
async fn hold(ctx: &RequestContext, payload: Hold) -> Result<Held> {
    let mut started = OpenOptions::new().create(true).append(true).open("started").fatal()?;
    started.write_all(format!("{}\n", payload.name).as_bytes()).fatal()?;
    while !Path::new(&format!("release-{}", payload.name)).exists() {
        if !payload.stubborn {
            ctx.check_cancelled()?;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    OpenOptions::new().create(true).append(true).open("ended").fatal()?;
    Ok(Held { name: payload.name })
}

fn main() -> ExitCode {
    gen_worker_cli::main()
}
