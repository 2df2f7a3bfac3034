//! A client of S3 that can be told to do wrong.

use anyhow::{Context as _, Result};
use gen_worker_hub::api::TransferGrant;
use ring::{digest, hmac};

/// A request that is signed as it stands.
pub struct Signing<'a> {
    pub grant: &'a TransferGrant,
    pub method: &'a str,
    /// After the endpoint, with a slash in front.
    pub path: String,
    pub query: &'a str,
    /// Such as `19700112T134640Z`.
    pub time: &'a str,
    /// What is said of the payload.
    pub payload: String,
}

impl<'a> Signing<'a> {
    pub fn new(grant: &'a TransferGrant, method: &'a str, query: &'a str, body: &[u8]) -> Self {
        let path = format!("/{}/{}", grant.bucket, grant.key);
        Self { grant, method, path, query, time: "19700112T134640Z", payload: sha256(body) }
    }

    /// The address, and the headers that have to go with it.
    pub fn signed(&self) -> Result<(String, Vec<(&'static str, String)>)> {
        let Self { grant, method, path, query, time, payload } = self;
        let endpoint = grant.endpoint_url.reveal();
        let (host, prefix) = endpoint.trim_start_matches("http://").split_once('/').context("a path")?;
        let token = grant.session_token.as_deref().context("a token")?;
        let names = "host;x-amz-content-sha256;x-amz-date;x-amz-security-token";
        let request = format!(
            "{method}\n/{prefix}{path}\n{query}\nhost:{host}\nx-amz-content-sha256:{payload}\nx-amz-date:{time}\n\
             x-amz-security-token:{token}\n\n{names}\n{payload}"
        );
        let date = time.get(..8).context("a date")?;
        let scope = format!("{date}/{}/s3/aws4_request", grant.region);
        let to_sign = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", sha256(request.as_bytes()));
        let first = hmac::Key::new(hmac::HMAC_SHA256, format!("AWS4{}", grant.secret_access_key).as_bytes());
        let key = [date, &grant.region, "s3", "aws4_request"]
            .into_iter()
            .fold(first, |key, text| hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, text.as_bytes()).as_ref()));
        let signature = hex(hmac::sign(&key, to_sign.as_bytes()).as_ref());
        let id = &grant.access_key_id;
        let authorization =
            format!("AWS4-HMAC-SHA256 Credential={id}/{scope}, SignedHeaders={names}, Signature={signature}");
        let question = if query.is_empty() { "" } else { "?" };
        let headers = vec![
            ("authorization", authorization),
            ("x-amz-content-sha256", payload.clone()),
            ("x-amz-date", (*time).to_owned()),
            ("x-amz-security-token", token.to_owned()),
        ];
        Ok((format!("{endpoint}{path}{question}{query}"), headers))
    }

    /// Sends it with `body`: the status and the text of the reply.
    pub async fn send(&self, http: &reqwest::Client, body: Vec<u8>) -> Result<(u16, String)> {
        let (url, headers) = self.signed()?;
        let mut request = http.request(self.method.parse()?, url).body(body);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let reply = request.send().await?;
        Ok((reply.status().as_u16(), reply.text().await?))
    }
}

fn sha256(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
