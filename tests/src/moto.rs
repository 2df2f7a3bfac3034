//! An S3 server that others wrote, with a bucket.

use std::{process::Command, sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use http::Method;
use object_store::{
    ObjectStore,
    aws::{AmazonS3, AmazonS3Builder},
    path::Path,
    signer::Signer as _,
};

use crate::{Process, binaries::workspace};

/// The bucket.
const BUCKET: &str = "hub";

/// A running server. Ends with its guard, and forgets everything then.
#[derive(Debug)]
pub struct Moto {
    /// Its base URL.
    pub url: String,
    _process: Process,
}

impl Moto {
    /// Starts one on a free local port and makes its bucket.
    ///
    /// # Errors
    /// When it is not installed or does not start.
    pub fn start() -> Result<Self> {
        // Its own script names the directory in which it was installed.
        let python = workspace().join("target/peers/moto/bin/python");
        ensure!(python.is_file(), "no S3 server at {}: run `cargo xtask setup`", python.display());
        let words = ["-m", "moto.server", "-H", "127.0.0.1", "-p", "0"];
        let mut process = Process::start("moto", Command::new(python).args(words))?;
        let line = process.wait_for_line("Running on")?;
        let url = line.split("Running on ").nth(1).context("an address")?.trim().to_owned();
        let made = ureq::put(format!("{url}/{BUCKET}")).send_empty().context("make the bucket")?;
        ensure!(made.status().is_success(), "make the bucket: {}", made.status());
        Ok(Self { url, _process: process })
    }

    /// The bucket.
    ///
    /// # Errors
    /// Never in practice: the settings are whole.
    pub fn bucket(&self) -> Result<Arc<dyn ObjectStore>> {
        Ok(Arc::new(self.s3()?))
    }

    /// An address under which an object of the bucket can be read for a minute, as a hub would hand it out.
    ///
    /// # Errors
    /// Never in practice: the settings are whole.
    pub async fn signed(&self, key: &str) -> Result<String> {
        let url = self.s3()?.signed_url(Method::GET, &Path::from(key), Duration::from_secs(60)).await?;
        Ok(url.to_string())
    }

    pub(crate) fn s3(&self) -> Result<AmazonS3> {
        // Its HTTP client wants one, also without TLS. The first of a process stays.
        drop(tokio_rustls::rustls::crypto::ring::default_provider().install_default());
        let bucket = AmazonS3Builder::new()
            .with_endpoint(&self.url)
            .with_allow_http(true)
            .with_bucket_name(BUCKET)
            .with_region("us-east-1")
            .with_access_key_id("testing")
            .with_secret_access_key("testing")
            .build()?;
        Ok(bucket)
    }
}
