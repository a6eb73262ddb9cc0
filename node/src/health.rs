//! What keeps a node from being well, and what of it stops its signing.

pub use ashlar_service::health::{Cause, Health, HealthReport, Reason, Status};

/// A write to the database failed; it is tried again with back-off.
pub const STORAGE: Cause = Cause::halts("storage");
/// Less free disk space than configured.
pub const DISK_SPACE: Cause = Cause::halts("disk_space");
/// A drive of several failed, or is being rebuilt: fewer may fail now.
pub const DRIVES: Cause = Cause::degrades("drives");
/// Stored data does not match its hashes, or is missing.
pub const CORRUPTION: Cause = Cause::degrades("corruption");
/// Damaged data that could not be made anew out of what peers hold.
pub const DAMAGE: Cause = Cause::halts("corruption.unrepaired");
/// The database was made anew, and peers have not said yet what was promised with the one that was lost.
pub const REBUILDING: Cause = Cause::halts("database.rebuilding");
/// The operator table cannot be read.
pub const OPERATOR_TABLE: Cause = Cause::degrades("operator_table");
/// Somebody vouched for two operator tables of one block: none is believed any more.
pub const CONTRADICTION: Cause = Cause::halts("head.contradiction");
/// This operator is not in the newest operator table, or with another network key.
pub const NOT_REGISTERED: Cause = Cause::degrades("not_registered");
/// The operator table names the network key that was to take the place of the configured one.
pub const NEXT_NETWORK_KEY: Cause = Cause::notice("network_key.next");
/// The service uses a protocol version that this node does not serve: it signs the batches of the others.
pub const VERSION: Cause = Cause::degrades("version");
/// The wall clock is behind a time that was reached before.
pub const CLOCK_BEHIND: Cause = Cause::halts("clock.behind");
/// Wall clock and what vouches for it disagree: nothing expires.
pub const CLOCK_DISAGREES: Cause = Cause::degrades("clock.disagrees");
/// The protection file was exported for moving: another database signs now.
pub const MOVED: Cause = Cause::halts("database.moved");
/// The remote signer gives no signatures: it does not answer, or signs with another key.
pub const SIGNER: Cause = Cause::halts("signer");
/// The fast kernel of this CPU computes something else than the portable one, which serves in its place.
pub const KERNEL: Cause = Cause::degrades("kernel.disagrees");
/// A disperser signed two batches under one number. Not this node's fault: a notice, the node is as well as before.
pub const EQUIVOCATION: Cause = Cause::notice("disperser.equivocation");

/// The deadline of an open custody challenge is near.
pub const CHALLENGE_DEADLINE: Cause = Cause::degrades("custody.deadline");
/// A custody challenge that this node has no answer to: the data is missing or damaged.
pub const CHALLENGE_NO_ANSWER: Cause = Cause::degrades("custody.no_answer");
/// No ledger says which custody challenges are open.
pub const CHALLENGES_UNFOLLOWED: Cause = Cause::degrades("custody.unfollowed");
/// One of the ledgers that are asked for custody challenges does not answer; another one does.
pub const CHALLENGE_LEDGER: Cause = Cause::notice("custody.ledger");

#[cfg(test)]
mod tests;
