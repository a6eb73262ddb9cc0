//! Operator tables, quorums and chunk assignment of Ashlar.
//!
//! An [`OperatorTable`] is the state of all operators at a reference block; everybody who signs, certifies, verifies or
//! retrieves works from the same one, known by its root. An [`Assignment`] says which chunks each of its operators stores.
//! Tables come through one trait, [`StakeSource`]; [`FileStakeSource`] reads them from a file.

mod assignment;
mod error;

mod file;
mod location;
mod payment;
mod registration;
mod source;
mod table;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod testing;
mod trusted;

pub use assignment::Assignment;
pub use error::{AssignmentError, Contradiction, StakeError, TableError};
pub use file::{
    DisperserRecord, FileFormat, FileStakeSource, MAX_FILE_BYTES, OperatorRecord, Stakes,
    TableFile, TableRecord,
};
pub use location::{
    LocationError, MAX_SOURCES, SourceError, TableLocation, TableOrigin, TableSource,
};
pub use payment::{AccountTerms, PaymentSource, Reservation};
pub use registration::{PossessionCache, Registration};
pub use source::StakeSource;
pub use table::OperatorTable;
pub use trusted::trusted_table;
