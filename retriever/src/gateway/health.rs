//! What keeps a gateway from being well. It goes on serving what it can.

use ashlar_service::health::Cause;

/// The operator table cannot be read, or not the newest one: new certificates may not be checked.
pub(super) const OPERATOR_TABLE: Cause = Cause::degrades("operator_table");
/// The cache cannot be written: everything is fetched anew.
pub(super) const CACHE: Cause = Cause::degrades("cache");
