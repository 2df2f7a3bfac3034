//! The vectors of the ladder and its ends.
use super::{OffloadMode::*, *};

const FULL: OffloadSupport = OffloadSupport { accelerator: true, groups: true };

fn gib(number: f64) -> u64 {
    // Tenths are enough for the vectors.
    format!("{:.0}", number * 10.0).parse::<u64>().expect("a small number") * GIB / 10
}

fn choose(free: f64, model: f64, peak: f64) -> OffloadMode {
    OffloadMode::choose(gib(free), gib(model), gib(peak))
}

#[test]
fn m10_mode_vectors() {
    for (free, model, peak, mode) in [
        (0.0, 4.0, 0.0, Off),
        (8.0, 2.5, 0.0, VaeOnly),
        (8.0, 6.9, 0.0, Model),
        (24.0, 6.9, 0.0, Off),
        (4.0, 1.5, 0.0, Group),
        (8.0, 0.0, 0.0, Model),
        (24.0, 2.5, 23.0, Model),
        (8.0, 6.9, 1.0, Model),
        (8.0, 2.5, 4.0, VaeOnly),
        (24.0, 2.5, 0.0, Off),
        // The edges of each condition.
        (6.0, 0.0, 0.0, Group),
        (8.0, 6.0, 0.0, VaeOnly),
        (16.0, 6.0, 0.0, Off),
        (15.9, 6.0, 0.0, VaeOnly),
        (8.1, 0.0, 0.0, VaeOnly),
    ] {
        assert_eq!(choose(free, model, peak), mode, "({free}, {model}, {peak})");
    }
}

#[test]
fn m10_1_what_is_not_there_is_replaced_and_sequential_is_never_first() {
    let no_groups = OffloadSupport { groups: false, ..FULL };
    assert_eq!(Group.supported(no_groups), Sequential);
    assert_eq!(Model.supported(no_groups), Model);
    let host = OffloadSupport { accelerator: false, groups: true };
    assert_eq!(
        [Off, VaeOnly, Model, Group, Sequential].map(|mode| mode.supported(host)),
        [Off, VaeOnly, VaeOnly, VaeOnly, VaeOnly]
    );
    for free in 0..100 {
        for need in 0..100 {
            assert_ne!(OffloadMode::choose(free * GIB, need * GIB, 0), Sequential);
        }
    }
}

#[test]
fn m10_1_an_unknown_mode_is_an_error() {
    for mode in OffloadMode::ALL {
        assert_eq!(mode.to_string().parse(), Ok(mode));
    }
    let error = "fast".parse::<OffloadMode>().expect_err("unknown");
    assert!(error.to_string().contains("\"fast\""), "{error}");
}

#[test]
fn m10_2_little_host_memory_offloads_to_disk() {
    assert_eq!([0, 1, 16 * GIB - 1, 16 * GIB].map(offloads_to_disk), [false, true, true, false]);
}

#[test]
fn m10_3_two_more_tries_each_one_rung_up_and_none_above_the_last() {
    let after = |mode, retries| after_out_of_memory(mode, retries, FULL);
    assert_eq!(
        [after(VaeOnly, 0), after(Model, 1), after(Group, 0), after(Off, 0)],
        [Some(Model), Some(Group), Some(Sequential), Some(VaeOnly)]
    );
    assert_eq!([after(Sequential, 0), after(VaeOnly, 2)], [None, None]);
    let host = OffloadSupport { accelerator: false, groups: false };
    assert_eq!(after_out_of_memory(VaeOnly, 0, host), None, "the same again would fail again");
}

#[test]
fn m9_4_offloaded_models_do_not_move() {
    assert_eq!(OffloadMode::ALL.map(OffloadMode::is_movable), [true, true, false, false, false]);
}
