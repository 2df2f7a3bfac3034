//! What a download that is killed costs: the bytes that its process had taken from the socket, and the next one asks for again.

use std::{fs, path::Path, process::Command, thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
use gen_worker_hub::Blake3Hash;
use gen_worker_store::Layout;
use gen_worker_tests::Process;
use rustix::process::Signal;

use crate::server::Server;

/// Between looks at a process.
const LOOK: Duration = Duration::from_millis(5);

/// Kills a pull of the one file `blake3` of `order` into the empty store at `root` when it has written `bytes`, and pulls it again.
/// Gives the bytes that came twice.
pub fn came_twice(server: &Server, root: &Path, order: &Path, blake3: Blake3Hash, bytes: u64) -> Result<u64> {
    let mut child = Process::start("pull", Command::new(std::env::current_exe()?).arg("pull").args([root, order]))?;
    let part = Layout::new(root).part(blake3);
    let written = || fs::metadata(&part).map_or(0, |part| part.len());
    while written() < bytes {
        ensure!(child.is_running(), "the pull ended before it was killed: {}", child.log());
        thread::sleep(LOOK);
    }
    child.signal(Signal::STOP)?;
    // The server fills the buffers of the kernel, then waits.
    let mut taken = server.taken()?;
    loop {
        thread::sleep(10 * LOOK);
        let now = server.taken()?;
        if now == taken {
            break;
        }
        taken = now;
    }
    child.signal(Signal::KILL)?;
    child.wait()?;
    let kept = written();
    super::pull::in_child(root, order)?;
    ensure!(
        server.resumed_at() == Some(kept),
        "the second pull did not go on at byte {kept}: {:?}",
        server.resumed_at()
    );
    taken.checked_sub(kept).context("more is kept than came")
}
