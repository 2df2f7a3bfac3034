//! Releases and tags of endpoints.

use gen_worker_hub::names::{ReleaseId, Slug, Tag};

use super::*;
use crate::metadata::{
    Actor, EndpointName, Expectation, LogEntry, MovedTag, NewPromotion, NewRelease, PUBLISH_KEY_S, ProjectName,
    ReleaseAction, ReleaseError, ReleaseImage, ReleaseLabels,
};

fn project(name: &str) -> ProjectName {
    ProjectName { tenant: "acme".to_owned(), project: slug(name) }
}

fn slug(name: &str) -> Slug {
    name.parse().expect("a slug")
}

fn tag() -> Tag {
    "prod".parse().expect("a tag")
}

/// The release `letter`.
fn release(letter: char) -> ReleaseId {
    format!("r_{}", letter.to_string().repeat(26)).parse().expect("an id")
}

fn new(letter: char, endpoints: &[&str], key: Option<&str>) -> NewRelease {
    NewRelease {
        id: release(letter),
        project: project("paint"),
        manifest: format!("{{ \"of\": \"{letter}\" }}"),
        endpoints: endpoints.iter().map(|name| slug(name)).collect(),
        image: Some(ReleaseImage { reference: "registry/paint:1".to_owned(), digest: None }),
        source_digest: None,
        compatibility_version: Some("2".to_owned()),
        notes: Some("why".to_owned()),
        key: key.map(str::to_owned),
    }
}

fn by(name: &str, now_s: u64) -> Actor {
    Actor { name: name.to_owned(), now_s, reason: None }
}

fn refused<T: std::fmt::Debug>(outcome: Result<T, MetadataError>) -> ReleaseError {
    let refusal = match outcome {
        Err(MetadataError::Release(error)) => Some(error),
        _ => None,
    };
    refusal.expect("a refusal is expected")
}

impl Store {
    async fn publish(&self, letter: char, endpoints: &[&str]) {
        let (_, is_new) =
            self.0.publish(new(letter, endpoints, None), by("ann", NOW_S)).await.expect("it is published");
        assert!(is_new);
    }

    async fn promote(
        &self,
        letter: char,
        endpoints: Option<&[&str]>,
        expected: Expectation,
    ) -> Result<Vec<MovedTag>, MetadataError> {
        let endpoints = endpoints.map(|names| names.iter().map(|name| slug(name)).collect());
        let promotion = NewPromotion { release: release(letter), endpoints, tag: tag(), expected };
        self.0.promote(project("paint"), promotion, by("bob", NOW_S + 1)).await
    }

    async fn roll_back(&self, to: Option<char>) -> Result<MovedTag, MetadataError> {
        self.0.roll_back(project("paint"), slug("draw"), tag(), to.map(release), by("eve", NOW_S + 2)).await
    }

    /// Where `prod` of `draw` points, and how often it was changed.
    async fn points_at(&self) -> Option<(ReleaseId, u64)> {
        let tags = self.0.tags(project("paint"), vec![slug("draw")]).await.expect("the tags");
        tags.into_iter().next().map(|tag| (tag.release, tag.generation))
    }
}

