//! The address of an orchestrator's HTTP API.

/// Scheme, authority and path prefix of `--url`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ApiUrl {
    /// `host:port`, as the `Host` header has it.
    pub(super) authority: String,
    /// `host:port` to dial, the port always present.
    pub(super) dial: String,
    /// Path before `/v1`, without a slash at its end.
    pub(super) prefix: String,
}

impl ApiUrl {
    /// Reads `http://host[:port][/prefix]`; without a scheme `http` is meant.
    ///
    /// # Errors
    /// A text for the user.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let rest = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest,
            Some(_) => return Err(format!("address {text:?} must start with http://")),
            None => text,
        };
        let (authority, path) = rest.split_once('/').map_or((rest, ""), |(authority, path)| (authority, path));
        let uri: http::Uri = format!("http://{authority}/{path}")
            .parse()
            .map_err(|_| format!("address {text:?} is not of the form http://host:port"))?;
        let host = uri.host().filter(|host| !host.is_empty() && !authority.contains('@'));
        let Some((host, plain)) = host.zip(uri.authority()) else {
            return Err(format!("address {text:?} has no host"));
        };
        if plain.port().is_none() && plain.as_str() != host {
            return Err(format!("address {text:?} has a bad port"));
        }
        let dial = format!("{host}:{}", uri.port_u16().unwrap_or(80));
        Ok(Self { authority: plain.to_string(), dial, prefix: uri.path().trim_end_matches('/').to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_an_address() {
        let url = |text: &str| ApiUrl::parse(text).map(|url| (url.dial, url.prefix));
        let plain = Ok(("127.0.0.1:8080".to_owned(), String::new()));
        assert_eq!(url("http://127.0.0.1:8080"), plain);
        assert_eq!(url("127.0.0.1:8080/"), plain);
        assert_eq!(url("http://h/a/b/"), Ok(("h:80".to_owned(), "/a/b".to_owned())));
        assert_eq!(url("http://[::1]:9"), Ok(("[::1]:9".to_owned(), String::new())));
        for wrong in ["https://h", "ftp://h", "http://", "http://u@h", "http://h:notaport", ""] {
            assert!(url(wrong).is_err(), "{wrong}");
        }
    }
}
