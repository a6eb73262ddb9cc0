//! Custody challenges over HTTP: asked, listed, answered or punished, and found again after a restart.

use crate::common::*;
use ashlar_crypto::Setup;
use ashlar_ledger::client::LedgerClient;
use ashlar_ledger::devnet::SERVICE;
use ashlar_ledger::types::{
    BondFundView, BondsPaidView, ChallengeDetail, ChallengeView, Page, ServiceDetail,
};
use ashlar_restaking::evidence::CustodyAnswer;
use ashlar_restaking::{Action, Amount, Block, Event, Transaction, Wad};
use ashlar_testing::custody::{Blob, blob, certificate};

fn bond() -> Amount {
    Amount::from(20_000_000_000_000_000u64)
}

/// What the devnet's disperser put up, in the same token.
fn of_disperser() -> Amount {
    Amount::ether(10)
}

/// Operators 1 and 2 signed for the blob; the staker 3 asks operator 2.
async fn ask(client: &LedgerClient, blob: &Blob) -> Transaction {
    let block = block_after(client, Block(0)).await;
    let table = client.table(network(), SERVICE, block).await.unwrap();
    let certificate = certificate(&table, &blob.header, &[bls(1), bls(2)]).unwrap();
    Transaction {
        sender: account(&staker_key(3)),
        action: Action::OpenChallenge {
            service: SERVICE,
            operator: operator(2),
            certificate: certificate.to_bytes(),
            bond: bond(),
        },
    }
}

fn answer(one: &ChallengeDetail, blob: &Blob, who: u8) -> Transaction {
    let setup = Setup::ethereum();
    let position = one.challenge.position();
    let answer = CustodyAnswer::from_rows(setup, &one.challenge.blob, &blob.rows, position);
    Transaction {
        sender: account(&operator_key(who)),
        action: Action::AnswerChallenge {
            challenge: one.id,
            answer: answer.unwrap().to_bytes(),
        },
    }
}

async fn funds(client: &LedgerClient) -> BondFundView {
    let service: ServiceDetail = client
        .query(&format!("v1/state/services/{SERVICE}"))
        .await
        .unwrap();
    let token = service.service.custody.unwrap().token;
    client
        .query(&format!("v1/state/bonds/{token}"))
        .await
        .unwrap()
}

async fn listed(client: &LedgerClient, query: &str) -> Vec<u64> {
    let page: Page<ChallengeView> = client
        .query(&format!("v1/state/challenges{query}"))
        .await
        .unwrap();
    page.items.iter().map(|view| view.id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn asked_answered_and_punished() {
    let home = Home::new(20);
    let running = home.start().await;
    let sender = client(&running);
    let (kept, lost) = (blob(1), blob(2));

    // Who has the data answers, here with an opening, and the bond is the operator's.
    let question = ask(&sender, &kept).await;
    let receipt = sender.submit(&question).await.unwrap();
    let [Event::ChallengeOpened { challenge, .. }] = receipt.events[..] else {
        panic!("{:?}", receipt.events);
    };
    assert_eq!(code(sender.submit(&question).await), "challenge.same");
    assert_eq!(listed(&sender, "").await, [challenge]);
    let of = |index| format!("?operator={}", operator(index));
    assert_eq!(listed(&sender, &of(2)).await, [challenge]);
    assert_eq!(listed(&sender, &of(1)).await, [0u64; 0]);
    assert_eq!(listed(&sender, "?service=2").await, [0u64; 0]);
    assert_eq!(
        code(
            sender
                .query::<Page<ChallengeView>>("v1/state/challenges?operator=2")
                .await
        ),
        "request.query"
    );
    let path = format!("v1/state/challenges/{challenge}");
    let one: ChallengeDetail = sender.query(&path).await.unwrap();
    assert_eq!(one.challenge.blob, kept.header);
    assert_eq!(one.challenge.deadline, one.challenge.opened + 250);
    let held = of_disperser().plus(bond()).unwrap();
    assert_eq!(funds(&sender).await.fund.held, held);
    let good = answer(&one, &kept, 2);
    let Action::AnswerChallenge {
        answer: mut bytes, ..
    } = good.action.clone()
    else {
        panic!("an answer")
    };
    *bytes.last_mut().unwrap() ^= 1;
    let bad = Transaction {
        sender: good.sender,
        action: Action::AnswerChallenge {
            challenge,
            answer: bytes,
        },
    };
    assert_eq!(code(sender.submit(&bad).await), "challenge.wrong_answer");
    let receipt = sender.submit(&good).await.unwrap();
    assert!(matches!(
        receipt.events[..],
        [Event::ChallengeAnswered { account: paid, .. }] if paid == account(&operator_key(2))
    ));
    assert_eq!(code(sender.submit(&good).await), "challenge.unknown");
    assert_eq!(
        code(sender.query::<ChallengeDetail>(&path).await),
        "state.not_found"
    );

    // Who has not, and is not helped, is slashed when the deadline is over; also if the service was away in between.
    let question = ask(&sender, &lost).await;
    let receipt = sender.submit(&question).await.unwrap();
    let opened = receipt.block;
    running.shutdown().await;
    home.advance(opened + 240);
    let running = home.start().await;
    let sender = client(&running);
    assert_eq!(listed(&sender, "").await.len(), 1);
    let last = block_after(&sender, opened + 248).await;
    assert!(last >= opened + 249);
    let gone = block_after(&sender, opened + 250).await;
    assert_eq!(listed(&sender, "").await, [0u64; 0]);
    let whole = Amount::ether(20 * 32);
    assert_eq!(weight(&sender, opened, 2, 0).await, whole);
    assert_eq!(weight(&sender, opened + 250, 2, 0).await, whole);
    let wad = Wad::percent(90);
    let left = whole.mul_div(wad.into(), Amount::WAD).unwrap();
    assert_eq!(weight(&sender, gone, 2, 0).await, left);
    // The other quorum had no part in the blob, and the other signer answered nothing because nobody asked.
    assert_eq!(weight(&sender, gone, 2, 1).await, Amount::ether(20 * 1000));
    assert_eq!(weight(&sender, gone, 1, 0).await, Amount::ether(10 * 32));
    assert_eq!(code(sender.submit(&question).await), "slash.same_fault");
    let BondFundView { token, fund } = funds(&sender).await;
    assert_eq!(
        (fund.held, fund.to_operators, fund.returned),
        (of_disperser(), bond(), bond())
    );
    for who in [operator_key(2), staker_key(3)] {
        let path = format!("v1/state/bonds/{token}/paid/{}", account(&who));
        let paid: BondsPaidView = sender.query(&path).await.unwrap();
        assert_eq!(paid.amount, bond());
    }
    let events = sender.events(0).await.unwrap();
    assert!(events.items.iter().any(|of| {
        matches!(
            of.events[..],
            [
                Event::ChallengeUnanswered { .. },
                Event::Slashed { quorum: 0, .. },
                ..
            ]
        )
    }));
    let root = sender.root().await.unwrap();
    running.shutdown().await;
    let on_disk = home.root_on_disk();
    // Blocks went on until the end; the log gives the state of its last record.
    assert!(root.block > opened && !on_disk.is_zero());
}
