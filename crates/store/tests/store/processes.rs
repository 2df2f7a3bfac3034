//! Several processes on one directory, and some that are killed (rules 6.20 to 6.22).

use std::{fs, process::Stdio, sync::Arc};

use gen_worker_hub::{Blake3Hash, api::Resolved};
use gen_worker_store::{FormatGate, Progress, Store, Transferred};
use gen_worker_tasks::Cancel;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    sync::Notify,
};

use crate::{
    pool::{Place, bytes, files},
    server::Answer,
};

/// What a child finds in its working directory: the snapshot to fetch into it.
const ORDER: &str = "order.json";

/// In front of what a child says of its progress.
const SAID: &str = "bytes ";

/// The most that a killed download may fetch again (rule 6.6: a chunk).
const CHUNK_BYTES: u64 = 4 * 1024 * 1024;

struct Said;

impl Progress for Said {
    fn transferred(&self, so_far: Transferred) {
        println!("\n{SAID}{}", so_far.bytes_done);
    }
}

/// Not a test by itself: the others run it in processes of their own, which have an order.
#[tokio::test]
async fn a_child_fetches_what_it_is_told() {
    let Ok(order) = fs::read(ORDER) else { return };
    let tree = Resolved::from_snapshot(&serde_json::from_slice(&order).unwrap()).unwrap();
    let store = Store::open(gen_worker_store::StoreOptions::new("."), &Cancel::new()).await.unwrap();
    store.fetch("o/r", &tree, FormatGate::Any, &Said).await.unwrap();
}

/// A child at work, and what it says.
struct Worker {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Worker {
    fn start(place: &Place) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "processes::a_child_fetches_what_it_is_told", "--nocapture"]);
        command.current_dir(place.dir.path()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// Waits until it has so many bytes.
    async fn reached(&mut self, bytes: u64) -> u64 {
        loop {
            let line = self.lines.next_line().await.unwrap().expect("a child that has all it needs goes on");
            let said = line.strip_prefix(SAID).and_then(|text| text.parse().ok());
            if let Some(so_far) = said.filter(|so_far| *so_far >= bytes) {
                return so_far;
            }
        }
    }

    async fn killed(mut self) {
        self.child.kill().await.unwrap();
    }

    async fn done(mut self) -> bool {
        while self.lines.next_line().await.unwrap().is_some() {}
        self.child.wait().await.unwrap().success()
    }
}

fn order(place: &Place, tree: &Resolved) {
    fs::write(place.dir.path().join(ORDER), serde_json::to_vec(tree).unwrap()).unwrap();
}

#[tokio::test]
async fn m6_20_a_killed_download_fetches_at_most_a_chunk_again() {
    const STEP: u64 = 6 * 1024 * 1024;
    let place = Place::new().await;
    let content = bytes(4 * usize::try_from(STEP).unwrap());
    let tree = place.one(&content);
    order(&place, &tree);
    place.server.script(&Blake3Hash::of(&content).to_string(), vec![Answer::Stall(usize::try_from(STEP).unwrap()); 3]);
    let mut had = 0;
    for _ in 0..3 {
        let mut worker = Worker::start(&place);
        had = worker.reached(had + STEP - CHUNK_BYTES).await;
        worker.killed().await;
        assert!(fs::read_dir(place.layout().snapshots()).unwrap().next().is_none());
        place.assert_sound();
        let part = fs::metadata(place.layout().part(Blake3Hash::of(&content))).unwrap().len();
        assert!(part + CHUNK_BYTES > had, "{part} of {had} bytes are left");
        had = part;
    }
    assert!(Worker::start(&place).done().await);
    assert_eq!(fs::read(place.layout().snapshot(&tree.snapshot).join("file")).unwrap(), content);
    assert_eq!(place.server.ranges().last(), Some(&format!("bytes={had}-")));
    place.assert_sound();
}

#[tokio::test]
async fn m6_22_processes_that_want_the_same_share_one_transfer() {
    let place = Place::new().await;
    let (content, go) = (bytes(300_000), Arc::new(Notify::new()));
    let tree = place.tree("t", &[("a", &content), ("b/c", b"small")]);
    order(&place, &tree);
    place.server.script(&Blake3Hash::of(&content).to_string(), [Answer::Wait(Arc::clone(&go))]);
    let workers = [Worker::start(&place), Worker::start(&place), Worker::start(&place)];
    place.server.arrival().await;
    go.notify_one();
    for worker in workers {
        assert!(worker.done().await);
    }
    assert_eq!(place.server.seen().len(), 2);
    assert_eq!(files(&place.layout().snapshot(&tree.snapshot)).len(), 2);
    place.assert_sound();
}
