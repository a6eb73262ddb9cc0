//! Where tables come from.

use std::sync::Arc;

use ashlar_proto::{Block, Domain};

use crate::{OperatorTable, StakeError};

/// A source of operator tables: a file, the restaking ledger, Ethereum.
///
/// The table of a block never changes once it was given out: certificates are checked against it.
pub trait StakeSource: Send + Sync {
    /// The service whose tables these are. It never changes.
    fn domain(&self) -> Domain;

    /// The newest block that has a table; new batches refer to it.
    ///
    /// # Errors
    ///
    /// [`StakeError`] if the source cannot be read at all.
    fn head(&self) -> Result<Block, StakeError>;

    /// The table of exactly this reference block.
    ///
    /// # Errors
    ///
    /// [`StakeError::UnknownBlock`] if there is none.
    fn table_at(&self, block: Block) -> Result<Arc<OperatorTable>, StakeError>;

    /// The table of the newest block.
    ///
    /// # Errors
    ///
    /// As [`head`](Self::head) and [`table_at`](Self::table_at).
    fn newest(&self) -> Result<Arc<OperatorTable>, StakeError> {
        self.table_at(self.head()?)
    }

    /// Whether the source still follows what it reads. An error means that it answers from what it read last, and why:
    /// a process that sees one works on, and reports that it is degraded.
    ///
    /// # Errors
    ///
    /// The reason why the newest state could not be taken over.
    fn health(&self) -> Result<(), StakeError> {
        Ok(())
    }

    /// Block time of the newest signed head that this source has seen, in milliseconds since 1970; `None` if nobody vouches
    /// for the time here, as with a table file. Data expires by it ([`ashlar_proto::time`]): where there are heads, the
    /// newest must not be older than [`MAX_DISAGREEMENT`](ashlar_proto::time::MAX_DISAGREEMENT), or expiry waits for it.
    fn head_time_ms(&self) -> Option<u64> {
        None
    }
}
