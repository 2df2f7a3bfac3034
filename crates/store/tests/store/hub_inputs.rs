//! Files of inputs that lie in the hub.

use std::sync::Arc;

use gen_worker_hub::{api::MediaUrlsRequest, token::ByteLimits};
use gen_worker_store::{InputError, InputFetcher, InputOptions, InputRequest, MimeList, PictureLimits, UploadContent};
use gen_worker_tasks::Scope;

use crate::{hub_server::served, upload_server::media};

#[tokio::test]
async fn h14_2_a_file_of_the_hub_is_of_the_kind_that_it_was_saved_as() {
    let directory = tempfile::tempdir().unwrap();
    let served = served(directory.path(), ByteLimits::default()).await;
    let mut upload = media("outputs/r1/picture", UploadContent::Bytes(b"a picture".as_slice().into()));
    upload.content_type = Some("image/png".to_owned());
    served.uploader.upload(&served.client, upload).await.unwrap();
    let request = MediaUrlsRequest { refs: vec!["outputs/r1/picture".parse().unwrap()] };
    let urls = served.client.media_urls(&request).await.unwrap();
    let url = urls.urls.values().next().unwrap().url.reveal().to_owned();
    let fetcher = InputFetcher::new(InputOptions::default(), Arc::new(Scope::new("inputs"))).unwrap();
    let fetch = async |kinds: &[&str]| {
        let accepted = MimeList::new(kinds);
        let request = InputRequest {
            url: &url,
            number: kinds.len(),
            directory: directory.path(),
            bytes_max: None,
            accepted: &accepted,
            expected: &[],
            picture: PictureLimits::default(),
            own: Some(&url),
        };
        fetcher.fetch(&request).await
    };
    for (number, kinds) in [&["image/*"][..], &["text/plain", "image/PNG"]].into_iter().enumerate() {
        assert_eq!(fetch(kinds).await.unwrap().mime_type, "image/png", "{number}");
    }
    let refused = fetch(&["audio/*", "application/octet-stream", "text/plain"]).await.unwrap_err();
    assert!(matches!(refused, InputError::Type { ref mime_type } if mime_type == "image/png"), "{refused:?}");
}
