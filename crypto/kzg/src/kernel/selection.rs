//! Which kernel works: chosen at the start, and given up when it computes wrongly.

use std::sync::OnceLock;

use thiserror::Error;

use super::self_check::{self, KernelDisagreement};
use super::{KERNELS, Kernel, portable::Portable};
use crate::Coded;
use crate::tables::on_own_threads;

/// The kernel chosen, by [`use_kernel`] or by itself.
static CHOSEN: OnceLock<&'static dyn Kernel> = OnceLock::new();
/// The first kernel that was caught computing wrongly.
static REFUSED: OnceLock<KernelDisagreement> = OnceLock::new();

/// The kernel in use: the one that [`use_kernel`] chose, or else the fastest that runs here and agrees with the
/// portable one on a first piece of work. From the moment that it is caught computing wrongly, the portable one.
pub(crate) fn active() -> &'static dyn Kernel {
    let chosen = *CHOSEN.get_or_init(|| {
        // The check is parallel work, and whoever asks first may be part of such work himself.
        let (kernel, refused) = on_own_threads(|| choose(KERNELS));
        if let Some(disagreement) = refused {
            refuse(disagreement);
        }
        kernel
    });
    match REFUSED.get() {
        Some(disagreement) if disagreement.kernel == chosen.name() => &Portable,
        _ => chosen,
    }
}

/// The first of the kernels that runs here and passes the self-check, and the first that did not pass.
pub(super) fn choose(
    kernels: &[&'static dyn Kernel],
) -> (&'static dyn Kernel, Option<KernelDisagreement>) {
    let mut refused = None;
    for kernel in kernels.iter().filter(|kernel| kernel.runs_here()) {
        match self_check::check(*kernel) {
            Ok(()) => return (*kernel, refused),
            Err(disagreement) => refused = refused.or(Some(disagreement)),
        }
    }
    (&Portable, refused)
}

/// Gives a kernel up. Only the first one is remembered: after it the portable one works, and is never given up.
fn refuse(disagreement: KernelDisagreement) {
    let _ = REFUSED.set(disagreement);
}

/// Runs `work` over the kernel in use. If the result cannot be right, that kernel is given up, which [`kernel_status`]
/// says from then on, and the portable one does the work again.
///
/// # Panics
///
/// If the result of the portable kernel cannot be right: the memory or the processor is broken, and nothing that this
/// process computes can be relied on.
pub(crate) fn checked<T>(
    operation: &'static str,
    work: impl Fn(&'static dyn Kernel) -> T,
    can_be_right: impl Fn(&T) -> bool,
) -> T {
    let (result, refused) = run_checked(active(), operation, work, can_be_right);
    if let Some(disagreement) = refused {
        refuse(disagreement);
    }
    result
}

/// [`checked`] over any kernel: the result, and why the kernel is given up.
pub(super) fn run_checked<T>(
    kernel: &'static dyn Kernel,
    operation: &'static str,
    work: impl Fn(&'static dyn Kernel) -> T,
    can_be_right: impl Fn(&T) -> bool,
) -> (T, Option<KernelDisagreement>) {
    let result = work(kernel);
    if can_be_right(&result) {
        return (result, None);
    }
    let result = work(&Portable);
    assert!(
        can_be_right(&result),
        "the portable kernel's result of `{operation}` is on the curve"
    );
    let kernel = kernel.name();
    (result, Some(KernelDisagreement { kernel, operation }))
}

/// Something made over a kernel, in its form: once for the one that was chosen, and once more for the portable one
/// should that have to take over.
pub(crate) struct PerKernel<T> {
    chosen: OnceLock<T>,
    portable: OnceLock<T>,
}

impl<T> Default for PerKernel<T> {
    fn default() -> Self {
        Self {
            chosen: OnceLock::new(),
            portable: OnceLock::new(),
        }
    }
}

impl<T: Send> PerKernel<T> {
    /// What was made over this kernel, which is the one in use or the portable one. Making it may be parallel work.
    pub(crate) fn get_or_init(&self, kernel: &dyn Kernel, make: impl FnOnce() -> T + Send) -> &T {
        let made = if kernel.name() == Portable.name() {
            &self.portable
        } else {
            &self.chosen
        };
        made.get_or_init(|| on_own_threads(make))
    }
}

/// Which kernel works, for health reports, logs and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelStatus {
    /// The kernel in use.
    pub active: &'static str,
    /// The one that would be in use, had it not been caught computing wrongly: at the start or, its result being off the
    /// curve, at work. The result was thrown away and computed again by the portable kernel.
    pub refused: Option<KernelDisagreement>,
}

/// Which kernel works. It may change while the process runs: to the portable one, once, with `refused` set.
///
/// The first call chooses the kernel, if nothing has yet, which takes some milliseconds; later ones are free.
pub fn kernel_status() -> KernelStatus {
    let active = active().name();
    KernelStatus {
        active,
        refused: REFUSED.get().copied(),
    }
}

/// Why a kernel cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error, Coded)]
#[coded(prefix = "kernel", blame = Caller)]
pub enum KernelError {
    /// There is none of this name.
    #[error("there is no kernel `{name}`; there are {}", all_names())]
    Unknown {
        /// The name asked for.
        name: String,
    },
    /// The processor lacks instructions of it.
    #[error("this processor cannot run the kernel `{name}`; `portable` runs everywhere")]
    NotHere {
        /// The kernel.
        name: &'static str,
    },
    /// It computes wrongly here.
    #[error(transparent)]
    Disagrees(#[from] KernelDisagreement),
    /// Another one is at work already.
    #[error(
        "the kernel `{active}` is in use already; choose `{name}` before the first computation"
    )]
    #[coded(blame = Us)]
    TooLate {
        /// The one asked for.
        name: &'static str,
        /// The one at work.
        active: &'static str,
    },
}

fn all_names() -> String {
    let names: Vec<_> = KERNELS.iter().map(|kernel| kernel.name()).collect();
    names.join(", ")
}

/// Chooses the arithmetic kernel of this process: `portable`; `ifma`, which needs AVX-512 IFMA; `ifma-emulated`, the
/// same code in plain Rust, for tests. Without this call the fastest that runs here is used.
///
/// To be called before anything is computed.
///
/// # Errors
///
/// [`KernelError`]; nothing has changed then. A kernel that was asked for and computes wrongly is an error, whereas one
/// that would be used by itself makes way for the portable one, see [`kernel_status`].
pub fn use_kernel(name: &str) -> Result<(), KernelError> {
    let kernel = find(name)?;
    let name = kernel.name();
    self_check::check(kernel)?;
    let active = CHOSEN.get_or_init(|| kernel).name();
    if active == name {
        Ok(())
    } else {
        Err(KernelError::TooLate { name, active })
    }
}

/// Names of the kernels that this machine can run, the fastest first.
pub fn kernels() -> Vec<&'static str> {
    let here = KERNELS.iter().filter(|kernel| kernel.runs_here());
    here.map(|kernel| kernel.name()).collect()
}

pub(super) fn find(name: &str) -> Result<&'static dyn Kernel, KernelError> {
    let found = KERNELS.iter().copied().find(|kernel| kernel.name() == name);
    let kernel = found.ok_or_else(|| KernelError::Unknown { name: name.into() })?;
    if kernel.runs_here() {
        Ok(kernel)
    } else {
        Err(KernelError::NotHere {
            name: kernel.name(),
        })
    }
}

#[cfg(test)]
mod tests;
