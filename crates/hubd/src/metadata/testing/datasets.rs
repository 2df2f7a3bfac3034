//! Datasets.

use gen_worker_hub::{api::DatasetSchema, snapshot::SnapshotFile};

use super::*;
use crate::metadata::{DatasetChange, DatasetRecord, Holder, Reader};

fn record(id: &str, name: &str) -> DatasetRecord {
    DatasetRecord {
        id: parse(id),
        owner: "acme".to_owned(),
        name: name.to_owned(),
        private: true,
        schema: DatasetSchema::default(),
        row_artifacts: None,
    }
}

fn file(content: &str) -> SnapshotFile {
    let size_bytes = content.len() as u64;
    SnapshotFile { path: content.parse().expect("a path"), size_bytes, blake3: Blake3Hash::of(content.as_bytes()) }
}

fn within(owner: &str) -> Reader {
    job(owner, &[Area::Media]).reader
}

pub(super) async fn datasets(store: Store) {
    let on = &store.0;
    for (id, content) in [("u1", "one"), ("u2", "two")] {
        store.open_upload(store.media(id, content, content)).await.expect("it opens");
        assert!(store.part(id, id, content).await);
        on.complete_upload(parse(id), keys([id]), None, NOW_S).await.expect("it completes");
    }
    let create = async |id: &str, name: &str, files: &[&str], reader: Reader| {
        let files = files.iter().map(|content| file(content)).collect();
        on.create_dataset(record(id, name), files, reader, NOW_S).await
    };
    let stolen = create("d1", "Faces", &["one"], within("eve")).await;
    assert!(matches!(stolen, Err(MetadataError::Missing(paths)) if paths == ["one"]), "to know a hash is not enough");
    let missing = create("d1", "Faces", &["one", "three"], Reader::Operator).await;
    assert!(matches!(missing, Err(MetadataError::Missing(paths)) if paths == ["three"]));
    assert_eq!(on.dataset(parse("d1")).await.expect("a read"), None);
    create("d1", "Faces", &["one"], within("acme")).await.expect("it is made");
    let again = create("d2", "fACES", &[], Reader::Operator).await;
    assert!(matches!(again, Err(MetadataError::RefExists)));
    create("d2", "Eyes", &[], Reader::Operator).await.expect("it is made");
    let names = on.datasets("acme".to_owned()).await.expect("a list");
    assert_eq!(names.iter().map(|found| found.name.as_str()).collect::<Vec<_>>(), ["Eyes", "Faces"]);
    assert_eq!(on.datasets("eve".to_owned()).await.expect("a list"), []);
    changes(&store).await;
}

async fn changes(store: &Store) {
    let on = &store.0;
    let of_dataset = Holder::Dataset { owner: "acme".to_owned(), name: "Faces".to_owned(), private: true };
    let holders = async |content: &str| on.holders(Blake3Hash::of(content.as_bytes())).await.expect("a read");
    assert!(holders("one").await.contains(&of_dataset));
    let schema = |files: &[&str]| Some((DatasetSchema::default(), files.iter().map(|content| file(content)).collect()));
    // What it has stays within reach, whoever changes it; what it has not does not come in.
    let change = DatasetChange { schema: schema(&["one", "two"]), ..DatasetChange::default() };
    let stolen = on.change_dataset(parse("d1"), change, within("eve"), NOW_S).await;
    assert!(matches!(stolen, Err(MetadataError::Missing(paths)) if paths == ["two"]));
    let change = DatasetChange { schema: schema(&["one"]), private: Some(false), row_artifacts: Some(3.into()) };
    let changed = on.change_dataset(parse("d1"), change, within("eve"), NOW_S).await.expect("it changes");
    assert_eq!(changed.map(|found| (found.private, found.row_artifacts)), Some((false, Some(3.into()))));
    let kept =
        on.change_dataset(parse("d1"), DatasetChange::default(), Reader::Operator, NOW_S).await.expect("it stays");
    assert_eq!(kept.map(|found| (found.private, found.row_artifacts)), Some((false, Some(3.into()))));
    let none = on.change_dataset(parse("d9"), DatasetChange::default(), Reader::Operator, NOW_S).await;
    assert_eq!(none.expect("an answer"), None);
    // The media goes on to other content; the dataset keeps the first.
    store.open_upload(store.media("u9", "one", "two")).await.expect("it is known");
    on.sweep(END_S + 1, END_S, 100).await.expect("a sweep");
    assert_eq!(store.doomed().await, [""; 0]);
    let change = DatasetChange { schema: schema(&[]), ..DatasetChange::default() };
    on.change_dataset(parse("d1"), change, Reader::Operator, END_S).await.expect("it changes");
    on.sweep(END_S, END_S, 100).await.expect("a sweep");
    assert_eq!(store.doomed().await, [""; 0], "addresses of it live on");
    on.sweep(END_S + 1, END_S, 100).await.expect("a sweep");
    assert_eq!(store.doomed().await, ["u1"]);
}
