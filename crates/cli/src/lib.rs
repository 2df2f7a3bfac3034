//! The command line: what every endpoint binary embeds, and the `gen-worker` program.
//!
//! An endpoint binary is a `main` that returns [`main()`]: it can run its functions once (`run`), or serve them in a
//! pool (`worker`). With feature `pool` there is also [`pool_main`], the program `gen-worker`: it starts a pool on this
//! machine (`up`), sends requests to one (`submit`), finds and becomes the endpoint binary of a project (`run`), and puts one
//! through faults (`chaos`).
//!
//! This is the only crate that reads the environment, files named on the command line, and flags; libraries get
//! options. It holds no logic that a user of the libraries would miss.
//!
//! ```text
//! arguments --args--> what was typed --+
//! environment --env--> what was set  --+--> one command --> Outcome --> stdout, stderr, exit code
//! ```

pub mod env;

mod args;
mod bounded;
mod capabilities;
mod console;
mod describe;
mod embedded;
mod exit;
mod inputs;
mod interrupt;
mod logging;
mod models;
mod payload;
mod prefetch;
mod run;
mod select;
mod signals;
mod slot;
mod state;
mod token_check;
mod tokens;
mod worker;

#[cfg(feature = "pool")]
mod chaos;
#[cfg(feature = "pool")]
mod hub;
#[cfg(feature = "pool")]
mod pool;
#[cfg(feature = "pool")]
mod ready_file;

pub use embedded::main;
#[cfg(feature = "pool")]
pub use pool::pool_main;
