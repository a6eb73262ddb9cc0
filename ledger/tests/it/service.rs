//! The service over TCP, with its ledger on a disk.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use crate::common::proxy::plain_client;
use crate::common::*;
use ashlar_crypto::hash::sha256;
use ashlar_crypto::merkle::{leaf_hash, verify_path};
use ashlar_ledger::client::LedgerClient;
use ashlar_ledger::devnet::SERVICE;
use ashlar_ledger::types::{
    EventPage, OperatorDetail, OperatorView, Page, StakerDetail, Status, WitnessView,
};
use ashlar_ledger::{LedgerConfig, LedgerService, ServiceError, SignedTransaction};
use ashlar_proto::{Block, Network, TableAccess as _};
use ashlar_restaking::{Action, Amount, Event, Transaction};
use serde_json::Value;

#[tokio::test(flavor = "multi_thread")]
async fn transactions_are_applied_and_refused_ones_change_nothing() {
    let home = Home::new(NO_BLOCKS);
    let running = home.start().await;
    let client = client(&running);
    let before = client.root().await.unwrap();
    let receipt = client.submit(&deposit(&staker_key(1), 3)).await.unwrap();
    assert_eq!(receipt.record, before.records + 1);
    assert!(
        matches!(receipt.events[0], Event::Deposited { amount, .. } if amount == Amount::ether(3)),
        "{:?}",
        receipt.events
    );
    let after = client.root().await.unwrap();
    assert_ne!(before.root, after.root);
    let staker: StakerDetail = client
        .query(&format!("v1/state/stakers/{}", account(&staker_key(1))))
        .await
        .unwrap();
    assert!(
        staker
            .positions
            .iter()
            .any(|position| position.strategy == 2 && position.tokens >= Amount::ether(3))
    );

    let nothing = deposit(&staker_key(1), 0);
    assert_eq!(code(client.submit(&nothing).await), "ledger.zero_amount");
    let admin_only = Transaction {
        sender: account(&staker_key(1)),
        action: Action::SetRewardUpdater {
            account: account(&staker_key(1)),
        },
    };
    let refused = client.submit(&admin_only).await.unwrap_err();
    assert_eq!(refused.problem().unwrap().status, 403);
    assert_eq!(client.root().await.unwrap(), after);
    assert_eq!(client.head().await.unwrap().records, after.records);
    // The next one goes through: nonces of refused ones are used, and counted on.
    client.submit(&deposit(&staker_key(1), 1)).await.unwrap();
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_sender_of_this_network_signs() {
    let home = Home::new(NO_BLOCKS);
    let running = home.start().await;
    let client = hasty(&running);
    let before = client.root().await.unwrap();
    let (key, transaction) = (staker_key(1), deposit(&staker_key(1), 1));
    let good = SignedTransaction::sign(&key, network(), 1, transaction.clone());

    let other_network =
        SignedTransaction::sign(&key, Network::ledger(&[9; 32]), 1, transaction.clone());
    let other_key = SignedTransaction::sign(&stranger_key(), network(), 1, transaction.clone());
    let mut other_nonce = good.clone();
    other_nonce.nonce = 2;
    let mut other_amount = good.clone();
    other_amount.transaction = deposit(&key, 2);
    for (signed, expected) in [
        (&other_network, "transaction.network"),
        (&other_key, "transaction.sender"),
        (&other_nonce, "transaction.sender"),
        (&other_amount, "transaction.sender"),
    ] {
        let error = client.submit_signed(signed).await.unwrap_err();
        assert_eq!(error.code(), expected);
        assert_eq!(error.problem().unwrap().status, 400);
    }
    assert_eq!(client.root().await.unwrap(), before);
    assert_eq!(client.account(account(&key)).await.unwrap().nonce, 0);
    client.submit_signed(&good).await.unwrap();
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nonce_is_used_once_and_an_answer_given_again() {
    let home = Home::new(NO_BLOCKS);
    let running = home.start().await;
    let client = hasty(&running);
    let key = staker_key(1);
    let sign = |nonce, ether| SignedTransaction::sign(&key, network(), nonce, deposit(&key, ether));
    let receipt = client.submit_signed(&sign(5, 1)).await.unwrap();
    let after = client.root().await.unwrap();
    // The very same bytes: whoever lost the answer gets it again, and nothing happens twice.
    assert_eq!(client.submit_signed(&sign(5, 1)).await.unwrap(), receipt);
    for nonce in [0, 4, 5] {
        let error = client.submit_signed(&sign(nonce, 2)).await.unwrap_err();
        assert_eq!(error.code(), "transaction.nonce");
        let problem = error.problem().unwrap();
        assert_eq!(problem.status, 409);
        assert_eq!(problem.expected.as_deref(), Some("6"));
    }
    assert_eq!(client.root().await.unwrap(), after);
    client.submit_signed(&sign(1000, 2)).await.unwrap();
    assert_eq!(client.account(account(&key)).await.unwrap().nonce, 1000);
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_are_all_applied_once() {
    let home = Home::new(20);
    let running = home.start().await;
    let client = client(&running);
    let before = client.head().await.unwrap();
    let sends = (0..200u64).map(|number| {
        let client = client.clone();
        async move {
            let key = [
                staker_key(1),
                staker_key(2),
                operator_key(3),
                operator_key(4),
            ][(number % 4) as usize]
                .clone();
            client.submit(&deposit(&key, 1)).await.unwrap().record
        }
    });
    let records: BTreeSet<u64> = futures::future::join_all(sends).await.into_iter().collect();
    assert_eq!(records.len(), 200);
    let after = client.head().await.unwrap();
    assert_eq!(after.transactions, before.transactions + 200);
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_keeps_everything() {
    let home = Home::new(NO_BLOCKS);
    let running = home.start().await;
    let signed = SignedTransaction::sign(&staker_key(2), network(), 9, deposit(&staker_key(2), 4));
    client(&running)
        .submit(&deposit(&staker_key(1), 3))
        .await
        .unwrap();
    client(&running).submit_signed(&signed).await.unwrap();
    let before = client(&running).root().await.unwrap();
    running.shutdown().await;
    assert_eq!(home.root_on_disk(), before.root);

    let running = home.start().await;
    let client = client(&running);
    assert_eq!(client.root().await.unwrap(), before);
    // Answers are gone, nonces are not.
    assert_eq!(
        code(client.submit_signed(&signed).await),
        "transaction.nonce"
    );
    assert_eq!(client.root().await.unwrap(), before);
    assert!(client.health().await.unwrap().status == Status::Ready);
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_loses_nothing_that_was_acknowledged() {
    let home = Home::new(NO_BLOCKS);
    let running = home.start().await;
    let address = running.addr;
    for ether in 1..=20 {
        client(&running)
            .submit(&deposit(&staker_key(1), ether))
            .await
            .unwrap();
    }
    let before = client(&running).root().await.unwrap();
    // No snapshot, no goodbye.
    drop(running);
    let running = home.start_at(address).await;
    let again = client(&running);
    assert_eq!(again.root().await.unwrap(), before);
    again.submit(&deposit(&staker_key(1), 1)).await.unwrap();
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_cut_off_by_a_power_cut_is_cut_away() {
    let home = Home::new(NO_BLOCKS);
    let running = home.start().await;
    let sender = client(&running);
    sender.submit(&deposit(&staker_key(1), 1)).await.unwrap();
    let before = sender.root().await.unwrap();
    sender.submit(&deposit(&staker_key(1), 2)).await.unwrap();
    drop((running, sender));
    // Opening waits for the folder; the files are changed when nobody has it.
    home.start().await.shutdown().await;
    std::fs::remove_file(home.file("snapshot.json")).unwrap();
    let cut = |name: &str, bytes: u64| {
        let file = std::fs::OpenOptions::new()
            .write(true)
            .open(home.file(name))
            .unwrap();
        file.set_len(file.metadata().unwrap().len() - bytes)
            .unwrap();
    };
    cut("ledger.log", 7);
    // What follows of the next record of nonces.
    let mut nonces = std::fs::OpenOptions::new()
        .append(true)
        .open(home.file("nonces.log"))
        .unwrap();
    nonces.write_all(&[0xaa; 33]).unwrap();
    drop(nonces);

    let running = home.start().await;
    let client = client(&running);
    assert_eq!(client.root().await.unwrap(), before);
    // The nonce of the lost one stays used: it was on disk first.
    let used = client.account(account(&staker_key(1))).await.unwrap().nonce;
    assert_eq!(used, 2);
    client.submit(&deposit(&staker_key(1), 2)).await.unwrap();
    let after = client.root().await.unwrap();
    running.shutdown().await;
    assert_eq!(home.root_on_disk(), after.root);
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_is_not_taken_for_a_power_cut() {
    let home = Home::new(NO_BLOCKS);
    let running = home.start().await;
    for _ in 0..3 {
        client(&running)
            .submit(&deposit(&staker_key(1), 1))
            .await
            .unwrap();
    }
    running.shutdown().await;
    for (name, code) in [
        ("nonces.log", "store.nonces"),
        ("ledger.log", "store.damaged"),
    ] {
        let good = std::fs::read(home.file(name)).unwrap();
        let mut bad = good.clone();
        bad[30] ^= 1;
        std::fs::write(home.file(name), &bad).unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let error = LedgerService::start(home.config.clone(), home.keys.clone(), address)
            .await
            .unwrap_err();
        assert_eq!(ashlar_crypto::Coded::code(&error), code);
        assert_eq!(std::fs::read(home.file(name)).unwrap(), bad);
        std::fs::write(home.file(name), &good).unwrap();
    }
    home.start().await.shutdown().await;
}

/// Writes fail for real: the file of nonces is the device that is always full.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_the_ledger() {
    let home = Home::new(NO_BLOCKS);
    std::os::unix::fs::symlink("/dev/full", home.file("nonces.log")).unwrap();
    let running = home.start().await;
    let client = hasty(&running);
    let key = staker_key(1);
    assert_eq!(client.health().await.unwrap().status, Status::Ready);
    let records = client.head().await.unwrap().records;
    let signed = SignedTransaction::sign(&key, network(), 1, deposit(&key, 1));
    assert_eq!(code(client.submit_signed(&signed).await), "store.nonces");
    let why = tokio::time::timeout(PATIENCE, running.failed())
        .await
        .unwrap();
    assert!(why.contains("free the disk"), "{why}");
    let health = client.health().await.unwrap();
    assert_eq!(health.status, Status::Degraded);
    assert!(health.reasons.iter().any(|reason| reason.code == "storage"));
    // Neither reads nor writes: what is in memory may not be on disk.
    assert_eq!(code(client.head().await), "store.failed");
    assert_eq!(code(client.submit_signed(&signed).await), "store.failed");
    running.shutdown().await;
    std::fs::remove_file(home.file("nonces.log")).unwrap();
    let running = home.start().await;
    assert_eq!(hasty(&running).head().await.unwrap().records, records);
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_never_change_and_have_witnesses() {
    let home = Home::new(20);
    let running = home.start().await;
    let client = client(&running);
    let before = block_after(&client, Block(0)).await;
    let genesis_root = client.table_root(SERVICE, Block(0)).await.unwrap();
    let table = client.table(network(), SERVICE, before).await.unwrap();
    let receipt = client.submit(&deposit(&staker_key(1), 7)).await.unwrap();
    let after = block_after(&client, receipt.block.saturating_sub(1)).await;
    let next = client.table(network(), SERVICE, after).await.unwrap();
    assert_ne!(table.header().totals, next.header().totals);
    assert_eq!(
        client
            .table(network(), SERVICE, before)
            .await
            .unwrap()
            .root(),
        table.root()
    );
    assert_eq!(
        client.table_root(SERVICE, Block(0)).await.unwrap(),
        genesis_root
    );
    // Exactly the block of the change.
    let changed = client.table_root(SERVICE, after).await.unwrap().changed_at;
    assert_eq!(changed, Some(receipt.block));

    let witness: WitnessView = client
        .query(&format!(
            "v1/services/{SERVICE}/tables/{after}/operators/{}",
            operator(1)
        ))
        .await
        .unwrap();
    let path: Vec<_> = witness.path.iter().map(|hash| hash.0).collect();
    verify_path(
        &witness.operators_root.0,
        u64::from(witness.operators),
        u64::from(witness.index.0),
        leaf_hash(&witness.entry),
        &path,
    )
    .unwrap();
    assert_eq!(
        sha256(&[b"ashlar/table/3", &witness.header]),
        next.root().0,
        "the header makes the root"
    );
    let operators_root = next.header().operators_root;
    assert_eq!(witness.operators_root.0, operators_root);

    let future = client.head().await.unwrap().block + 10_000;
    assert_eq!(
        code(client.table_root(SERVICE, future).await),
        "table.future"
    );
    assert_eq!(
        code(client.table_root(9, Block(0)).await),
        "state.not_found"
    );
    running.shutdown().await;
    // The same after a restart.
    let running = home.start().await;
    let again = LedgerClient::parse(&running.url()).unwrap();
    assert_eq!(
        again
            .table(network(), SERVICE, before)
            .await
            .unwrap()
            .root(),
        table.root()
    );
    assert_eq!(
        again.table(network(), SERVICE, after).await.unwrap().root(),
        next.root()
    );
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_come_in_pages() {
    let home = Home::new(NO_BLOCKS);
    let running = home.start().await;
    let client = client(&running);
    let all: Vec<OperatorView> = client.query_all("v1/state/operators", 100).await.unwrap();
    assert_eq!(all.len(), 4);
    let (mut seen, mut next) = (Vec::new(), None::<String>);
    loop {
        let path = match &next {
            None => "v1/state/operators?limit=3".to_owned(),
            Some(after) => format!("v1/state/operators?limit=3&after={after}"),
        };
        let page: Page<OperatorView> = client.query(&path).await.unwrap();
        assert!(page.items.len() <= 3);
        seen.extend(page.items);
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    assert_eq!(seen, all);
    for (path, expected) in [
        ("v1/state/operators?after=zzz", "request.query"),
        ("v1/state/operators?limits=3", "request.query"),
        ("v1/state/operators/0x12", "request.path"),
        ("v1/state/withdrawals/77", "state.not_found"),
        ("v1/state/vaults/1", "state.not_found"),
        ("v1/state/services/1/quorums/9/members", "state.not_found"),
        (
            "v1/state/rewards/shares?service=1&quorum=9&amount=1",
            "state.not_found",
        ),
        ("v1/nothing", "route.unknown"),
        ("v1/transactions", "route.method"),
        ("v1/services/x/head", "request.path"),
    ] {
        assert_eq!(code(client.query::<Value>(path).await), expected, "{path}");
    }
    let shares: Vec<Value> = client
        .query_all(
            "v1/state/rewards/shares?service=1&quorum=0&amount=1000000",
            100,
        )
        .await
        .unwrap();
    let sum: u64 = shares
        .iter()
        .map(|share| share["amount"].as_str().unwrap().parse::<u64>().unwrap())
        .sum();
    assert_eq!(sum, 1_000_000);
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_waited_for() {
    let mut home = Home::new(NO_BLOCKS);
    home.config.accept.events = 3;
    let running = home.start().await;
    let client = client(&running);
    let since = client.head().await.unwrap().records;
    let path = format!("v1/events?since={since}&wait_ms=10000");
    let (page, receipt) = tokio::join!(client.query::<EventPage>(&path), async {
        client.submit(&deposit(&staker_key(1), 1)).await.unwrap()
    });
    let page = page.unwrap();
    assert_eq!(page.items[0].record, receipt.record);
    assert_eq!(page.items[0].events, receipt.events);
    assert_eq!(page.next, receipt.record);
    let last = client
        .submit_all(&vec![deposit(&staker_key(1), 1); 5])
        .await
        .unwrap();
    let error = client.events(since).await.unwrap_err();
    assert_eq!(error.code(), "events.gone");
    assert_eq!(error.problem().unwrap().status, 410);
    let kept = client.events(last[1].record).await.unwrap();
    assert_eq!(kept.items.len(), 3);
    assert_eq!(kept.next, kept.records);
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_bounded_and_strangers_turned_away() {
    let mut home = Home::new(NO_BLOCKS);
    home.config.access.open = false;
    home.config.access.accounts = vec![account(&staker_key(1)), account(&staker_key(2))];
    home.config.access.max_accounts = 1;
    home.config.accept.max_body_bytes = 16_384;
    let running = home.start().await;
    let client = client(&running);
    client.submit(&deposit(&staker_key(1), 1)).await.unwrap();
    assert_eq!(
        code(client.submit(&deposit(&staker_key(3), 1)).await),
        "account.not_allowed"
    );
    assert_eq!(
        code(client.submit(&deposit(&staker_key(2), 1)).await),
        "account.too_many"
    );
    assert!(
        !client
            .account(account(&staker_key(3)))
            .await
            .unwrap()
            .allowed
    );

    let http = plain_client();
    let url = format!("{}/v1/transactions", running.url());
    let post = async |body: reqwest::Body| {
        let answer = http.post(&url).body(body).send().await.unwrap();
        let kind = answer.headers()["content-type"]
            .to_str()
            .unwrap()
            .to_owned();
        assert_eq!(kind, "application/problem+json");
        let problem: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        (
            problem["status"].as_u64().unwrap(),
            problem["code"].as_str().unwrap().to_owned(),
        )
    };
    let too_large = (413, "request.too_large".to_owned());
    assert_eq!(post(vec![b' '; 16_385].into()).await, too_large);
    // Without a stated length too.
    let pieces = futures::stream::iter((0..3).map(|_| Ok::<_, std::io::Error>(vec![b' '; 8192])));
    assert_eq!(post(reqwest::Body::wrap_stream(pieces)).await, too_large);
    assert_eq!(post("{}".into()).await, (400, "request.body".to_owned()));
    assert_eq!(
        post("nonsense".into()).await,
        (400, "request.body".to_owned())
    );
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_come_is_given_up() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut home = Home::new(NO_BLOCKS);
    home.config.accept.body_timeout_secs = 1;
    let running = home.start().await;
    let mut stream = tokio::net::TcpStream::connect(running.addr).await.unwrap();
    let head = "POST /v1/transactions HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    let length = tokio::time::timeout(PATIENCE, stream.read(&mut answer))
        .await
        .unwrap()
        .unwrap();
    let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("request.timeout"), "{answer}");
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn health_answers_on_its_own_while_idle_sockets_take_all_places() {
    let mut home = Home::new(NO_BLOCKS);
    home.config.accept.max_connections = 2;
    home.config.listen.health =
        ashlar_service::config::OptionalAddress(Some(([127, 0, 0, 1], 0).into()));
    let running = home.start().await;
    let own = running.health_addr.unwrap();
    let mut idle = Vec::new();
    // Forty for each place: they give way to each other.
    for _ in 0..80 {
        idle.push(tokio::net::TcpStream::connect(running.addr).await.unwrap());
    }
    let answer = plain_client()
        .get(format!("http://{own}/v1/health"))
        .send()
        .await
        .unwrap();
    assert!(answer.text().await.unwrap().contains("\"status\""));
    drop(idle);
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_lists_the_routes_that_there_are() {
    let home = Home::new(20);
    let running = home.start().await;
    let client = client(&running);
    block_after(&client, Block(0)).await;
    let document: Value = client.query("v1/openapi.json").await.unwrap();
    for name in document.to_string().split("#/components/schemas/").skip(1) {
        let name = name.split('"').next().unwrap();
        assert!(
            document["components"]["schemas"][name].is_object(),
            "{name}"
        );
    }
    let http = plain_client();
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() >= 29, "{}", paths.len());
    for (path, methods) in paths {
        for method in methods.as_object().unwrap().keys() {
            let id = if path.contains("operators") {
                operator(1).to_string()
            } else {
                "1".to_owned()
            };
            let filled = path
                .replace("{service}", "1")
                .replace("{block}", "0")
                .replace("{operator}", &operator(1).to_string())
                .replace("{quorum}", "0")
                .replace("{disperser}", "0")
                .replace("{account}", &account(&staker_key(1)).to_string())
                .replace("{earner}", &account(&staker_key(1)).to_string())
                .replace("{token}", &account(&staker_key(1)).to_string())
                .replace("{id}", &id);
            let query = if path.ends_with("rewards/shares") {
                "?service=1&quorum=0&amount=5"
            } else {
                ""
            };
            let method = reqwest::Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let posts = method == reqwest::Method::POST;
            let url = format!("{}{filled}{query}", running.url());
            let answer = http.request(method.clone(), &url).send().await.unwrap();
            let status = answer.status().as_u16();
            // What a devnet has none of, and bodies that are none.
            let none = ["vaults/", "withdrawals/", "challenges/"]
                .iter()
                .any(|part| path.contains(part));
            let expected: &[u16] = match (posts, none) {
                (true, _) => &[400],
                (_, true) => &[404],
                _ => &[200],
            };
            let body = answer.text().await.unwrap();
            assert!(
                expected.contains(&status),
                "{method} {path}: {status} {body}"
            );
            assert!(!body.contains("route."), "{method} {path}: {body}");
            let documented = &document["paths"][path][method.as_str().to_lowercase()]["responses"];
            assert!(
                documented.get(status.to_string()).is_some(),
                "{method} {path} answers {status}, which the document does not have"
            );
        }
    }
    let metrics = http
        .get(format!("{}/metrics", running.url()))
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    for name in [
        "ashlar_ledger_block",
        "ashlar_ledger_records",
        "ashlar_ledger_refused_requests_total{code=\"request.body\"}",
        "ashlar_ledger_commit_seconds_count",
    ] {
        assert!(metrics.contains(name), "{name} is not in {metrics}");
    }
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_shows_what_it_restakes() {
    let home = Home::new(NO_BLOCKS);
    let running = home.start().await;
    let detail: OperatorDetail = client(&running)
        .query(&format!("v1/state/operators/{}", operator(2)))
        .await
        .unwrap();
    assert_eq!(detail.operator.account, account(&operator_key(2)));
    assert!(detail.pools.len() >= 3);
    assert_eq!(detail.memberships.len(), 2);
    assert!(
        detail
            .allocations
            .iter()
            .all(|allocation| !allocation.slashable.is_zero())
    );
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_start_says_why() {
    let home = Home::new(NO_BLOCKS);
    let running = home.start().await;
    let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let start = |config: &LedgerConfig, address| {
        LedgerService::start(config.clone(), home.keys.clone(), address)
    };
    let error = start(&home.config, anywhere).await.unwrap_err();
    assert_eq!(ashlar_crypto::Coded::code(&error), "store.locked");
    let error = start(&home.config, running.addr).await.unwrap_err();
    assert!(matches!(error, ServiceError::Bind { .. }), "{error}");
    let error = LedgerService::found(home.data(), &home.devnet.genesis, &[]).unwrap_err();
    assert!(matches!(error, ServiceError::Founded { .. }), "{error}");
    let mut config = home.config.clone();
    config.paths.data = home.file("other");
    let error = start(&config, anywhere).await.unwrap_err();
    assert!(matches!(error, ServiceError::Genesis { .. }), "{error}");
    config.blocks.interval_ms = 1;
    let error = start(&config, anywhere).await.unwrap_err();
    assert_eq!(ashlar_crypto::Coded::code(&error), "config.invalid");
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_answers_what_waits_and_ends_waiting() {
    let home = Home::new(NO_BLOCKS);
    let running = home.start().await;
    std::fs::remove_file(home.file("snapshot.json")).unwrap();
    let waiting = client(&running);
    let url = running.url();
    let waiter = tokio::spawn(async move {
        let wait = Some((Block(1_000_000), Duration::from_secs(30)));
        waiting.table_head(SERVICE, wait).await
    });
    // It waits: the gauge says so.
    let http = plain_client();
    until("a waiter", async || {
        let text = http
            .get(format!("{url}/metrics"))
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        text.contains("ashlar_ledger_waiters 1")
    })
    .await;
    let sender = client(&running);
    let receipt = sender.submit(&deposit(&staker_key(1), 1)).await.unwrap();
    tokio::time::timeout(PATIENCE, running.shutdown())
        .await
        .unwrap();
    let told = tokio::time::timeout(PATIENCE, waiter)
        .await
        .unwrap()
        .unwrap();
    assert!(told.is_ok_and(|head| head.block() <= receipt.block));
    assert!(home.file("snapshot.json").exists());
}
