use gen_worker_proto::{Attempt, RequestId};

use super::*;

const NOW_S: u64 = 1_800_000_000;

fn pair(id: &str, attempt: i64) -> Pair {
    Pair { request_id: RequestId::parse(id).unwrap(), attempt: Attempt(attempt) }
}

fn job<'a>(pair: &'a Pair, kind: &'a str, timeout: Option<Duration>) -> JobGrant<'a> {
    JobGrant { pair, worker_id: "w1", tenant: "dev", kind, timeout }
}

async fn hub() -> (tempfile::TempDir, PoolHub) {
    let directory = tempfile::tempdir().unwrap();
    let hub = PoolHub::open(Some(directory.path()), "http://hub.test").await.unwrap();
    (directory, hub)
}

#[test]
fn h9_2_h9_5_a_token_lives_as_long_as_the_work_or_its_timeout() {
    let pair = pair("r1", 1);
    let hour = Duration::from_secs(3600);
    let life_h = |kind, timeout| {
        let claims = claims(&job(&pair, kind, timeout), NOW_S);
        (claims.exp - claims.iat) / 900
    };
    assert_eq!([life_h("inference", None), life_h("", None)], [4, 4]);
    assert_eq!([life_h("conversion", None), life_h("dataset", None), life_h("training", None)], [96, 96, 672]);
    assert_eq!(life_h("inference", Some(5 * hour)), 21, "its timeout and a quarter of an hour");
    assert_eq!(life_h("training", Some(5 * hour)), 672);
    assert!(claims(&job(&pair, "", Some(Duration::MAX)), NOW_S).exp > NOW_S);
}

#[test]
fn h9_7_a_token_names_its_job_and_allows_what_its_kind_needs() {
    let pair = pair("r1", 2);
    let inference = claims(&job(&pair, "inference", None), NOW_S);
    assert_eq!((inference.sub.as_str(), inference.request_id.as_str(), inference.attempt), ("w1", "r1", 2));
    assert!(inference.allows(Area::Media, Right::Write, "dev", "x"));
    assert!(inference.allows(Area::Repo, Right::Read, "dev", "x"));
    assert!(!inference.allows(Area::Repo, Right::Write, "dev", "x"));
    assert!(!inference.allows(Area::Media, Right::Read, "other", "x"));
    let training = claims(&job(&pair, "training", None), NOW_S);
    assert!(
        training.allows(Area::Repo, Right::Write, "dev", "x") && !training.allows(Area::Repo, Right::Write, "o", "x")
    );
}

#[tokio::test]
async fn h9_3_h9_4_only_the_token_of_the_pair_is_renewed() {
    let (_directory, hub) = hub().await;
    let access = hub.access().unwrap();
    let held = pair("r1", 1);
    let old = access.token(&job(&held, "training", None));
    let renewed = access.renew(&held, &old).unwrap();
    let read = |token: &str| access.check.verify(&token.parse().unwrap(), now_s()).unwrap();
    assert_eq!(read(&renewed.token).grants, read(&old).grants);
    assert!(renewed.expires_at_unix >= read(&old).exp);
    assert_eq!(read(&renewed.token).exp, renewed.expires_at_unix);
    for wrong in [pair("r1", 2), pair("r2", 1)] {
        assert_eq!(access.renew(&wrong, &old).unwrap_err(), NotItsToken);
    }
    for token in ["", "x", "a.b.c"] {
        assert_eq!(access.renew(&held, token).unwrap_err(), NotItsToken);
    }
    hub.close().await;
}

#[tokio::test]
async fn refs_of_others_and_files_that_are_not_there_are_none() {
    let (_directory, hub) = hub().await;
    let access = hub.access().unwrap();
    for reference in ["owner/repo", "owner/repo@main", "12345", ""] {
        assert!(matches!(access.resolve("dev", reference).await, Ok(Lookup::Absent)), "{reference}");
    }
    assert_eq!(access.output("dev", "results/r1.msgpack").await, Ok(None));
    hub.close().await;
}
