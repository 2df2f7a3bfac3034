//! A TCP relay that can cut what goes through it: a network that breaks on command.

use std::{
    io,
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use anyhow::{Context, Result};
use gen_worker_tasks::Scope;

/// A relay to one address at a time. Ends with its guard.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    target: Mutex<Option<SocketAddr>>,
    aimed: Condvar,
    streams: Mutex<Vec<TcpStream>>,
    connections: AtomicUsize,
    ended: AtomicBool,
}

impl Proxy {
    /// A relay from a free local port to `target`.
    ///
    /// # Errors
    /// When no port or thread is to be had.
    pub fn to(target: SocketAddr) -> Result<Self> {
        let proxy = Self::closed()?;
        proxy.aim(Some(target));
        Ok(proxy)
    }

    /// A relay from a free local port to nowhere yet: who connects waits until there is a target.
    ///
    /// # Errors
    /// When no port or thread is to be had.
    pub fn closed() -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).context("bind the relay")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let relayed = shared.clone();
        Scope::new("proxy").spawn_thread("accept", move || {
            while let Ok((client, _)) = listener.accept() {
                let Some(target) = relayed.target() else { return };
                if relay(&client, target, &relayed).is_err() {
                    drop(client.shutdown(Shutdown::Both));
                }
            }
        })?;
        Ok(Self { address, shared })
    }

    /// Where new connections go from now on; with none they wait for the next target.
    pub fn aim(&self, target: Option<SocketAddr>) {
        *self.shared.lock_target() = target;
        self.shared.aimed.notify_all();
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections taken so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Breaks every connection; new ones are taken.
    pub fn cut(&self) {
        for stream in self.shared.streams.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            drop(stream.shutdown(Shutdown::Both));
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        self.aim(None);
        self.cut();
        // Wakes the listener, so that it sees the end.
        drop(TcpStream::connect(self.address));
    }
}

impl Shared {
    fn lock_target(&self) -> MutexGuard<'_, Option<SocketAddr>> {
        self.target.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a target; none at the end.
    fn target(&self) -> Option<SocketAddr> {
        let mut target = self.lock_target();
        loop {
            if self.ended.load(Ordering::SeqCst) {
                return None;
            }
            if let Some(target) = *target {
                return Some(target);
            }
            target = self.aimed.wait(target).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn relay(client: &TcpStream, target: SocketAddr, shared: &Shared) -> io::Result<()> {
    let server = TcpStream::connect(target)?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let scope = Scope::new("relay");
    for (from, to) in [(client, &server), (&server, client)] {
        let (mut from, mut to) = (from.try_clone()?, to.try_clone()?);
        scope.spawn_thread("copy", move || {
            drop(io::copy(&mut from, &mut to));
            drop(to.shutdown(Shutdown::Both));
        })?;
    }
    let mut streams = shared.streams.lock().unwrap_or_else(PoisonError::into_inner);
    streams.extend([client.try_clone()?, server]);
    shared.connections.fetch_add(1, Ordering::SeqCst);
    Ok(())
}