/// A release is kept as it came, has a number of its own, and goes when no tag points at it.
pub(super) async fn releases(store: Store) {
    let on = &store.0;
    let get = async |letter| on.release(project("paint"), release(letter)).await.expect("a read");
    assert_eq!(get('a').await, None);
    let (first, is_new) = on.publish(new('a', &["draw", "erase"], None), by("ann", NOW_S)).await.expect("a release");
    assert!(is_new && first.seq == 1 && first.author == "ann" && first.created_s == NOW_S);
    assert_eq!(first.new, new('a', &["draw", "erase"], None));
    assert_eq!(get('a').await, Some(first));
    assert_eq!(on.release(project("other"), release('a')).await.expect("a read"), None, "it is of another project");
    store.publish('b', &["draw"]).await;
    store.publish('c', &["fill"]).await;
    let list = async |before, limit| {
        let rows = on.releases(project("paint"), before, limit).await.expect("a list");
        rows.into_iter().map(|row| (row.id, row.seq)).collect::<Vec<_>>()
    };
    assert_eq!(list(None, 2).await, [(release('c'), 3), (release('b'), 2)]);
    assert_eq!(list(Some(2), 2).await, [(release('a'), 1)]);
    let endpoints = async |after: Option<&str>, limit| {
        let found = on.endpoints(project("paint"), after.map(slug), limit).await.expect("a list");
        found.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(endpoints(None, 2).await, ["draw", "erase"]);
    assert_eq!(endpoints(Some("erase"), 2).await, ["fill"]);
    store.promote('c', None, Expectation::Anything).await.expect("a promotion");
    let drop_it = async |letter| on.drop_release(project("paint"), release(letter), by("ann", NOW_S)).await;
    assert_eq!(refused(drop_it('c').await), ReleaseError::InUse);
    assert_eq!(get('c').await.map(|found| found.tags), Some(vec![(slug("fill"), tag())]));
    drop_it('a').await.expect("it goes");
    assert_eq!(refused(drop_it('a').await), ReleaseError::UnknownRelease);
    assert_eq!(endpoints(None, 9).await, ["draw", "fill"]);
    store.publish('d', &["draw"]).await;
    assert_eq!(list(None, 1).await, [(release('d'), 4)], "numbers are not used again");
}

/// A repeat with the key of an earlier call finds what that one published, for a day and as long as it is there.
pub(super) async fn publish_keys(store: Store) {
    let publish = async |letter, key, now_s| {
        let done = store.0.publish(new(letter, &["draw"], key), by("ann", now_s)).await.expect("a release");
        (done.0.new.id, done.1)
    };
    assert_eq!(publish('a', Some("k"), NOW_S).await, (release('a'), true));
    assert_eq!(publish('b', Some("k"), NOW_S + PUBLISH_KEY_S - 1).await, (release('a'), false));
    assert_eq!(publish('c', None, NOW_S).await, (release('c'), true));
    assert_eq!(publish('d', Some("other"), NOW_S).await, (release('d'), true));
    assert_eq!(publish('e', Some("k"), NOW_S + PUBLISH_KEY_S).await, (release('e'), true), "a day has passed");
    store.0.drop_release(project("paint"), release('e'), by("ann", NOW_S)).await.expect("it goes");
    assert_eq!(publish('f', Some("k"), NOW_S + PUBLISH_KEY_S).await, (release('f'), true), "it is not there any more");
}

/// Tags move all or none, where they are expected, and only to releases that have the endpoint.
pub(super) async fn promotions(store: Store) {
    store.publish('a', &["draw", "erase"]).await;
    store.publish('b', &["draw"]).await;
    assert_eq!(store.points_at().await, None, "to publish moves nothing");
    assert_eq!(refused(store.promote('z', None, Expectation::Anything).await), ReleaseError::UnknownRelease);
    let both: &[&str] = &["draw", "erase"];
    let missing = store.promote('b', Some(both), Expectation::Anything).await;
    assert_eq!(refused(missing), ReleaseError::NotInRelease { endpoint: slug("erase") });
    assert_eq!(store.points_at().await, None, "all or none");
    let moved = store.promote('a', None, Expectation::Nothing).await.expect("a promotion");
    let told: Vec<_> = moved.iter().map(|moved| (moved.now.endpoint.to_string(), moved.now.generation)).collect();
    assert_eq!(told, [("draw".to_owned(), 1), ("erase".to_owned(), 1)]);
    let conflict = refused(store.promote('b', None, Expectation::Nothing).await);
    assert_eq!(conflict, ReleaseError::Conflict { endpoint: slug("draw"), current: Some(release('a')) });
    let wrong = Expectation::Release(release('b'));
    assert!(matches!(refused(store.promote('a', None, wrong).await), ReleaseError::Conflict { .. }));
    let moved = store.promote('b', None, Expectation::Release(release('a'))).await.expect("a promotion");
    assert_eq!(moved[0].before, Some(release('a')));
    let again = store.promote('b', None, Expectation::Anything).await.expect("the same again");
    assert_eq!((again[0].before.clone(), again[0].now.generation), (Some(release('b')), 2), "nothing changes");
    assert_eq!(store.points_at().await, Some((release('b'), 2)));
    let tags = store.0.tags(project("paint"), vec![slug("erase"), slug("draw")]).await.expect("the tags");
    assert_eq!(tags.iter().map(|tag| tag.release.clone()).collect::<Vec<_>>(), [release('a'), release('b')]);
    // Of two writers with one expectation, one wins.
    let expected = || Expectation::Release(release('b'));
    store.publish('c', &["draw"]).await;
    let (one, other) =
        tokio::join!(store.promote('a', Some(&["draw"]), expected()), store.promote('c', None, expected()));
    assert_eq!([one.is_ok(), other.is_ok()].iter().filter(|won| **won).count(), 1);
    assert_eq!(store.points_at().await.map(|(_, generation)| generation), Some(3));
}

/// Variables know a release of their owner by the tags of their own endpoint, and by its version.
pub(super) async fn labels(store: Store) {
    store.publish('a', &["draw", "erase"]).await;
    let labels = async |owner: &str, endpoint: &str, letter| {
        let of = EndpointName { owner: owner.to_owned(), endpoint: endpoint.to_owned() };
        store.0.release_labels(of, release(letter)).await.expect("a read")
    };
    let expected = |tags: &[&str]| {
        let tags = tags.iter().map(|tag| tag.parse().expect("a tag")).collect();
        Some(ReleaseLabels { tags, compatibility_version: Some("2".to_owned()) })
    };
    assert_eq!(labels("acme", "draw", 'a').await, expected(&[]), "nothing points at it");
    store.promote('a', Some(&["draw"]), Expectation::Anything).await.expect("a promotion");
    let beta = NewPromotion {
        release: release('a'),
        endpoints: None,
        tag: "beta".parse().expect("a tag"),
        expected: Expectation::Anything,
    };
    store.0.promote(project("paint"), beta, by("bob", NOW_S + 1)).await.expect("a promotion");
    assert_eq!(labels("acme", "draw", 'a').await, expected(&["beta", "prod"]));
    assert_eq!(labels("acme", "erase", 'a').await, expected(&["beta"]), "tags of another endpoint are not its own");
    assert_eq!(labels("eve", "draw", 'a').await, None, "it is of another owner");
    assert_eq!(labels("acme", "draw", 'b').await, None, "there is no such release");
}

/// A rollback goes to the release before, the next one further back, past what is gone.
pub(super) async fn rollbacks(store: Store) {
    assert_eq!(refused(store.roll_back(None).await), ReleaseError::UnknownTag);
    for letter in ['a', 'b', 'c', 'd'] {
        store.publish(letter, &["draw"]).await;
        store.promote(letter, None, Expectation::Anything).await.expect("a promotion");
    }
    store.0.drop_release(project("paint"), release('b'), by("ann", NOW_S)).await.expect("no tag points at it");
    let back = store.roll_back(None).await.expect("a rollback");
    assert_eq!((back.now.release, back.before, back.now.generation), (release('c'), Some(release('d')), 5));
    assert_eq!(store.roll_back(None).await.expect("a rollback").now.release, release('a'), "past what is gone");
    assert_eq!(refused(store.roll_back(None).await), ReleaseError::NoPrevious);
    assert_eq!(refused(store.roll_back(Some('d')).await), ReleaseError::NoPrevious, "that is a promotion");
    assert_eq!(store.points_at().await, Some((release('a'), 6)));
    for letter in ['c', 'd'] {
        store.promote(letter, None, Expectation::Anything).await.expect("a promotion");
    }
    assert_eq!(store.roll_back(Some('a')).await.expect("a rollback").now.release, release('a'));
    let history = async |before, limit| {
        store.0.history(project("paint"), slug("draw"), tag(), before, limit).await.expect("the log")
    };
    let last = history(None, 2).await;
    let told = |entry: &LogEntry| (entry.action, entry.from.clone(), entry.to.clone(), entry.actor.name.clone());
    let expected = |action, from, to, who: &str| (action, Some(release(from)), Some(release(to)), who.to_owned());
    assert_eq!(told(&last[0]), expected(ReleaseAction::Rollback, 'd', 'a', "eve"));
    assert_eq!(told(&last[1]), expected(ReleaseAction::Promote, 'c', 'd', "bob"));
    assert_eq!(history(Some(last[1].number), 100).await.len(), 7, "the log is append-only");
    store.0.drop_tag(project("paint"), slug("draw"), tag(), by("ann", NOW_S)).await.expect("it goes");
    let gone = store.0.drop_tag(project("paint"), slug("draw"), tag(), by("ann", NOW_S)).await;
    assert_eq!(refused(gone), ReleaseError::UnknownTag);
    store.promote('d', None, Expectation::Nothing).await.expect("a promotion");
    assert_eq!(store.points_at().await, Some((release('d'), 11)), "its changes are counted on");
    assert_eq!(refused(store.roll_back(None).await), ReleaseError::NoPrevious);
}
