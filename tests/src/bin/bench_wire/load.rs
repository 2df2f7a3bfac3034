//! The loads, and what of them is measured.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Result;
use bytes::Bytes;
use gen_worker_tests::Jobs;

/// Chunks of one streamed job of short texts.
pub(crate) const CHUNKS: u64 = 100;

/// Bytes of a large payload and of a large chunk.
pub(crate) const BLOB_BYTES: usize = 1_000_000;

/// Chunks of one streamed job of large ones.
pub(crate) const BLOBS: u64 = 10;

/// One load: so many jobs of this kind, so many at once.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    pub(crate) name: &'static str,
    pub(crate) function: &'static str,
    pub(crate) jobs: usize,
    pub(crate) in_flight: usize,
    pub(crate) measure: Measure,
    /// The function and the number of jobs that take the peer some seconds; none where it is not measured.
    pub(crate) peer: Option<(&'static str, usize)>,
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Measure {
    /// Jobs per second, at least this share of the floor.
    JobsPerSecond(f64),
    /// Time per job with one in flight, at most this multiple of the floor's.
    RoundTrip(f64),
    /// Frames per second, at least this share of the floor.
    ChunksPerSecond(f64),
    /// Bytes per second that go in with this many in each job.
    BytesIn(usize),
    /// Bytes per second that come out with this many in each job.
    BytesOut(usize),
}

pub(crate) const LOADS: [Load; 6] = [
    Load {
        name: "wire-1-in-flight",
        function: "bench-echo",
        jobs: 5_000,
        in_flight: 1,
        measure: Measure::RoundTrip(1.4),
        peer: Some(("echo", 2_000)),
    },
    Load {
        name: "wire-64-in-flight",
        function: "bench-echo",
        jobs: 300_000,
        in_flight: 64,
        measure: Measure::JobsPerSecond(0.5),
        peer: Some(("echo", 4_000)),
    },
    Load {
        name: "wire-10000-in-flight",
        function: "bench-echo",
        jobs: 500_000,
        in_flight: 10_000,
        measure: Measure::JobsPerSecond(0.4),
        peer: None,
    },
    Load {
        name: "wire-8-streams",
        function: "bench-chunks",
        jobs: 10_000,
        in_flight: 8,
        measure: Measure::ChunksPerSecond(0.3),
        peer: Some(("count-up", 160)),
    },
    Load {
        name: "wire-1mb-payloads",
        function: "bench-size",
        jobs: 2_000,
        in_flight: 8,
        measure: Measure::BytesIn(BLOB_BYTES),
        peer: None,
    },
    Load {
        name: "wire-1mb-chunks",
        function: "bench-blobs",
        jobs: 200,
        in_flight: 8,
        measure: Measure::BytesOut(BLOB_BYTES * BLOBS as usize),
        peer: None,
    },
];

impl Load {
    /// What is dispatched.
    pub(crate) fn jobs(self, count: usize) -> Result<Jobs> {
        let payload = match self.measure {
            Measure::ChunksPerSecond(_) => {
                // The peer has the function of the conformance scenarios.
                let name = if self.function == "count-up" { "count" } else { "chunks" };
                rmp_serde::to_vec_named(&BTreeMap::from([(name, CHUNKS)]))?
            }
            Measure::BytesIn(size) => {
                let blob = serde_bytes::ByteBuf::from(vec![7; size]);
                rmp_serde::to_vec_named(&BTreeMap::from([("blob", blob)]))?
            }
            Measure::BytesOut(_) => rmp_serde::to_vec_named(&BTreeMap::from([("chunks", BLOBS)]))?,
            _ => rmp_serde::to_vec_named(&BTreeMap::from([("text", "marco")]))?,
        };
        Ok(Jobs { function: self.function, payload: Bytes::from(payload), count, in_flight: self.in_flight })
    }

    /// Rounds per side; odd, so that the median is a measurement.
    pub(crate) fn rounds(self) -> usize {
        if matches!(self.measure, Measure::RoundTrip(_)) { 25 } else { 5 }
    }

    /// The share of the rounds that took less than the one that counts.
    ///
    /// Two threads have two ways of passing one message back and forth: both ends on one of them, or a wake of the other,
    /// idle one at every hop, which takes more than twice as long. A round keeps the way that it happened upon, on either
    /// side. A lower quartile is of the first way on both.
    pub(crate) fn quantile(self) -> f64 {
        if matches!(self.measure, Measure::RoundTrip(_)) { 0.25 } else { 0.5 }
    }

    /// What the figures say of a round that `took` so long, in the unit of [`Measure::unit`].
    pub(crate) fn rate(self, took: Duration) -> f64 {
        let seconds = took.as_secs_f64();
        let jobs = self.jobs as f64;
        match self.measure {
            Measure::JobsPerSecond(_) => jobs / seconds,
            Measure::ChunksPerSecond(_) => jobs * CHUNKS as f64 / seconds,
            Measure::RoundTrip(_) => seconds * 1e6 / jobs,
            Measure::BytesIn(bytes) | Measure::BytesOut(bytes) => jobs * bytes as f64 / seconds / 1e9,
        }
    }
}

impl Measure {
    /// Metric and unit.
    pub(crate) fn unit(self) -> (&'static str, &'static str) {
        match self {
            Self::JobsPerSecond(_) => ("throughput", "jobs/s"),
            Self::ChunksPerSecond(_) => ("throughput", "chunks/s"),
            Self::RoundTrip(_) => ("round trip", "us"),
            Self::BytesIn(_) => ("throughput to the worker", "GB/s"),
            Self::BytesOut(_) => ("throughput from the worker", "GB/s"),
        }
    }

    /// What we want, in words, and whether a ratio to the floor has it.
    pub(crate) fn judge(self, ratio: f64) -> Option<(String, bool)> {
        match self {
            Self::JobsPerSecond(bar) | Self::ChunksPerSecond(bar) => Some((format!(">= {bar}x"), ratio >= bar)),
            Self::RoundTrip(bar) => Some((format!("<= {bar}x"), ratio <= bar)),
            Self::BytesIn(_) | Self::BytesOut(_) => None,
        }
    }
}
