use super::*;
use crate::hub::Resolved;

fn key(reference: &str) -> ModelKey {
    ModelKey { tenant: "dev".into(), reference: reference.into() }
}

fn found(valid_s: u64) -> Result<Lookup, HubUnavailable> {
    let snapshot = pb::Snapshot { digest: "d".into(), files: Vec::new() };
    Ok(Lookup::Found(Resolved { snapshot, valid: Duration::from_secs(valid_s) }))
}

fn at(seconds: u64) -> Tick {
    Tick(0).after(Duration::from_secs(seconds))
}

#[test]
fn one_asks_and_all_are_told() {
    let mut snapshots = Snapshots::default();
    assert_eq!(snapshots.want(&key("a/b"), 1, Attempt(1), at(0)), Asked::Ask);
    assert_eq!(snapshots.want(&key("a/b"), 2, Attempt(1), at(0)), Asked::Wait);
    assert_eq!(snapshots.want(&key("a/c"), 2, Attempt(1), at(0)), Asked::Ask);
    assert!(!snapshots.refresh(&key("a/b"), at(0)), "somebody asks already");
    let told = snapshots.answered(key("a/b"), found(60), at(0));
    assert_eq!(told, [(1, Attempt(1)), (2, Attempt(1))]);
    assert_eq!(snapshots.want(&key("a/b"), 3, Attempt(1), at(29)), Asked::Known);
    assert!(!snapshots.refresh(&key("a/b"), at(29)) && snapshots.refresh(&key("a/b"), at(30)));
    assert_eq!(snapshots.want(&key("a/b"), 3, Attempt(1), at(30)), Asked::Wait, "a tag may have moved");
    assert!(snapshots.files(&key("a/b"), at(59)).is_some() && snapshots.files(&key("a/b"), at(60)).is_none());
}

#[test]
fn what_is_not_there_and_what_was_refused_is_asked_again() {
    let mut snapshots = Snapshots::default();
    snapshots.answered(key("a/b"), Ok(Lookup::Absent), at(0));
    assert_eq!(snapshots.want(&key("a/b"), 1, Attempt(1), at(1)), Asked::Known);
    assert!(matches!(snapshots.get(&key("a/b"), at(1)), Said::Absent));
    assert_eq!(snapshots.want(&key("a/b"), 1, Attempt(1), at(2)), Asked::Ask);
    snapshots.answered(key("a/c"), found(2), at(0));
    assert_eq!(snapshots.want(&key("a/c"), 1, Attempt(1), at(2)), Asked::Ask, "never beyond its addresses");
    snapshots.answered(key("a/c"), found(60), at(2));
    snapshots.forget(&key("a/c"));
    assert!(matches!(snapshots.get(&key("a/c"), at(3)), Said::Silent));
    assert_eq!(snapshots.want(&key("a/c"), 1, Attempt(2), at(3)), Asked::Ask);
}

#[test]
fn a_hub_that_cannot_say_has_not_changed_its_mind() {
    let mut snapshots = Snapshots::default();
    snapshots.answered(key("a/b"), Err(HubUnavailable), at(0));
    assert!(matches!(snapshots.get(&key("a/b"), at(0)), Said::Silent));
    snapshots.answered(key("a/b"), found(100), at(2));
    snapshots.answered(key("a/b"), Err(HubUnavailable), at(40));
    assert!(snapshots.files(&key("a/b"), at(40)).is_some());
    assert_eq!(snapshots.fresh_until(&key("a/b")), Some(at(42)), "it is asked soon");
    assert!(snapshots.files(&key("a/b"), at(102)).is_none(), "but addresses end");
    snapshots.answered(key("a/b"), Ok(Lookup::Hidden), at(103));
    snapshots.answered(key("a/b"), Err(HubUnavailable), at(106));
    assert!(matches!(snapshots.get(&key("a/b"), at(107)), Said::Hidden));
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut snapshots = Snapshots::default();
    for number in 0..KNOWN_MAX + 2 {
        snapshots.answered(key(&number.to_string()), Ok(Lookup::Absent), at(number as u64));
    }
    assert_eq!(snapshots.known.len(), KNOWN_MAX);
    assert_eq!(snapshots.want(&key("0"), 1, Attempt(1), at(0)), Asked::Ask);
    let large = |bytes: usize| {
        let snapshot = pb::Snapshot { digest: "d".repeat(bytes), files: Vec::new() };
        Ok(Lookup::Found(Resolved { snapshot, valid: Duration::from_secs(60) }))
    };
    for number in 0..20 {
        snapshots.answered(key(&format!("large/{number}")), large(ANSWER_BYTES_MAX - 64), at(10_000 + number));
    }
    let sum: usize = snapshots.known.values().map(|known| known.bytes).sum();
    assert_eq!(sum, snapshots.bytes);
    assert!(sum <= BYTES_MAX && sum > BYTES_MAX / 2, "{sum}");
    snapshots.answered(key("huge/one"), large(ANSWER_BYTES_MAX + 1), at(20_000));
    assert!(matches!(snapshots.get(&key("huge/one"), at(20_000)), Said::Absent));
}
