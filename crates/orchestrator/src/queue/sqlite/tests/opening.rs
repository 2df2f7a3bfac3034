//! Every unusable file is one clear error; a usable one comes back as it was left.
use std::{error::Error as _, fs, path::PathBuf, process::Command};

use rusqlite::Connection;
use tempfile::TempDir;

use super::{fresh, open, options};
use crate::queue::{
    Queue, QueueError,
    sqlite::{
        OpenCause, OpenError, Options, SqliteQueue,
        open::connect,
        schema::{MIGRATIONS, migrate},
    },
    testing::{Draft, cancel, finish, request_id},
};

async fn refused(path: PathBuf) -> OpenError {
    let error =
        SqliteQueue::open(Options { path: path.clone(), size_bytes_max: None, history_kept: None }).await.unwrap_err();
    assert_eq!(error.path(), path);
    let text = error.to_string();
    assert!(text.contains(&*path.to_string_lossy()), "{text}");
    assert!(error.source().is_some(), "the cause is the source");
    error
}

#[tokio::test]
async fn what_was_stored_is_there_after_a_reopen() {
    let (directory, queue) = fresh().await;
    queue.enqueue(vec![Draft::new("a").rich().build(), Draft::new("b").build()]).await.unwrap();
    queue.apply(vec![finish("b", 0), cancel("a", 0)]).await.unwrap();
    let before = format!("{:?}", queue.get(request_id("a")).await.unwrap());
    queue.close().await.unwrap();

    let queue = open(&directory).await;
    assert_eq!(format!("{:?}", queue.get(request_id("a")).await.unwrap()), before);
    let unfinished = queue.unfinished(0, 10).await.unwrap();
    let [a] = unfinished.as_slice() else { panic!("{unfinished:?}") };
    assert!(a.cancel_requested);
    queue.close().await.unwrap();
}

/// Format 1, as the first version wrote it.
#[tokio::test]
async fn the_first_format_is_brought_forward_when_it_is_opened() {
    let directory = TempDir::new().unwrap();
    let path = options(&directory).path;
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE | rusqlite::OpenFlags::SQLITE_OPEN_CREATE;
    let mut connection = connect(&path, flags).unwrap();
    migrate(&mut connection, &MIGRATIONS[..1]).unwrap();
    let row = "INSERT INTO request VALUES (1, 'a', 'f', 'dev', 'dev', 1, 1, zeroblob(32), NULL, NULL, x'80')";
    connection.execute(row, []).unwrap();
    connection.execute("INSERT INTO live (sequence, state, attempt) VALUES (1, 'queued', 0)", []).unwrap();
    drop(connection);
    let queue = open(&directory).await;
    let a = queue.get(request_id("a")).await.unwrap().unwrap();
    assert!(!a.cancel_requested && !a.state.is_terminal());
    queue.apply(vec![cancel("a", 0)]).await.unwrap();
    assert!(queue.get(request_id("a")).await.unwrap().unwrap().cancel_requested);
    queue.close().await.unwrap();
}

#[tokio::test]
async fn a_second_owner_is_refused_until_the_first_is_gone() {
    let (directory, queue) = fresh().await;
    let error = refused(options(&directory).path).await;
    assert!(matches!(error.cause(), OpenCause::InUse { holder: Some(_) }), "{error:?}");
    let cause = error.source().unwrap().to_string();
    assert_eq!(cause, format!("it is in use by another orchestrator (process {})", std::process::id()));
    // The first is none the worse for it.
    queue.enqueue(vec![Draft::new("a").build()]).await.unwrap();
    queue.close().await.unwrap();
    open(&directory).await.close().await.unwrap();
}

#[cfg(unix)]
#[tokio::test]
async fn a_second_owner_is_refused_through_a_link() {
    let (directory, queue) = fresh().await;
    let link = directory.path().join("link");
    std::os::unix::fs::symlink(options(&directory).path, &link).unwrap();
    let error = refused(link).await;
    assert!(matches!(error.cause(), OpenCause::InUse { .. }), "{error:?}");
    queue.close().await.unwrap();
}

