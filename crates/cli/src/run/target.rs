//! What a handler sees of the place it runs in: device and owner.

use gen_worker_core::context::Device;

use crate::{
    args::RunArgs,
    env::{Environment, names},
    exit::Failure,
};

/// Device and owner of a local run.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) device: Device,
    pub(super) owner: String,
}

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
        Ok(Self { device, owner: super::owner(env)? })
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
}
