//! Every function of EIP-4844 and EIP-7594, bytes in, bytes out.
