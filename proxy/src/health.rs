//! What keeps a proxy from being well. It goes on serving what it can.

use ashlar_service::health::Cause;

/// The last posts have all failed: the rollup's data does not get out.
pub(crate) const POSTING: Cause = Cause::degrades("posting");
/// A store cannot be read or written. What it is for is missing: keccak commitments, or payloads past the retention.
pub(crate) const STORE: Cause = Cause::degrades("store");
