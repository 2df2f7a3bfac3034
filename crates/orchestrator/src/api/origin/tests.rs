use super::*;

fn refused(host: Option<&'static str>, origin: Option<&'static str>) -> bool {
    let mut headers = HeaderMap::new();
    if let Some(host) = host {
        headers.insert(header::HOST, HeaderValue::from_static(host));
    }
    if let Some(origin) = origin {
        headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
    }
    refusal(&Uri::from_static("/v1/requests"), &headers).is_some()
}

#[test]
fn programs_that_name_the_server_by_address_come_in() {
    for host in ["127.0.0.1:8080", "localhost:8080", "LOCALHOST", "[::1]:8080", "10.0.0.5:8080"] {
        assert!(!refused(Some(host), None), "{host}");
    }
    assert!(!refused(None, None), "HTTP/1.0");
}

#[test]
fn p19_pages_of_another_origin_are_kept_out() {
    let own = Some("127.0.0.1:8080");
    assert!(!refused(own, Some("http://127.0.0.1:8080")), "a page of ours");
    for origin in ["http://example.org", "https://127.0.0.1:8081", "http://localhost:8080", "null", "", "://"] {
        assert!(refused(own, Some(origin)), "{origin}");
    }
    assert!(refused(None, Some("http://127.0.0.1:8080")), "nothing to compare with");
}

#[test]
fn p19_names_that_anybody_can_point_here_are_kept_out() {
    for host in ["example.org", "example.org:8080", "127.0.0.1.example.org", "localhost.example.org", "[::1", "a b", ""]
    {
        assert!(refused(Some(host), None), "{host:?}");
    }
}

#[test]
fn the_authority_of_http_2_counts_as_the_host() {
    let foreign = Uri::from_static("http://example.org:8080/v1/requests");
    assert!(refusal(&foreign, &HeaderMap::new()).is_some());
    let own = Uri::from_static("http://127.0.0.1:8080/v1/requests");
    assert!(refusal(&own, &HeaderMap::new()).is_none());
}
