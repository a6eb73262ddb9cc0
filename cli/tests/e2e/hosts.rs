//! Real processes on hosts of their own, with links between them that delay, lose and reorder packets, and are cut. `make test-net` runs
//! them all. They need root, and say so where they are skipped.

use std::time::{Duration, Instant};

use ashlar_testing::switch::Link;

use crate::support::wait_for;
use crate::support::world::{CLIENT, DISPERSER, World, operator};

/// Across an ocean, badly.
const FAR: Link = Link {
    delay: Duration::from_millis(100),
    jitter: Duration::from_millis(10),
    loss: 0.02,
    ..Link::PERFECT
};

/// Posts payloads of these sizes, one after another; ids, payloads and how long each took.
fn post_all(world: &mut World, sizes: &[usize]) -> Vec<(String, Vec<u8>, Duration)> {
    let post = |size: &usize| {
        let payload = world.random.bytes(*size);
        let (id, took) = world.post_and_wait(&payload);
        (id, payload, took)
    };
    sizes.iter().map(post).collect()
}

fn median(posted: &[(String, Vec<u8>, Duration)]) -> Duration {
    let mut times: Vec<Duration> = posted.iter().map(|(.., took)| *took).collect();
    times.sort_unstable();
    times[times.len() / 2]
}

/// A round trip of 200 ms and 2 % loss on all links, the client's too.
fn certified_over_far_links(test: &str, small: usize, large: &[usize]) {
    let Some(mut world) = World::start(test, FAR, |_| {}) else {
        return;
    };
    let posted = post_all(&mut world, &vec![100_000; small]);
    let attempts = |result| world.count("ashlar_disperser_attempts_total", result);
    println!(
        "{test}: {small} blobs of 100 kB, certificate after {:.2?} (p50); {} signatures, {} failed attempts; {:?}",
        median(&posted),
        attempts("signed"),
        attempts("transient"),
        world.hosts.switch().count(),
    );
    let (id, payload, _) = &posted[0];
    world.get_expecting(id, payload);
    for (id, payload, took) in post_all(&mut world, large) {
        let began = Instant::now();
        world.get_expecting(&id, &payload);
        println!(
            "{test}: {} bytes, certificate after {took:.2?}, read from operators in {:.2?}; {} failed attempts",
            payload.len(),
            began.elapsed(),
            world.count("ashlar_disperser_attempts_total", "transient"),
        );
    }
    // What a person types.
    let payload = world.random.bytes(50_000);
    let file = world.write("typed", &payload);
    let put = world.run(&["put", file.to_str().unwrap()]).success();
    world.get_expecting(put["id"].as_str().unwrap(), &payload);
    let (status, health) = world.health();
    assert_eq!(status, 200, "{health}");
}

#[test]
fn blobs_are_certified_and_read_over_far_links_that_lose() {
    certified_over_far_links("far_links", 3, &[1_000_000]);
}

#[test]
#[ignore = "minutes; run by `make test-net`"]
fn many_and_large_blobs_are_certified_and_read_over_far_links_that_lose() {
    certified_over_far_links("many_far_links", 30, &[1_000_000, 4_000_000]);
}

