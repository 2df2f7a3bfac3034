//! What is kept, for how long, and what a damaged disk costs.
use std::{
    fs::{self, File},
    path::Path,
};

use bytes::Bytes;
use gen_worker_proto::{Pair, pb};
use gen_worker_tasks::Scope;
use proptest::prelude::*;

use super::{Claimed, LOCK, Spool, SpoolError, SpoolOptions, SpoolPolicy, record, segments};
use crate::outbox::{EndOutput, JobEnd};

fn end(id: u64, runtime_ms: i64, status: pb::JobStatus, bytes: usize) -> JobEnd {
    JobEnd {
        pair: Pair::parse(format!("r{id}"), 3).expect("a pair"),
        status,
        output: EndOutput::Inline(vec![b'x'; bytes].into()),
        message: String::new(),
        metrics: Some(pb::JobMetrics { runtime_ms, ..Default::default() }),
        record: None,
    }
}

fn costly(id: u64) -> JobEnd {
    end(id, 100, pb::JobStatus::Ok, 1000)
}

/// A spool in a directory, the way a process has it.
struct Process {
    spool: Spool,
    ends: Vec<JobEnd>,
    scope: Scope,
    lock: std::path::PathBuf,
}

impl Process {
    fn start(options: &SpoolOptions) -> Self {
        Self::start_as(options, "w1")
    }

    fn start_as(options: &SpoolOptions, id: &str) -> Self {
        let scope = Scope::new("test");
        let claimed = Claimed::of(options, id).expect("free");
        let (spool, ends) = claimed.open(options, &scope).expect("opens");
        let lock = options.dir.join(segments::directory_name(id)).join(LOCK);
        Self { spool, ends, scope, lock }
    }

    fn keep(&self, mut end: JobEnd) -> u64 {
        self.spool.keep(&mut end);
        end.record.expect("the policy wants it")
    }

    /// Ends the process after everything it was told is done.
    fn end(self) {
        drop(self.spool);
        // The thread holds the lock until its end.
        File::open(&self.lock).expect("is there").lock().expect("the thread ends");
        drop(self.scope);
    }

    fn ids(&self) -> Vec<&str> {
        self.ends.iter().map(|end| end.pair.request_id.as_str()).collect()
    }
}

fn files(dir: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(dir.join("w1")).expect("a directory");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "spool"));
    files.sort();
    files
}

#[test]
fn costly_results_are_kept_by_default() {
    let auto = SpoolPolicy::Auto;
    assert!(auto.keeps(&end(1, 100, pb::JobStatus::Ok, 0)));
    assert!(auto.keeps(&end(1, 3_600_000, pb::JobStatus::Fatal, 0)), "a verdict after an hour is a result");
    assert!(!auto.keeps(&end(1, 99, pb::JobStatus::Ok, 0)));
    assert!(!auto.keeps(&end(1, 5000, pb::JobStatus::Canceled, 0)), "nobody waits for it");
    assert!(!auto.keeps(&end(1, 5000, pb::JobStatus::Retryable, 0)), "it is repeated anyway");
    assert!(SpoolPolicy::Always.keeps(&end(1, 0, pb::JobStatus::Canceled, 0)));
    assert!(!SpoolPolicy::Never.keeps(&end(1, 5000, pb::JobStatus::Ok, 0)));
}

#[test]
fn the_next_process_finds_what_was_not_done_with_in_order() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = SpoolOptions::new(dir.path());
    let process = Process::start(&options);
    assert!(process.ends.is_empty());
    let records: Vec<_> = (1..=5).map(|id| process.keep(costly(id))).collect();
    process.spool.forget(&records[1..3]);
    process.end();

    let process = Process::start(&options);
    assert_eq!(process.ids(), ["r1", "r4", "r5"]);
    assert_eq!(process.ends[0].record, Some(records[0]), "still known by its record");
    let found = JobEnd { record: None, ..process.ends[1].clone() };
    assert_eq!(found, costly(4), "as it was");
    let later = process.keep(costly(6));
    assert!(later > records[4], "numbers are never used twice");
    process.spool.forget(&[records[0], records[3]]);
    process.end();

    let process = Process::start(&options);
    assert_eq!(process.ids(), ["r5", "r6"]);
    process.spool.forget(&[records[4], later]);
    process.end();
    assert!(Process::start(&options).ends.is_empty());
    assert!(files(dir.path()).is_empty(), "nothing is left on disk");
}

