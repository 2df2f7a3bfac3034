//! NVIDIA accelerators through the CUDA driver, loaded at run time. Owns the devices it found. Never creates a context:
//! that would take some hundred megabytes of the very memory it asks about.
#![expect(unsafe_code, reason = "the driver's functions are foreign; see the SAFETY notes")]

use std::sync::OnceLock;

use cudarc::driver::{
    DriverError, result,
    sys::{self, CUdevice_attribute as Attribute},
};
use tracing::{debug, warn};

use super::{Gpu, GpuProbe};

/// The driver of this machine, if it has one.
#[derive(Debug, Default)]
pub struct CudaDriver(OnceLock<Vec<Device>>);

#[derive(Clone, Debug)]
struct Device {
    handle: sys::CUdevice,
    gpu: Gpu,
}

impl CudaDriver {
    /// The version of CUDA that the driver takes, as major and minor; none without a driver that works.
    #[must_use]
    pub fn cuda_version(&self) -> Option<(u32, u32)> {
        if self.devices().is_empty() {
            return None;
        }
        let mut version = 0;
        // SAFETY: the driver is loaded, since it told of devices, and the pointer is valid for the call.
        unsafe { sys::cuDriverGetVersion(&raw mut version) }.result().ok()?;
        // A thousand times the major, and ten times the minor.
        let version = u32::try_from(version).ok()?;
        Some((version / 1000, version % 1000 / 10))
    }

    fn devices(&self) -> &[Device] {
        self.0.get_or_init(|| {
            // SAFETY: loading the driver runs its initializers, as every CUDA program does.
            if !unsafe { sys::is_culib_present() } {
                debug!("no CUDA driver on this machine");
                return Vec::new();
            }
            found().unwrap_or_else(|error| {
                warn!(error = ?error.0, "the CUDA driver is there but does not work: serving without accelerators");
                Vec::new()
            })
        })
    }
}

impl GpuProbe for CudaDriver {
    fn gpus(&self) -> Vec<Gpu> {
        self.devices().iter().map(|device| device.gpu.clone()).collect()
    }

    fn free_bytes(&self) -> Vec<Option<u64>> {
        self.devices().iter().map(|device| free_bytes(device.handle).ok().flatten()).collect()
    }
}

/// The driver loads only where all functions that are called here exist: they are older than any driver for CUDA 11.
fn found() -> Result<Vec<Device>, DriverError> {
    result::init()?;
    (0..result::device::get_count()?).map(device).collect()
}

fn device(ordinal: i32) -> Result<Device, DriverError> {
    let handle = result::device::get(ordinal)?;
    let attribute = |attribute| {
        // SAFETY: the handle was returned by the driver just now, and devices live as long as the process.
        let value = unsafe { result::device::get_attribute(handle, attribute) };
        value.map(|value| u16::try_from(value).unwrap_or(0))
    };
    // SAFETY: as above.
    let total = unsafe { result::device::total_mem(handle) }?;
    let gpu = Gpu {
        name: result::device::get_name(handle)?,
        capability: (
            attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
            attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
        ),
        total_bytes: u64::try_from(total).unwrap_or(u64::MAX),
    };
    Ok(Device { handle, gpu })
}

/// Free memory, if this process already has a context on the device; without one nobody can ask.
fn free_bytes(handle: sys::CUdevice) -> Result<Option<u64>, DriverError> {
    let (mut flags, mut active) = (0, 0);
    // SAFETY: the handle is the driver's, and both pointers are valid for the call.
    unsafe { sys::cuDevicePrimaryCtxGetState(handle, &raw mut flags, &raw mut active) }.result()?;
    if active == 0 {
        return Ok(None);
    }
    let mut popped = std::ptr::null_mut();
    // SAFETY: the context exists, so retaining counts it up and creates nothing; it is pushed, asked, popped and
    // released on this thread before anything else can run on it.
    let asked = unsafe {
        let context = result::primary_ctx::retain(handle)?;
        let asked = sys::cuCtxPushCurrent_v2(context).result().and_then(|()| {
            let asked = result::mem_get_info();
            sys::cuCtxPopCurrent_v2(&raw mut popped).result().and(asked)
        });
        result::primary_ctx::release(handle)?;
        asked
    };
    asked.map(|(free, _)| u64::try_from(free).ok())
}
