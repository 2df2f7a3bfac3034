//! The network between workers and the orchestrator: pipes in memory that a seed delays, holds, cuts in the middle of
//! a frame and takes apart. Owns every connection.
//!
//! ```text
//! worker <-- duplex --> cable (chunks, delay, gate, budget) <-- duplex --> orchestrator
//! ```

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use gen_worker_core::{Address, Dial, DialedIo};
use gen_worker_tasks::Scope;
use parking_lot::Mutex;
use tokio::{
    io::{DuplexStream, duplex, split},
    sync::{mpsc, watch},
};

mod cable;

use crate::{clock::pass, rng::Rng, trace::Trace};
use cable::Cable;

/// Bytes an end of a pipe holds; small, so that a side that does not read is felt.
const PIPE_BYTES: usize = 64 * 1024;

/// How long a refusal takes to come back.
const REFUSED_AFTER: Duration = Duration::from_millis(1);

/// The orchestrator's end of a new connection.
pub(crate) type Accepted = Result<DuplexStream, io::Error>;

/// What lets bytes and dials of one worker through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    /// Everything passes.
    Open,
    /// Nothing moves, nothing fails.
    Held,
    /// Nothing moves, and dials are refused.
    Apart,
}

/// All sites and the orchestrator's door.
pub(crate) struct Network {
    places: Vec<[Arc<Site>; 2]>,
    /// Which of its sites each place uses.
    used: Vec<AtomicUsize>,
    door: Arc<Door>,
}

/// Where the orchestrator takes connections; closed while there is none.
type Door = Mutex<Option<mpsc::UnboundedSender<Accepted>>>;

/// The network of one worker process.
pub(crate) struct Site {
    name: String,
    gate: watch::Sender<Gate>,
    cables: Mutex<Vec<Arc<Cable>>>,
    rng: Mutex<Rng>,
    door: Arc<Door>,
    trace: Trace,
    scope: Scope,
}

impl Network {
    /// A network with `places` for workers, two sites each, and no orchestrator.
    pub(crate) fn new(places: usize, rng: &mut Rng, trace: &Trace) -> Self {
        let door = Arc::new(Door::default());
        let mut site = |name| {
            Arc::new(Site {
                name,
                gate: watch::Sender::new(Gate::Open),
                cables: Mutex::default(),
                rng: Mutex::new(rng.fork()),
                door: Arc::clone(&door),
                trace: trace.clone(),
                scope: Scope::new("network"),
            })
        };
        let mut place = |index| [site(format!("{index}a")), site(format!("{index}b"))];
        let used = (0..places).map(|_| AtomicUsize::new(0)).collect();
        Self { places: (0..places).map(&mut place).collect(), used, door }
    }

    /// The network that a place uses now.
    pub(crate) fn site(&self, place: usize) -> &Arc<Site> {
        &self.places[place][self.used[place].load(Relaxed)]
    }

    /// Lets the next process of a place use its other site.
    pub(crate) fn use_other_site(&self, place: usize) {
        self.used[place].fetch_xor(1, Relaxed);
    }

    /// An orchestrator takes connections from now on.
    pub(crate) fn open_door(&self) -> mpsc::UnboundedReceiver<Accepted> {
        let (sender, receiver) = mpsc::unbounded_channel();
        *self.door.lock() = Some(sender);
        receiver
    }

    /// Nobody takes connections any more.
    pub(crate) fn close_door(&self) {
        *self.door.lock() = None;
    }

    /// Cuts every connection.
    pub(crate) fn cut_all(&self) {
        self.places.iter().flatten().for_each(|site| site.cut());
    }

    /// Ends every disturbance.
    pub(crate) fn heal(&self) {
        self.places.iter().flatten().for_each(|site| site.set(Gate::Open));
    }
}

impl Site {
    /// What it is called in the log.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Lets pass, or not.
    pub(crate) fn set(&self, gate: Gate) {
        self.gate.send_if_modified(|current| std::mem::replace(current, gate) != gate);
    }

    /// Cuts every connection of this worker.
    pub(crate) fn cut(&self) {
        self.cables.lock().drain(..).for_each(|cable| cable.cut());
    }

    /// Cuts the newest connection once `bytes` more have passed, wherever in a frame that is.
    pub(crate) fn cut_after(&self, bytes: u64) {
        if let Some(cable) = self.cables.lock().last() {
            cable.cut_after(bytes);
        }
    }

    /// Waits until bytes may pass.
    async fn open(&self) {
        let mut gate = self.gate.subscribe();
        // The sender lives as long as this site.
        drop(gate.wait_for(|gate| *gate == Gate::Open).await);
    }

    async fn connect(self: Arc<Self>) -> io::Result<Box<dyn DialedIo>> {
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        if *self.gate.borrow() == Gate::Apart {
            pass(REFUSED_AFTER).await;
            return Err(refused());
        }
        self.open().await;
        let delay = self.rng.lock().millis(1, 3);
        pass(delay).await;
        let (ours, near) = duplex(PIPE_BYTES);
        let (far, theirs) = duplex(PIPE_BYTES);
        let door = self.door.lock().clone().ok_or_else(refused)?;
        door.send(Ok(theirs)).map_err(|_| refused())?;
        self.trace.note(format_args!("site {}: connected", self.name));
        self.lay(near, far);
        Ok(Box::new(ours))
    }

    /// Runs a cable between two ends.
    fn lay(self: &Arc<Self>, near: DuplexStream, far: DuplexStream) {
        let cable = Arc::new(Cable::default());
        let (up, down) = {
            let mut rng = self.rng.lock();
            (rng.fork(), rng.fork())
        };
        {
            let mut cables = self.cables.lock();
            cables.retain(|cable| !cable.is_cut());
            cables.push(Arc::clone(&cable));
        }
        let site = Arc::clone(self);
        self.scope.spawn("cable", async move {
            let ((near_read, near_write), (far_read, far_write)) = (split(near), split(far));
            let both = async {
                tokio::try_join!(
                    cable.carry(near_read, far_write, &site, up),
                    cable.carry(far_read, near_write, &site, down)
                )
            };
            tokio::select! {
                biased;
                () = cable.is_cut_off() => {}
                _ = both => cable.cut(),
            }
        });
    }
}

/// Dials through a site, whatever the address.
pub(crate) struct SiteDial(pub(crate) Arc<Site>);

impl Dial for SiteDial {
    fn dial(&self, _: &Address) -> BoxFuture<'static, io::Result<Box<dyn DialedIo>>> {
        Arc::clone(&self.0).connect().boxed()
    }
}
