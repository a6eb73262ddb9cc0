//! QUIC endpoints with pinned identities and request framing for Ashlar.
