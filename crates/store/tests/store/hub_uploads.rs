//! Uploads to the real hub.

use gen_worker_hub::{Blake3Hash, Digest, token::ByteLimits};
use gen_worker_store::{UploadContent, UploadFailure};

use crate::{
    hub_server::{PART, served},
    upload_server::media,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h4_21_files_and_bytes_reach_the_hub_whole_and_are_known_afterwards() {
    let directory = tempfile::tempdir().unwrap();
    let served = served(directory.path(), ByteLimits::default()).await;
    for size in [1, PART - 1, PART, PART + 1, 30 * PART + 7] {
        let content: Vec<u8> = (0..size).map(|at| (at % 251) as u8 ^ size as u8).collect();
        let path = directory.path().join("content");
        std::fs::write(&path, &content).unwrap();
        let mut upload = media("outputs/r1/a.bin", UploadContent::File(path));
        upload.content_type = Some("image/png".to_owned());
        let file = served.uploader.upload(&served.client, upload).await.unwrap();
        assert_eq!((file.blake3, file.size_bytes), (Blake3Hash::of(&content), size as u64));
        assert_eq!(file.sha256.as_deref(), Some(Digest::sha256(&content).hex().as_str()));
        assert_eq!((file.created, file.mime_type.as_str()), (Some(size == 1), "image/png"));
        let known = media("outputs/r1/b.bin", UploadContent::Bytes(content.into()));
        let known = served.uploader.upload(&served.client, known).await.unwrap();
        assert_eq!((known.blake3, known.reference.as_str()), (file.blake3, "outputs/r1/b.bin"));
    }
}

#[tokio::test]
async fn h4_22_a_name_that_is_taken_and_a_file_above_the_tokens_limit_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let served = served(directory.path(), ByteLimits { total: None, per_file: Some(99) }).await;
    let content = |bytes: usize| UploadContent::Bytes(vec![1; bytes].into());
    let mut upload = media("a", content(10));
    upload.create = true;
    served.uploader.upload(&served.client, upload.clone()).await.unwrap();
    upload.content = content(11);
    let taken = served.uploader.upload(&served.client, upload).await.unwrap_err();
    assert_eq!(taken.failure(), UploadFailure::Terminal, "{taken:?}");
    let large = served.uploader.upload(&served.client, media("b", content(100))).await.unwrap_err();
    assert_eq!(large.failure(), UploadFailure::Terminal, "{large:?}");
}
