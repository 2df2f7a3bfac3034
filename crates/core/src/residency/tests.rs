//! Who goes, who stays, and when nobody has to.
use proptest::prelude::*;

use super::*;

fn ram(gib: u64) -> Memory {
    memory(gib, &[])
}

/// What is free or held: of the host, and of each accelerator.
fn memory(ram: u64, vram: &[u64]) -> Memory {
    Memory { ram_bytes: ram * GIB, vram_bytes: vram.iter().map(|gib| gib * GIB).collect() }
}

fn needs_ram(gib: u64) -> Needs {
    Needs { ram_bytes: gib * GIB, ..Needs::default() }
}

fn needs_vram(gib: u64, device: usize) -> Needs {
    Needs { ram_bytes: 0, vram_bytes: gib * GIB, device }
}

fn held(footprint: Memory, idle_s: u64) -> Held {
    Held { footprint, idle: Duration::from_secs(idle_s), pinned: false, movable: false }
}

/// One that can move.
fn movable(footprint: Memory, idle_s: u64) -> Held {
    Held { movable: true, ..held(footprint, idle_s) }
}

/// Who goes altogether.
fn plan(needs: Needs, room: &Room, held: &[Held]) -> Result<Vec<usize>, NoRoom> {
    let steps = super::plan(needs, room, held)?;
    assert!(steps.iter().all(|step| step.way == Way::TearDown), "nobody can move");
    Ok(steps.iter().map(|step| step.index).collect())
}

/// Who moves, and who goes altogether.
fn moves(needs: Needs, room: &Room, held: &[Held]) -> Result<[Vec<usize>; 2], NoRoom> {
    let steps = super::plan(needs, room, held)?;
    let of = |way| steps.iter().filter(|step| step.way == way).map(|step| step.index).collect();
    Ok([of(Way::Demote), of(Way::TearDown)])
}

fn room(free: Memory) -> Room {
    Room { free, total: memory(64, &[40, 40]), vram_reserve_bytes: 2 * GIB }
}

#[test]
fn m11_8_the_floor_is_a_fifth_within_bounds() {
    assert_eq!(ram_floor_bytes(2 * GIB), GIB);
    assert_eq!(ram_floor_bytes(20 * GIB), 4 * GIB);
    assert_eq!(ram_floor_bytes(1 << 40), 8 * GIB);
}

#[test]
fn nobody_goes_while_there_is_room() {
    assert_eq!(plan(needs_ram(10), &room(ram(18)), &[held(ram(5), 9)]), Ok(vec![]));
    assert_eq!(plan(needs_vram(10, 0), &room(memory(8, &[12])), &[]), Ok(vec![]));
}

#[test]
fn the_longest_idle_that_helps_goes_first() {
    let instances = [held(ram(4), 10), held(ram(4), 300), held(memory(0, &[4]), 999), held(ram(4), 20)];
    assert_eq!(plan(needs_ram(10), &room(ram(13)), &instances), Ok(vec![1, 3]));
    assert_eq!(plan(needs_vram(10, 0), &room(memory(8, &[9])), &instances), Ok(vec![2]), "host memory would not help");
}

#[test]
fn what_is_in_use_never_goes() {
    let busy = Held { pinned: true, ..held(ram(40), 0) };
    let error = plan(needs_ram(30), &room(ram(10)), &[busy, held(ram(5), 1)]).expect_err("no room");
    assert_eq!((error.what, error.free_bytes), ("host", 15 * GIB));
}

#[test]
fn w11_8_two_small_accelerators_do_not_take_one_large_model() {
    let error = plan(needs_vram(30, 0), &room(memory(8, &[20, 20])), &[]).expect_err("no room");
    assert_eq!((error.what, error.needed_bytes, error.free_bytes), ("accelerator", 32 * GIB, 20 * GIB));
    assert_eq!(plan(needs_vram(18, 1), &room(memory(8, &[0, 20])), &[]), Ok(vec![]), "the other one may be full");
    let bold = Room { vram_reserve_bytes: 0, ..room(memory(8, &[20])) };
    assert_eq!((plan(needs_vram(20, 0), &bold, &[]), plan(needs_vram(21, 0), &bold, &[]).is_ok()), (Ok(vec![]), false));
    assert!(plan(needs_vram(1, 2), &room(memory(8, &[20, 20])), &[]).is_err(), "there is no third one");
}

#[test]
fn w11_8_room_is_made_on_the_accelerator_of_the_model() {
    let instances = [held(memory(0, &[30]), 900), held(memory(0, &[0, 10]), 20), held(memory(0, &[2, 8]), 10)];
    assert_eq!(plan(needs_vram(20, 1), &room(memory(8, &[0, 5])), &instances), Ok(vec![1, 2]));
    assert_eq!(plan(needs_vram(20, 0), &room(memory(8, &[0, 5])), &instances), Ok(vec![0]));
}

