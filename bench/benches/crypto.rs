//! `cargo bench -p ashlar-bench --bench crypto [-- FILTER]`: the candidates of `ashlar bench crypto` under criterion.
//!
//! Names are `operation/implementation/threads`. `cargo test --benches` runs each candidate once, on the smallest inputs.

use std::hint::black_box;
use std::time::Duration;

use ashlar_bench::crypto::measure::{Pools, compare};
use ashlar_bench::crypto::op::Op;
use ashlar_bench::crypto::workload::{Scale, Workload};
use criterion::{Criterion, SamplingMode, Throughput};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    if let Some(name) = std::env::var_os("ASHLAR_KERNEL") {
        ashlar_crypto::use_kernel(&name.to_string_lossy())?;
    }
    // The rule by which criterion decides between measuring and testing.
    let test = !std::env::args().any(|argument| argument == "--bench")
        || std::env::args().any(|a| a == "--test");
    let listing = std::env::args().any(|argument| argument == "--list");
    let mut criterion = Criterion::default().configure_from_args();
    if listing {
        criterion.final_summary();
        return Ok(());
    }
    let filter = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with('-'));
    let scale = if test { Scale::Tiny } else { Scale::Full };
    let workload = Workload::new(1, scale, true)?;
    let mut pools = Pools::default();
    for op in Op::ALL {
        // Inputs of batches take seconds to make; nobody who asks for one row's operations should wait for them.
        if filter
            .as_ref()
            .is_some_and(|filter| op.is_heavy() && !filter.contains(op.name()))
        {
            continue;
        }
        let threads: &[usize] = if op.scales() { &[1, 2] } else { &[1] };
        let candidates = workload.candidates(op, threads)?;
        compare(op, &candidates, &mut pools)?;
        let mut group = criterion.benchmark_group(op.name());
        group.throughput(Throughput::Bytes(workload.payload_bytes(op)));
        group.sample_size(if op.is_heavy() { 10 } else { 20 });
        group.warm_up_time(Duration::from_secs(1));
        group.measurement_time(Duration::from_secs(if op.is_heavy() { 30 } else { 5 }));
        group.sampling_mode(SamplingMode::Flat);
        for candidate in &candidates {
            let pool = pools.get(candidate.threads)?;
            let name = format!("{}/{}", candidate.implementation, candidate.threads);
            let mut failure = None;
            group.bench_function(name, |bencher| {
                bencher.iter_custom(|runs| {
                    pool.install(|| {
                        (0..runs)
                            .map(|_| match black_box(candidate.time_once()) {
                                Ok(run) => run.wall,
                                Err(error) => {
                                    failure = Some(error);
                                    Duration::ZERO
                                }
                            })
                            .sum()
                    })
                });
            });
            if let Some(error) = failure {
                return Err(error.into());
            }
        }
        group.finish();
    }
    criterion.final_summary();
    Ok(())
}
