//! Where this user's programs keep what must outlive them.

use std::path::PathBuf;

use crate::env::{Environment, names};

/// Below the state directory of the user.
const DIRECTORY: &str = "gen-worker";

/// Below the working directory, for users without a home.
const LOCAL_DIRECTORY: &str = ".gen-worker";

/// The directory: `gen-worker` below `XDG_STATE_HOME`, which by default is `.local/state` below `HOME`.
pub(crate) fn directory(env: &Environment) -> PathBuf {
    let state = env.raw(&names::XDG_STATE_HOME).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || env.raw(&names::HOME).map(|home| PathBuf::from(home).join(".local/state"));
    state.or_else(home).map_or_else(|| PathBuf::from(LOCAL_DIRECTORY), |state| state.join(DIRECTORY))
}
