//! The store in processes of its own: this program again, with an order in its working directory.

use std::{fs, path::Path, process::Stdio, sync::Arc};

use gen_worker_hub::api::Resolved;
use gen_worker_store::{DiskSpace, FetchError, FormatGate, Layout, Progress, Store, StoreOptions, Transferred};
use gen_worker_tasks::Cancel;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{ChildStdout, Command},
};

use crate::pool::{Budget, Place, assert_sound};

/// The snapshots to fetch.
pub const ORDER: &str = "order.json";

/// Bytes of the disk, when they are bounded: then the child fetches for ever.
pub const BUDGET: &str = "budget";

/// A file that takes space: where it is, the child removes it after the first failure and tries again.
pub const BALLAST: &str = "ballast";

/// In front of what a child says of its progress, and of how a fetch ended.
const SAID: &str = "bytes ";
const ENDED: &str = "ended ";

/// The test that is a child which fetches.
const FETCHES: &str = "child::a_child_fetches_what_it_is_told";

/// Says it on the standard output.
pub struct Said;

impl Progress for Said {
    fn transferred(&self, so_far: Transferred) {
        println!("\n{SAID}{}", so_far.bytes_done);
    }
}

/// Says that everything fits, so that the disk itself has to say when it does not.
struct Endless;

impl DiskSpace for Endless {
    fn available_bytes(&self, _path: &Path) -> std::io::Result<u64> {
        Ok(u64::MAX)
    }
}

/// Not a test by itself: the others run it in processes of their own, which have an order.
#[tokio::test]
async fn a_child_fetches_what_it_is_told() {
    let Some(trees) = ordered(ORDER) else { return };
    let budget = fs::read_to_string(BUDGET).ok().map(|bytes| bytes.parse().unwrap());
    let space: Arc<dyn DiskSpace> = match budget {
        Some(bytes) => Arc::new(Budget(bytes)),
        None => Arc::new(Endless),
    };
    let options = StoreOptions { space, headroom_bytes: 0, reserve_bytes: 0, ..StoreOptions::new(".") };
    let store = match Store::open(options, &Cancel::new()).await {
        Ok(store) => store,
        Err(error) => return ended(&Err(error)),
    };
    loop {
        for tree in &trees {
            let mut result = fetch(&store, tree).await;
            ended(&result);
            if result.is_err() {
                assert_sound(&Layout::new("."));
                if fs::remove_file(BALLAST).is_ok() {
                    result = fetch(&store, tree).await;
                    ended(&result);
                }
            }
        }
        if budget.is_none() {
            return;
        }
    }
}

async fn fetch(store: &Store, tree: &Resolved) -> Result<(), FetchError> {
    store.fetch(tree.snapshot.as_str(), tree, FormatGate::Any, &Said).await.map(drop)
}

/// Says how a fetch ended.
pub fn ended(result: &Result<(), FetchError>) {
    match result {
        Ok(()) => println!("\n{ENDED}ok"),
        Err(error) => {
            eprintln!("a child's fetch: {error}");
            println!("\n{ENDED}{}", error.failure().as_str());
        }
    }
}

/// The snapshots that the file `name` lists, if it is there.
pub fn ordered(name: &str) -> Option<Vec<Resolved>> {
    let order: Vec<serde_json::Value> = serde_json::from_slice(&fs::read(name).ok()?).unwrap();
    Some(order.iter().map(|tree| Resolved::from_snapshot(tree).unwrap()).collect())
}

/// What a child finds in `dir`.
pub fn order(dir: &Path, trees: &[&Resolved]) {
    fs::write(dir.join(ORDER), serde_json::to_vec(trees).unwrap()).unwrap();
}

/// A child at work, and what it says.
pub struct Child {
    child: tokio::process::Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Child {
    /// One on the directory of `place`.
    pub fn start(place: &Place) -> Self {
        Self::start_test(FETCHES, place.dir.path())
    }

    /// One in the directory `dir` that is another test of this program.
    pub fn start_test(test: &str, dir: &Path) -> Self {
        Self::spawn(&mut Command::new(std::env::current_exe().unwrap()), test, dir)
    }

    /// One that a shell makes ready with `script`, whose `"$@"` runs it.
    pub fn start_by(script: &str, place: &Place) -> Self {
        Self::start_test_by(script, FETCHES, place)
    }

    /// The same with another test of this program.
    pub fn start_test_by(script: &str, test: &str, place: &Place) -> Self {
        Self::unshared(&["--mount", "--map-root-user"], script, test, place)
    }

    /// One whose shell may mount images of disks, as only the real root may. All that the shell starts ends with it.
    pub fn start_with_images(script: &str, place: &Place) -> Self {
        Self::unshared(&["--mount", "--pid", "--fork", "--kill-child"], script, FETCHES, place)
    }

    fn unshared(world: &[&str], script: &str, test: &str, place: &Place) -> Self {
        let mut command = Command::new("unshare");
        command.args(world).args(["sh", "-ec", script, "sh"]);
        Self::spawn(command.arg(std::env::current_exe().unwrap()), test, place.dir.path())
    }

    fn spawn(command: &mut Command, test: &str, dir: &Path) -> Self {
        command.args(["--exact", test, "--nocapture"]);
        command.current_dir(dir).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// Waits until it has so many bytes.
    pub async fn reached(&mut self, bytes: u64) -> u64 {
        loop {
            let line = self.lines.next_line().await.unwrap().expect("a child that has all it needs goes on");
            let said = line.strip_prefix(SAID).and_then(|text| text.parse().ok());
            if let Some(so_far) = said.filter(|so_far| *so_far >= bytes) {
                return so_far;
            }
        }
    }

    /// Waits until it has said so much.
    pub async fn said(&mut self, lines: usize) {
        for _ in 0..lines {
            self.lines.next_line().await.unwrap().expect("a child that never ends goes on");
        }
    }

    /// Waits until its shell has said `word`. How fetches ended before.
    pub async fn heard(&mut self, word: &str) -> Vec<String> {
        let mut ends = Vec::new();
        loop {
            let line = self.lines.next_line().await.unwrap().expect("a shell that has something to say goes on");
            if line == word {
                return ends;
            }
            ends.extend(line.strip_prefix(ENDED).map(str::to_owned));
        }
    }

    /// Kills it, whatever it is at.
    pub async fn killed(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Waits for its end. How its fetches ended.
    pub async fn ended(mut self) -> Vec<String> {
        let mut ends = Vec::new();
        while let Some(line) = self.lines.next_line().await.unwrap() {
            ends.extend(line.strip_prefix(ENDED).map(str::to_owned));
        }
        assert!(self.child.wait().await.unwrap().success());
        ends
    }
}
