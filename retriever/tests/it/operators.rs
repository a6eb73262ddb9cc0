//! Payloads from operators, with honest and dishonest ones among them.

use std::time::Duration;

use crate::world::{Batch, Behaviour, World, noise};
use ashlar_crypto::{Blame, Coded, Encoding, Rows};
use ashlar_proto::{ChunkIndex, OperatorIndex, VerifiedCertificate};
use ashlar_retriever::{
    Report, RetrievalPath, RetrieveErrorKind, Retrieved, Retriever, RetrieverConfig, Source,
};

const EQUAL: [u64; 8] = [100; 8];

fn config() -> RetrieverConfig {
    RetrieverConfig {
        // Long enough for honest operators on a busy machine; only those that never answer are waited for.
        request_timeout: Duration::from_secs(20),
        hedge_after: Duration::from_secs(2),
        back_off: Duration::from_millis(50),
        attempts: 2,
        deadline: Duration::from_secs(120),
        // So that it is known who is asked.
        spread: false,
        ..RetrieverConfig::default()
    }
}

fn retriever(world: &World) -> Retriever {
    Retriever::new(config(), world.stake_source(), world.network()).unwrap()
}

fn honest_batch(world: &World, payloads: &[(&[u8], Encoding)]) -> Batch {
    Batch::encode(world, payloads, 1, |_, _| {})
}

async fn fetch(world: &World, cert: &VerifiedCertificate) -> Retrieved {
    match retriever(world).fetch(cert, Source::Operators).await {
        Ok(found) => found,
        Err(error) => panic!("{error}: {:#?}", error.report),
    }
}

