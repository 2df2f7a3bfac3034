//! A function with a model, on our worker. The Python peer has the same in `tests/peer`.

use std::{fs, fs::OpenOptions, io::Write as _, path::Path, process::ExitCode, time::Duration};

use gen_worker::prelude::*;

/// How often `read` looks for its file.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What `read` takes.
#[derive(Payload)]
struct Ask {
    /// What has to be released first; nothing where it is empty.
    #[field(default = "")]
    name: String,
}

/// What `read` gives.
#[derive(Output)]
struct Told {
    text: String,
}

/// A model that is a text.
struct Reader {
    text: String,
}

#[endpoint(model = hub("acme/weights"))]
impl Reader {
    #[setup]
    fn load(dir: ModelDir) -> Result<Self> {
        match fs::read_to_string("broken").as_deref() {
            Ok("out of memory") => return Err(WorkerError::out_of_memory()),
            Ok(why) => return Err(WorkerError::fatal("RuntimeError", why)),
            Err(_) => {}
        }
        Ok(Self { text: fs::read_to_string(dir.path().join("text")).fatal()? })
    }

    /// Tells what is in the model; with a name, once it is released.
    #[handler]
    async fn read(&self, ctx: &RequestContext, payload: Ask) -> Result<Told> {
        if !payload.name.is_empty() {
            let mut started = OpenOptions::new().create(true).append(true).open("started").fatal()?;
            started.write_all(format!("{}\n", payload.name).as_bytes()).fatal()?;
            while !Path::new(&format!("release-{}", payload.name)).exists() {
                ctx.check_cancelled()?;
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }
        Ok(Told { text: self.text.clone() })
    }
}

fn main() -> ExitCode {
    gen_worker_cli::main()
}
