//! What keeps a gateway from being well. It goes on serving what it can.

use ashlar_service::health::Cause;

/// The cache cannot be written: everything is fetched anew.
pub(super) const CACHE: Cause = Cause::degrades("cache");
