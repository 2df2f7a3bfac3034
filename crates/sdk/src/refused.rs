//! Mistakes that only the compiler can see, and does: each of these must not compile. What the macros see by
//! themselves is tested beside them.

/// A payload that is none.
///
/// ```compile_fail,E0277
/// use gen_worker::prelude::*;
/// struct Plain;
/// #[derive(Output)]
/// struct Reply {}
/// #[endpoint]
/// async fn takes_plain(_ctx: &RequestContext, _payload: Plain) -> Result<Reply> {
///     Ok(Reply {})
/// }
/// ```
///
/// An output that is none.
///
/// ```compile_fail,E0277
/// use gen_worker::prelude::*;
/// #[derive(Payload)]
/// struct Text {}
/// #[endpoint]
/// async fn returns_number(_ctx: &RequestContext, _payload: Text) -> Result<u32> {
///     Ok(1)
/// }
/// ```
///
/// A bound on a type without that property.
///
/// ```compile_fail,E0277
/// use gen_worker::prelude::*;
/// #[derive(Payload)]
/// struct Text {
///     #[field(min = 1)]
///     text: String,
/// }
/// ```
struct Mistakes;
