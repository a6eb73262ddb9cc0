//! The pool against a disperser that does what a test tells it to.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use ashlar_client::{
    Age, BlobState, Certified, Client, ClientError, DaClient, Dispersers, DispersersConfig, Policy,
    PutOptions, RequiredQuorums, Trust,
};
use ashlar_crypto::{Blame, Claim, Coded, Encoding, Rows, Setup, check_commitments};
use ashlar_proto::{Account, BlobId, Block, Certificate, TableRoot, TrustedRoot};
use futures::StreamExt;

use crate::support::{
    Change, Disperser, LONG, Orders, config, one_signer, policy, root, salted, start, table,
};
use crate::world::{Batch, World, noise};

#[tokio::test(flavor = "multi_thread")]
async fn post_watch_check_and_get_back() {
    let (disperser, url) = start(Orders::default()).await;
    let client = Dispersers::new(config(&url)).unwrap();
    let data = noise(200_000, 1);
    let submitted = client.put(data.clone(), salted()).await.unwrap();
    assert_eq!(submitted.disperser, url);
    assert_eq!(submitted.status.state, BlobState::Queued);

    // The commitments that went out are those of the rows.
    let put = disperser.stored.lock().unwrap().clone().unwrap().put;
    let rows = Rows::from_payload(&data, Encoding::Packed31).unwrap();
    let claim = Claim {
        rows: &rows,
        commitments: &put.commitments,
    };
    let checked = check_commitments(Setup::ethereum(), &[claim], [1; 32]);
    assert!(checked.results[0].is_ok());

    let mut states = Vec::new();
    let asked = policy(table(&disperser.world));
    let certified = client
        .wait_checked(&submitted, &asked, LONG, |status| states.push(status.state))
        .await
        .unwrap();
    assert_eq!(certified.disperser, url);
    assert_eq!(
        states,
        [
            BlobState::Queued,
            BlobState::Encoding,
            BlobState::Encoded,
            BlobState::Dispersing,
            BlobState::Certified
        ]
    );
    assert_eq!(certified.status.state, BlobState::Certified);
    let verified = certified.certificate;
    assert_eq!(verified.signer_count(), 3);
    assert_eq!(
        disperser.polls.load(Ordering::SeqCst),
        0,
        "events were enough"
    );

    let reader = Client::builder(asked.clone()).disperser(&url).build();
    let reader = reader.unwrap();
    assert_eq!(reader.get(&verified).await.unwrap().payload, data);

    // By id, by key, and what nobody knows.
    assert_eq!(client.status(submitted.id).await.unwrap().id, submitted.id);
    client.status(verified.blob_key()).await.unwrap();
    let compact = client.certificate(submitted.id, false).await.unwrap();
    let portable = client.certificate(submitted.id, true).await.unwrap();
    assert_eq!(
        (
            compact.unverified().is_portable(),
            portable.unverified().is_portable()
        ),
        (false, true)
    );
    for (certificate, asked) in [
        (&compact, asked),
        (&portable, policy(root(&disperser.world))),
    ] {
        let checked = certificate.verify(&asked).await.unwrap();
        assert_eq!(checked.blob_key(), verified.blob_key());
    }
    let error = client.status(BlobId([1; 32])).await.unwrap_err();
    assert_eq!(error.problem().unwrap().code, "blob.unknown");
    let events: Vec<_> = client.events(&submitted).await.unwrap().collect().await;
    assert_eq!(events.len(), 4);
    assert_eq!(
        events.last().unwrap().as_ref().unwrap().state,
        BlobState::Certified
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn busy_is_repeated_with_the_same_submission() {
    let orders = Orders {
        refuse: Some((2, 429, Some("1"))),
        ..Orders::default()
    };
    let (disperser, url) = start(orders).await;
    let client = Dispersers::new(config(&url)).unwrap();
    let begin = Instant::now();
    // No salt: a random one, and the same in every attempt.
    let submitted = client
        .put(b"again".to_vec(), PutOptions::default())
        .await
        .unwrap();
    assert!(
        begin.elapsed() >= Duration::from_secs(2),
        "Retry-After was not waited for"
    );
    let bodies = disperser.bodies.lock().unwrap().clone();
    assert_eq!(bodies.len(), 3);
    assert!(bodies.iter().all(|body| *body == bodies[0]));
    assert_eq!(
        submitted.id,
        disperser.stored.lock().unwrap().clone().unwrap().id
    );

    let same = client
        .put(
            b"again".to_vec(),
            PutOptions {
                salt: Some(submitted.submission.salt),
                ..PutOptions::default()
            },
        )
        .await
        .unwrap();
    assert_eq!(same.id, submitted.id);
    let other = client
        .put(b"again".to_vec(), PutOptions::default())
        .await
        .unwrap();
    assert_ne!(other.id, submitted.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_carry_the_servers_code_and_are_not_repeated() {
    for (status, code_blame) in [
        (413, Blame::Caller),
        (400, Blame::Caller),
        (500, Blame::Peer),
    ] {
        let orders = Orders {
            refuse: Some((9, status, None)),
            ..Orders::default()
        };
        let (disperser, url) = start(orders).await;
        let client = Dispersers::new(config(&url)).unwrap();
        let error = client.put(b"no".to_vec(), salted()).await.unwrap_err();
        let problem = error.problem().unwrap();
        assert_eq!(
            (problem.status, problem.code.as_str()),
            (status, "test.refused")
        );
        assert_eq!(
            (problem.got.as_deref(), problem.expected.as_deref()),
            (Some("this"), Some("that"))
        );
        assert_eq!(
            (error.code(), error.blame()),
            ("client.refused", code_blame)
        );
        assert_eq!(disperser.posts.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn busy_for_ever_is_given_up_after_the_attempts() {
    let orders = Orders {
        refuse: Some((99, 503, None)),
        ..Orders::default()
    };
    let (disperser, url) = start(orders).await;
    let client = Dispersers::new(config(&url)).unwrap();
    let error = client.put(b"no".to_vec(), salted()).await.unwrap_err();
    assert_eq!(error.problem().unwrap().status, 503);
    assert_eq!(disperser.posts.load(Ordering::SeqCst), 4);

    let orders = Orders {
        refuse: Some((99, 503, Some("86400"))),
        ..Orders::default()
    };
    let (disperser, url) = start(orders).await;
    let client = Dispersers::new(config(&url)).unwrap();
    client.put(b"no".to_vec(), salted()).await.unwrap_err();
    assert_eq!(
        disperser.posts.load(Ordering::SeqCst),
        1,
        "nobody waits for a day"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_disperser_is_passed_over() {
    let (_disperser, url) = start(Orders::default()).await;
    let dead = "http://127.0.0.1:1".to_owned();
    let mut both = config(&dead);
    both.urls.push(url.clone());
    let submitted = Dispersers::new(both)
        .unwrap()
        .put(b"x".to_vec(), salted())
        .await
        .unwrap();
    assert_eq!(submitted.disperser, url);

    let error = Dispersers::new(config(&dead))
        .unwrap()
        .put(b"x".to_vec(), salted())
        .await
        .unwrap_err();
    assert!(
        matches!(error, ClientError::Transport { attempts: 4, .. }),
        "{error}"
    );
    assert_eq!(error.code(), "client.unreachable");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_refused_here() {
    let (disperser, url) = start(Orders::default()).await;
    let small = DispersersConfig {
        max_payload: 10,
        ..config(&url)
    };
    let client = Dispersers::new(small).unwrap();
    let put = |payload: &'static [u8], change: fn(&mut PutOptions)| {
        let mut options = salted();
        change(&mut options);
        let client = client.clone();
        async move { client.put(payload, options).await.unwrap_err().code() }
    };
    assert_eq!(put(b"", |_| {}).await, "payload.empty");
    assert_eq!(put(b"eleven bytes", |_| {}).await, "payload.too_large");
    assert_eq!(
        put(b"x", |options| options.encoding = Encoding::Eip4844).await,
        "payload.not_whole_rows"
    );
    assert_eq!(
        put(b"x", |options| options.version = 99).await,
        "version.unknown"
    );
    let quorums = put(b"x", |options| options.quorums = vec![1, 0]).await;
    assert!(quorums.contains("quorum"), "{quorums}");
    assert_eq!(disperser.posts.load(Ordering::SeqCst), 0);
    assert_eq!(
        Dispersers::new(DispersersConfig::default())
            .err()
            .unwrap()
            .code(),
        "client.no_disperser"
    );
    assert_eq!(
        Dispersers::new(config("disperser:80"))
            .err()
            .unwrap()
            .code(),
        "http.url"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_with_another_id_is_refused() {
    let (_disperser, url) = start(Orders {
        wrong_id: true,
        ..Orders::default()
    })
    .await;
    let error = Dispersers::new(config(&url))
        .unwrap()
        .put(b"x".to_vec(), salted())
        .await
        .unwrap_err();
    assert_eq!(
        (error.code(), error.blame()),
        ("client.wrong_id", Blame::Peer)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn put_raw_leaves_commitments_to_the_disperser() {
    let (disperser, url) = start(Orders::default()).await;
    let client = Dispersers::new(config(&url)).unwrap();
    let options = PutOptions {
        account: Account([3; 20]),
        ..salted()
    };
    let submitted = client.put_raw(b"plain".to_vec(), options).await.unwrap();
    assert_eq!(submitted.commitments_root, None);
    let put = disperser.stored.lock().unwrap().clone().unwrap().put;
    assert_eq!(
        (put.commitments.len(), put.salt, put.account),
        (0, 5, Account([3; 20]))
    );
    assert_eq!(put.payload, "plain");
}

async fn waited(
    orders: Orders,
    deadline: Duration,
) -> (Arc<Disperser>, Result<Vec<BlobState>, ClientError>) {
    let (disperser, url) = start(orders).await;
    let client = Dispersers::new(config(&url)).unwrap();
    let submitted = client.put(b"watch me".to_vec(), salted()).await.unwrap();
    let mut states = Vec::new();
    let asked = policy(Trust::Source(disperser.world.stake_source()));
    let result = client
        .wait_checked(&submitted, &asked, deadline, |status| {
            states.push(status.state);
        })
        .await
        .map(|_| states);
    (disperser, result)
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_break_are_opened_again_and_missing_ones_replaced_by_looking() {
    let long = Duration::from_secs(30);
    let (disperser, states) = waited(
        Orders {
            break_events: 1,
            ..Orders::default()
        },
        long,
    )
    .await;
    assert_eq!(*states.unwrap().last().unwrap(), BlobState::Certified);
    assert_eq!(disperser.streams.load(Ordering::SeqCst), 2);

    for orders in [
        Orders {
            no_events: true,
            ..Orders::default()
        },
        Orders {
            odd_events: true,
            ..Orders::default()
        },
    ] {
        let (disperser, states) = waited(orders, long).await;
        assert_eq!(
            states.unwrap(),
            [BlobState::Queued, BlobState::Encoding, BlobState::Certified]
        );
        assert_eq!(disperser.polls.load(Ordering::SeqCst), 3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_told_by_events_is_history_if_the_status_says_so() {
    let orders = Orders {
        failed_before: true,
        ..Orders::default()
    };
    let (_, states) = waited(orders, Duration::from_secs(30)).await;
    assert_eq!(*states.unwrap().last().unwrap(), BlobState::Certified);
}

#[tokio::test(flavor = "multi_thread")]
async fn failure_and_deadline_are_different() {
    let (_, result) = waited(
        Orders {
            fail: true,
            ..Orders::default()
        },
        Duration::from_secs(30),
    )
    .await;
    let error = result.unwrap_err();
    let ClientError::Failed(reason) = &error else {
        panic!("{error}")
    };
    assert_eq!(reason.code, "blob.false_commitments");

    let (_, result) = waited(
        Orders {
            stuck: true,
            ..Orders::default()
        },
        Duration::from_millis(400),
    )
    .await;
    let error = result.unwrap_err();
    let ClientError::Deadline {
        state: BlobState::Dispersing,
        ..
    } = error
    else {
        panic!("{error}")
    };
}

async fn certified_with(
    asked: impl Fn(&World) -> Policy,
    change: Change,
) -> Result<Certified, ClientError> {
    let (disperser, url) = start(Orders {
        certificate: Some(change),
        ..Orders::default()
    })
    .await;
    let client = Dispersers::new(config(&url)).unwrap();
    let submitted = client.put(b"certify me".to_vec(), salted()).await.unwrap();
    let asked = asked(&disperser.world);
    client.wait_checked(&submitted, &asked, LONG, |_| {}).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_certificate_is_checked_against_whatever_is_trusted() {
    let by_table = |world: &World| policy(table(world));
    let by_root = |world: &World| policy(root(world));
    let unchanged = |_: &World, _: &Batch, certificate: Certificate| certificate.to_bytes();
    certified_with(by_table, unchanged).await.unwrap();
    certified_with(by_root, unchanged).await.unwrap();

    let cut = |_: &World, _: &Batch, certificate: Certificate| {
        let mut bytes = certificate.to_bytes();
        bytes.pop();
        bytes
    };
    let error = certified_with(by_table, cut).await.unwrap_err();
    assert!(
        matches!(error, ClientError::CertificateMalformed(_)),
        "{error}"
    );

    let error = certified_with(by_table, one_signer).await.unwrap_err();
    assert!(matches!(error, ClientError::Certificate(_)), "{error}");
    assert_eq!(error.blame(), Blame::Peer);

    let other_root = |world: &World| {
        policy(Trust::Root {
            root: TrustedRoot::trust_on_my_own_word(TableRoot([8; 32])),
            domain: world.table.domain(),
        })
    };
    let error = certified_with(other_root, unchanged).await.unwrap_err();
    assert!(matches!(error, ClientError::Certificate(_)), "{error}");

    // What the policy asks: another service, a quorum that was not asked to sign, an age that is over.
    type Asked = fn(&World) -> Policy;
    let asked: [(Asked, &str); 3] = [
        (
            |world| policy(Trust::Source(world.source_of_another_service())),
            "certificate.other_domain",
        ),
        (
            |world| {
                let both = RequiredQuorums::all([0, 1]);
                Policy::new(table(world), both, Age::Unbounded)
            },
            "certificate.quorum_missing",
        ),
        (
            |world| {
                policy(table(world)).with_age(Age::Blocks {
                    included_at: Block(u64::MAX),
                    most: 100,
                })
            },
            "certificate.expired",
        ),
    ];
    for (asked, code) in asked {
        let error = certified_with(asked, unchanged).await.unwrap_err();
        assert_eq!(error.code(), code);
        assert!(!error.retryable());
    }
}

/// Without a check there is only a certificate of another type.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_checked_is_called_so() {
    let (disperser, url) = start(Orders {
        certificate: Some(one_signer),
        ..Orders::default()
    })
    .await;
    let client = Dispersers::new(config(&url)).unwrap();
    let submitted = client.put(b"believe me".to_vec(), salted()).await.unwrap();
    let said = client
        .wait_unverified(&submitted, Duration::from_secs(30), |_| {})
        .await
        .unwrap();
    assert_eq!(said.status.state, BlobState::Certified);
    assert_eq!(said.certificate.unverified().claimed_signers(), (1, 4));
    let error = said
        .certificate
        .verify(&policy(table(&disperser.world)))
        .await
        .unwrap_err();
    assert_eq!(error.code(), "certificate.threshold");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_for_another_blob_is_refused() {
    // Every check of the certificate passes; it is just not for what was posted.
    let orders = Orders {
        other_payload: Some(b"other bytes".to_vec()),
        ..Orders::default()
    };
    let (disperser, url) = start(orders).await;
    let client = Dispersers::new(config(&url)).unwrap();
    let submitted = client.put(b"these bytes".to_vec(), salted()).await.unwrap();
    let asked = policy(table(&disperser.world));
    let error = client
        .wait_checked(&submitted, &asked, LONG, |_| {})
        .await
        .unwrap_err();
    let ClientError::OtherBlob { field, .. } = error else {
        panic!("{error}")
    };
    assert_eq!(field, "commitments root");

    let longer = Orders {
        other_payload: Some(b"other bytes, more".to_vec()),
        ..Orders::default()
    };
    let (_disperser, url) = start(longer).await;
    let client = Dispersers::new(config(&url)).unwrap();
    let submitted = client
        .put_raw(b"these bytes".to_vec(), salted())
        .await
        .unwrap();
    let error = client
        .wait_unverified(&submitted, Duration::from_secs(30), |_| {})
        .await
        .unwrap_err();
    let ClientError::OtherBlob { field, .. } = error else {
        panic!("{error}")
    };
    assert_eq!(field, "payload length");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_posted_before_is_found_without_posting_it() {
    let world = crate::support::world();
    let (first, first_url) = crate::support::start_in(&world, Orders::default()).await;
    let (second, second_url) = crate::support::start_in(&world, Orders::default()).await;
    let urls = [
        "http://127.0.0.1:1".to_owned(),
        first_url,
        second_url.clone(),
    ];
    let data = noise(50_000, 9);
    // It is at the second one alone.
    let only = Dispersers::new(config(&second_url)).unwrap();
    let posted = only.put(data.clone(), salted()).await.unwrap();
    let config = DispersersConfig {
        urls: urls.to_vec(),
        ..config(&second_url)
    };
    let pool = Dispersers::new(config).unwrap();
    let found = pool.find(data.clone().into(), salted()).await.unwrap();
    let found = found.unwrap();
    assert_eq!((found.id, &found.disperser), (posted.id, &second_url));
    assert!(found.price.is_zero());
    let asked = policy(table(&world));
    let certified = pool.wait_checked(&found, &asked, LONG, |_| {}).await;
    assert_eq!(certified.unwrap().disperser, second_url);
    let another = noise(50_000, 10);
    assert!(pool.find(another.into(), salted()).await.unwrap().is_none());
    let posts = |disperser: &Disperser| disperser.posts.load(Ordering::SeqCst);
    assert_eq!((posts(&first), posts(&second)), (0, 1));
}