fn skipped(report: &Report, operator: u32) -> Vec<&str> {
    report
        .skipped
        .iter()
        .filter(|skipped| skipped.index == Some(OperatorIndex(operator)))
        .map(|skipped| skipped.code.as_str())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn honest_operators_deliver_with_no_byte_too_many() {
    let world = World::new(&EQUAL, |_| Behaviour::Honest);
    let payload = noise(300_000, 3);
    let small = noise(1, 4);
    let batch = world.store(honest_batch(
        &world,
        &[(&payload, Encoding::Packed31), (&small, Encoding::Packed31)],
    ));
    let found = fetch(&world, &world.verified(&batch, 0)).await;
    assert_eq!(found.payload, payload);
    let report = &found.report;
    assert_eq!(report.via, Some(RetrievalPath::Operators));
    assert_eq!(report.skipped, []);
    assert_eq!(report.slices_needed, 64);
    assert_eq!(report.bytes_needed, 3 * 131_072);
    assert_eq!(report.bytes_requested, report.bytes_needed);
    assert_eq!(report.bytes_fetched, report.bytes_needed);
    assert_eq!(
        report
            .operators
            .iter()
            .map(|operator| operator.good)
            .sum::<u32>(),
        64
    );
    // Only systematic slices were asked for: nothing had to be decoded.
    for operator in 0..8 {
        assert!(
            world
                .asked(operator)
                .iter()
                .flatten()
                .all(|index| index.0 < 64)
        );
    }

    let found = fetch(&world, &world.verified(&batch, 1)).await;
    assert_eq!(found.payload, small);
    let json = serde_json::to_value(&found.report).unwrap();
    assert_eq!(json["via"], "operators");
    assert_eq!(
        serde_json::from_value::<Report>(json).unwrap(),
        found.report
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_payload_comes_back_past_dead_operators() {
    let world = World::new(
        &[300, 100, 100, 250, 50, 100, 50, 50],
        |index| match index {
            1 | 4 => Behaviour::Dead,
            _ => Behaviour::Honest,
        },
    );
    let payload = noise(16 << 20, 3);
    let batch = world.store(honest_batch(&world, &[(&payload, Encoding::Packed31)]));
    let found = fetch(&world, &world.verified(&batch, 0)).await;
    assert!(found.payload == payload);
    for report in &found.report.operators {
        assert!(
            report.good == report.requested || [1, 4].contains(&report.index.0),
            "{report:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn eip4844_payloads_come_back_as_they_are() {
    let world = World::new(&[5, 1, 1, 1], |_| Behaviour::Honest);
    let mut payload = noise(2 * 131_072, 9);
    for element in payload.chunks_mut(32) {
        element[0] = 0;
    }
    let batch = world.store(honest_batch(&world, &[(&payload, Encoding::Eip4844)]));
    assert_eq!(
        fetch(&world, &world.verified(&batch, 0)).await.payload,
        payload
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrupt_a_hanging_a_dead_and_a_lying_operator_are_skipped_with_reasons() {
    // Table order is id order; the first holders have the systematic slices, so all of these are really asked.
    let world = World::new(&[10; 20], |index| match index {
        0 => Behaviour::Corrupt,
        1 => Behaviour::Hangs,
        2 => Behaviour::Dead,
        3 => Behaviour::Greedy,
        4 => Behaviour::OtherIndices,
        5 => Behaviour::Forgot,
        6 => Behaviour::Holes,
        7 => Behaviour::Overloaded,
        _ => Behaviour::Honest,
    });
    let payload = noise(200_000, 5);
    let batch = world.store(honest_batch(&world, &[(&payload, Encoding::Packed31)]));
    let found = fetch(&world, &world.verified(&batch, 0)).await;
    assert_eq!(found.payload, payload);
    let report = &found.report;
    assert_eq!(skipped(report, 0), ["operator.corrupt_slices"]);
    let hanging = skipped(report, 1);
    assert!(
        !hanging.is_empty()
            && hanging
                .iter()
                .all(|code| ["operator.slow", "operator.timeout"].contains(code)),
        "{hanging:?}"
    );
    let dead = skipped(report, 2);
    assert!(
        !dead.is_empty()
            && dead.iter().all(|code| {
                [
                    "operator.slow",
                    "operator.timeout",
                    "net.unreachable",
                    "net.timeout",
                ]
                .contains(code)
            }),
        "{dead:?}"
    );
    for operator in 8..20 {
        assert_eq!(
            skipped(report, operator),
            Vec::<&str>::new(),
            "operator {operator}"
        );
    }
    for skipped in &report.skipped {
        assert_eq!(skipped.blame, Blame::Peer);
        assert!(skipped.operator.is_some() && !skipped.reason.is_empty());
    }
}

/// Each misbehaviour of the holder of all systematic slices, on its own.
#[tokio::test(flavor = "multi_thread")]
async fn every_misbehaviour_has_its_code() {
    for (behaviour, code) in [
        (Behaviour::Corrupt, "operator.corrupt_slices"),
        (Behaviour::OtherIndices, "operator.other_indices"),
        (Behaviour::Greedy, "net.answer_too_large"),
        (Behaviour::Forgot, "operator.refused"),
        (Behaviour::Overloaded, "operator.refused"),
        (Behaviour::Holes, "operator.not_held"),
    ] {
        let world = World::new(&EQUAL, |index| {
            if index == 0 {
                behaviour
            } else {
                Behaviour::Honest
            }
        });
        let payload = noise(1000, 5);
        let batch = world.store(honest_batch(&world, &[(&payload, Encoding::Packed31)]));
        let found = fetch(&world, &world.verified(&batch, 0)).await;
        assert_eq!(found.payload, payload, "{behaviour:?}");
        assert_eq!(skipped(&found.report, 0), [code], "{behaviour:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hanging_holder_of_all_systematic_slices_costs_less_than_the_budget() {
    let world = World::new(&EQUAL, |index| {
        if index == 0 {
            Behaviour::Hangs
        } else {
            Behaviour::Honest
        }
    });
    let payload = noise(500_000, 5);
    let batch = world.store(honest_batch(&world, &[(&payload, Encoding::Packed31)]));
    let found = fetch(&world, &world.verified(&batch, 0)).await;
    assert_eq!(found.payload, payload);
    assert_eq!(skipped(&found.report, 0), ["operator.slow"]);
    assert!(
        found.report.bytes_requested * 10 <= found.report.bytes_needed * 13,
        "{} of {}",
        found.report.bytes_requested,
        found.report.bytes_needed
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_another_service_is_refused_before_anybody_is_asked() {
    let world = World::new(&EQUAL, |_| Behaviour::Honest);
    let payload = noise(1000, 5);
    let batch = world.store(honest_batch(&world, &[(&payload, Encoding::Packed31)]));
    let cert = world.verified(&batch, 0);
    // The same operators, in another service.
    let other = world.source_of_another_service();
    let expected = other.domain();
    let retriever = Retriever::new(config(), other, world.network()).unwrap();
    for from in [Source::Auto, Source::Operators] {
        let error = retriever.fetch(&cert, from).await.unwrap_err();
        let RetrieveErrorKind::OtherDomain { got, expected: e } = error.kind else {
            panic!("{error}")
        };
        assert_eq!((got, e), (cert.domain(), expected));
        assert_eq!(error.code(), "retrieve.other_domain");
        assert_eq!(error.blame(), Blame::Caller);
    }
    for operator in 0..8 {
        assert_eq!(world.asked(operator), Vec::<Vec<ChunkIndex>>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_that_did_not_sign_come_last() {
    let world = World::new(&EQUAL, |_| Behaviour::Honest);
    let payload = noise(1000, 5);
    let batch = world.store(honest_batch(&world, &[(&payload, Encoding::Packed31)]));
    let certificate = world.certify(&batch, 0, &[2, 3, 4, 5, 6]);
    let cert = world.check(&certificate);
    let found = fetch(&world, &cert).await;
    assert_eq!(found.payload, payload);
    for absent in [0, 1, 7] {
        assert_eq!(world.asked(absent), Vec::<Vec<ChunkIndex>>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn too_few_operators_are_a_definitive_failure() {
    let world = World::new(&[1; 16], |index| {
        if index == 3 {
            Behaviour::Honest
        } else {
            Behaviour::Corrupt
        }
    });
    let batch = world.store(honest_batch(&world, &[(b"lost", Encoding::Packed31)]));
    let error = retriever(&world)
        .fetch(&world.verified(&batch, 0), Source::Operators)
        .await
        .unwrap_err();
    let RetrieveErrorKind::TooFewSlices {
        needed: 64,
        reachable,
        ..
    } = error.kind
    else {
        panic!("{error}")
    };
    assert!(reachable < 64);
    assert_eq!(error.code(), "retrieve.too_few_slices");
    assert_eq!(error.blame(), Blame::Peer);
    assert!(error.report.skipped.len() > 8);
    assert_eq!(error.report.via, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_deadline_holds_when_everybody_hangs() {
    let world = World::new(&EQUAL, |_| Behaviour::Hangs);
    let batch = world.store(honest_batch(&world, &[(b"late", Encoding::Packed31)]));
    let config = RetrieverConfig {
        deadline: Duration::from_millis(700),
        ..config()
    };
    let retriever = Retriever::new(config, world.stake_source(), world.network()).unwrap();
    let error = retriever
        .fetch(&world.verified(&batch, 0), Source::Operators)
        .await
        .unwrap_err();
    assert_eq!(error.code(), "retrieve.deadline");
    assert!(matches!(
        error.kind,
        RetrieveErrorKind::Deadline {
            stage: "slices",
            good: 0,
            ..
        }
    ));
    assert!(!error.report.skipped.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn large_payloads_are_refused_before_anything_is_asked() {
    let world = World::new(&EQUAL, |_| Behaviour::Honest);
    let payload = noise(5000, 5);
    let batch = world.store(honest_batch(&world, &[(&payload, Encoding::Packed31)]));
    let config = RetrieverConfig {
        max_payload: 4999,
        ..config()
    };
    let retriever = Retriever::new(config, world.stake_source(), world.network()).unwrap();
    let error = retriever
        .fetch(&world.verified(&batch, 0), Source::Auto)
        .await
        .unwrap_err();
    assert_eq!(error.code(), "retrieve.too_large");
    assert!((0..8).all(|operator| world.asked(operator).is_empty()));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_table_of_the_same_block_is_refused() {
    let world = World::new(&EQUAL, |_| Behaviour::Honest);
    let other = World::new(&[7; 8], |_| Behaviour::Honest);
    let batch = world.store(honest_batch(&world, &[(b"x", Encoding::Packed31)]));
    let retriever = Retriever::new(config(), other.stake_source(), world.network()).unwrap();
    let error = retriever
        .fetch(&world.verified(&batch, 0), Source::Operators)
        .await
        .unwrap_err();
    assert_eq!(error.code(), "retrieve.wrong_table");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_fetches_share_a_small_memory_budget() {
    let world = World::new(&EQUAL, |_| Behaviour::Honest);
    let payload = noise(200_000, 5);
    let batch = world.store(honest_batch(&world, &[(&payload, Encoding::Packed31)]));
    let cert = world.verified(&batch, 0);
    // Room for one fetch of two rows at a time.
    let config = RetrieverConfig {
        memory: 1 << 20,
        ..config()
    };
    let retriever = Retriever::new(config, world.stake_source(), world.network()).unwrap();
    let fetches = (0..8).map(|_| {
        let (retriever, cert) = (retriever.clone(), cert.clone());
        tokio::spawn(async move { retriever.fetch(&cert, Source::Operators).await })
    });
    for fetch in futures::future::join_all(fetches).await {
        assert_eq!(fetch.unwrap().unwrap().payload, payload);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_with_other_padding_are_no_payload() {
    let world = World::new(&EQUAL, |_| Behaviour::Honest);
    let good = Rows::from_payload(b"abc", Encoding::Packed31).unwrap();
    let mut bytes = good.as_bytes().to_vec();
    bytes[4000] = 1; // must be zero
    let rows = Rows::from_bytes(bytes).unwrap();
    let batch = Batch::encode_rows(&world, &[rows], &[(3, Encoding::Packed31)], 1, |_, _| {});
    let batch = world.store(batch);
    let error = retriever(&world)
        .fetch(&world.verified(&batch, 0), Source::Operators)
        .await
        .unwrap_err();
    assert_eq!(error.code(), "retrieve.malformed_payload");
}

// ---- A disperser that encodes wrongly ----

fn spoil(slice: &mut [u8]) {
    // Still canonical elements: the top byte stays.
    for element in slice.chunks_mut(32) {
        element[31] ^= 0x55;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_discards_what_a_wrong_disperser_and_its_friends_made_up() {
    // Operator 0 colludes: it signed and serves slices of a chunk root that was never the blob's extension. Operator 1
    // changes its proofs; operator 2 makes up cells that keep the KZG sum, which only the Merkle check can see.
    let world = World::new(&EQUAL, |index| match index {
        1 => Behaviour::WrongProof,
        2 => Behaviour::Trades,
        _ => Behaviour::Honest,
    });
    let (first, second) = (noise(90_000, 5), noise(40_000, 6));
    let wrong = world.assignment.chunks(OperatorIndex(0)).to_vec();
    let batch = world.store(Batch::encode(
        &world,
        &[(&first, Encoding::Packed31), (&second, Encoding::Packed31)],
        1,
        |index, slice| {
            if wrong.contains(&ChunkIndex(index)) {
                spoil(slice);
            }
        },
    ));
    let found = fetch(&world, &world.verified(&batch, 0)).await;
    assert_eq!(found.payload, first);
    assert_eq!(found.report.via, Some(RetrievalPath::Audit));
    let audit = found.report.audit.as_ref().unwrap();
    assert!(!audit.bad.is_empty());
    assert!(audit.good >= 64);
    let honest = |operator: &u32| *operator > 2;
    for operator in (0..8u32).filter(honest) {
        assert_eq!(skipped(&found.report, operator), Vec::<&str>::new());
    }
    assert_eq!(skipped(&found.report, 0), ["operator.chunk_proof"]);
    for (operator, code) in [(1, "operator.chunk_proof"), (2, "operator.corrupt_slices")] {
        let asked = found
            .report
            .operators
            .iter()
            .any(|report| report.index == OperatorIndex(operator));
        if asked {
            assert_eq!(skipped(&found.report, operator), [code]);
        }
    }

    // The other blob of the batch is sound and needs no audit.
    let found = fetch(&world, &world.verified(&batch, 1)).await;
    assert_eq!(found.payload, second);
    assert_eq!(found.report.via, Some(RetrievalPath::Operators));
}

/// Operators 1 and 2 hold systematic chunks, so the audit is sure to ask them.
#[tokio::test(flavor = "multi_thread")]
async fn the_audit_sees_through_trades_and_changed_proofs() {
    for (behaviour, code) in [
        (Behaviour::Trades, "operator.corrupt_slices"),
        (Behaviour::WrongProof, "operator.chunk_proof"),
    ] {
        let world = World::new(&[100; 16], |index| {
            if index == 1 || index == 2 {
                behaviour
            } else {
                Behaviour::Honest
            }
        });
        let (first, second) = (noise(9_000, 5), noise(4_000, 6));
        let wrong = world.assignment.chunks(OperatorIndex(0)).to_vec();
        let batch = world.store(Batch::encode(
            &world,
            &[(&first, Encoding::Packed31), (&second, Encoding::Packed31)],
            1,
            |index, slice| {
                if wrong.contains(&ChunkIndex(index)) {
                    spoil(slice);
                }
            },
        ));
        let found = fetch(&world, &world.verified(&batch, 0)).await;
        assert_eq!(found.payload, first);
        assert_eq!(found.report.via, Some(RetrievalPath::Audit));
        assert_eq!(skipped(&found.report, 0), ["operator.chunk_proof"]);
        for operator in [1, 2] {
            assert_eq!(skipped(&found.report, operator), [code], "{behaviour:?}");
        }
        for operator in 3..16 {
            assert_eq!(skipped(&found.report, operator), Vec::<&str>::new());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_that_was_never_encoded_rightly_is_a_definitive_failure() {
    let world = World::new(&EQUAL, |_| Behaviour::Honest);
    let payload = noise(1000, 5);
    let batch = world.store(Batch::encode(
        &world,
        &[(&payload, Encoding::Packed31)],
        1,
        |_, slice| spoil(slice),
    ));
    let error = retriever(&world)
        .fetch(&world.verified(&batch, 0), Source::Operators)
        .await
        .unwrap_err();
    assert_eq!(error.code(), "retrieve.encoded_wrongly");
    assert_eq!(error.blame(), Blame::Peer);
    let RetrieveErrorKind::EncodedWrongly {
        good: 0,
        bad,
        needed: 64,
        conclusive: true,
        ..
    } = error.kind
    else {
        panic!("{error}")
    };
    // 8 operators hold 384 chunks; with fewer than 64 left that are not known to be bad, it is over.
    assert!(bad > 320, "{bad}");
    assert!(
        error
            .to_string()
            .starts_with("the disperser encoded the blob wrongly"),
        "{error}"
    );
    assert_eq!(error.report.audit.as_ref().unwrap().bad.len(), bad as usize);
}

#[tokio::test(flavor = "multi_thread")]
async fn slices_that_are_no_field_elements_lead_to_the_audit_too() {
    let world = World::new(&EQUAL, |_| Behaviour::Honest);
    let payload = noise(1000, 5);
    let wrong = world.assignment.chunks(OperatorIndex(0)).to_vec();
    let batch = world.store(Batch::encode(
        &world,
        &[(&payload, Encoding::Packed31)],
        1,
        |index, slice| {
            if wrong.contains(&ChunkIndex(index)) {
                slice[..32].fill(0xff);
            }
        },
    ));
    let found = fetch(&world, &world.verified(&batch, 0)).await;
    assert_eq!(found.payload, payload);
    assert_eq!(found.report.via, Some(RetrievalPath::Audit));
    assert!(
        found
            .report
            .audit
            .unwrap()
            .cause
            .contains("cannot be decoded")
    );
}
