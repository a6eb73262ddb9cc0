//! What keeps a ledger from being well. What halts it, it is not ready with: no transactions, or no new blocks for followers.

pub(crate) use ashlar_service::health::{Cause, Health};

/// A write failed: no more transactions.
pub(crate) const STORAGE: Cause = Cause::halts("storage");
/// Heads are not signed: followers see no new block.
pub(crate) const HEADS: Cause = Cause::halts("heads");
/// The wall clock is not believed: the time in heads goes its own way.
pub(crate) const CLOCK: Cause = Cause::degrades("clock");
/// The fast kernel of this CPU computes something else than the portable one, which serves in its place.
pub(crate) const KERNEL: Cause = Cause::degrades("kernel.disagrees");
/// The last snapshot could not be written: opening takes longer.
pub(crate) const SNAPSHOT: Cause = Cause::degrades("snapshot");
/// No block was made for a while.
pub(crate) const BLOCKS: Cause = Cause::halts("blocks");
