//! Field and curve kernels, KZG, erasure code, batch matrix, Merkle trees, BLS signatures and keystores of Ashlar, without IO.
