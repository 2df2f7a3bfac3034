//! Counter-based random numbers (Philox 4x32-10): the n-th number depends on the seed and on n alone.

use std::hash::{BuildHasher, RandomState};

/// Rounds of the generator; ten is what its authors recommend.
const ROUNDS: u32 = 10;
const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const KEY_STEPS: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];

/// Random numbers that are the same for the same seed on every machine, for every version of this crate with the
/// same major number. Not for secrets.
#[derive(Clone, Debug)]
pub struct Rng {
    seed: u64,
    counter: u64,
    block: [u32; 4],
    used: usize,
}

impl Rng {
    /// Starts the sequence of `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed, counter: 0, block: [0; 4], used: 4 }
    }

    /// Starts a sequence whose seed comes from the operating system.
    #[must_use]
    pub fn from_entropy() -> Self {
        // The standard library keys its hash maps from the system's random source; that is all we need here.
        Self::new(RandomState::new().hash_one(0_u8))
    }

    /// The seed that reproduces this sequence.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The next 32 random bits.
    pub fn next_u32(&mut self) -> u32 {
        if self.used == self.block.len() {
            self.block = philox(self.seed, self.counter);
            self.counter = self.counter.wrapping_add(1);
            self.used = 0;
        }
        let word = self.block.get(self.used).copied().expect("a used-up block was replaced above");
        self.used += 1;
        word
    }

    /// The next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        (u64::from(self.next_u32()) << 32) | u64::from(self.next_u32())
    }

    /// Uniform within [0, 1), with the 53 bits an `f64` can hold.
    pub fn uniform(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Normally distributed with mean 0 and deviation 1.
    pub fn normal(&mut self) -> f64 {
        // Box-Muller; one minus the sample keeps the logarithm away from zero.
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

fn philox(seed: u64, counter: u64) -> [u32; 4] {
    let mut key = [seed as u32, (seed >> 32) as u32];
    let mut x = [counter as u32, (counter >> 32) as u32, 0, 0];
    for _ in 0..ROUNDS {
        let low = u64::from(MULTIPLIERS[0]) * u64::from(x[0]);
        let high = u64::from(MULTIPLIERS[1]) * u64::from(x[2]);
        x = [(high >> 32) as u32 ^ x[1] ^ key[0], high as u32, (low >> 32) as u32 ^ x[3] ^ key[1], low as u32];
        key = [key[0].wrapping_add(KEY_STEPS[0]), key[1].wrapping_add(KEY_STEPS[1])];
    }
    x
}
