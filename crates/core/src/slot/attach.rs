//! Gives the endpoints of a registry that want processes their pools of slots. Owns nothing.

use std::{num::NonZeroU32, sync::Arc};

use gen_worker_proto::FunctionName;

use super::{options::SlotOptions, pool::SlotPool};
use crate::{Registry, endpoint::Isolation};

/// From here on the isolated functions of `registry` run in slots. One pool per endpoint, with as many slots as calls
/// may run at once.
///
/// # Errors
/// The first isolated function, when there are no `options`.
pub(crate) fn attach(registry: &Registry, options: Option<&SlotOptions>) -> Result<(), FunctionName> {
    for function in registry.functions().iter().filter(|function| function.isolation() == Isolation::Process) {
        let Some(cell) = function.instance() else { continue };
        let options = options.ok_or_else(|| function.name().clone())?;
        // The first function of an endpoint brings its pool; the others share the cell.
        cell.host_with(|label| {
            let capacity = function.resources().max_concurrency().map_or(1, NonZeroU32::get);
            Arc::new(SlotPool::new(label, function.name().as_str(), capacity, options.clone()))
        });
    }
    Ok(())
}