#[tokio::test]
async fn a_dropped_queue_keeps_what_it_was_given() {
    let (directory, queue) = fresh().await;
    queue.enqueue(vec![Draft::new("a").build()]).await.unwrap();
    drop(queue);
    // The writer lets go of the file a moment later: taking the same lock, blocking, is how to wait for it.
    let lock = fs::File::open(directory.path().join("queue.sqlite3.lock")).unwrap();
    lock.lock().unwrap();
    drop(lock);
    let queue = open(&directory).await;
    assert!(queue.get(request_id("a")).await.unwrap().is_some());
    queue.close().await.unwrap();
}

#[tokio::test]
async fn a_directory_is_refused() {
    let directory = TempDir::new().unwrap();
    let error = refused(directory.path().to_owned()).await;
    assert!(matches!(error.cause(), OpenCause::Directory), "{error:?}");
}

#[tokio::test]
async fn a_missing_directory_is_refused() {
    let directory = TempDir::new().unwrap();
    let error = refused(directory.path().join("missing").join("queue.sqlite3")).await;
    assert!(matches!(error.cause(), OpenCause::Io(_)), "{error:?}");
    assert!(error.source().unwrap().to_string().starts_with("No such file or directory"), "{error:?}");
}

/// The kernel's own file system takes no files, not even from root.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_directory_without_permission_is_refused() {
    let error = refused("/sys/queue.sqlite3".into()).await;
    assert!(matches!(error.cause(), OpenCause::Io(_)), "{error:?}");
}

#[tokio::test]
async fn another_file_is_refused_and_left_alone() {
    let directory = TempDir::new().unwrap();
    let path = options(&directory).path;
    let text = "this is a diary\n".repeat(500);
    fs::write(&path, &text).unwrap();
    let error = refused(path.clone()).await;
    assert!(matches!(error.cause(), OpenCause::NotADatabase), "{error:?}");
    assert_eq!(fs::read_to_string(path).unwrap(), text);
}

#[tokio::test]
async fn the_database_of_another_program_is_refused_and_left_alone() {
    let directory = TempDir::new().unwrap();
    let path = options(&directory).path;
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE recipe (name TEXT)").unwrap();
    let before = fs::read(&path).unwrap();
    let error = refused(path.clone()).await;
    assert!(matches!(error.cause(), OpenCause::Foreign), "{error:?}");
    assert_eq!(fs::read(path).unwrap(), before);
}

#[tokio::test]
async fn a_newer_format_is_refused_naming_both() {
    let (directory, queue) = fresh().await;
    queue.close().await.unwrap();
    let path = options(&directory).path;
    let connection = Connection::open(&path).unwrap();
    connection.execute("UPDATE meta SET value = 99 WHERE key = 'format_version'", []).unwrap();
    drop(connection);
    let error = refused(path).await;
    assert!(matches!(error.cause(), OpenCause::Newer { found: 99, .. }), "{error:?}");
    let expected = format!("it has format 99, this version reads formats up to {}", MIGRATIONS.len());
    assert_eq!(error.source().unwrap().to_string(), expected);
}

#[tokio::test]
async fn a_senseless_format_is_refused() {
    for value in ["-1", "'new'", "x'00'", "NULL"] {
        let (directory, queue) = fresh().await;
        queue.close().await.unwrap();
        let path = options(&directory).path;
        let connection = Connection::open(&path).unwrap();
        let sql = match value {
            "NULL" => "DELETE FROM meta".to_owned(),
            value => format!("UPDATE meta SET value = {value}"),
        };
        connection.execute_batch(&sql).unwrap();
        drop(connection);
        let error = refused(path).await;
        assert!(matches!(error.cause(), OpenCause::Corrupt { .. }), "{value}: {error:?}");
    }
}

#[tokio::test]
async fn a_file_locked_by_another_program_is_refused() {
    let (directory, queue) = fresh().await;
    queue.close().await.unwrap();
    let path = options(&directory).path;
    let other = Connection::open(&path).unwrap();
    other.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; UPDATE meta SET value = value").unwrap();
    let error = refused(path).await;
    assert!(matches!(error.cause(), OpenCause::Locked), "{error:?}");
}

