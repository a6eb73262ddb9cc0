//! Directed tests: worked numbers, refusals, the log and the store, tables.

mod challenges;
mod disk;
mod dispersers;
mod heads;
mod numbers;
mod refusals;
mod registrations;
mod tables;
