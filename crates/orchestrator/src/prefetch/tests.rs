use proptest::prelude::*;

use super::{Function, Model, RESERVE_BYTES, Snapshot, Standing, Step, plan};

const MIB: u64 = 1024 * 1024;

fn model(reference: &str) -> Model<'_> {
    Model {
        r#ref: reference,
        wanted: Some("d1"),
        bytes: MIB,
        is_held: false,
        held: None,
        is_busy: false,
        is_tried: false,
    }
}

fn loading<'a>(models: &[Model<'a>]) -> Function<'a> {
    Function { standing: Standing::Loading, is_awaited: false, models: models.to_vec() }
}

fn steps<'a>(functions: &[Function<'a>], free_bytes: Option<u64>) -> Vec<Step<'a>> {
    plan(&Snapshot { functions: functions.to_vec(), free_bytes })
}

#[test]
fn o22_what_is_missing_comes_and_what_is_there_is_loaded() {
    assert_eq!(steps(&[loading(&[model("a")])], None), [Step::Load("a")], "its files come with the command");
    let there = Model { is_held: true, ..model("b") };
    assert_eq!(steps(&[loading(&[model("a"), there])], None), [Step::Download("a")], "all of them first");
    let both = [Model { is_held: true, ..model("a") }, there];
    assert_eq!(steps(&[loading(&both)], None), [Step::Load("a")]);
    let set_up = Function { standing: Standing::Available, ..loading(&both) };
    assert_eq!(steps(&[set_up], None), []);
}

#[test]
fn o22_nothing_is_sent_twice_nor_while_it_is_under_way_nor_without_files() {
    let busy = Model { is_busy: true, ..model("a") };
    assert_eq!(steps(&[loading(&[busy])], None), []);
    assert_eq!(steps(&[loading(&[busy, model("b")])], None), [Step::Download("b")], "others come beside it");
    assert_eq!(steps(&[loading(&[model("a")]), loading(&[model("a")])], None), [Step::Load("a")]);
    let unknown = Model { wanted: None, ..model("a") };
    assert_eq!(steps(&[loading(&[unknown])], None), []);
    let only_here = Model { is_held: true, ..unknown };
    assert_eq!(steps(&[loading(&[only_here])], None), [Step::Load("a")], "a hub that is away does not matter");
}

#[test]
fn m13_1_what_requests_wait_for_comes_first_and_the_rest_as_far_as_there_is_room() {
    let asked = Function { is_awaited: true, ..loading(&[model("z")]) };
    let (other, third) = (loading(&[model("a")]), loading(&[model("b")]));
    let all = [other.clone(), third, asked];
    assert_eq!(steps(&all, None), [Step::Load("z"), Step::Load("a"), Step::Load("b")]);
    let free = Some(RESERVE_BYTES + 2 * MIB);
    assert_eq!(steps(&all, free), [Step::Load("z"), Step::Load("a"), Step::Download("b")], "on disk at least");
    assert_eq!(steps(&all, Some(0)), [Step::Load("z"), Step::Download("a"), Step::Download("b")]);
    let on_disk = loading(&[Model { is_held: true, held: Some("d1"), ..model("a") }]);
    assert_eq!(steps(&[on_disk], Some(0)), [], "it waits for a request");
    assert_eq!(steps(&[other], Some(u64::MAX)), [Step::Load("a")]);
}

#[test]
fn o22_a_tag_that_moved_has_its_new_files_brought() {
    let old = Model { is_held: true, held: Some("d0"), ..model("a") };
    let current = Model { held: Some("d1"), ..old };
    let function = |model| Function { standing: Standing::Available, ..loading(&[model]) };
    assert_eq!(steps(&[function(old)], None), [Step::Download("a")]);
    assert_eq!(steps(&[function(current)], None), []);
    assert_eq!(steps(&[function(Model { held: None, ..old })], None), [], "what it has since before is good");
    assert_eq!(steps(&[function(Model { wanted: None, ..old })], None), []);
}

#[test]
fn c28_a_function_that_does_not_set_up_is_tried_with_other_files_only() {
    let held = Model { is_held: true, ..model("a") };
    let broken = |model| Function { standing: Standing::Broken, ..loading(&[model]) };
    assert_eq!(steps(&[broken(Model { is_tried: true, ..held })], None), []);
    assert_eq!(steps(&[broken(held)], None), [Step::Load("a")]);
}

proptest! {
    /// Whatever stands how: one step for a ref, none for what is busy, downloads only of what the hub gives.
    #[test]
    fn plans_are_sound(
        functions in proptest::collection::vec(
            (0_u8..3, any::<bool>(), proptest::collection::vec((0_usize..4, 0_u8..32), 1..4)),
            0..6,
        ),
        free_bytes in proptest::option::of(0..3 * RESERVE_BYTES),
    ) {
        const NAMES: [&str; 4] = ["a", "b", "c", "d"];
        let model = |(name, bits): (usize, u8)| Model {
            wanted: (bits & 1 == 0).then_some("d1"),
            is_held: bits & 2 == 0,
            held: (bits & 6 == 0).then_some("d0"),
            is_busy: bits & 8 == 0,
            is_tried: bits & 16 == 0,
            ..model(NAMES[name])
        };
        let functions: Vec<_> = functions.into_iter().map(|(standing, is_awaited, models)| Function {
            standing: [Standing::Available, Standing::Loading, Standing::Broken][usize::from(standing)],
            is_awaited,
            models: models.into_iter().map(model).collect(),
        }).collect();
        let planned = steps(&functions, free_bytes);
        let mut refs: Vec<_> = planned.iter().map(|step| step.reference()).collect();
        refs.sort_unstable();
        refs.dedup();
        prop_assert_eq!(refs.len(), planned.len());
        for step in planned {
            let of_ref = functions.iter().flat_map(|function| &function.models).filter(|m| m.r#ref == step.reference());
            prop_assert!(of_ref.clone().any(|model| !model.is_busy));
            prop_assert!(of_ref.clone().any(|m| m.wanted.is_some() || matches!(step, Step::Load(_)) && m.is_held));
        }
    }
}
