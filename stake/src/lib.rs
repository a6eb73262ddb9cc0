//! Operator tables, quorums and chunk assignment of Ashlar.
