use std::{cmp::Reverse, collections::BTreeMap};

use proptest::prelude::*;

use super::{Assign, Lane, Place, Seat, Snapshot, Tier, Waiting, Worker};

/// A plan for requests that name no models.
fn plan(snapshot: &Snapshot<'_>) -> Vec<Assign> {
    super::plan(snapshot, &|_, _| Tier::Ready)
}

fn place(priority: i16, sequence: i64) -> Place {
    Place { priority: Reverse(priority), sequence }
}

fn lane(places: &[(i16, i64)]) -> BTreeMap<Place, Waiting> {
    places.iter().map(|(priority, sequence)| (place(*priority, *sequence), Waiting::default())).collect()
}

fn seat(worker: usize) -> Seat {
    Seat { worker, free: u32::MAX, slowdown: 1.0, tier: Tier::Ready }
}

#[test]
fn o16_only_workers_that_have_the_function_available_get_it() {
    let (a, b) = (lane(&[(0, 1)]), lane(&[(0, 2)]));
    let seats = [seat(1)];
    let snapshot = Snapshot {
        lanes: vec![Lane { waiting: &a, seats: &seats }, Lane { waiting: &b, seats: &[] }],
        workers: vec![Worker { load: 0, free: 8 }, Worker { load: 5, free: 3 }],
    };
    let assigned: Vec<_> = plan(&snapshot).iter().map(|assign| (assign.place.sequence, assign.worker)).collect();
    assert_eq!(assigned, [(1, 1)]);
}

#[test]
fn higher_priority_goes_first_then_arrival_over_all_lanes() {
    let (a, b) = (lane(&[(0, 1), (5, 4)]), lane(&[(5, 3), (0, 2)]));
    let seats = [seat(0)];
    let lanes = vec![Lane { waiting: &a, seats: &seats }, Lane { waiting: &b, seats: &seats }];
    let snapshot = Snapshot { lanes, workers: vec![Worker { load: 0, free: 3 }] };
    let order: Vec<_> = plan(&snapshot).iter().map(|assign| assign.place.sequence).collect();
    assert_eq!(order, [3, 4, 1]);
}

#[test]
fn the_least_loaded_worker_is_next() {
    let waiting = lane(&[(0, 1), (0, 2), (0, 3)]);
    let seats = [seat(0), seat(1)];
    let workers = vec![Worker { load: 2, free: 9 }, Worker { load: 0, free: 9 }];
    let snapshot = Snapshot { lanes: vec![Lane { waiting: &waiting, seats: &seats }], workers };
    let order: Vec<_> = plan(&snapshot).iter().map(|assign| assign.worker).collect();
    assert_eq!(order, [1, 1, 0]);
}

#[test]
fn o20_a_degraded_worker_is_a_hint_never_a_block() {
    let waiting = lane(&[(0, 1), (0, 2), (0, 3)]);
    let slow = Seat { slowdown: 2.5, ..seat(0) };
    let workers = vec![Worker { load: 0, free: 1 }, Worker { load: 0, free: 2 }];
    let seats = [slow, seat(1)];
    let snapshot = Snapshot { lanes: vec![Lane { waiting: &waiting, seats: &seats }], workers };
    let order: Vec<_> = plan(&snapshot).iter().map(|assign| assign.worker).collect();
    assert_eq!(order, [1, 1, 0], "the slow one last, but it does get one");
}

#[test]
fn a_request_avoids_the_worker_that_failed_it_while_another_is_free() {
    let mut waiting = lane(&[]);
    waiting.insert(place(0, 1), Waiting { avoid: Some(0), models: None });
    let seats = [seat(0), seat(1)];
    let workers = vec![Worker { load: 0, free: 1 }, Worker { load: 7, free: 1 }];
    let snapshot = Snapshot { lanes: vec![Lane { waiting: &waiting, seats: &seats }], workers };
    assert_eq!(plan(&snapshot)[0].worker, 1);
    let alone = [seat(0)];
    let snapshot = Snapshot { lanes: vec![Lane { waiting: &waiting, seats: &alone }], ..snapshot };
    assert_eq!(plan(&snapshot)[0].worker, 0);
}

#[test]
fn m13_1_workers_that_have_the_models_come_first_by_how_near_they_are() {
    let waiting = lane(&[(0, 1), (0, 2), (0, 3), (0, 4)]);
    let at = |worker, tier| Seat { free: 1, tier, ..seat(worker) };
    let seats = [at(0, Tier::Absent), at(1, Tier::Disk), at(2, Tier::Ram), at(3, Tier::Ready)];
    let workers = vec![Worker { load: 0, free: 9 }; 4];
    let snapshot = Snapshot { lanes: vec![Lane { waiting: &waiting, seats: &seats }], workers };
    let order: Vec<_> = plan(&snapshot).iter().map(|assign| assign.worker).collect();
    assert_eq!(order, [3, 2, 1, 0], "and a cold one is better than none");
}

