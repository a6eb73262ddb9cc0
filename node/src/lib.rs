//! The Ashlar storage node: validate, store, sync, sign, serve, expire.