#[tokio::test]
async fn a_store_without_room_is_refused() {
    let directory = TempDir::new().unwrap();
    let options = Options { size_bytes_max: Some(8_192), ..options(&directory) };
    let error = SqliteQueue::open(options).await.unwrap_err();
    assert!(matches!(error.cause(), OpenCause::Full), "{error:?}");
}

/// A full disk, as the system reports it: the shell forbids its children to grow any file.
#[cfg(unix)]
#[test]
fn a_disk_without_room_is_refused() {
    let directory = TempDir::new().unwrap();
    let this = std::env::current_exe().unwrap();
    // Run as a child this test opens the store and reports; see `crash` for the same with a reason.
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 0; exec \"$0\" \"$@\""])
        .arg(this)
        .args(["--exact", "queue::sqlite::tests::opening::child_opens_and_reports", "--nocapture"])
        .env(CHILD, directory.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("refused: cannot open the queue store"), "{text}{}", String::from_utf8_lossy(&output.stderr));
}

const CHILD: &str = "GEN_WORKER_TEST_OPEN_DIRECTORY";

/// Opens a store and closes it; as a child of [`a_disk_without_room_is_refused`] it only reports what happened.
#[tokio::test]
async fn child_opens_and_reports() {
    #[expect(clippy::disallowed_methods, reason = "the parent test has no other way to reach one test of this binary")]
    let told = std::env::var_os(CHILD);
    let own = TempDir::new();
    let path = told.clone().map_or_else(|| own.as_ref().unwrap().path().to_owned(), PathBuf::from);
    match SqliteQueue::open(Options { path: path.join("queue.sqlite3"), size_bytes_max: None, history_kept: None })
        .await
    {
        Ok(queue) => queue.close().await.unwrap(),
        Err(error) if told.is_some() => println!("refused: {error}: {}", error.source().unwrap()),
        Err(error) => panic!("{error:?}"),
    }
}

#[tokio::test]
async fn an_older_format_is_brought_forward_and_keeps_its_rows() {
    let (directory, queue) = fresh().await;
    queue.enqueue(vec![Draft::new("a").build()]).await.unwrap();
    queue.close().await.unwrap();
    let path = options(&directory).path;
    let mut connection = connect(&path, rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE).unwrap();
    let mut next = MIGRATIONS.to_vec();
    next.push("ALTER TABLE live ADD COLUMN lease TEXT; CREATE TABLE lease (name TEXT) STRICT;");
    // A step that fails leaves the older format whole.
    let mut broken = next.clone();
    broken.push("CREATE TABLE live (sequence INTEGER)");
    migrate(&mut connection, &broken).unwrap_err();
    assert!(connection.prepare("SELECT lease FROM live").is_err());
    migrate(&mut connection, &next).unwrap();
    migrate(&mut connection, &next).unwrap();
    let rows: i64 = connection.query_row("SELECT count(lease IS NULL) FROM live", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 1);
    let error = migrate(&mut connection, MIGRATIONS).unwrap_err();
    assert!(matches!(error, OpenCause::Newer { .. }), "{error:?}");
}

#[tokio::test]
async fn a_store_that_never_was_closed_opens() {
    let (directory, queue) = fresh().await;
    queue.enqueue(vec![Draft::new("a").build()]).await.unwrap();
    // What a crash leaves: the database and its log, copied while they are open.
    let copy = TempDir::new().unwrap();
    for name in ["queue.sqlite3", "queue.sqlite3-wal"] {
        fs::copy(directory.path().join(name), copy.path().join(name)).unwrap();
    }
    let again = open(&copy).await;
    assert!(again.get(request_id("a")).await.unwrap().is_some());
    again.close().await.unwrap();
    queue.close().await.unwrap();
    assert!(matches!(queue.ready().await, Err(QueueError::Closed)));
}
