//! The seam to whoever can tell good tokens from bad ones. Owns no state.

use futures::future::BoxFuture;

/// Judges tokens that the orchestrator pushes, before the worker uses them.
pub trait TokenCheck: Send + Sync {
    /// Whether `token` may be used.
    ///
    /// # Errors
    /// When it may not, or when that cannot be told; the worker then keeps the token it has.
    ///
    /// # Cancel safety
    /// The future may be dropped: the token is then not used.
    fn check(&self, token: String) -> BoxFuture<'static, Result<(), TokenRefused>>;
}

/// Why a token is not used. Nothing of the token is in it.
#[derive(Debug, thiserror::Error)]
#[error("the token is refused")]
pub struct TokenRefused {
    /// What is wrong with it.
    pub source: Box<dyn std::error::Error + Send + Sync>,
}
