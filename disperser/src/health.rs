//! What keeps a disperser from being well. What halts it, it is not ready with: no batch can be made, or nothing accepted.

pub use ashlar_service::health::{Cause, Health, HealthReport};

/// The database fails.
pub const STORAGE: Cause = Cause::halts("storage");
/// Less free disk space than configured: no blobs are taken in.
pub const DISK_SPACE: Cause = Cause::halts("disk_space");
/// The operator table cannot be read, or not the newest one.
pub const OPERATOR_TABLE: Cause = Cause::degrades("operator_table");
/// This disperser is not in the newest operator table.
pub const NOT_REGISTERED: Cause = Cause::halts("not_registered");
/// The database is new, and too few operators say which sequence numbers were used before it: no batch is made.
pub const SEQUENCE_UNKNOWN: Cause = Cause::halts("sequence_unknown");
/// The last batch of the default quorums found too few signatures.
pub const DISPERSAL: Cause = Cause::degrades("dispersal");
/// The wall clock differs from what vouches for it: nothing expires, and mostly no batch is made.
pub const CLOCK_DISAGREES: Cause = Cause::halts("clock.disagrees");
/// The wall clock is behind a time that was reached before: no batch is made.
pub const CLOCK_BEHIND: Cause = Cause::halts("clock.behind");
/// A fast kernel computed wrongly here: the portable one works in its place.
pub const KERNEL: Cause = Cause::degrades("kernel.disagrees");
/// Vouchers cannot be redeemed: what accounts owe is not paid.
pub const PAYMENT: Cause = Cause::degrades("payment");
/// Blobs were lost by whoever worked on them, in a panic or because of a record that cannot be read: they are tried again.
pub const LOST_BLOBS: Cause = Cause::degrades("lost_blobs");