#[test]
fn files_shrink_again_and_are_for_the_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().expect("a directory");
    let options = SpoolOptions { policy: SpoolPolicy::Always, ..SpoolOptions::new(dir.path().join("made")) };
    let process = Process::start(&options);
    for round in 0..40 {
        let records: Vec<_> =
            (0..10).map(|id| process.keep(end(round * 10 + id, 0, pb::JobStatus::Ok, 60_000))).collect();
        process.spool.forget(&records);
    }
    process.end();
    let left: u64 = files(&options.dir).iter().map(|file| fs::metadata(file).expect("is there").len()).sum();
    assert!(left <= 8, "{left} bytes are left of 24 MB");
    let mode = fs::metadata(&options.dir).expect("is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn a_torn_tail_is_cut_and_the_rest_stays() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = SpoolOptions::new(dir.path());
    let process = Process::start(&options);
    for id in 1..=3 {
        process.keep(costly(id));
    }
    process.end();
    let file = files(dir.path()).pop().expect("one file");
    let bytes = fs::read(&file).expect("readable");
    for cut in [1, 17, 500, 1050] {
        fs::write(&file, &bytes[..bytes.len() - cut]).expect("writable");
        let process = Process::start(&options);
        let want: &[&str] = if cut < 1050 { &["r1", "r2"] } else { &["r1"] };
        assert_eq!(process.ids(), want, "{cut} bytes are missing");
        process.end();
    }
    let mut damaged = bytes.clone();
    let at = damaged.len() / 2;
    damaged[at] ^= 1;
    fs::write(&file, &damaged).expect("writable");
    let process = Process::start(&options);
    assert_eq!(process.ids(), ["r1"], "the good prefix survives a flipped bit");
    process.keep(costly(9));
    process.end();
    assert_eq!(Process::start(&options).ids(), ["r1", "r9"], "and what comes after is kept");
}

#[test]
fn a_foreign_or_empty_file_harms_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = SpoolOptions::new(dir.path());
    fs::create_dir_all(dir.path().join("w1")).expect("created");
    fs::write(dir.path().join("w1/0000000003.spool"), b"gwspool9 of another version").expect("written");
    fs::write(dir.path().join("w1/0000000004.spool"), b"").expect("written");
    let process = Process::start(&options);
    assert!(process.ends.is_empty());
    process.keep(costly(1));
    process.end();
    assert_eq!(Process::start(&options).ids(), ["r1"]);
    assert!(dir.path().join("w1/0000000003.spool").exists(), "what cannot be read is not removed");
}

#[test]
fn what_was_done_with_stays_so_across_restarts_and_files() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = SpoolOptions::new(dir.path());
    let process = Process::start(&options);
    let records: Vec<_> = (1..=3).map(|id| process.keep(costly(id))).collect();
    process.end();
    // A new file, which at first holds marks only.
    let process = Process::start(&options);
    for record in &records[..2] {
        process.spool.forget(&[*record]);
        while !process.spool.is_taken() {
            std::thread::yield_now();
        }
    }
    process.end();
    assert_eq!(Process::start(&options).ids(), ["r3"]);
}

#[test]
fn a_smaller_bound_loses_nothing_that_is_there() {
    let dir = tempfile::tempdir().expect("a directory");
    let process = Process::start(&SpoolOptions::new(dir.path()));
    for id in 0..300 {
        process.keep(end(id, 500, pb::JobStatus::Ok, 60_000));
    }
    process.end();
    let process = Process::start(&SpoolOptions { bytes_max: 1_000, ..SpoolOptions::new(dir.path()) });
    assert_eq!(process.ends.len(), 300);
}

