//! kill -9 at random points: what was acknowledged is there, and no batch by half.
//!
//! ```text
//! test ──spawns──> this binary, test `child_writes` ──> store
//!   ^                      │ stdout: one line per acknowledged batch
//!   └── reads some lines, kills, reads the rest, opens the store, compares
//! ```
use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use futures::future::join_all;
use tempfile::TempDir;

use super::{open, options};
use crate::{
    queue::{
        Applied, Change, Enqueued, Queue,
        sqlite::{Options, SqliteQueue},
        testing::{Draft, assign, finish, request_id},
    },
    request::State,
};

/// Tells the child where to write; without it the child is a test of its own.
const DIRECTORY: &str = "GEN_WORKER_TEST_CRASH_DIRECTORY";
/// Tells the child how to name its requests.
const ROUND: &str = "GEN_WORKER_TEST_CRASH_ROUND";
const ROUNDS: usize = 6;
const WRITERS: usize = 4;
/// Requests per batch, several so that a half would show.
const BATCH: usize = 5;

#[tokio::test]
async fn kill_loses_nothing_acknowledged() {
    let directory = TempDir::new().unwrap();
    let mut enqueued = BTreeSet::new();
    let mut finished = BTreeSet::new();
    for round in 0..ROUNDS {
        // Another number of acknowledgements every round; where in a commit the kill falls is up to the machine.
        for line in killed_after(3 + 37 * round, directory.path(), round) {
            // The harness of the tests writes lines, too.
            match line.split_once(' ') {
                Some(("enqueued", batch)) => drop(enqueued.insert(batch.to_owned())),
                Some(("finished", batch)) => drop(finished.insert(batch.to_owned())),
                _ => {}
            }
        }
        let queue = open(&directory).await;
        check(&queue, round, &enqueued, &finished).await;
        queue.close().await.unwrap();
    }
    assert!(enqueued.len() > ROUNDS && !finished.is_empty(), "the child wrote");
}

/// Looks at every batch the child may have written up to this round.
async fn check(queue: &SqliteQueue, rounds: usize, enqueued: &BTreeSet<String>, finished: &BTreeSet<String>) {
    for round in 0..=rounds {
        for writer in 0..WRITERS {
            for number in 0.. {
                let batch = name(round, writer, number);
                let (mut known, mut ended) = (0, 0);
                for id in ids(&batch) {
                    let request = queue.get(request_id(&id)).await.unwrap();
                    known += usize::from(request.is_some());
                    ended += usize::from(request.is_some_and(|request| request.state == State::Succeeded));
                }
                assert!(known == 0 || known == BATCH, "{batch}: {known} of {BATCH} were taken in");
                assert!(ended == 0 || ended == BATCH, "{batch}: {ended} of {BATCH} are finished");
                assert!(known == BATCH || !enqueued.contains(&batch), "{batch} was acknowledged and is gone");
                assert!(
                    ended == BATCH || !finished.contains(&batch),
                    "the end of {batch} was acknowledged and is gone"
                );
                if known == 0 {
                    break;
                }
            }
        }
    }
}

/// Lets a child write until it has acknowledged so many batches, kills it, and returns all it said.
fn killed_after(acknowledged: usize, directory: &Path, round: usize) -> Vec<String> {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "queue::sqlite::tests::crash::child_writes", "--nocapture"])
        .env(DIRECTORY, directory)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut child = Killed(child);
    let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
    let mut said: Vec<String> = lines.by_ref().take(acknowledged).map(Result::unwrap).collect();
    child.0.kill().unwrap();
    // What it acknowledged between the last line read and its end. A line cut short counts for nothing.
    said.extend(lines.map_while(Result::ok).filter(|line| line.ends_with('.')));
    said.iter().map(|line| line.trim_end_matches('.').to_owned()).collect()
}

/// A child that does not outlive the test, whatever comes.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Takes requests in and finishes them, from several callers at once. Told where, it goes on until it is killed;
/// else it writes a little and ends.
#[tokio::test]
async fn child_writes() {
    #[expect(clippy::disallowed_methods, reason = "the parent test has no other way to reach one test of this binary")]
    let (told, round) = (std::env::var_os(DIRECTORY), std::env::var(ROUND));
    let own = TempDir::new().unwrap();
    let batches = if told.is_some() { usize::MAX } else { 3 };
    let path = told.map_or_else(|| own.path().to_owned(), PathBuf::from).join("queue.sqlite3");
    let round = round.map_or(0, |round| round.parse().unwrap());
    let queue = SqliteQueue::open(Options { path, ..options(&own) }).await.unwrap();
    join_all((0..WRITERS).map(|writer| write(&queue, round, writer, batches))).await;
    queue.close().await.unwrap();
}

async fn write(queue: &SqliteQueue, round: usize, writer: usize, batches: usize) {
    for number in 0..batches {
        let batch = name(round, writer, number);
        let requests = ids(&batch).map(|id| Draft::new(&id).rich().build()).collect();
        let outcomes = queue.enqueue(requests).await.unwrap();
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Enqueued::Created(_))), "{outcomes:?}");
        say("enqueued", &batch);
        queue.apply_lazily(ids(&batch).map(|id| assign(&id, 1)).collect());
        let changes: Vec<Change> = ids(&batch).map(|id| finish(&id, 1)).collect();
        let outcomes = queue.apply(changes).await.unwrap();
        assert!(outcomes.iter().all(|outcome| *outcome == Applied::Done), "{outcomes:?}");
        say("finished", &batch);
    }
}

/// Writes one line in one piece, past the capture of the test harness.
fn say(what: &str, batch: &str) {
    let line = format!("{what} {batch}.\n");
    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
}

fn name(round: usize, writer: usize, number: usize) -> String {
    format!("k{round}-w{writer}-n{number}")
}

fn ids(batch: &str) -> impl Iterator<Item = String> {
    (0..BATCH).map(move |index| format!("{batch}-{index}"))
}
