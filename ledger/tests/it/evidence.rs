//! Evidence sent to the service: what is proven is punished, once.

use crate::common::*;
use ashlar_ledger::client::LedgerClient;
use ashlar_ledger::devnet::{SERVICE, devnet_account};
use ashlar_ledger::types::EvidenceReceipt;
use ashlar_proto::head::Head;
use ashlar_proto::{Account, BatchHeader, Block, OperatorId, TableAccess as _, TableRoot};
use ashlar_restaking::evidence::{
    Accused, BadAttestation, Breach, DispersedBatch, DisperserEquivocation, DoubleSigning, Fault,
    FaultKind, SignedBatch,
};
use ashlar_restaking::{Action, Amount, Event, ServiceId, Transaction, Wad};
use serde_json::Value;

/// Of what a receipt says was taken: in how many quorums.
fn slashes(receipt: &EvidenceReceipt) -> usize {
    receipt
        .receipts
        .iter()
        .filter(|receipt| {
            receipt
                .events
                .iter()
                .any(|event| matches!(event, Event::Slashed { .. }))
        })
        .count()
}

async fn refused(client: &LedgerClient, fault: &Fault, status: u16, code: &str) {
    let error = client.submit_evidence(fault).await.unwrap_err();
    assert_eq!(error.code(), code, "{error}");
    assert_eq!(error.problem().unwrap().status, status);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_double_signing_is_slashed_once_whatever_shows_it() {
    let home = Home::new(20);
    let running = home.start().await;
    let sender = client(&running);
    let first = block_after(&sender, Block(0)).await;
    let whole = weight(&sender, first, 2, 0).await;
    assert_eq!(whole, Amount::ether(20 * 32));
    let before = sender.table(network(), SERVICE, first).await.unwrap();

    let fault = double_signing(2, 9, [1, 2]);
    let receipt = sender.submit_evidence(&fault).await.unwrap();
    assert_eq!(receipt.accused, Accused::Operator(operator(2)));
    assert_eq!(receipt.kind, FaultKind::DoubleSigning);
    assert_eq!(receipt.evidence_hash.0, fault.hash());
    assert_eq!(slashes(&receipt), 2, "once in each quorum");
    let punished = receipt.receipts[0].block;

    // The next table shows it, those before do not.
    let next = block_after(&sender, punished.max(first).saturating_sub(1)).await;
    let half = Amount::ether(10 * 32);
    assert_eq!(weight(&sender, next, 2, 0).await, half);
    assert_eq!(weight(&sender, next, 2, 1).await, Amount::ether(10 * 1000));
    assert_eq!(weight(&sender, next, 1, 0).await, Amount::ether(10 * 32));
    let again = sender.table(network(), SERVICE, first).await.unwrap();
    assert_eq!(again.operators(), before.operators());

    // The same, and other evidence of the same misdeed: a third batch under the number.
    let others = [
        fault.clone(),
        double_signing(2, 9, [1, 3]),
        double_signing(2, 9, [4, 5]),
    ];
    for fault in &others {
        refused(&sender, fault, 409, "slash.same_fault").await;
    }
    running.shutdown().await;

    let running = home.start().await;
    let sender = client(&running);
    for fault in &others {
        refused(&sender, fault, 409, "slash.same_fault").await;
    }
    let now = sender.head().await.unwrap().table_block;
    assert_eq!(weight(&sender, now, 2, 0).await, half);
    // Another misdeed is another fault, and another operator's misdeed too.
    let receipt = sender
        .submit_evidence(&double_signing(2, 10, [1, 2]))
        .await
        .unwrap();
    assert_eq!(slashes(&receipt), 2);
    let receipt = sender
        .submit_evidence(&double_signing(3, 9, [1, 2]))
        .await
        .unwrap();
    assert_eq!(slashes(&receipt), 2);
    drop(running);
    // After a crash too.
    let running = home.start().await;
    let sender = client(&running);
    refused(
        &sender,
        &double_signing(3, 9, [1, 2]),
        409,
        "slash.same_fault",
    )
    .await;
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_tell_one_is_first() {
    let home = Home::new(NO_BLOCKS);
    let running = home.start().await;
    let client = client(&running);
    let tell = (0..12u64).map(|number| {
        let client = client.clone();
        async move {
            let fault = double_signing(1, 1, [number, number + 1]);
            client.submit_evidence(&fault).await
        }
    });
    let told = futures::future::join_all(tell).await;
    let (done, late): (Vec<_>, Vec<_>) = told.into_iter().partition(Result::is_ok);
    assert_eq!(done.len(), 1);
    assert_eq!(slashes(&done.into_iter().next().unwrap().unwrap()), 2);
    for error in late {
        assert_eq!(error.unwrap_err().code(), "slash.same_fault");
    }
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_proven_changes_nothing() {
    let home = Home::new(20);
    let running = home.start().await;
    let client = client(&running);
    let block = block_after(&client, Block(0)).await;
    let table = client.table(network(), SERVICE, block).await.unwrap();
    let honest = |sequence: u64, time: u64| BatchHeader {
        table_root: table.root(),
        ..batch(block, sequence, 1_700_000_000_000 + time)
    };
    let signed = |index: u8, header| SignedBatch::sign(&bls(index), header);
    let claim = |operator: OperatorId, one, other| {
        Fault::DoubleSigning(DoubleSigning::new(operator, one, other))
    };
    let attest = |header, breach| {
        Fault::BadAttestation(BadAttestation {
            operator: operator(1),
            batch: signed(1, header),
            breach,
        })
    };
    let equivocate = |one, other| {
        let sign = |header| DispersedBatch::sign(&disperser_key(), header);
        Fault::DisperserEquivocation(DisperserEquivocation::new(sign(one), sign(other)))
    };
    let unseen = BatchHeader {
        reference_block: Block(1_000_000),
        ..honest(9, 1)
    };
    let elsewhere = |service: ServiceId| BatchHeader {
        domain: domain(service),
        ..honest(9, 2)
    };
    for (fault, expected) in [
        // Signed by somebody else.
        (
            claim(
                operator(2),
                signed(2, honest(9, 1)),
                signed(3, honest(9, 2)),
            ),
            "evidence.signature",
        ),
        // Two numbers, one batch, and one number in two services.
        (
            claim(
                operator(2),
                signed(2, honest(9, 1)),
                signed(2, honest(8, 2)),
            ),
            "evidence.other_sequence",
        ),
        (
            claim(
                operator(2),
                signed(2, honest(9, 1)),
                signed(2, honest(9, 1)),
            ),
            "evidence.same_batch",
        ),
        (
            claim(
                operator(2),
                signed(2, honest(9, 1)),
                signed(2, elsewhere(2)),
            ),
            "evidence.other_domain",
        ),
        (
            equivocate(honest(9, 1), elsewhere(2)),
            "evidence.other_domain",
        ),
        // Of no service of this ledger.
        (
            attest(elsewhere(7), Breach::UnknownDisperser),
            "evidence.other_domain",
        ),
        // No operator here.
        (
            claim(
                operator(77),
                signed(77, honest(9, 1)),
                signed(77, honest(9, 2)),
            ),
            "evidence.unknown_operator",
        ),
        // Rules that are kept.
        (attest(honest(9, 1), Breach::Header), "evidence.not_broken"),
        (attest(honest(9, 1), Breach::Table), "evidence.not_broken"),
        (
            attest(honest(9, 1), Breach::UnknownDisperser),
            "evidence.not_broken",
        ),
        (
            equivocate(honest(9, 1), honest(8, 1)),
            "evidence.other_sequence",
        ),
        // Tables that are to come: this ledger has not seen what they say.
        (
            attest(unseen.clone(), Breach::Header),
            "evidence.unseen_block",
        ),
        (
            attest(unseen.clone(), Breach::Table),
            "evidence.unseen_block",
        ),
        (
            attest(unseen.clone(), Breach::UnknownDisperser),
            "evidence.unseen_block",
        ),
        (equivocate(honest(9, 1), unseen), "evidence.unseen_block"),
    ] {
        refused(&client, &fault, 422, expected).await;
    }
    let malformed = client.query::<Value>("v1/evidence").await.unwrap_err();
    assert_eq!(malformed.code(), "route.method");
    let now = block_after(&client, block).await;
    let after = client.table(network(), SERVICE, now).await.unwrap();
    assert_eq!(after.operators(), table.operators());
    assert_eq!(after.dispersers(), table.dispersers());

    // A batch of a version that the service had not recorded is another matter.
    let fault = attest(
        BatchHeader {
            version: 2,
            ..honest(9, 1)
        },
        Breach::Header,
    );
    let receipt = client.submit_evidence(&fault).await.unwrap();
    assert_eq!(receipt.kind, FaultKind::BadAttestation);
    assert_eq!(slashes(&receipt), 2);
    running.shutdown().await;
}

/// Whoever signs for another table than the recorded one is slashed, but not who believed a head that the source signed.
#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_the_source_signed_acquits() {
    let home = Home::new(20);
    let running = home.start().await;
    let client = client(&running);
    let block = block_after(&client, Block(0)).await;
    let signed_for = |root: u8| {
        let header = BatchHeader {
            table_root: TableRoot([root; 32]),
            ..batch(block, u64::from(root), 1_700_000_000_000)
        };
        Fault::BadAttestation(BadAttestation {
            operator: operator(1),
            batch: SignedBatch::sign(&bls(1), header),
            breach: Breach::Table,
        })
    };
    let head = Head {
        domain: domain(SERVICE),
        block,
        time_ms: 1,
        table_root: TableRoot([1; 32]),
    }
    .sign(&devnet_account(&[0; 32], "heads"));
    let shown = Transaction {
        sender: account(&stranger_key()),
        action: Action::SubmitHead {
            service: SERVICE,
            block,
            time_ms: head.head.time_ms,
            table_root: head.head.table_root,
            signature: head.signature,
        },
    };
    client.submit(&shown).await.unwrap();
    refused(&client, &signed_for(1), 422, "evidence.source_signed").await;
    let receipt = client.submit_evidence(&signed_for(2)).await.unwrap();
    assert_eq!(slashes(&receipt), 2);
    running.shutdown().await;
}

/// A disperser that signs two batches under one number loses its bond, once, and leaves the tables; no operator loses anything.
#[tokio::test(flavor = "multi_thread")]
async fn an_equivocating_disperser_loses_its_bond() {
    let home = Home::new(20);
    let running = home.start().await;
    let client = client(&running);
    let block = block_after(&client, Block(0)).await;
    let before = client.table(network(), SERVICE, block).await.unwrap();
    assert!(before.disperser(DISPERSER).is_some());
    let fault = |sequence, time| {
        let sign = |time| DispersedBatch::sign(&disperser_key(), batch(block, sequence, time));
        Fault::DisperserEquivocation(DisperserEquivocation::new(sign(0), sign(time)))
    };
    let receipt = client.submit_evidence(&fault(5, 1)).await.unwrap();
    assert_eq!(receipt.accused, Accused::Disperser(DISPERSER));
    assert_eq!(receipt.kind, FaultKind::DisperserEquivocation);
    assert!(
        matches!(
            receipt.receipts[0].events[..],
            [
                Event::DisperserSlashed {
                    service: SERVICE,
                    disperser: DISPERSER,
                    ..
                },
                // The devnet's account has a deposit with it.
                Event::AccountsClosed { .. }
            ]
        ),
        "{receipt:?}"
    );
    let next = block_after(&client, receipt.receipts[0].block).await;
    let after = client.table(network(), SERVICE, next).await.unwrap();
    assert!(after.disperser(DISPERSER).is_none());
    assert_eq!(after.operators(), before.operators());
    // The same again, and another number: there is nothing left.
    for fault in [fault(5, 1), fault(5, 2), fault(6, 1)] {
        refused(&client, &fault, 409, "slash.same_fault").await;
    }
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_lost_everything_has_nothing_to_slash() {
    let mut home = Home::new(NO_BLOCKS);
    home.config.evidence.wad = Wad::ONE;
    let running = home.start().await;
    let client = client(&running);
    let receipt = client
        .submit_evidence(&double_signing(4, 1, [1, 2]))
        .await
        .unwrap();
    assert_eq!(slashes(&receipt), 2);
    refused(
        &client,
        &double_signing(4, 1, [1, 2]),
        409,
        "slash.same_fault",
    )
    .await;
    refused(
        &client,
        &double_signing(4, 2, [1, 2]),
        422,
        "evidence.nothing_to_slash",
    )
    .await;
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_cannot_slash_says_so() {
    let mut home = Home::new(NO_BLOCKS);
    let fault = double_signing(1, 1, [1, 2]);
    for (slasher, status, expected) in [
        (Account([0; 20]), 404, "evidence.not_configured"),
        (account(&stranger_key()), 422, "evidence.other_slasher"),
    ] {
        home.config.evidence.slasher = slasher;
        let running = home.start().await;
        refused(&client(&running), &fault, status, expected).await;
        running.shutdown().await;
    }
}

/// A second service with a veto window: evidence makes a request, which is executed by itself when nobody vetoed.
#[tokio::test(flavor = "multi_thread")]
async fn after_the_veto_window_the_slash_is_executed() {
    let home = Home::new(20);
    let running = home.start().await;
    let client = client(&running);
    let (service, quorum) = (SECOND_SERVICE, 0);
    let veto = Some(account(&stranger_key()));
    let setup = second_service(veto, Wad::percent(40), None);
    let receipts = client.submit_all(&setup).await.unwrap();
    let joined = receipts.last().unwrap().block;
    let block = block_after(&client, joined.saturating_sub(1)).await;
    let sign = |time| {
        let header = BatchHeader {
            domain: domain(service),
            ..batch(block, 4, time)
        };
        SignedBatch::sign(&bls(1), header)
    };
    let fault = Fault::DoubleSigning(DoubleSigning::new(operator(1), sign(1), sign(2)));
    let receipt = client.submit_evidence(&fault).await.unwrap();
    assert!(matches!(
        receipt.receipts[0].events[..],
        [Event::SlashRequested { .. }]
    ));
    refused(&client, &fault, 409, "slash.same_fault").await;
    let weight = async || {
        let head = client.table_head(service, None).await.unwrap();
        let head = head.block();
        let table = client.table(network(), service, head).await.unwrap();
        Amount(table.operators()[0].stake(quorum))
    };
    // Not more than the service's cap, whatever is configured.
    let left = Amount::ether(60);
    until("the slash", async || weight().await == left).await;
    let open: Vec<Value> = client
        .query_all("v1/state/slash-requests", 10)
        .await
        .unwrap();
    assert_eq!(open, Vec::<Value>::new());
    refused(&client, &fault, 409, "slash.same_fault").await;
    // The first service's stake is untouched: isolation.
    let head = client.head().await.unwrap().table_block;
    assert_eq!(
        crate::common::weight(&client, head, 1, 0).await,
        Amount::ether(10 * 32)
    );
    running.shutdown().await;
}