#[test]
fn a_full_spool_keeps_the_older_results() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = SpoolOptions { bytes_max: 100_000, ..SpoolOptions::new(dir.path()) };
    let process = Process::start(&options);
    for id in 1..=3 {
        process.keep(end(id, 500, pb::JobStatus::Ok, 60_000));
        // One batch each: the bound is that of a batch.
        while !process.spool.is_taken() {
            std::thread::yield_now();
        }
    }
    process.end();
    let process = Process::start(&options);
    assert_eq!(process.ids(), ["r1"]);
    assert!(files(dir.path()).iter().all(|file| fs::metadata(file).expect("is there").len() <= 100_000));
    process.spool.forget(&[process.ends[0].record.expect("kept")]);
    process.keep(end(4, 500, pb::JobStatus::Ok, 60_000));
    process.end();
    assert_eq!(Process::start(&options).ids().len(), 1, "there is room again");
}

#[test]
fn one_process_at_a_time_has_an_id() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = SpoolOptions::new(dir.path());
    let process = Process::start(&options);
    assert!(matches!(Claimed::of(&options, "w1"), Err(SpoolError::InUse(_))));
    assert!(Claimed::of(&options, "w2").is_ok());
    process.end();
    assert!(Claimed::of(&options, "w1").is_ok());
}

#[test]
fn an_id_that_was_made_up_is_taken_over_only_with_results() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = SpoolOptions::new(dir.path());
    let process = Process::start_as(&options, "host-0a1b2c3d");
    process.keep(costly(1));
    assert!(Claimed::orphan(&options, "host-").is_none(), "its process lives");
    process.end();
    drop(Claimed::of(&options, "host-00000000").expect("free"));
    assert_eq!(Claimed::orphan(&options, "host-").expect("left behind").worker_id, "host-0a1b2c3d");
    for chosen in ["gpu-7", "gpu-1-0a1b2c3d", "gpu-0A1B2C3D"] {
        let process = Process::start_as(&options, chosen);
        process.keep(costly(1));
        process.end();
        assert!(Claimed::orphan(&options, "gpu-").is_none(), "{chosen} belongs to whoever chose it");
    }
    assert!(Claimed::orphan(&SpoolOptions::new(dir.path().join("none")), "host-").is_none());
}

#[test]
fn worker_ids_are_safe_as_directory_names() {
    for id in ["gpu-7.fleet", "..", "a/b", "äö", "", "%41", &"x".repeat(190)] {
        let name = segments::directory_name(id);
        assert!(!name.contains('/') && !name.starts_with('.'), "{name}");
        assert_eq!(segments::worker_id(&name).as_deref(), Some(id));
    }
    let long = segments::directory_name(&"ä".repeat(500));
    assert!(long.len() <= 200);
    assert_ne!(long, segments::directory_name(&"ä".repeat(501)));
    assert_eq!(segments::worker_id(&long), None);
}

#[test]
fn an_unusable_directory_is_one_clear_error() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("file");
    fs::write(&file, b"").expect("written");
    let error = Claimed::of(&SpoolOptions::new(&file), "w1").expect_err("a file is no directory");
    assert!(error.to_string().starts_with("cannot create "), "{error}");
}

proptest! {
    #[test]
    fn records_read_back_or_not_at_all(
        numbers in proptest::collection::vec(any::<u64>(), 1..6), cut in any::<prop::sample::Index>(), flip in any::<prop::sample::Index>(),
    ) {
        let mut bytes = Vec::new();
        for number in &numbers {
            prop_assert!(record::write_result(*number, &end(*number, 7, pb::JobStatus::Ok, 20), &mut bytes));
            record::write_done(*number, &mut bytes);
        }
        let read = |bytes: Vec<u8>| {
            let mut bytes = Bytes::from(bytes);
            std::iter::from_fn(|| record::read(&mut bytes)).collect::<Vec<_>>()
        };
        let all = read(bytes.clone());
        prop_assert_eq!(all.len(), numbers.len() * 2);
        let short = read(bytes[..cut.index(bytes.len())].to_vec());
        prop_assert_eq!(&short[..], &all[..short.len()]);
        let mut damaged = bytes.clone();
        damaged[flip.index(bytes.len())] ^= 0x10;
        let good = read(damaged);
        prop_assert!(good.len() < all.len());
        prop_assert_eq!(&good[..], &all[..good.len()]);
    }

    #[test]
    fn random_bytes_are_no_records(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut bytes = Bytes::from(bytes);
        while record::read(&mut bytes).is_some() {}
    }
}