#[test]
fn memory_adds_up_by_device_and_never_goes_below_nothing() {
    let mut sum = memory(1, &[1]);
    sum.add(&memory(2, &[0, 3]));
    assert_eq!((sum.vram_sum(), sum.vram_on(1), sum.vram_on(7)), (4 * GIB, 3 * GIB, 0));
    sum.sub(&memory(9, &[1, 1]));
    assert_eq!(sum, memory(0, &[0, 2]));
}

#[test]
fn m9_6_the_floor_of_host_memory() {
    assert_eq!(ram_floor_bytes(u64::MAX), 8 * GIB, "unknown");
    let admits = |size, free, total| ram_admits(size * GIB, free * GIB, total * GIB);
    assert_eq!([admits(6, 12, 64), admits(6, 20, 64), admits(6, 10, 16)], [false, true, true]);
}

#[test]
fn m9_10_the_longest_idle_that_can_move_go_first_and_only_as_many_as_needed() {
    let instances = [
        held(memory(0, &[6]), 999),
        movable(memory(0, &[6]), 10),
        movable(memory(0, &[6]), 300),
        Held { pinned: true, ..movable(memory(0, &[6]), 900) },
    ];
    let plenty = room(memory(60, &[2]));
    assert_eq!(moves(needs_vram(6, 0), &plenty, &instances), Ok([vec![2], vec![]]));
    assert_eq!(moves(needs_vram(12, 0), &plenty, &instances), Ok([vec![2, 1], vec![]]));
    assert_eq!(moves(needs_vram(18, 0), &plenty, &instances), Ok([vec![2, 1], vec![0]]), "then those that cannot");
    assert!(moves(needs_vram(19, 0), &plenty, &instances).is_err(), "what is in use stays");
}

#[test]
fn m9_10_the_reserve_is_part_of_what_is_needed() {
    let one = [movable(memory(0, &[4]), 10)];
    assert_eq!(moves(needs_vram(6, 0), &room(memory(60, &[8])), &one), Ok([vec![], vec![]]));
    assert_eq!(moves(needs_vram(7, 0), &room(memory(60, &[8])), &one), Ok([vec![0], vec![]]));
}

#[test]
fn m9_5_host_memory_that_takes_no_more_has_them_go_altogether() {
    let instances = [movable(memory(0, &[6]), 300), movable(memory(0, &[6]), 10)];
    assert_eq!(moves(needs_vram(12, 0), &room(memory(14, &[2])), &instances), Ok([vec![0], vec![1]]));
    assert_eq!(moves(needs_vram(12, 0), &room(memory(13, &[2])), &instances), Ok([vec![], vec![0, 1]]));
}

#[test]
fn m9_11_host_memory_is_made_by_those_that_were_moved_there_and_nobody_else() {
    let instances = [held(ram(4), 10), held(ram(4), 300), movable(memory(0, &[6]), 999)];
    assert_eq!(moves(needs_ram(4), &room(ram(9)), &instances), Ok([vec![], vec![1]]), "only as many as needed");
    let error = moves(needs_ram(30), &room(ram(9)), &instances).expect_err("no room");
    assert_eq!((error.what, error.needed_bytes), ("host", 38 * GIB));
}

proptest! {
    #[test]
    fn a_plan_makes_room_with_idle_instances_only(
        need in 0..20_u64, free in 0..20_u64, sizes in proptest::collection::vec((0..10_u64, any::<bool>(), 0..100_u64), 0..8),
    ) {
        let instances: Vec<_> = sizes.iter()
            .map(|(size, pinned, idle)| Held { pinned: *pinned, ..held(ram(*size), *idle) }).collect();
        let idle: u64 = sizes.iter().filter(|(_, pinned, _)| !pinned).map(|(size, ..)| size).sum();
        let needed = if need == 0 { 0 } else { need + 8 };
        match plan(needs_ram(need), &room(ram(free)), &instances) {
            Ok(going) => {
                prop_assert!(going.iter().all(|index| !instances[*index].pinned));
                let freed: u64 = going.iter().map(|index| sizes[*index].0).sum();
                prop_assert!(free + freed >= needed);
                prop_assert!(going.is_empty() || free < needed);
            }
            Err(_) => prop_assert!(free + idle < needed),
        }
    }
}

#[test]
fn m9_7_what_takes_no_host_memory_does_not_care_how_full_it_is() {
    let room = room(memory(1, &[12]));
    assert_eq!(plan(needs_vram(10, 0), &room, &[held(ram(5), 9)]), Ok(vec![]));
    assert_eq!(
        moves(needs_vram(20, 0), &room, &[movable(memory(0, &[20]), 9)]),
        Ok([vec![], vec![0]]),
        "no place to wait"
    );
}
