use quote::quote;

use super::*;

#[track_caller]
fn refused(item: TokenStream) -> String {
    payload(item).map(|code| code.to_string()).expect_err("a refusal").to_string()
}

#[test]
fn v18_payloads_have_a_shape() {
    assert!(refused(quote! { struct P<T> { a: T } }).contains("cannot be generic"));
    assert!(refused(quote! { struct P; }).contains("struct Name {}"));
    assert!(refused(quote! { union P { a: u8 } }).contains("a union has no encoding"));
}

#[test]
fn e70_bounds_are_known_literals() {
    let cases = [
        (quote!(least = 1), "unknown bound"),
        (quote!(min = "1"), "a bound is a number literal"),
        (quote!(min = x), "a bound is a number literal"),
        (quote!(min_len = -1), "a length is an integer literal"),
        (quote!(multiple_of = 0), "above zero"),
        (quote!(pattern = "(a"), "unclosed group"),
    ];
    for (bound, want) in cases {
        let error = refused(quote! { struct P { #[field(#bound)] a: u8 } });
        assert!(error.contains(want), "{error}");
    }
}

#[test]
fn shapes_decide_the_traits() {
    let has = |code: &TokenStream, name: &str| code.to_string().contains(&format!("impl __gw :: {name} for T"));
    let both = payload(quote! { struct T { a: u8 } }).expect("code");
    assert!(has(&both, "Payload") && has(&both, "Output") && has(&both, "StreamItem"));
    let part = payload(quote! { enum T { A, B } }).expect("code");
    assert!(!has(&part, "Payload") && !has(&part, "Output"));
    let tagged = output(quote! { #[serde(rename_all = "snake_case", tag = "type")] enum T { A { x: u8 }, B } });
    let tagged = tagged.expect("code");
    assert!(!has(&tagged, "Payload") && has(&tagged, "Output"));
}
