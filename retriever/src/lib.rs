//! The Ashlar retriever: check certificates, fetch slices, decode, compare with the commitments.
