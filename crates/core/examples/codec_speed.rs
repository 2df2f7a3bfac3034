//! How long a small payload takes to decode, and its answer to encode: `cargo run --release --example codec_speed`.

use std::{hint::black_box, time::Instant};

use gen_worker_core::codec;
use serde::{Deserialize, Serialize};

/// Calls per round; a round is long beside the clock and short beside a change of the machine's speed.
const CALLS: u32 = 100_000;
const ROUNDS: usize = 31;

#[derive(Deserialize)]
struct Marco {
    text: String,
}

#[derive(Serialize)]
struct Polo {
    response: String,
}

fn main() {
    let payload = codec::from_json(&serde_json::json!({"text": "marco"}));
    let polo = Polo { response: "polo".to_owned() };
    println!("decode          {:6.1} ns", median(|| drop(black_box(codec::decode::<Marco>(black_box(&payload))))));
    println!("encode          {:6.1} ns", median(|| drop(black_box(codec::encode(black_box(&polo))))));
    println!(
        "decode + encode {:6.1} ns",
        median(|| {
            let marco: Marco = codec::decode(black_box(&payload)).expect("a payload");
            drop(black_box(codec::encode(&Polo { response: marco.text })));
        })
    );
}

/// Nanoseconds of one call, in the middle of all rounds.
fn median(work: impl Fn()) -> f64 {
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..CALLS {
                work();
            }
            start.elapsed().as_nanos() as f64 / f64::from(CALLS)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds.get(ROUNDS / 2).copied().unwrap_or_default()
}
