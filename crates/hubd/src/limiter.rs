//! How often one address (of IPv6: one /64 network) may ask without a token (Hub contract, 3.13). This machine is counted as
//! one address, so that all who come through a proxy on it share its count. Owns one small count for each address of this minute.

use std::{collections::HashMap, net::IpAddr};

use parking_lot::Mutex;

use crate::server::network;

/// Seconds that are counted together.
const WINDOW_S: u64 = 60;

/// Most addresses of one window. When there are more, all further ones share one count: memory stays bounded under a flood.
const ADDRESSES_MAX: usize = 65_536;

/// Counts calls.
#[derive(Debug)]
pub(crate) struct Limiter {
    per_window: u32,
    state: Mutex<Window>,
}

#[derive(Debug, Default)]
struct Window {
    number: u64,
    counts: HashMap<Option<IpAddr>, u32>,
}

impl Limiter {
    /// Allows `per_window` calls of one address in a minute.
    pub fn new(per_window: u32) -> Self {
        Self { per_window, state: Mutex::default() }
    }

    /// Counts a call, or says in how many seconds the next may come.
    pub fn take(&self, address: IpAddr, now_s: u64) -> Result<(), u64> {
        let mut window = self.state.lock();
        if window.number != now_s / WINDOW_S {
            *window = Window { number: now_s / WINDOW_S, counts: HashMap::new() };
        }
        let own = Some(network(address));
        let full = window.counts.len() >= ADDRESSES_MAX && !window.counts.contains_key(&own);
        let count = window.counts.entry(if full { None } else { own }).or_default();
        if *count >= self.per_window {
            return Err(WINDOW_S - now_s % WINDOW_S);
        }
        *count += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
