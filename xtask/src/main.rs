//! The project's own commands. `cargo xtask help` lists them.

mod bench;
mod ci;
mod demo;
mod environment;
mod figures;
mod fuzz;
mod layers;
mod parity;
mod paths;
mod process;
mod proto;
mod readme;
mod section;
mod setup;
mod test;
mod tidy;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use paths::Paths;
use setup::Need;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The project's own commands", max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what this machine lacks; says each thing it installs
    Setup {
        /// Only report what is missing, and fail when something is
        #[arg(long)]
        check: bool,
        /// Also what only `ci` needs; implied by CI=true
        #[arg(long)]
        ci: bool,
    },
    /// Start the whole system on this machine and show it at work on a real model
    Demo,
    /// Run every test, after setting up what they need
    Test,
    /// Everything a change has to pass
    Ci,
    /// Regenerate the checked-in wire code from the schema
    Proto {
        /// Fail when the checked-in code differs, change nothing
        #[arg(long)]
        check: bool,
    },
    /// Check who imports whom, and what no crate may link
    Layers {
        /// Write the picture in ARCHITECTURE.md instead of comparing it
        #[arg(long)]
        write: bool,
    },
    /// Check the house rules
    Tidy,
    /// Look for input that breaks the codecs
    Fuzz {
        /// Only this target
        target: Option<String>,
        /// How long for each target
        #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
        seconds: u32,
        /// Stop after so many inputs for each target instead
        #[arg(long, conflicts_with = "seconds", value_parser = clap::value_parser!(u32).range(1..))]
        runs: Option<u32>,
    },
    /// Print our figures beside the peer's and the floor's
    Bench {
        /// Only benches whose name contains this
        filter: Option<String>,
        /// Write the table into README.md too; with a filter, these rows of it
        #[arg(long)]
        update_readme: bool,
        /// Only load a worker for so many minutes, and report what it keeps of that
        #[arg(long, value_name = "MINUTES", conflicts_with_all = ["filter", "update_readme"], value_parser = bench::minutes)]
        soak: Option<f64>,
    },
    /// Compare embeddings with PyTorch's (installs 5 GB)
    Parity {
        /// Compare the speed too
        #[arg(long)]
        bench: bool,
        /// Write that table into README.md too
        #[arg(long, requires = "bench")]
        update_readme: bool,
    },
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            process::say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    let paths = Paths::of_workspace()?;
    match command {
        Command::Setup { check, ci } => {
            let need = if ci || environment::in_ci() { Need::Ci } else { Need::Test };
            if check { setup::check(&paths, need) } else { setup::run(&paths, need) }
        }
        Command::Demo => demo::run(&paths),
        Command::Test => test::run(&paths),
        Command::Ci => ci::run(&paths),
        Command::Proto { check } => proto::run(paths.root(), check),
        Command::Layers { write } => layers::run(&paths, write),
        Command::Tidy => tidy::run(&paths),
        Command::Fuzz { target, seconds, runs } => {
            let budget = runs.map_or(fuzz::Budget::Seconds(seconds), fuzz::Budget::Runs);
            fuzz::run(&paths, target.as_deref(), budget)
        }
        Command::Bench { soak: Some(minutes), .. } => bench::soak(&paths, minutes),
        Command::Bench { filter, update_readme, .. } => bench::run(&paths, filter.as_deref(), update_readme),
        Command::Parity { bench, update_readme } => parity::run(&paths, bench, update_readme),
    }
}
