//! Directed tests: worked numbers, refusals, the log and the store, tables.

mod challenges;
mod disk;
mod numbers;
mod refusals;
mod tables;
