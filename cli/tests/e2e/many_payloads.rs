//! Many payloads of random sizes through one devnet, several at a time: all certified, all rebuilt from operators alone.
//!
//! The seed is printed; `ASHLAR_SEED=… ` repeats a run. `make test-long` sends 200, `make test` fewer.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crate::support::Devnet;
use crate::support::random::{Random, payload};

const MAX: u64 = 16 << 20;

/// One size in four is anywhere up to the limit; the others are spread over the orders of magnitude, so that small
/// payloads are not an exception. The first two are the ends of the range.
fn sizes(random: &mut Random, count: usize) -> Vec<usize> {
    let mut sizes = vec![1, MAX];
    while sizes.len() < count {
        let size = if sizes.len() % 4 == 0 {
            1 + random.below(MAX)
        } else {
            let top = 1u64 << random.below(25);
            (top + random.below(top)).min(MAX)
        };
        sizes.push(size);
    }
    sizes
        .into_iter()
        .map(|size| usize::try_from(size).unwrap())
        .collect()
}

fn send(count: usize, at_a_time: usize, test: &str) {
    let mut random = Random::from_env(test);
    let jobs: Vec<(usize, u64)> = sizes(&mut random, count)
        .into_iter()
        .map(|size| (size, random.next()))
        .collect();
    let total: usize = jobs.iter().map(|(size, _)| size).sum();
    let devnet = Devnet::start();
    let start = Instant::now();
    let certificates = Mutex::new(Vec::new());

    in_parallel(at_a_time, jobs.len(), |job| {
        let (size, seed) = jobs[job];
        let certificate = devnet.put(&format!("payload-{job}"), &payload(seed, size));
        std::fs::remove_file(devnet.folder().join(format!("payload-{job}"))).unwrap();
        certificates.lock().unwrap().push((job, certificate));
    });
    let certified = start.elapsed();
    let certificates = certificates.into_inner().unwrap();
    assert_eq!(certificates.len(), count);

    in_parallel(at_a_time, certificates.len(), |index| {
        let (job, certificate) = &certificates[index];
        let (size, seed) = jobs[*job];
        let report = devnet.get_expecting(certificate, "operators", &payload(seed, size));
        assert_eq!(report["via"], "operators");
    });
    println!(
        "{test}: {count} payloads, {total} bytes; certified in {:.1} s, rebuilt from operators in {:.1} s",
        certified.as_secs_f64(),
        (start.elapsed() - certified).as_secs_f64()
    );
}

fn in_parallel(threads: usize, jobs: usize, work: impl Fn(usize) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let job = next.fetch_add(1, Ordering::Relaxed);
                    if job >= jobs {
                        break;
                    }
                    work(job);
                }
            });
        }
    });
}

#[test]
fn payloads_of_all_sizes_several_at_a_time() {
    send(24, 4, "payloads_of_all_sizes_several_at_a_time");
}

#[test]
#[ignore = "minutes; run by `make test-long`"]
fn two_hundred_payloads_of_random_sizes() {
    send(200, 6, "two_hundred_payloads_of_random_sizes");
}
