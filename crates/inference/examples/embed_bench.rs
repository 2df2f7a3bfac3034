//! Times sentence embeddings on fixed batches: the Rust side of `cargo xtask parity`.
//!
//! ```text
//! embed_bench <model dir> [--backend auto|tile|gemm|candle] [--threads N]    takes turns, below
//! embed_bench --first <model dir>      embed one text and print its dimension; the bench times this process
//! ```
//! A turn is a line on standard input, answered by a line of JSON: the name of a batch by `{"ms": {"ours": <median>}}`,
//! `first` by the time from the start of a process to its first embedding. So both sides of a comparison can be timed
//! in turns, and what the machine does in the meantime hits both.
//!
//! The batches are those of `parity.py`: words that are one token each, so that a text of n words has n + 2 tokens.

use std::io::{BufRead, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use gen_worker_inference::{BackendRequest, EmbedderOptions, MatrixKernel, SentenceEmbedder};

#[global_allocator]
static ALLOCATOR: gen_worker_allocator::Allocator = gen_worker_allocator::Allocator;

/// Rounds and time that the median of a turn is taken over, after a round of warm-up.
const ROUNDS_MIN: usize = 5;
const TIME_MIN: Duration = Duration::from_secs(1);
/// Processes started for the time to the first embedding.
const PROCESSES: usize = 9;

const WORDS: &str = "time year people way day man thing woman life child world school state family student group \
    country problem hand part place case week company system program question work government number night point \
    home water room mother area money story fact";

struct Arguments {
    model: PathBuf,
    options: EmbedderOptions,
    backend: String,
    threads: usize,
    first: bool,
}

fn main() -> Result<()> {
    let arguments = parse(std::env::args().skip(1))?;
    if arguments.first {
        let embedder = SentenceEmbedder::load(&arguments.model, arguments.options)?;
        println!("{}", embedder.embed(&[words(0, 16)])?.dimension());
        return Ok(());
    }
    let embedder = SentenceEmbedder::load(&arguments.model, arguments.options.clone())?;
    let (backend, reason) = embedder.backend();
    eprintln!("embed_bench: {backend:?} ({reason:?}), {} threads", arguments.threads);
    for turn in std::io::stdin().lines() {
        let turn = turn?;
        let ms = if turn == "first" { first_embedding_ms(&arguments)? } else { batch_ms(&embedder, &turn)? };
        println!("{}", serde_json::json!({ "ms": { "ours": ms } }));
        std::io::stdout().flush()?;
    }
    Ok(())
}

/// Median time of batch `name`.
fn batch_ms(embedder: &SentenceEmbedder, name: &str) -> Result<f64> {
    let batches = batches();
    let (_, texts) = batches.iter().find(|(batch, _)| *batch == name).with_context(|| format!("no batch {name:?}"))?;
    let expected: Vec<usize> = texts.iter().map(|text| text.split_whitespace().count() + 2).collect();
    let embeddings = embedder.embed(texts)?;
    ensure!(embeddings.token_counts() == expected, "batch {name} has other token counts than its words");
    measure(|| embedder.embed(texts).map(drop).map_err(Into::into))
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Arguments> {
    let mut options = EmbedderOptions::default();
    let (mut model, mut backend, mut threads, mut first) = (None, "auto".to_owned(), 2, false);
    while let Some(word) = words.next() {
        let mut value = || words.next().with_context(|| format!("{word} needs a value"));
        match word.as_str() {
            "--first" => first = true,
            "--threads" => threads = value()?.parse().context("--threads takes a number")?,
            "--backend" => backend = value()?,
            _ if model.is_none() && !word.starts_with('-') => model = Some(PathBuf::from(word)),
            _ => bail!("unexpected argument {word:?}"),
        }
    }
    options.backend = match backend.as_str() {
        "auto" => BackendRequest::Auto,
        "tile" => BackendRequest::Fused(MatrixKernel::Tile),
        "gemm" => BackendRequest::Fused(MatrixKernel::Gemm),
        "candle" => BackendRequest::Candle,
        other => bail!("unknown backend {other:?}"),
    };
    options.pool = Some(Arc::new(rayon::ThreadPoolBuilder::new().num_threads(threads).build()?));
    let model = model.context("which model directory?")?;
    Ok(Arguments { model, options, backend, threads, first })
}

/// Text number `text` with exactly `tokens` tokens.
fn words(text: usize, tokens: usize) -> String {
    let vocabulary: Vec<&str> = WORDS.split_whitespace().collect();
    let chosen = (0..tokens - 2).map(|index| vocabulary[(text * 7 + index * 3) % vocabulary.len()]);
    chosen.collect::<Vec<_>>().join(" ")
}

fn batches() -> [(&'static str, Vec<String>); 4] {
    [
        ("1x16", vec![words(0, 16)]),
        ("32x16", (0..32).map(|text| words(text, 16)).collect()),
        ("16x86", (0..16).map(|text| words(text, 86)).collect()),
        ("32xmixed", (0..32).map(|text| words(text, 14 + (text * 13 % 32) * 58 / 31)).collect()),
    ]
}

/// The median in milliseconds, with three decimals.
fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    (times[times.len() / 2] * 1e3).round() / 1e3
}

fn measure(mut work: impl FnMut() -> Result<()>) -> Result<f64> {
    let (mut times, start) = (Vec::new(), Instant::now());
    while times.len() < ROUNDS_MIN || start.elapsed() < TIME_MIN {
        let round = Instant::now();
        work()?;
        times.push(round.elapsed().as_secs_f64() * 1e3);
    }
    Ok(median(times))
}

/// From the start of a process to the line it prints after its first embedding.
fn first_embedding_ms(arguments: &Arguments) -> Result<f64> {
    let mut times = Vec::new();
    for _ in 0..PROCESSES {
        let start = Instant::now();
        let mut child = Command::new(std::env::current_exe()?)
            .arg("--first")
            .arg(&arguments.model)
            .args(["--backend", &arguments.backend, "--threads", &arguments.threads.to_string()])
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("stdout is piped")?).read_line(&mut line)?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
        ensure!(child.wait()?.success() && !line.is_empty(), "the process for the first embedding failed");
    }
    Ok(median(times))
}
