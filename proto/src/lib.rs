//! Headers, digests, parameters, certificates and wire messages of Ashlar, without IO.
