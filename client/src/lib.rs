//! The Ashlar client SDK for rollups.
