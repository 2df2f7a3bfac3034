//! All parts of one file, some at once.

use std::sync::Arc;

use futures::{StreamExt as _, stream::FuturesUnordered};
use gen_worker_hub::api::{PartEtag, PartUrls};

use super::{error::UploadError, part::PartSender};

/// Sends all parts, as many at a time as the options say. When one fails the others are dropped.
pub(super) async fn send_all(sender: PartSender<'_>, urls: &PartUrls) -> Result<Vec<PartEtag>, UploadError> {
    let open_max = sender.options.open_per_file();
    let sender = Arc::new(sender);
    let mut waiting = urls.parts();
    let mut running = FuturesUnordered::new();
    let mut etags = Vec::new();
    loop {
        while running.len() < open_max {
            let Some((range, url)) = waiting.next() else { break };
            let sender = sender.clone();
            running.push(async move { sender.send(range, url).await });
        }
        match running.next().await {
            Some(etag) => etags.push(etag?),
            None => return Ok(etags),
        }
    }
}