#[test]
#[ignore = "a minute; run by `make test-net`"]
fn a_partition_stops_certificates_only_without_enough_stake_and_loses_no_blob() {
    let quick = |config: &mut ashlar_disperser::DisperserConfig| {
        config.disperse.deadline_secs = 6;
        config.disperse.attempt_timeout_secs = 6;
    };
    let Some(mut world) = World::start("partition", FAR, quick) else {
        return;
    };
    let part = |world: &World, away: &[usize]| {
        let (mut there, mut here) = (Vec::new(), vec![DISPERSER, CLIENT]);
        for index in 0..8 {
            let side = if away.contains(&index) {
                &mut there
            } else {
                &mut here
            };
            side.push(operator(index));
        }
        world.hosts.switch().part(&[&there, &here]);
    };
    let mut posted = post_all(&mut world, &[50_000]);

    // 67 % of the stake is left, 55 % is needed.
    part(&world, &[0, 7]);
    posted.extend(post_all(&mut world, &[50_000, 50_000, 50_000]));
    println!(
        "partition: without a third of the stake, certificate after {:.2?} (p50)",
        median(&posted[1..])
    );
    assert_eq!(world.health().0, 200);

    // 50 %.
    part(&world, &[0, 1]);
    let payloads: Vec<Vec<u8>> = (0..3).map(|_| world.random.bytes(50_000)).collect();
    let waiting: Vec<String> = payloads.iter().map(|payload| world.post(payload)).collect();
    wait_for("the disperser to say that too few sign", || {
        world.health().0 == 503
    });
    let (_, health) = world.health();
    assert!(health.contains("\"dispersal\""), "{health}");
    assert!(
        health.contains("50.00 % of stake signed, 55 % needed"),
        "{health}"
    );
    let file = world.write("late", b"who will sign this");
    let put = world.run(&["put", file.to_str().unwrap(), "--timeout", "8"]);
    put.failure(5, "client.deadline");
    for id in &waiting {
        let state = world.state(id);
        assert!(state != "certified" && state != "failed", "{state}");
    }

    world.hosts.switch().heal();
    let healed = Instant::now();
    let late = put.error()["id"].as_str().unwrap().to_owned();
    for id in waiting.iter().chain([&late]) {
        wait_for("what was accepted to be certified", || {
            let state = world.state(id);
            assert_ne!(state, "failed");
            state == "certified"
        });
    }
    println!(
        "partition: everything certified {:.2?} after it was healed",
        healed.elapsed()
    );
    posted.extend(post_all(&mut world, &[50_000]));
    assert_eq!(world.health().0, 200);
    for (id, payload) in waiting.iter().zip(&payloads) {
        world.get_expecting(id, payload);
    }
    for (id, payload, _) in &posted {
        world.get_expecting(id, payload);
    }
}

/// Its keys move with their protection file; its data is gone.
#[test]
#[ignore = "a minute; run by `make test-net`"]
fn an_operator_replaced_on_an_empty_disk_signs_again() {
    let Some(mut world) = World::start("replaced", FAR, |_| {}) else {
        return;
    };
    post_all(&mut world, &[50_000, 50_000]);
    assert!(world.signed_batches(0) >= 1);
    world.kill_node(0);

    let old = world.file.nodes[0].dir.clone();
    let moving = world.write("moving", b"").with_extension("json");
    let (config, moving) = (old.join("node.toml"), moving.to_str().unwrap());
    let config = ["--config", config.to_str().unwrap()];
    world
        .run(&[&["node", "protection", "export", moving][..], &config].concat())
        .success();
    std::fs::remove_dir_all(old.join("data")).unwrap();
    std::fs::remove_file(old.join("bls.database.json")).unwrap();
    let import = ["node", "protection", "import", moving, "--new-database"];
    let done = world.run(&[&import[..], &config].concat()).success();
    assert_eq!(done["floors"], 1, "{done}");
    world.restart_node(0);

    // Without its 30 % only 35 % would sign.
    world
        .hosts
        .switch()
        .part(&[&[operator(1), operator(2)], &[DISPERSER, operator(0)]]);
    let posted = post_all(&mut world, &[50_000, 50_000]);
    assert!(world.signed_batches(0) >= 2);
    println!("replaced: certificate after {:.2?} (p50)", median(&posted));
    world.hosts.switch().heal();
    for (id, payload, _) in &posted {
        world.get_expecting(id, payload);
    }
}

#[test]
#[ignore = "a minute; run by `make test-net`"]
fn a_slow_host_and_packets_out_of_order_delay_no_certificate() {
    let reordering = Link {
        held: 0.05,
        hold: Duration::from_millis(20),
        delay: Duration::from_millis(50),
        loss: 0.0,
        ..FAR
    };
    let Some(mut world) = World::start("slow_host", reordering, |_| {}) else {
        return;
    };
    let sizes = [500_000; 7];
    let before = median(&post_all(&mut world, &sizes));
    // The operator with most chunks: half a megabyte of slices takes it four seconds. And one way to another is long.
    let slow = Link {
        rate: Some(125_000),
        queue: 64 << 10,
        ..reordering
    };
    let long = Link {
        delay: Duration::from_millis(400),
        ..reordering
    };
    world.hosts.switch().set_host(operator(0), slow);
    world.hosts.switch().set_pair(DISPERSER, operator(3), long);
    let posted = post_all(&mut world, &sizes);
    let after = median(&posted);
    println!(
        "slow_host: certificate after {before:.2?} (p50); with a host of 1 Mbit/s {after:.2?}"
    );
    // Once enough have signed, half a second is given to the others.
    assert!(
        after < before + Duration::from_millis(1500),
        "{before:?}, {after:?}"
    );
    for (id, payload, _) in &posted[..2] {
        world.get_expecting(id, payload);
    }
}
