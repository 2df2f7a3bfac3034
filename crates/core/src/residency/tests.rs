//! Who goes, who stays, and when nobody has to.
use proptest::prelude::*;

use super::*;

fn ram(gib: u64) -> Memory {
    Memory { ram_bytes: gib * GIB, vram_bytes: 0 }
}

fn vram(gib: u64) -> Memory {
    Memory { ram_bytes: 0, vram_bytes: gib * GIB }
}

fn held(footprint: Memory, idle_s: u64) -> Held {
    Held { footprint, idle: Duration::from_secs(idle_s), pinned: false }
}

fn room(free: Memory) -> Room {
    Room { free, total: Memory { ram_bytes: 64 * GIB, vram_bytes: 80 * GIB } }
}

#[test]
fn m11_8_the_floor_is_a_fifth_within_bounds() {
    assert_eq!(ram_floor_bytes(2 * GIB), GIB);
    assert_eq!(ram_floor_bytes(20 * GIB), 4 * GIB);
    assert_eq!(ram_floor_bytes(1 << 40), 8 * GIB);
}

#[test]
fn nobody_goes_while_there_is_room() {
    assert_eq!(plan(ram(10), room(ram(18)), &[held(ram(5), 9)]), Ok(vec![]));
    assert_eq!(plan(vram(10), room(Memory { ram_bytes: 8 * GIB, vram_bytes: 12 * GIB }), &[]), Ok(vec![]));
}

#[test]
fn the_longest_idle_that_helps_goes_first() {
    let instances = [held(ram(4), 10), held(ram(4), 300), held(vram(4), 999), held(ram(4), 20)];
    assert_eq!(plan(ram(10), room(ram(13)), &instances), Ok(vec![1, 3]));
    let on_card = Memory { ram_bytes: 8 * GIB, vram_bytes: 9 * GIB };
    assert_eq!(plan(vram(10), room(on_card), &instances), Ok(vec![2]), "host memory would not help");
}

#[test]
fn what_is_in_use_never_goes() {
    let busy = Held { pinned: true, ..held(ram(40), 0) };
    let error = plan(ram(30), room(ram(10)), &[busy, held(ram(5), 1)]).expect_err("no room");
    assert_eq!((error.what, error.free_bytes), ("host", 15 * GIB));
}

proptest! {
    #[test]
    fn a_plan_makes_room_with_idle_instances_only(
        need in 0..20_u64, free in 0..20_u64, sizes in proptest::collection::vec((0..10_u64, any::<bool>(), 0..100_u64), 0..8),
    ) {
        let instances: Vec<_> = sizes.iter()
            .map(|(size, pinned, idle)| Held { pinned: *pinned, ..held(ram(*size), *idle) }).collect();
        let idle: u64 = sizes.iter().filter(|(_, pinned, _)| !pinned).map(|(size, ..)| size).sum();
        match plan(ram(need), room(ram(free)), &instances) {
            Ok(going) => {
                prop_assert!(going.iter().all(|index| !instances[*index].pinned));
                let freed: u64 = going.iter().map(|index| sizes[*index].0).sum();
                prop_assert!(free + freed >= need + 8);
                prop_assert!(going.is_empty() || free < need + 8);
            }
            Err(_) => prop_assert!(free + idle < need + 8),
        }
    }
}
