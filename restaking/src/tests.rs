//! Directed tests: worked numbers, refusals, the log, tables.

mod challenges;
mod dispersers;
mod heads;
mod log;
mod numbers;
mod payments;
mod refusals;
mod registrations;
mod tables;
