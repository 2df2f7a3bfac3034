//! What is seen, of which accelerators, and for how long somebody looks.
use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;

use super::*;
use crate::{memory::MemoryProbe, residency::Memory};

/// Accelerators of 100 bytes, with these free.
struct Cards(Mutex<Vec<Option<u64>>>, AtomicU64);

impl Cards {
    fn new(free: &[Option<u64>]) -> Arc<Self> {
        Arc::new(Self(Mutex::new(free.to_vec()), AtomicU64::new(0)))
    }
}

impl MemoryProbe for Cards {
    fn total(&self) -> Memory {
        Memory { ram_bytes: 0, vram_bytes: vec![100; self.0.lock().len()] }
    }

    fn free_ram(&self) -> u64 {
        0
    }

    fn free_vram(&self) -> Vec<Option<u64>> {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.lock().clone()
    }
}

#[test]
fn marks_only_rise() {
    let peaks = Peaks::default();
    for bytes in [3, 9, 4] {
        peaks.saw_ram(bytes);
        peaks.saw_vram(bytes * 2);
    }
    assert_eq!((peaks.ram_bytes(), peaks.vram_bytes()), (9, 18));
}

#[tokio::test(start_paused = true)]
async fn w9_6_the_peak_of_a_job_counts_its_own_accelerators_only() {
    let (cards, peaks) = (Cards::new(&[Some(90), Some(70), None, Some(0)]), Arc::new(Peaks::default()));
    let watch = VramWatch::start(cards.clone(), 0..3, peaks.clone());
    watch.look().await;
    assert_eq!(peaks.vram_bytes(), 40, "10 and 30, and of the third nobody knows");
    *cards.0.lock() = vec![Some(10), Some(100), None, None];
    watch.look_blocking();
    *cards.0.lock() = vec![Some(100); 4];
    watch.look().await;
    assert_eq!(peaks.vram_bytes(), 90);
}

/// A driver that answers when its other end is gone.
struct Stuck(Mutex<std::sync::mpsc::Receiver<()>>);

impl MemoryProbe for Stuck {
    fn total(&self) -> Memory {
        Memory::default()
    }

    fn free_ram(&self) -> u64 {
        0
    }

    fn free_vram(&self) -> Vec<Option<u64>> {
        assert!(self.0.lock().recv().is_err(), "only its end is told");
        Vec::new()
    }
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_hangs_holds_a_result_up_for_a_moment_only() {
    let (release, stuck) = std::sync::mpsc::channel();
    let watch = VramWatch::start(Arc::new(Stuck(Mutex::new(stuck))), 0..1, Arc::default());
    let mut look = std::pin::pin!(watch.look());
    assert!(futures::poll!(look.as_mut()).is_pending());
    tokio::time::advance(LAST_LOOK_MAX).await;
    look.await;
    drop(release);
}

#[tokio::test(start_paused = true)]
async fn nobody_looks_after_the_end() {
    let (cards, peaks) = (Cards::new(&[Some(50)]), Arc::new(Peaks::default()));
    let watch = VramWatch::start(cards.clone(), 0..1, peaks.clone());
    tokio::time::timeout(Duration::from_secs(60), async {
        while cards.1.load(Ordering::SeqCst) < 4 {
            tokio::time::sleep(Duration::from_millis(100)).await; // tidy: the paused clock moves on; nothing waits in real time
        }
    })
    .await
    .expect("it looks again and again by itself");
    assert_eq!(peaks.vram_bytes(), 50);
    drop(watch);
    let before = cards.1.load(Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(5)).await; // tidy: on the paused clock
    assert!(cards.1.load(Ordering::SeqCst) <= before + 1, "one look may have been under way");
}
