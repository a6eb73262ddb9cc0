//! How full a disk is.

use std::path::Path;

/// Free bytes on the device of a path.
///
/// # Errors
/// As the operating system says.
pub fn free_bytes(path: &Path) -> std::io::Result<u64> {
    let stat = nix::sys::statvfs::statvfs(path).map_err(std::io::Error::from)?;
    // The types differ between platforms.
    #[allow(clippy::unnecessary_cast)]
    Ok((stat.blocks_available() as u64).saturating_mul(stat.fragment_size() as u64))
}
