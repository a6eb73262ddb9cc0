//! What keeps a disperser from being well.

pub use ashlar_service::health::{Cause, Health, HealthReport};

/// The database fails.
pub const STORAGE: Cause = Cause::degrades("storage");
/// Less free disk space than configured: no blobs are taken in.
pub const DISK_SPACE: Cause = Cause::degrades("disk_space");
/// The operator table cannot be read, or not the newest one.
pub const OPERATOR_TABLE: Cause = Cause::degrades("operator_table");
/// This disperser is not in the newest operator table.
pub const NOT_REGISTERED: Cause = Cause::degrades("not_registered");
/// The last batch of the default quorums found too few signatures.
pub const DISPERSAL: Cause = Cause::degrades("dispersal");
/// The wall clock differs from what vouches for it: nothing expires, and mostly no batch is made.
pub const CLOCK_DISAGREES: Cause = Cause::degrades("clock.disagrees");
/// The wall clock is behind a time that was reached before: no batch is made.
pub const CLOCK_BEHIND: Cause = Cause::degrades("clock.behind");
/// A fast kernel computed wrongly here: the portable one works in its place.
pub const KERNEL: Cause = Cause::degrades("kernel.disagrees");
