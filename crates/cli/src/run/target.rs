//! What a handler sees of the place it runs in: device, owner, and where its files go.

use std::path::{Path, PathBuf};

use gen_worker_core::context::Device;

use crate::{
    args::RunArgs,
    env::{Environment, names},
    exit::Failure,
};

/// The place of a local run.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) device: Device,
    pub(super) owner: String,
    /// Directory of saved files.
    pub(super) outputs: PathBuf,
}

/// Where saved files go unless told otherwise, below the working directory.
const OUTPUTS: &str = ".gen-worker-run/outputs";

impl Target {
    /// The flag wins over the environment; without both it is the CPU, the only device this build drives itself.
    ///
    /// # Errors
    /// A device nobody knows.
    pub(super) fn choose(args: &RunArgs, env: &Environment) -> Result<Self, Failure> {
        let name = args.device.as_deref().map(Ok).or_else(|| env.text(&names::GEN_WORKER_LOCAL_DEVICE).transpose());
        let device = match name.transpose()? {
            None => Device::Cpu,
            Some(name) => {
                device(name).ok_or_else(|| Failure::usage(format!("unknown device {name:?}: cpu, cuda or cuda:N")))?
            }
        };
        Ok(Self { device, owner: super::owner(env)?, outputs: outputs(env) })
    }
}

/// Where saved files go (C-101). A `~` in front is the home directory, when there is one.
fn outputs(env: &Environment) -> PathBuf {
    let Some(set) = env.raw(&names::GEN_WORKER_LOCAL_OUTPUT_DIR).filter(|set| !set.is_empty()) else {
        return PathBuf::from(OUTPUTS);
    };
    let set = Path::new(set);
    match (set.strip_prefix("~"), env.raw(&names::HOME)) {
        (Ok(rest), Some(home)) => Path::new(home).join(rest),
        _ => set.to_owned(),
    }
}

fn device(name: &str) -> Option<Device> {
    match name.trim().split_once(':') {
        None if name == "cpu" => Some(Device::Cpu),
        None if name == "cuda" => Some(Device::Cuda(0)),
        Some(("cuda", ordinal)) => ordinal.parse().ok().map(Device::Cuda),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c103_flag_wins_over_environment() {
        let env = Environment::of_pairs(&[("GEN_WORKER_LOCAL_DEVICE", "cuda:1"), ("USER", "ann")]);
        let choose = |device: Option<&str>| {
            Target::choose(&RunArgs { device: device.map(str::to_owned), ..RunArgs::default() }, &env)
        };
        let chosen = choose(None).unwrap();
        assert_eq!((chosen.device, chosen.owner.as_str()), (Device::Cuda(1), "ann"));
        assert_eq!(choose(Some("cpu")).unwrap().device, Device::Cpu);
        assert_eq!(choose(Some("cuda")).unwrap().device, Device::Cuda(0));
        assert_eq!(choose(Some("tpu")).unwrap_err().exit().code(), 2);
    }

    #[test]
    fn c102_owner_without_a_user_is_local_dev() {
        let target = Target::choose(&RunArgs::default(), &Environment::of_pairs(&[])).unwrap();
        assert_eq!((target.device, target.owner.as_str()), (Device::Cpu, "local-dev"));
    }

    #[test]
    fn c101_files_go_below_the_working_directory_unless_told_otherwise() {
        let outputs = |pairs: &[(&str, &str)]| outputs(&Environment::of_pairs(pairs));
        let set = "GEN_WORKER_LOCAL_OUTPUT_DIR";
        assert_eq!(outputs(&[]), Path::new(".gen-worker-run/outputs"));
        assert_eq!(outputs(&[(set, "/a/b")]), Path::new("/a/b"));
        assert_eq!(outputs(&[(set, "~/b"), ("HOME", "/home/ann")]), Path::new("/home/ann/b"));
        assert_eq!(outputs(&[(set, "~x/b"), ("HOME", "/home/ann")]), Path::new("~x/b"));
    }
}
