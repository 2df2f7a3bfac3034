use super::*;

fn at(seconds: u64) -> Tick {
    Tick(1).after(Duration::from_secs(seconds))
}

const DOWNLOAD: ModelOpKind = ModelOpKind::Download;
const LOAD: ModelOpKind = ModelOpKind::Load;

fn told(operations: &mut Operations, state: ModelState, error: &str, now: Tick) -> Option<Ended> {
    operations.told("a", state, error, now)
}

#[test]
fn one_at_a_time_until_its_end() {
    let mut operations = Operations::default();
    assert!(!operations.is_busy("a", "d1"));
    operations.sent("a", LOAD, "d1", at(0));
    assert!(operations.is_busy("a", "d1") && operations.is_busy("a", "d2") && !operations.is_busy("b", "d1"));
    assert_eq!(operations.loading().collect::<Vec<_>>(), ["a"]);
    assert_eq!(told(&mut operations, ModelState::Downloading, "", at(1)), None);
    assert_eq!(told(&mut operations, ModelState::OnDisk, "", at(2)), None, "not loaded yet");
    assert_eq!(told(&mut operations, ModelState::InRam, "", at(3)), Some(Ended::Done("d1".into())));
    assert_eq!(told(&mut operations, ModelState::InRam, "", at(3)), None, "nobody waits for it");
    assert!(operations.is_busy("a", "d1"), "the functions follow");
    assert!(!operations.is_busy("a", "d2"), "a new version does not wait for that");
    assert_eq!(operations.due(), Some(at(8)));
    operations.pass(at(8));
    assert!(!operations.is_busy("a", "d1") && operations.due().is_none());
    assert!(operations.has_tried("a", "d1") && !operations.has_tried("a", "d2"));
}

#[test]
fn o26_silence_is_not_done() {
    let mut operations = Operations::default();
    operations.sent("a", DOWNLOAD, "d1", at(0));
    operations.sent("b", ModelOpKind::Unload, "", at(0));
    assert_eq!(operations.due(), Some(at(60)));
    operations.pass(at(60));
    assert!(!operations.loading().any(|_| true) && operations.is_busy("a", "d1"));
    told(&mut operations, ModelState::Downloading, "", at(500));
    operations.pass(at(1_099));
    assert_eq!(told(&mut operations, ModelState::Downloading, "", at(1_099)), None, "progress starts it anew");
    operations.pass(at(1_699));
    assert_eq!(told(&mut operations, ModelState::OnDisk, "", at(1_699)), None, "it was given up");
    assert!(operations.is_busy("a", "d1"));
    operations.pass(at(1_704));
    assert!(!operations.is_busy("a", "d1"), "and may be sent again");
}

#[test]
fn c29_what_failed_waits_longer_each_time_unless_only_addresses_were_missing() {
    let mut operations = Operations::default();
    for expected in [true, true, true, false] {
        operations.sent("a", LOAD, "d1", at(0));
        assert_eq!(told(&mut operations, ModelState::Failed, "url_expired", at(0)), Some(Ended::Unfetchable));
        assert_eq!(!operations.is_busy("a", "d1"), expected, "at once, but not for ever");
    }
    let mut operations = Operations::default();
    for seconds in [5, 10, 20, 40, 80, 160, 300, 300] {
        operations.sent("a", LOAD, "d1", at(0));
        assert_eq!(told(&mut operations, ModelState::Failed, "insufficient_disk", at(0)), Some(Ended::Failed));
        assert_eq!(operations.due(), Some(at(seconds)));
    }
    operations.sent("a", LOAD, "d2", at(0));
    assert_eq!(told(&mut operations, ModelState::Failed, "anything", at(0)), Some(Ended::Failed));
    assert_eq!(operations.due(), Some(at(5)), "other files begin anew");
    operations.sent("a", LOAD, "d2", at(0));
    assert_eq!(told(&mut operations, ModelState::Failed, "oom", at(0)), Some(Ended::NoMemory));
    operations.hurry("a", at(1));
    operations.pass(at(1));
    assert!(!operations.is_busy("a", "d2"));
    operations.clear();
    assert!(operations.due().is_none() && !operations.has_tried("a", "d2"));
}