#[test]
fn m13_1_a_warm_worker_that_is_far_busier_does_not_come_first() {
    let waiting = lane(&[(0, 1)]);
    let seats = [seat(0), Seat { tier: Tier::Absent, ..seat(1) }];
    for (load, expected) in [(14, 0), (16, 1)] {
        let workers = vec![Worker { load, free: 9 }, Worker { load: 0, free: 9 }];
        let snapshot = Snapshot { lanes: vec![Lane { waiting: &waiting, seats: &seats }], workers };
        assert_eq!(plan(&snapshot)[0].worker, expected);
    }
}

#[test]
fn m13_1_a_request_that_names_its_models_goes_where_those_are() {
    let mut waiting = lane(&[(0, 2), (0, 4)]);
    for (sequence, model) in [(1, "acme/red"), (3, "acme/blue")] {
        waiting.insert(place(0, sequence), Waiting { avoid: None, models: Some([model.to_owned()].into()) });
    }
    // Worker 0 has what the function declares, 1 and 2 have one of the others each.
    let seats = [seat(0), Seat { tier: Tier::Disk, ..seat(1) }, Seat { tier: Tier::Disk, ..seat(2) }];
    let workers = vec![Worker { load: 0, free: 2 }, Worker { load: 0, free: 1 }, Worker { load: 0, free: 1 }];
    let snapshot = Snapshot { lanes: vec![Lane { waiting: &waiting, seats: &seats }], workers };
    let tier = |worker: usize, models: &[String]| match (worker, models[0].as_str()) {
        (1, "acme/blue") | (2, "acme/red") => Tier::Ready,
        _ => Tier::Absent,
    };
    let order: Vec<_> = super::plan(&snapshot, &tier).iter().map(|assign| assign.worker).collect();
    assert_eq!(order, [2, 0, 1, 0]);
}

#[test]
fn a_function_limit_holds_beside_the_limit_of_the_worker() {
    let waiting = lane(&[(0, 1), (0, 2), (0, 3)]);
    let seats = [Seat { free: 2, ..seat(0) }];
    let workers = vec![Worker { load: 0, free: 9 }];
    let snapshot = Snapshot { lanes: vec![Lane { waiting: &waiting, seats: &seats }], workers };
    assert_eq!(plan(&snapshot).len(), 2);
}

proptest! {
    /// No worker and no seat is overbooked, nothing is placed twice or out of order, and nothing waits beside a
    /// free seat.
    #[test]
    fn plans_are_sound_and_complete(
        workers in proptest::collection::vec((0_u32..4, 0_u32..4), 1..5),
        lanes in proptest::collection::vec(
            (
                proptest::collection::vec((-2_i16..3, proptest::option::of(0_usize..5)), 0..12),
                proptest::collection::vec((0_u32..4, 1_u8..4), 0..5),
            ),
            0..4,
        ),
    ) {
        let mut sequence = 0;
        let lanes: Vec<(BTreeMap<Place, Waiting>, Vec<Seat>)> = lanes
            .into_iter()
            .map(|(requests, seats)| {
                let waiting = requests
                    .into_iter()
                    .map(|(priority, avoid)| {
                        sequence += 1;
                        let models = (sequence % 3 == 0).then(|| [format!("acme/m{}", sequence % 2)].into());
                        (place(priority, sequence), Waiting { avoid, models })
                    })
                    .collect();
                let seats = seats
                    .into_iter()
                    .enumerate()
                    .filter(|(worker, _)| *worker < workers.len())
                    .map(|(worker, (free, slowdown))| {
                        let tier = if free % 2 == 0 { Tier::Ready } else { Tier::Disk };
                        Seat { worker, free, slowdown: f64::from(slowdown), tier }
                    })
                    .collect();
                (waiting, seats)
            })
            .collect();
        let snapshot = Snapshot {
            lanes: lanes.iter().map(|(waiting, seats)| Lane { waiting, seats }).collect(),
            workers: workers.iter().map(|(load, free)| Worker { load: *load, free: *free }).collect(),
        };
        let assigned = super::plan(&snapshot, &|worker, _| if worker == 0 { Tier::Absent } else { Tier::Ram });
        for (worker, capacity) in snapshot.workers.iter().enumerate() {
            let taken = assigned.iter().filter(|assign| assign.worker == worker).count();
            prop_assert!(taken <= usize::try_from(capacity.free).unwrap_or(usize::MAX));
        }
        for (index, lane) in snapshot.lanes.iter().enumerate() {
            let placed: Vec<Place> =
                assigned.iter().filter(|assign| assign.lane == index).map(|assign| assign.place).collect();
            let front: Vec<Place> = lane.waiting.keys().copied().take(placed.len()).collect();
            prop_assert_eq!(&placed, &front, "a lane is served from its front");
            for seat in lane.seats {
                let here = |assign: &&Assign| assign.lane == index && assign.worker == seat.worker;
                let taken = assigned.iter().filter(here).count();
                prop_assert!(taken <= usize::try_from(seat.free).unwrap_or(usize::MAX));
                let on_worker = assigned.iter().filter(|assign| assign.worker == seat.worker).count();
                let capacity = usize::try_from(snapshot.workers[seat.worker].free).unwrap_or(usize::MAX);
                let room = taken < usize::try_from(seat.free).unwrap_or(usize::MAX) && on_worker < capacity;
                prop_assert!(!room || placed.len() == lane.waiting.len(), "somebody waits beside a free seat");
            }
        }
    }
}
