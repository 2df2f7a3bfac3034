//! Models onto a disk: `gen-worker-store` beside `curl`, from one server, to one file system. The store hashes, makes durable and
//! publishes; `curl` writes. Each pull is a process of its own, whose peak of memory counts.
//!
//! An argument names the directory to work in, instead of one on the disk of the build.

mod kill;
mod pull;
mod server;
mod source;

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};
use gen_worker_tests::{Figure, own_dir, percentile, resident_peak_mb};
use pull::Pulled;
use server::{COPIED, CRUMBS, Server};
use source::Source;

#[global_allocator]
static ALLOCATOR: gen_worker_allocator::Allocator = gen_worker_allocator::Allocator;

/// The numbers.
const LARGE_BYTES: u64 = 2 << 30;
const SMALL_FILES: usize = 1_000;
const SMALL_BYTES: u64 = 100 << 10;

/// Files that come in chunks of one byte, as many as come at once in all.
const CRUMBED_FILES: usize = 8;
const CRUMBED_BYTES: u64 = 4 << 20;

/// Each side so often, in turns; medians count.
const ROUNDS: usize = 5;

/// Threads of a pull: what a worker has.
const THREADS: usize = 2;

fn main() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let first = arguments.next();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build()?;
    if first.as_deref() == Some("pull".as_ref()) {
        let (root, order) = (arguments.next().context("no root")?, arguments.next().context("no order")?);
        let pulled = runtime.block_on(pull::pull(Path::new(&root), Path::new(&order)))?;
        println!("{}\n{}", serde_json::to_string(&pulled)?, resident_peak_mb(std::process::id())?);
        return Ok(());
    }
    runtime.block_on(bench(first.map(PathBuf::from)))
}

async fn bench(dir: Option<PathBuf>) -> Result<()> {
    let own = match dir {
        Some(dir) => tempfile::tempdir_in(dir)?,
        None => own_dir()?,
    };
    let dir = own.path().join("source");
    fs::create_dir(&dir)?;
    let bench = Bench { server: Server::start(dir.clone()).await?, dir: own.path().to_owned() };
    tokio::task::block_in_place(|| {
        bench.large(&Source::make(&dir, 1, LARGE_BYTES)?)?;
        bench.killed(&Source::make(&dir, 1, LARGE_BYTES)?)?;
        bench.small(&Source::make(&dir, SMALL_FILES, SMALL_BYTES)?)?;
        bench.crumbs(&Source::make(&dir, CRUMBED_FILES, CRUMBED_BYTES)?)
    })
}

struct Bench {
    server: Server,
    dir: PathBuf,
}

/// Peak memory of a pull, in units of 10^6 bytes, beside what it says.
type Measured = (Pulled, f64);

impl Bench {
    fn large(&self, source: &Source) -> Result<()> {
        self.beside_curl(source, "", "")?;
        // What the server spends is missing here: two processors have to do for both.
        self.beside_curl(source, COPIED, ", server copies")
    }

    /// The pull of one large file from the server that `query` asks for.
    fn beside_curl(&self, source: &Source, query: &str, how: &str) -> Result<()> {
        let order = self.order(source, "large", query)?;
        let (mut ours, mut written, mut durable, mut checked, mut peak) = (vec![], vec![], vec![], vec![], 0f64);
        for _ in 0..ROUNDS {
            let (curl, synced) = self.curl(source, query)?;
            written.push(curl);
            durable.push(synced);
            let (pulled, memory) = self.fresh(&order)?;
            ours.push(pulled.first);
            peak = peak.max(memory);
            // The next process verifies what it finds.
            checked.push(self.again(&order)?.0.first);
        }
        let rate = |seconds: &mut [f64]| source.bytes() / percentile(seconds, 50) / 1e6;
        let (ours, written, durable) = (rate(&mut ours), rate(&mut written), rate(&mut durable));
        let metric = format!("pull of 2 GiB, hashed and durable{how}");
        beside(&metric, "MB/s", ours, ("curl and fsync", durable), 0.9);
        beside(&metric, "MB/s", ours, ("curl, not durable", written), 0.9);
        if query.is_empty() {
            figure("peak memory, 2 GiB", "MB", peak).at_most(64.0).print();
            figure("verification of 2 GiB at the first use", "MB/s", rate(&mut checked)).at_least(2_000.0).print();
        }
        Ok(())
    }

