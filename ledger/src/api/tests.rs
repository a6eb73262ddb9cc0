#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ashlar_proto::Account;
use ashlar_restaking::Genesis;
use tokio::net::TcpListener;

use super::*;
use crate::client::{ClientConfig, LedgerClient};
use crate::devnet::devnet_params;
use crate::service::signer::Newest;
use crate::types::Status;

struct Served {
    state: Arc<ApiState>,
    client: LedgerClient,
    _folder: tempfile::TempDir,
}

fn genesis() -> Genesis {
    Genesis {
        network: "net".into(),
        salt: alloy_primitives::B256::repeat_byte(7),
        head_key: Account([9; 20]),
        block: Block(5),
        admin: Account([1; 20]),
        reward_updater: Account([1; 20]),
        params: devnet_params(1, 10),
    }
}

/// The interface without a writer behind it.
async fn serve() -> (
    Served,
    Opened,
    mpsc::Receiver<Command>,
    watch::Sender<Position>,
) {
    let folder = tempfile::tempdir().unwrap();
    let genesis = genesis();
    let (store, _) = Store::open(folder.path(), &genesis).unwrap();
    let mut config = LedgerConfig::default();
    config.accept.max_waiters = 1;
    let health = Arc::new(Health::default());
    let state = ApiState::new(
        config,
        health,
        Arc::new(Metrics::default()),
        CancellationToken::new(),
    );
    let (commands, received) = mpsc::channel(1);
    let (position, seen) = watch::channel(Position {
        block: Block(5),
        transactions: 0,
        records: 0,
        link: genesis.hash(),
    });
    let opened = Opened::new(
        genesis.hash(),
        Arc::new(RwLock::new(store)),
        commands,
        seen,
        Arc::new(EventLog::new(10, 0)),
        SignedHeads::new(
            folder.path().join("heads"),
            genesis.id(),
            watch::channel(Newest::default()).1,
        ),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (apps, limits) = (apps(Arc::clone(&state)), state.config.listener());
    let stop = CancellationToken::new();
    tokio::spawn(ashlar_service::listener::serve(
        listener, apps, limits, stop,
    ));
    let patience = ClientConfig {
        attempts: 1,
        ..ClientConfig::default()
    };
    let client = LedgerClient::with_config(url.parse().unwrap(), patience).unwrap();
    let served = Served {
        state,
        client,
        _folder: folder,
    };
    (served, opened, received, position)
}

/// Waits until something holds, not for ever.
async fn until(holds: impl Fn() -> bool) {
    let all = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), all)
        .await
        .unwrap();
}

fn code<T: std::fmt::Debug>(result: Result<T, crate::ClientError>) -> (u16, String) {
    let error = result.unwrap_err();
    let problem = error.problem().unwrap();
    (problem.status, problem.code.clone())
}

#[tokio::test]
async fn while_the_log_is_read_only_health_answers() {
    let (served, opened, _received, _position) = serve().await;
    let opening = (503, "service.opening".to_owned());
    assert_eq!(
        served.client.health().await.unwrap().status,
        Status::Opening
    );
    assert_eq!(code(served.client.head().await), opening);
    assert_eq!(code(served.client.root().await), opening);
    assert_eq!(
        code(
            served
                .client
                .query::<serde_json::Value>("v1/state/meta")
                .await
        ),
        opening
    );
    served.state.open(opened);
    served.state.health.opened();
    let head = served.client.head().await.unwrap();
    assert_eq!(
        (head.block, head.table_block, head.records),
        (Block(5), Block(4), 0)
    );
    assert_eq!(served.client.health().await.unwrap().status, Status::Ready);
}

#[tokio::test]
async fn a_full_queue_turns_callers_away_and_a_stopped_one_too() {
    let (served, opened, received, _position) = serve().await;
    served.state.open(opened);
    // Nobody takes what is in the queue, which has one place.
    let first = tokio::spawn({
        let client = served.client.clone();
        async move { client.root().await }
    });
    until(|| !received.is_empty()).await;
    assert_eq!(
        code(served.client.root().await),
        (503, "request.busy".to_owned())
    );
    assert_eq!(
        code(served.client.account(Account([2; 20])).await),
        (503, "request.busy".to_owned())
    );
    drop(received);
    let stopping = (503, "ledger.stopping".to_owned());
    assert_eq!(code(first.await.unwrap()), stopping);
    assert_eq!(code(served.client.root().await), stopping);
}

#[tokio::test]
async fn only_so_many_wait() {
    let (served, opened, _received, position) = serve().await;
    served.state.open(opened);
    let path = "v1/events?wait_ms=30000";
    let first = tokio::spawn({
        let client = served.client.clone();
        async move { client.query::<crate::types::EventPage>(path).await }
    });
    until(|| served.state.waiters.used() == 1).await;
    assert_eq!(
        code(served.client.query::<crate::types::EventPage>(path).await),
        (503, "waiters.full".to_owned())
    );
    // Something happens: the first one hears of it.
    let opened = Arc::clone(served.state.opened().unwrap());
    let event = ashlar_restaking::Event::ParamsSet {};
    opened
        .events
        .push(1, Block(5), std::slice::from_ref(&event));
    position.send_modify(|position| position.records = 1);
    let page = first.await.unwrap().unwrap();
    assert_eq!(page.items[0].events, [event]);
    until(|| served.state.waiters.used() == 0).await;
}

#[tokio::test]
async fn after_a_failed_write_nothing_is_said() {
    let (served, opened, _received, _position) = serve().await;
    served.state.open(opened);
    served.state.health.opened();
    served
        .state
        .health
        .raise(crate::service::health::STORAGE, "no space left");
    for result in [
        code(served.client.head().await),
        code(served.client.root().await),
        code(
            served
                .client
                .query::<serde_json::Value>("v1/state/meta")
                .await,
        ),
    ] {
        assert_eq!(result, (500, "store.failed".to_owned()));
    }
    let health = served.client.health().await.unwrap();
    assert_eq!(health.status, Status::Degraded);
    assert_eq!(health.reasons[0].code, "storage");
}

#[test]
fn pages_are_cut_at_keys() {
    let ledger = Ledger::new(&genesis()).unwrap();
    let list = || (1u64..=7).map(|key| (key * 10, key));
    let of = |after: Option<u64>, limit: Option<u64>| {
        let asked = state::PageQuery {
            after,
            limit: limit.map(|limit| Limit::new(limit).unwrap()),
        };
        let page = asked.page(&ledger, list(), |_, value| value).unwrap();
        (page.items, page.next)
    };
    assert_eq!(of(None, None), ((1..=7).collect(), None));
    assert_eq!(of(None, Some(7)), ((1..=7).collect(), None));
    assert_eq!(of(None, Some(3)), (vec![1, 2, 3], Some("30".to_owned())));
    assert_eq!(
        of(Some(30), Some(3)),
        (vec![4, 5, 6], Some("60".to_owned()))
    );
    assert_eq!(of(Some(60), Some(3)), (vec![7], None));
    assert_eq!(of(Some(70), Some(3)), (vec![], None));
    // Never none, and never more than a page; and only keys of the list.
    for refused in ["limit=0", "limit=501", "after=x", "after=1&after=2"] {
        let uri = format!("/?{refused}").parse().unwrap();
        let asked = axum::extract::Query::<state::PageQuery<u64>>::try_from_uri(&uri);
        assert!(asked.is_err(), "{refused}");
    }
}
