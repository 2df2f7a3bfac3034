//! Prints the reference page of the environment, `docs/env.md`.

fn main() {
    print!("{}", gen_worker_cli::env::reference());
}
