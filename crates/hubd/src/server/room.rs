//! Who may be connected: so many in all, and so many from one address. Owns the counts.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bits of an IPv6 address that name a network: one client has all addresses of it.
const NETWORK_BITS: u32 = 64;

/// Counts connections.
#[derive(Debug)]
pub(super) struct Room {
    all: Arc<Semaphore>,
    per_address: usize,
    counts: Mutex<HashMap<IpAddr, usize>>,
}

/// A connection that is counted as long as this lives.
#[derive(Debug)]
pub(super) struct Place {
    room: Arc<Room>,
    address: Option<IpAddr>,
    _permit: OwnedSemaphorePermit,
}

impl Room {
    pub fn new(all: usize, per_address: usize) -> Arc<Self> {
        Arc::new(Self { all: Arc::new(Semaphore::new(all)), per_address, counts: Mutex::default() })
    }

    /// Waits until there is room for another connection.
    pub async fn free(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.all).acquire_owned().await.ok()
    }

    /// A place for a client, unless its address has as many as it may. This machine itself is not counted: its programs could
    /// do more harm in other ways, and a proxy in front of the hub brings everybody's connections from here.
    pub fn enter(self: &Arc<Self>, address: IpAddr, permit: OwnedSemaphorePermit) -> Option<Place> {
        let address = Some(network(address)).filter(|address| !address.is_loopback());
        if let Some(address) = address {
            let mut counts = self.counts.lock();
            let count = counts.entry(address).or_default();
            if *count >= self.per_address {
                return None;
            }
            *count += 1;
        }
        Some(Place { room: Arc::clone(self), address, _permit: permit })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(address) = self.address else { return };
        let mut counts = self.room.counts.lock();
        if let Some(count) = counts.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&address);
            }
        }
    }
}

/// What of an address tells clients apart.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> NETWORK_BITS << NETWORK_BITS))
        }
        address => address,
    }
}

#[cfg(test)]
mod tests;
