use super::*;

#[test]
fn m5_2_the_key_goes_to_their_hosts_and_to_the_server_of_the_options() {
    let url = |text: &str| Url::parse(text).unwrap();
    let base = url("http://127.0.0.1:8080/api/v1");
    for (to, may) in [
        ("https://civitai.com/api/download/models/1", true),
        ("https://www.civitai.com/x", true),
        ("https://api.civitai.com/x", true),
        ("http://127.0.0.1:8080/x", true),
        ("http://127.0.0.1:8081/x", false),
        ("http://civitai.com/x", false),
        ("https://civitai.com.evil.example/x", false),
        ("https://evil.example/civitai.com", false),
        ("https://files.civitai.com/x", false),
        ("https://civitai.com@evil.example/x", false),
    ] {
        assert_eq!(may_have_key(&base, &url(to)), may, "{to}");
    }
}
