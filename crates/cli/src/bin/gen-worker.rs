//! The program `gen-worker`.

use std::process::ExitCode;

/// Gives freed pages back lazily: the system's allocator returns every large buffer at once and faults it in again.
#[global_allocator]
static ALLOCATOR: gen_worker_allocator::Allocator = gen_worker_allocator::Allocator;

fn main() -> ExitCode {
    gen_worker_cli::pool_main()
}
