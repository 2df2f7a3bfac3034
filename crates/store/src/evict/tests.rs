use super::*;

fn model(reference: &str, bytes: u64, last_used_s: f64) -> Candidate {
    let unit = PathBuf::from(format!("/r/snapshots/{reference}"));
    Candidate { reference: Some(reference.into()), unit, bytes, last_used_s, held: false }
}

fn order(models: &[Candidate], keep: &[&str], needed: u64) -> Vec<String> {
    let keep = keep.iter().map(|reference| (*reference).to_owned()).collect();
    plan(models, &keep, 10_000.0, needed)
        .into_iter()
        .map(|model| model.reference.clone().unwrap_or_else(|| model.unit.display().to_string()))
        .collect()
}

#[test]
fn m8_4_four_passes_and_the_oldest_first_in_each() {
    let models = [
        model("keep-new", 1, 9_900.0),
        model("keep-old", 1, 100.0),
        model("new", 1, 9_701.0),
        model("old-b", 1, 500.0),
        model("old-a", 1, 500.0),
        model("oldest", 1, 200.0),
    ];
    let found = order(&models, &["keep-new", "keep-old"], 1);
    assert_eq!(found, ["oldest", "old-a", "old-b", "new", "keep-old", "keep-new"]);
}

#[test]
fn m8_5_what_is_held_stays_and_nothing_leaves_for_nothing() {
    let held = Candidate { held: true, ..model("held", 6000, 1.0) };
    assert!(order(std::slice::from_ref(&held), &[], 6000).is_empty());
    assert_eq!(order(&[held.clone(), model("a", 10, 1.0)], &[], 10), ["a"]);
    assert!(order(&[held, model("a", 10, 1.0)], &[], 11).is_empty());
    assert!(order(&[model("a", 3000, 1.0), model("b", 3000, 2.0)], &[], 50_000).is_empty());
}

#[test]
fn m8_9_a_snapshot_of_two_refs_counts_once_and_is_held_by_either() {
    let two = Candidate { reference: Some("b".into()), ..model("a", 10, 5.0) };
    assert!(order(&[model("a", 10, 1.0), two.clone()], &[], 11).is_empty());
    assert_eq!(order(&[model("a", 10, 1.0), two.clone()], &[], 10), ["a", "b"]);
    assert!(order(&[model("a", 10, 1.0), Candidate { held: true, ..two }], &[], 1).is_empty());
}

#[test]
fn m8_9_what_came_in_part_leaves_by_its_age_among_models_that_nobody_keeps() {
    let part = |name: &str, last_used_s| Candidate { reference: None, ..model(name, 10, last_used_s) };
    let all = [model("keep", 10, 1.0), part("old", 2.0), model("a", 10, 3.0), part("new", 9_900.0)];
    let found = order(&all, &["keep"], 40);
    assert_eq!(found, ["/r/snapshots/old", "a", "/r/snapshots/new", "keep"]);
}

#[test]
fn m8_4_a_clock_that_goes_backwards_or_lies_decides_nothing_else() {
    let models = [model("nan", 1, f64::NAN), model("future", 1, 1e300), model("old", 1, 1.0)];
    assert_eq!(order(&models, &[], 1).first().map(String::as_str), Some("old"));
    assert_eq!(order(&models, &[], 1).len(), 3);
}
