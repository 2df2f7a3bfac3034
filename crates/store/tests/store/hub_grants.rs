//! Uploads by grant to the real hub.

use std::sync::Arc;

use gen_worker_hub::{
    Blake3Hash, Digest,
    api::{SessionOpen, UploadPlace},
    client::UploadTarget,
    token::ByteLimits,
};
use gen_worker_store::{Progress, Transferred, Upload, UploadContent, UploadFailure};
use parking_lot::Mutex;

use crate::hub_server::{Served, served};

#[derive(Default)]
struct Heard(Mutex<Transferred>);

impl Progress for Heard {
    fn transferred(&self, so_far: Transferred) {
        *self.0.lock() = so_far;
    }
}

/// Where the files of a new session of `acme/model` go.
async fn session(served: &Served) -> UploadTarget {
    let repo = "acme/model".parse().unwrap();
    let open = SessionOpen { job_id: Some("j1".to_owned()), ..SessionOpen::default() };
    let session = served.client.open_session(&repo, &open).await.unwrap().session_id;
    UploadTarget::Revision { repo, session }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h4_25_a_small_file_and_one_in_parts_reach_a_session_of_the_hub() {
    let directory = tempfile::tempdir().unwrap();
    let served = served(directory.path(), ByteLimits::default()).await;
    let target = session(&served).await;
    for size in [1024, 65 << 20] {
        let bytes: Vec<u8> = (0..size).map(|at: u32| (at % 251) as u8).collect();
        let path = directory.path().join("content");
        std::fs::write(&path, &bytes).unwrap();
        let place = UploadPlace::Path(format!("step-{size}/model.safetensors").parse().unwrap());
        let mut upload = Upload::new(target.clone(), place, UploadContent::File(path));
        let heard = Arc::new(Heard::default());
        upload.progress = heard.clone();
        let file = served.uploader.upload(&served.client, upload.clone()).await.unwrap();
        assert_eq!((file.blake3, file.size_bytes), (Blake3Hash::of(&bytes), u64::from(size)));
        assert_eq!(file.sha256.as_deref(), Some(Digest::sha256(&bytes).hex().as_str()));
        let whole = Transferred { bytes_done: u64::from(size), bytes_total: u64::from(size) };
        assert_eq!(*heard.0.lock(), whole);
        let known = served.uploader.upload(&served.client, upload).await.unwrap();
        assert_eq!((known.blake3, known.created), (file.blake3, Some(false)));
    }
}

#[tokio::test]
async fn h4_2_a_session_that_has_ended_takes_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let served = served(directory.path(), ByteLimits::default()).await;
    let target = session(&served).await;
    let UploadTarget::Revision { repo, session } = &target else { panic!("{target:?}") };
    served.client.abort_session(repo, session).await;
    let place = UploadPlace::Path("a".parse().unwrap());
    let upload = Upload::new(target, place, UploadContent::Bytes(vec![1; 10].into()));
    let error = served.uploader.upload(&served.client, upload).await.unwrap_err();
    assert_eq!(error.failure(), UploadFailure::Terminal, "{error:?}");
}
