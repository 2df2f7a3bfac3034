//! A PostgreSQL server for tests: a child of the test, in a directory of its own, behind a socket in that directory. It ends with
//! its guard, and also when the test is killed: it lives as long as somebody holds the other end of a pipe.
//!
//! Only tests use this crate, and it knows nothing of what is tested.

mod programs;

use std::{
    ffi::OsStr,
    fs::File,
    io::Write as _,
    net::TcpListener,
    os::unix::{fs::chown, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use tempfile::TempDir;

use programs::{Account, account, program};

/// The user of the database who may do everything.
const USER: &str = "postgres";

/// How long the server may take to start or to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// Ports that are tried for a server which others have taken meanwhile.
const PORTS_TRIED: usize = 5;

/// Runs the server until its own standard input ends. Then, or when the server has ended by itself, so does this.
const GUARDED: &str = r#"exec 3<&0; "$@" </dev/null & server=$!
    { cat <&3 >/dev/null; kill -QUIT "$server" 2>/dev/null; } & watch=$!
    wait "$server"; ended=$?; kill "$watch" 2>/dev/null; exit "$ended""#;

/// Where the disk of its own is mounted, below the directory of the server.
const SMALL_DISK: &str = "small";

/// Mounts a disk of `$1` MiB at `$2` for the user `$3` of the group `$4`, in a world of its own, and runs the rest as them.
const ON_A_SMALL_DISK: &str = r#"mount -t tmpfs -o "size=$1m,uid=$3,gid=$4,mode=0700" tmpfs "$2"
    user=$3 group=$4; shift 4
    exec setpriv --reuid "$user" --regid "$group" --clear-groups "$@""#;

/// Nothing here outlives the machine, so nothing is made to outlive a loss of power; what is committed outlives the server.
const SETTINGS: [&str; 6] = [
    "fsync=off",
    "full_page_writes=off",
    "shared_buffers=32MB",
    "max_connections=100",
    "autovacuum=off",
    "logging_collector=off",
];

/// A running server.
#[derive(Debug)]
pub struct Postgres {
    // Before the directory that it writes to.
    server: Option<Child>,
    account: Option<Account>,
    tls_port: Option<u16>,
    small_disk_mib: Option<u32>,
    made: AtomicU32,
    dir: TempDir,
}

impl Postgres {
    /// Starts one.
    ///
    /// # Errors
    /// When PostgreSQL is not installed or does not start.
    pub fn start() -> Result<Self> {
        let mut postgres = Self::prepared()?;
        postgres.run()?;
        Ok(postgres)
    }

    /// Starts one that also listens for TLS on a local port, with this certificate and key (PEM).
    ///
    /// # Errors
    /// As [`Postgres::start`].
    pub fn start_with_tls(certificate: &str, key: &str) -> Result<Self> {
        let mut postgres = Self::prepared()?;
        postgres.write("server.crt", certificate)?;
        postgres.write("server.key", key)?;
        for _ in 0..PORTS_TRIED {
            postgres.tls_port = Some(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port());
            if postgres.run().is_ok() {
                return Ok(postgres);
            }
            postgres.stop();
        }
        bail!("PostgreSQL found no port: {}", postgres.log())
    }

    /// Starts one that has a disk of so many MiB besides its own, for [`Postgres::database_on_small_disk`]. That disk ends with the
    /// server: it cannot be run again.
    ///
    /// # Errors
    /// As [`Postgres::start`], and for who is not root, whom nobody lets mount a disk for another user.
    pub fn start_with_small_disk(mib: u32) -> Result<Self> {
        let mut postgres = Self::prepared()?;
        ensure!(postgres.account.is_some(), "only root can mount a disk for PostgreSQL");
        std::fs::create_dir(postgres.dir.path().join(SMALL_DISK)).context("make a directory")?;
        postgres.small_disk_mib = Some(mib);
        postgres.run()?;
        let place = postgres.dir.path().join(SMALL_DISK);
        postgres.sql("postgres", &format!("CREATE TABLESPACE {SMALL_DISK} LOCATION '{}'", place.display()))?;
        Ok(postgres)
    }

    /// A directory with an empty cluster.
    fn prepared() -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("pg").tempdir().context("make a directory")?;
        let account = account()?;
        if let Some(account) = account {
            chown(dir.path(), Some(account.user), Some(account.group)).context("give the directory away")?;
        }
        let postgres =
            Self { server: None, account, tls_port: None, small_disk_mib: None, made: AtomicU32::new(0), dir };
        let mut init = postgres.command(&program("initdb")?);
        init.args(["--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C", "--username", USER, "--pgdata"]);
        run(init.arg(postgres.data()))?;
        Ok(postgres)
    }

    /// Starts the server, again after [`Postgres::stop`], and waits until it answers.
    ///
    /// # Errors
    /// When it does not.
    pub fn run(&mut self) -> Result<()> {
        ensure!(self.server.is_none(), "it runs");
        let mut command = self.guarded()?;
        command.arg(program("postgres")?).arg("-D").arg(self.data());
        command.arg("-k").arg(self.dir.path());
        for setting in SETTINGS {
            command.args(["-c", setting]);
        }
        match self.tls_port {
            None => command.args(["-c", "listen_addresses="]),
            Some(port) => command.args(["-c", "listen_addresses=127.0.0.1", "-c", "ssl=on", "-p", &port.to_string()]),
        };
        if self.tls_port.is_some() {
            for (name, file) in [("ssl_cert_file", "server.crt"), ("ssl_key_file", "server.key")] {
                command.arg("-c").arg(format!("{name}={}", self.dir.path().join(file).display()));
            }
        }
        let log = File::create(self.dir.path().join("log")).context("make a log")?;
        // What is sent to all of the group of the test is not meant for it: it ends when its input does.
        command.process_group(0).stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log);
        self.server = Some(command.spawn().context("start PostgreSQL")?);
        self.wait_until_it_answers()
    }

    /// What runs the program and the words that follow for as long as its own input goes on.
    fn guarded(&self) -> Result<Command> {
        let Some(mib) = self.small_disk_mib else {
            let mut command = self.command(Path::new("/bin/sh"));
            command.args(["-c", GUARDED, "sh"]);
            return Ok(command);
        };
        let Account { user, group } = self.account.context("nobody to run as")?;
        let mut command = self.command_as_we_are(Path::new("/bin/sh"));
        command.args(["-c", GUARDED, "sh", "unshare", "--mount", "sh", "-ec", ON_A_SMALL_DISK, "sh"]);
        command.arg(mib.to_string()).arg(self.dir.path().join(SMALL_DISK));
        command.args([user.to_string(), group.to_string()]);
        Ok(command)
    }

    fn wait_until_it_answers(&mut self) -> Result<()> {
        let began = Instant::now();
        // Each look is a process, which takes a while of its own.
        while self.sql("postgres", "SELECT 1").is_err() {
            let server = self.server.as_mut().context("it was started")?;
            let ended = server.try_wait()?;
            ensure!(ended.is_none() && began.elapsed() < PATIENCE, "PostgreSQL does not start: {}", self.log());
        }
        Ok(())
    }

    /// Ends the server at once, as a crash would, and all its connections. What it has stays.
    pub fn stop(&mut self) {
        let Some(mut server) = self.server.take() else { return };
        // The end of its input is its end.
        drop(server.stdin.take());
        drop(server.wait());
    }

    /// Makes an empty database, and gives its address.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn database(&self) -> Result<String> {
        self.database_in("pg_default")
    }

    /// The same with all its tables on the disk of [`Postgres::start_with_small_disk`].
    ///
    /// # Errors
    /// As [`Postgres::database`], and without such a disk.
    pub fn database_on_small_disk(&self) -> Result<String> {
        self.database_in(SMALL_DISK)
    }

    fn database_in(&self, tablespace: &str) -> Result<String> {
        let name = format!("test{}", self.made.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name} TABLESPACE {tablespace}"))?;
        Ok(self.url(&name))
    }

    /// The address of a database, without TLS.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        let socket = self.dir.path().display().to_string().replace('/', "%2F");
        let port = self.tls_port.map(|port| format!(":{port}")).unwrap_or_default();
        format!("postgres://{USER}@{socket}{port}/{database}")
    }

    /// The address of a database, with TLS.
    ///
    /// # Errors
    /// When the server does not speak it.
    pub fn tls_url(&self, database: &str) -> Result<String> {
        let port = self.tls_port.context("it was started without TLS")?;
        Ok(format!("postgres://{USER}@localhost:{port}/{database}?sslmode=require&hostaddr=127.0.0.1"))
    }

    /// Runs statements in a database, and gives what they answer: columns between bars, rows on lines.
    ///
    /// # Errors
    /// When one of them fails.
    pub fn sql(&self, database: &str, statements: &str) -> Result<String> {
        let mut psql = self.command(&program("psql")?);
        psql.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set", "ON_ERROR_STOP=1"]);
        psql.args(["--username", USER, "--dbname", database, "--command", statements])
            .arg("--host")
            .arg(self.dir.path());
        if let Some(port) = self.tls_port {
            psql.args(["--port", &port.to_string()]);
        }
        Ok(run(&mut psql)?.trim_end().to_owned())
    }

    /// What the server said.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// A file that only the server may read, as it demands of keys.
    fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.dir.path().join(name);
        let mut options = File::options();
        std::os::unix::fs::OpenOptionsExt::mode(options.write(true).create_new(true), 0o600);
        options.open(&path)?.write_all(text.as_bytes())?;
        if let Some(account) = self.account {
            chown(&path, Some(account.user), Some(account.group))?;
        }
        Ok(())
    }

    /// A program that runs as whom the server lets be.
    fn command(&self, program: &Path) -> Command {
        let mut command = self.command_as_we_are(program);
        if let Some(Account { user, group }) = self.account {
            command.uid(user).gid(group);
        }
        command
    }

    fn command_as_we_are(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.dir.path()).env_clear().env("LC_ALL", "C").env("PATH", OsStr::new("/usr/bin:/bin"));
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
    }
}

fn run(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("run {}", command.get_program().display()))?;
    ensure!(
        output.status.success(),
        "{}: {}",
        command.get_program().display(),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests;
