use quote::quote;

use super::*;

#[track_caller]
fn refused(arguments: TokenStream, item: TokenStream) -> String {
    expand(arguments, item).map(|code| code.to_string()).expect_err("a refusal").to_string()
}

fn function() -> TokenStream {
    quote! { async fn f(ctx: &RequestContext, p: P) -> Result<O> { work(p).await } }
}

#[test]
fn v1_kinds_are_four() {
    let error = refused(quote!(kind = "cooking"), function());
    assert_eq!(error, "unknown kind \"cooking\": one of inference, conversion, training, dataset");
    for kind in ["inference", "conversion", "training", "dataset"] {
        assert!(expand(quote!(kind = #kind), function()).is_ok());
    }
}

#[test]
fn v2_targets_are_functions_and_impl_blocks() {
    assert!(refused(quote!(), quote! { struct S; }).contains("put `#[endpoint]` on the `impl` block"));
    assert!(refused(quote!(), quote! { const C: u8 = 1; }).contains("goes on a function or on an `impl` block"));
    assert!(refused(quote!(), quote! { impl Clone for S { } }).contains("inherent `impl` block"));
    assert!(refused(quote!(), quote! { impl<T> S<T> { } }).contains("cannot be generic"));
}

#[test]
fn v3_handlers_take_context_and_payload() {
    let shapes = [
        quote! { fn f() -> Result<O> {} },
        quote! { fn f(ctx: &RequestContext) -> Result<O> {} },
        quote! { fn f(ctx: &mut RequestContext, p: P) -> Result<O> {} },
    ];
    for shape in shapes {
        assert!(refused(quote!(), shape).contains("a handler takes the context and the payload"));
    }
    assert!(refused(quote!(), quote! { fn f(c: &C, p: &P) -> Result<O> {} }).contains("owns its payload"));
    assert!(refused(quote!(), quote! { fn f<T>(c: &C, p: T) -> Result<O> {} }).contains("cannot be generic"));
    assert!(refused(quote!(), quote! { fn f(&self, c: &C, p: P) -> Result<O> {} }).contains("#[handler]"));
    let method = quote! { impl S { #[handler] fn f(&mut self, c: &C, p: P) -> Result<O> {} } };
    assert!(refused(quote!(), method).contains("a handler takes `&self`"));
}

#[test]
fn v4_types_have_handlers() {
    let block = quote! { impl S { #[setup] fn new() -> Result<Self> {} pub fn helper(&self) {} } };
    assert_eq!(refused(quote!(), block), "an endpoint type needs at least one `#[handler]`");
}

#[test]
fn v5_producers_do_not_stream() {
    let stream = quote! { fn f(c: &C, p: P) -> impl Stream<Item = Result<O>> + Send {} };
    assert_eq!(refused(quote!(kind = "training"), stream.clone()), "only inference handlers may stream");
    assert!(expand(quote!(), stream).is_ok());
}

#[test]
fn v6_model_and_slots_exclude_each_other() {
    let error = refused(quote!(model = hf("a/b"), slots(x = hf("a/b"))), function());
    assert_eq!(error, "write either `model = ..` or `slots(..)`");
}

#[test]
fn v7_slots_are_identifiers() {
    assert!(expand(quote!(slots("x y" = hf("a/b"))), function()).is_err());
    assert_eq!(refused(quote!(slots(x = hf("a/b"), x = hf("a/b"))), function()), "slot `x` is declared twice");
}

#[test]
fn v16_types_have_no_name_argument() {
    let block = quote! { impl S { #[handler] fn f(&self, c: &C, p: P) -> Result<O> {} } };
    assert_eq!(refused(quote!(name = "x"), block), "handlers of a type are named by their methods");
}

#[test]
fn v18_handlers_return_results() {
    for shape in [
        quote! { fn f(c: &C, p: P) {} },
        quote! { fn f(c: &C, p: P) -> O {} },
        quote! { fn f(c: &C, p: P) -> impl Stream<Item = O> {} },
    ] {
        assert!(refused(quote!(), shape).contains("a handler returns `Result<T>`"));
    }
    assert!(refused(quote!(), quote! { fn f(c: &C, p: P) -> Result<()> {} }).contains("returns a struct"));
    let stream = quote! { async fn f(c: &C, p: P) -> impl Stream<Item = Result<O>> {} };
    assert!(refused(quote!(), stream).contains("is a plain `fn`"));
}

#[test]
fn arguments_are_known_and_given_once() {
    assert!(refused(quote!(colour = "red"), function()).contains("unknown argument `colour`: one of name, kind"));
    assert!(refused(quote!(resources(cpu = 1)), function()).contains("unknown resource `cpu`"));
    assert_eq!(refused(quote!(name = "a", name = "b"), function()), "`name` is given twice");
}

#[test]
fn timeouts_have_a_unit() {
    for bad in ["30", "s", "1.5s", "1d", ""] {
        assert!(refused(quote!(timeout = #bad), function()).contains("a time limit is text such as"), "{bad}");
    }
    assert!(refused(quote!(timeout = "0s"), function()).contains("zero"));
    assert!(expand(quote!(timeout = "2h"), function()).expect("code").to_string().contains("7200000u64"));
    assert!(expand(quote!(timeout = Duration::from_secs(3)), function()).is_ok());
}

#[test]
fn m9_4_only_types_move() {
    assert_eq!(refused(quote!(movable), function()), "only a type can move: it implements `Movable`");
    let block = quote!(impl Painter { #[handler] fn paint(&self, _context: &RequestContext, input: Text) -> Result<Text> { Ok(input) } });
    let code = |arguments| expand(arguments, block.clone()).expect("code").to_string();
    assert!(code(quote!(movable)).contains("movable_instance :: < Painter >"));
    assert!(!code(quote!()).contains("movable"));
}

#[test]
fn isolation_is_one_of_two() {
    assert_eq!(
        refused(quote!(isolation = "thread"), function()),
        "unknown isolation \"thread\": one of shared, process"
    );
    let code = |text: &str| expand(quote!(isolation = #text), function()).expect("code").to_string();
    assert!(code("process").contains("Isolation :: Process"));
    assert!(!code("shared").contains("Isolation"), "it is the default");
}

#[test]
fn roles_have_their_shapes() {
    let with = |method: TokenStream| quote! { impl S { #method #[handler] fn f(&self, c: &C, p: P) -> Result<O> {} } };
    let cases = [
        (quote! { #[setup] fn a(&self) -> Result<Self> {} }, "setup makes the instance"),
        (quote! { #[setup] fn a() {} }, "setup returns `Result<Self>`"),
        (quote! { #[warmup] fn a(self) {} }, "this takes `&self`"),
        (quote! { #[shutdown] fn a(&mut self) {} }, "this takes `&self`"),
        (quote! { #[shutdown] fn a(&self, now: bool) {} }, "this takes `&self` and nothing else"),
        (quote! { #[setup] fn a() -> Result<Self> {} #[setup] fn b() -> Result<Self> {} }, "one function of this role"),
        (quote! { #[setup] #[warmup] fn a(&self) {} }, "a method has one role"),
        (quote! { #[setup(now)] fn a() -> Result<Self> {} }, "takes no arguments"),
    ];
    for (method, want) in cases {
        let error = refused(quote!(), with(method));
        assert!(error.contains(want), "{error}");
    }
}
