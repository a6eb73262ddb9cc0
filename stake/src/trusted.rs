//! Tables that certificates may be checked with.

use std::sync::Arc;

use ashlar_proto::{Block, TrustedTable};

use crate::{OperatorTable, StakeError, StakeSource};

/// The table of exactly this reference block, vouched for by its source: whoever runs this process named the source, and
/// the source gives out no table that it has not checked.
///
/// # Errors
/// As [`StakeSource::table_at`].
pub fn trusted_table(
    source: &dyn StakeSource,
    block: Block,
) -> Result<TrustedTable<Arc<OperatorTable>>, StakeError> {
    Ok(TrustedTable::trust_on_my_own_word(source.table_at(block)?))
}