    /// The bar is a chunk of what the contract calls one: 4 MiB.
    fn killed(&self, source: &Source) -> Result<()> {
        let (order, store) = (self.order(source, "killed", "")?, self.dir.join("store"));
        let (file, mut twice) = (source.files.first().context("no file")?, 0);
        for round in 1..=ROUNDS as u64 {
            emptied(&store)?;
            twice =
                kill::came_twice(&self.server, &store, &order, file.blake3, LARGE_BYTES * round / (ROUNDS as u64 + 1))?
                    .max(twice);
        }
        figure("bytes of 2 GiB that came twice after kill -9, most", "MB", twice as f64 / 1e6).at_most(4.194).print();
        Ok(())
    }

    fn small(&self, source: &Source) -> Result<()> {
        let order = self.order(source, "small", "")?;
        let (mut ours, mut theirs, mut again, mut checked, mut peak) = (vec![], vec![], vec![], vec![], 0f64);
        for _ in 0..ROUNDS {
            theirs.push(self.curl(source, "")?.0);
            let (pulled, memory) = self.fresh(&order)?;
            ours.push(pulled.first);
            again.extend(pulled.again.iter().map(|seconds| seconds * 1e3));
            peak = peak.max(memory);
            checked.push(self.again(&order)?.0.first);
        }
        let rate = |seconds: &mut [f64]| source.files.len() as f64 / percentile(seconds, 50);
        beside(
            "pull of 1,000 files of 100 KiB",
            "files/s",
            rate(&mut ours),
            ("curl, one after the other", rate(&mut theirs)),
            5.0,
        );
        figure("peak memory, 1,000 files", "MB", peak).at_most(64.0).print();
        figure("1,000 files present, made ready, p50", "ms", percentile(&mut again, 50)).at_most(20.0).print();
        figure("1,000 files present, made ready, max", "ms", percentile(&mut again, 100)).print();
        figure("verification of 1,000 files at the first use", "files/s", rate(&mut checked)).print();
        Ok(())
    }

    fn crumbs(&self, source: &Source) -> Result<()> {
        let order = self.order(source, "crumbs", CRUMBS)?;
        figure("peak memory, 8 files in chunks of one byte", "MB", self.fresh(&order)?.1).at_most(64.0).print();
        Ok(())
    }

    /// A snapshot of `source`, from the server that `query` asks for.
    fn order(&self, source: &Source, id: &str, query: &str) -> Result<PathBuf> {
        source.order(&self.server, id, query)
    }

    /// Seconds of `curl` for all files, one after the other, without and with making them durable.
    fn curl(&self, source: &Source, query: &str) -> Result<(f64, f64)> {
        let to = emptied(&self.dir.join("curl"))?;
        let begun = Instant::now();
        for file in &source.files {
            let path = to.join(&file.name);
            let status = Command::new("curl").arg("-sfo").arg(path).arg(self.server.url(&file.name, query)).status()?;
            ensure!(status.success(), "curl ended with {status}");
        }
        let written = begun.elapsed().as_secs_f64();
        for file in &source.files {
            File::open(to.join(&file.name))?.sync_all()?;
        }
        let durable = begun.elapsed().as_secs_f64();
        fs::remove_dir_all(to)?;
        Ok((written, durable))
    }

    /// A pull into an empty store.
    fn fresh(&self, order: &Path) -> Result<Measured> {
        emptied(&self.dir.join("store"))?;
        self.again(order)
    }

    fn again(&self, order: &Path) -> Result<Measured> {
        let printed = pull::in_child(&self.dir.join("store"), order)?;
        let (pulled, peak) = printed.trim().split_once('\n').context("a pull prints two lines")?;
        Ok((serde_json::from_str(pulled)?, peak.parse()?))
    }
}

fn emptied(dir: &Path) -> Result<PathBuf> {
    if dir.exists() {
        fs::remove_dir_all(dir)?;
    }
    fs::create_dir(dir)?;
    // What was written before does not count.
    rustix::fs::sync();
    Ok(dir.to_owned())
}

fn figure(metric: &str, unit: &str, value: f64) -> Figure {
    Figure::of("store", metric, unit, value)
}

/// Prints a rate beside another, wanted to be so many times as high.
fn beside(metric: &str, unit: &str, ours: f64, (name, theirs): (&str, f64), bar: f64) {
    let ratio = ours / theirs;
    let figure = Figure {
        reference: Some(theirs),
        reference_name: Some(name.to_owned()),
        ratio: Some(ratio),
        bar: Some(format!(">= {bar} x")),
        met: Some(ratio >= bar),
        ..figure(metric, unit, ours)
    };
    figure.print();
}
