//! Names of the spool's policies.

use gen_worker_core::SpoolPolicy;

/// What a policy may be called.
pub(crate) const SPOOL_POLICIES: &str = "one of auto, always, never";

/// The policy of this name.
///
/// # Errors
/// Says which names there are.
pub(crate) fn spool_policy(text: &str) -> Result<SpoolPolicy, String> {
    match text {
        "auto" => Ok(SpoolPolicy::Auto),
        "always" => Ok(SpoolPolicy::Always),
        "never" => Ok(SpoolPolicy::Never),
        _ => Err(format!("not {SPOOL_POLICIES}")),
    }
}
