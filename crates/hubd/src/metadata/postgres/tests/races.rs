//! Two processes on one database.

use futures::future::{join_all, try_join_all};

use super::*;

/// Turns of each race.
const TURNS: usize = 20;

async fn two(server: &Postgres) -> [PostgresMetadata; 2] {
    let url = server.database().unwrap();
    [open(&url).await, open(&url).await]
}

/// Opens a commit of one file and brings it.
async fn bring_commit(on: &PostgresMetadata, id: &str, mode: CommitMode) -> Result<(), MetadataError> {
    let pins = on.open_commit(commit(id, mode, &[(id, id)]), Author::unlimited(Reader::Operator)).await?.pins;
    for upload in pins.into_iter().filter_map(|pin| pin.upload) {
        bring(on, upload.id.as_str(), id).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h6_16_merges_through_two_processes_lose_no_file() {
    let server = Postgres::start().unwrap();
    let stores = two(&server).await;
    let turns = (0..TURNS).map(|turn| {
        let (on, other) = (&stores[turn % 2], &stores[(turn + 1) % 2]);
        async move {
            let id = format!("c{turn}");
            bring_commit(on, &id, CommitMode::Merge).await?;
            // The same through both: one commit is one checkpoint.
            let id: ServerId = id.parse().unwrap();
            let (one, same) = tokio::join!(finalize(on, &id), finalize(other, &id));
            assert_eq!(one?, same?);
            Ok::<_, MetadataError>(())
        }
    });
    try_join_all(turns).await.unwrap();
    let mut expected: Vec<String> = (0..TURNS).map(|turn| format!("c{turn}")).collect();
    expected.sort();
    assert_eq!(files(&stores[0]).await, expected);
    assert_eq!(files(&stores[1]).await, expected);
}

async fn finalize(on: &PostgresMetadata, id: &ServerId) -> Result<Finalized, MetadataError> {
    on.finalize_commit(repo(), id.clone(), NOW_S).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h6_21_a_commit_that_is_closed_while_it_is_finalized_is_one_or_the_other() {
    let server = Postgres::start().unwrap();
    let [one, two] = two(&server).await;
    for turn in 0..TURNS {
        let id: ServerId = format!("c{turn}").parse().unwrap();
        bring_commit(&one, id.as_str(), CommitMode::Replace).await.unwrap();
        let (done, closed) = tokio::join!(finalize(&one, &id), two.close_commit(repo(), id.clone(), NOW_S));
        closed.unwrap();
        match done {
            Ok(done) => assert_eq!(finalize(&two, &id).await.unwrap(), done),
            Err(MetadataError::Closed) => assert!(matches!(finalize(&two, &id).await, Err(MetadataError::Closed))),
            Err(error) => panic!("{error:?}"),
        }
    }
    whole(&server);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h4_22_of_two_that_create_one_ref_one_does() {
    let server = Postgres::start().unwrap();
    let stores = two(&server).await;
    for turn in 0..TURNS {
        let each = stores.iter().zip(["a", "b"]).map(|(on, name)| async move {
            let id = format!("u{turn}{name}");
            let mut new = upload(&id, &format!("ref{turn}"), &id);
            let UploadOwner::Media { create, .. } = &mut new.owner else { unreachable!() };
            *create = true;
            on.open_upload(new, Author::unlimited(Reader::Operator), NOW_S).await?;
            bring(on, &id, &id).await
        });
        let done = join_all(each).await;
        let refused = done.iter().filter(|done| matches!(done, Err(MetadataError::RefExists))).count();
        let made = done.iter().filter(|done| done.is_ok()).count();
        assert_eq!((made, refused), (1, 1), "{done:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h9_1_what_a_job_may_write_is_counted_over_all_processes() {
    let server = Postgres::start().unwrap();
    let stores = two(&server).await;
    let bytes_max = TURNS as u64 * 2;
    let each = (0..TURNS).flat_map(|turn| [(0, turn), (1, turn)]).map(|(process, turn)| {
        let on = &stores[process];
        async move {
            let id = format!("u{process}-{turn}");
            let budget = Some(Budget { job: "j1".to_owned(), bytes_max, expires_s: END_S });
            let author = Author { reader: Reader::Operator, budget };
            // Each is another content, of four bytes.
            on.open_upload(upload(&id, &id, &format!("{process}-{turn:02}")), author, NOW_S).await
        }
    });
    let opened = join_all(each).await;
    let refused = opened.iter().filter(|done| matches!(done, Err(MetadataError::OverBudget { .. }))).count();
    let made = opened.iter().filter(|done| done.is_ok()).count();
    assert_eq!((made, refused), (TURNS / 2, TURNS + TURNS / 2), "{opened:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h4_4_what_is_named_while_another_process_collects_it_stays_or_has_to_come() {
    let server = Postgres::start().unwrap();
    let [one, two] = two(&server).await;
    let (mut came, mut known) = (0, 0);
    for turn in 0..TURNS {
        // Nothing names the content any more when the race begins: its ref has moved on.
        save(&one, &format!("a{turn}"), "x", "content").await.unwrap();
        save(&one, &format!("b{turn}"), "x", "other").await.unwrap();
        let (id, mode) = (format!("c{turn}"), CommitMode::Replace);
        let naming = async {
            let files = [("f", "content")];
            let pins = one.open_commit(commit(&id, mode, &files), Author::unlimited(Reader::Operator)).await?.pins;
            let refs = save(&one, &format!("d{turn}"), "y", "content").await?;
            for upload in pins.into_iter().filter_map(|pin| pin.upload) {
                bring(&one, upload.id.as_str(), "content").await?;
            }
            one.finalize_commit(repo(), id.parse().unwrap(), NOW_S).await?;
            Ok::<_, MetadataError>(refs)
        };
        let collecting = async {
            for _ in 0..4 {
                two.sweep(NOW_S + 1, NOW_S, 100).await?;
            }
            Ok::<_, MetadataError>(())
        };
        let (named, collected) = tokio::join!(naming, collecting);
        collected.unwrap();
        if named.unwrap() {
            came += 1
        } else {
            known += 1
        }
        assert!(two.blob(Blake3Hash::of(b"content")).await.unwrap().is_some_and(|blob| blob.segments.len() == 1));
        whole(&server);
        // It is named by nothing again but the trees of earlier turns, which go.
        server
            .sql(
                "test0",
                "DELETE FROM hub.flavors; DELETE FROM hub.labels; DELETE FROM hub.files; DELETE FROM hub.checkpoints",
            )
            .unwrap();
        save(&one, &format!("e{turn}"), "y", "other").await.unwrap();
    }
    assert_eq!(came + known, TURNS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h5_4_two_processes_that_sweep_share_the_work() {
    let server = Postgres::start().unwrap();
    let [one, two] = two(&server).await;
    let opened = (0..TURNS).map(|turn| {
        let one = &one;
        async move {
            bring_commit(one, &format!("c{turn}"), CommitMode::Replace).await?;
            one.open_upload(upload(&format!("u{turn}"), "x", "never"), Author::unlimited(Reader::Anyone), NOW_S).await
        }
    });
    try_join_all(opened).await.unwrap();
    let sweep = async |on: &PostgresMetadata| {
        while on.sweep(END_S + 1, END_S, 7).await? {}
        Ok::<_, MetadataError>(())
    };
    let (first, second) = tokio::join!(sweep(&one), sweep(&two));
    first.and(second).unwrap();
    // One may have passed over what the other was at.
    sweep(&one).await.unwrap();
    assert_eq!(one.doomed(String::new(), 1_000).await.unwrap().len(), TURNS);
    let left = server.sql("test0", "SELECT count(*) FROM hub.blobs UNION ALL SELECT count(*) FROM hub.uploads UNION ALL SELECT count(*) FROM hub.commits WHERE state = 0").unwrap();
    assert_eq!(left, "0\n0\n0");
}

/// Every content has bytes that stay, and every pin of an open commit that says so has its content.
fn whole(server: &Postgres) {
    let broken = "SELECT 'no bytes ' || encode(blake3, 'hex') FROM hub.blobs AS b
             WHERE NOT EXISTS (SELECT 1 FROM hub.segments AS s WHERE s.blake3 = b.blake3)
         UNION ALL SELECT 'doomed ' || key FROM hub.segments JOIN hub.doomed USING (key)
         UNION ALL SELECT 'pinned ' || commit_id FROM hub.pins AS p
             WHERE here AND NOT EXISTS (SELECT 1 FROM hub.blobs AS b WHERE b.blake3 = p.blake3)";
    assert_eq!(server.sql("test0", broken).unwrap(), "");
}
