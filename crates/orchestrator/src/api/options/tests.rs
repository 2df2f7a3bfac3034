use std::time::Duration;

use axum::http::HeaderMap;

use super::{AT_ONCE, Prefer, RequestOptions, SYNCHRONOUS, UnixMs};
use crate::request::Options;

#[test]
fn what_is_left_out_takes_the_default_of_its_route() {
    let run = RequestOptions::default().resolve(SYNCHRONOUS, UnixMs(0)).unwrap();
    assert_eq!((run.wait, run.cancel_on_disconnect), (Duration::from_secs(60), true));
    let submit = RequestOptions::default().resolve(AT_ONCE, UnixMs(0)).unwrap();
    assert_eq!((submit.wait, submit.cancel_on_disconnect), (Duration::ZERO, false));
    assert_eq!(submit.options, Options::default());
}

#[test]
fn a_deadline_counts_from_the_submit() {
    let asked = RequestOptions { deadline_ms: Some(500), ..RequestOptions::default() };
    let call = asked.resolve(AT_ONCE, UnixMs(1_000)).unwrap();
    assert_eq!((call.options.deadline, call.deadline_ms), (Some(UnixMs(1_500)), 500));
}

#[test]
fn headers_have_the_last_word() {
    let mut headers = HeaderMap::new();
    headers.insert("x-timeout-ms", "7".parse().unwrap());
    headers.insert("x-cancel-on-disconnect", "false".parse().unwrap());
    headers.append("prefer", "respond-async, Wait=5".parse().unwrap());
    headers.append("prefer", "bytes=\"inline\"; return=minimal".parse().unwrap());
    let prefer = Prefer::read(&headers);
    assert_eq!(prefer, Prefer { wait_seconds: Some(5), bytes_inline: true, minimal: true });
    let asked = RequestOptions { timeout_ms: Some(1), wait_ms: Some(1), ..RequestOptions::default() };
    let call = asked.with_headers(&headers, prefer).unwrap().resolve(SYNCHRONOUS, UnixMs(0)).unwrap();
    assert_eq!((call.options.timeout_ms, call.wait, call.cancel_on_disconnect), (7, Duration::from_secs(5), false));
    let long = Prefer { wait_seconds: Some(u64::MAX), ..Prefer::default() };
    let call = RequestOptions::default().with_headers(&HeaderMap::new(), long).unwrap();
    assert_eq!(call.resolve(AT_ONCE, UnixMs(0)).unwrap().wait, Duration::from_secs(60));
}
