//! Runs the kernels against each other until so much is done, or so much time is over, and counts.
//!
//! ```text
//! cargo run --release -p ashlar-kzg --features differential,rayon --example fuzz_kernels -- [OPTIONS]
//!
//!   --seconds N   all areas in turns, that long; without it, until 10^8 point additions, 10^8 products of each field,
//!                 10^5 group transforms and fixed-base products, 10^4 row commitments are done
//!   --seed N      begins there; with the seed of a failure and its area, the failure is repeated
//!   --area N      this area alone, 0 to 8
//! ```
//!
//! Exits with 1 at the first disagreement.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // a program

use std::error::Error;
use std::io::Write;
use std::time::{Duration, Instant};

use ashlar_kzg::differential::{Area, Choices, round};

fn goal(area: Area) -> u64 {
    match area {
        Area::Points | Area::BaseField | Area::ScalarField => 100_000_000,
        Area::FixedBases | Area::GroupTransforms | Area::Transforms => 100_000,
        Area::Decoding => 1_000_000,
        Area::Msm | Area::Commitments => 10_000,
    }
}

struct Progress {
    area: Area,
    rounds: u64,
    done: u64,
    time: Duration,
}

fn main() -> Result<(), Box<dyn Error>> {
    let (mut seconds, mut seed, mut only) = (None, 1u64, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value: u64 = arguments
            .next()
            .ok_or("an option without its value")?
            .parse()?;
        match name.as_str() {
            "--seconds" => seconds = Some(Duration::from_secs(value)),
            "--seed" => seed = value,
            "--area" => only = Some(value as usize),
            _ => return Err(format!("no option {name}").into()),
        }
    }
    let mut areas: Vec<_> = Area::ALL
        .into_iter()
        .enumerate()
        .filter(|(at, _)| only.is_none_or(|only| only == *at))
        .map(|(_, area)| Progress {
            area,
            rounds: 0,
            done: 0,
            time: Duration::ZERO,
        })
        .collect();
    let mut out = std::io::stdout();
    let kernels = ashlar_kzg::kernels().join(", ");
    writeln!(out, "kernels: {kernels}; first seed {seed}")?;
    let start = Instant::now();
    let mut failure = None;
    // Always a round of what has had least time, so that a quick area is not kept waiting by a slow one.
    while let Some(progress) = areas
        .iter_mut()
        .filter(|progress| match seconds {
            Some(limit) => start.elapsed() < limit,
            None => progress.done < goal(progress.area),
        })
        .min_by_key(|progress| progress.time)
    {
        let before = Instant::now();
        match round(progress.area, &mut Choices::from_seed(seed)) {
            Ok(done) => progress.done += done,
            Err(disagreement) => {
                failure = Some(format!("{}: {disagreement}", progress.area));
                break;
            }
        }
        progress.rounds += 1;
        progress.time += before.elapsed();
        seed = seed.wrapping_add(1);
        if seconds.is_none() && progress.rounds.is_multiple_of(1000) {
            writeln!(out, "{}: {}", progress.area, progress.done)?;
        }
    }
    for progress in &areas {
        let Progress {
            area, rounds, done, ..
        } = progress;
        let time = progress.time.as_secs_f64();
        writeln!(
            out,
            "{area:<30} {done:>11} in {rounds:>8} rounds, {time:>7.1} s"
        )?;
    }
    let elapsed = start.elapsed().as_secs_f64();
    match failure {
        Some(failure) => {
            Err(format!("DISAGREEMENT after {elapsed:.1} s, seed {seed}, {failure}").into())
        }
        None => Ok(writeln!(out, "{elapsed:.1} s, no disagreement")?),
    }
}
