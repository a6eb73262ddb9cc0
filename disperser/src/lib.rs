//! The Ashlar disperser: accept, encode, batch, prove, distribute, aggregate, certify.
