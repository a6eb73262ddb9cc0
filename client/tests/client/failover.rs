//! Several dispersers: before the `202` and after it.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ashlar_client::{BlobState, ClientError, Dispersers, DispersersConfig, Failover, Held};
use ashlar_crypto::Coded;

use crate::support::{
    Disperser, LONG, Orders, config, one_signer, policy, salted, start_in, table, world,
};

/// Two dispersers of one network, a pool of them, and what it said before it went on.
struct Pair {
    first: Arc<Disperser>,
    second: Arc<Disperser>,
    urls: [String; 2],
    pool: Dispersers,
    said: Arc<Mutex<Vec<Failover>>>,
}

async fn pair(first: Orders, second: Orders, change: impl FnOnce(&mut DispersersConfig)) -> Pair {
    let world = world();
    let (first, one) = start_in(&world, first).await;
    let (second, two) = start_in(&world, second).await;
    let said = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&said);
    let mut config = config(&one);
    config.urls.push(two.clone());
    config.failover_after = Duration::from_millis(300);
    config.before_failover = Some(Arc::new(move |failover: &Failover| {
        heard.lock().unwrap().push(failover.clone());
        true
    }));
    change(&mut config);
    Pair {
        first,
        second,
        urls: [one, two],
        pool: Dispersers::new(config).unwrap(),
        said,
    }
}

impl Pair {
    fn posts(&self) -> [u32; 2] {
        [&self.first, &self.second].map(|disperser| disperser.posts.load(Ordering::SeqCst))
    }

    fn said(&self) -> Vec<(String, String, Held, String)> {
        let said = self.said.lock().unwrap();
        said.iter()
            .map(|one| {
                let Failover {
                    from,
                    to,
                    held,
                    code,
                    ..
                } = one.clone();
                (from, to, held, code)
            })
            .collect()
    }

    fn went_on(&self, held: Held, code: &str) -> Vec<(String, String, Held, String)> {
        let [first, second] = self.urls.clone();
        vec![(first, second, held, code.to_owned())]
    }
}

fn stuck() -> Orders {
    Orders {
        stuck: true,
        ..Orders::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_refuses_is_passed_over_at_once_and_asked_again_when_it_wants() {
    let busy = Orders {
        refuse: Some((1, 503, Some("1"))),
        ..Orders::default()
    };
    let pair_ = pair(busy.clone(), Orders::default(), |_| {}).await;
    let begin = Instant::now();
    let submitted = pair_.pool.put(b"x".to_vec(), salted()).await.unwrap();
    assert!(
        begin.elapsed() < Duration::from_secs(1),
        "it waited for the first"
    );
    assert_eq!(submitted.disperser, pair_.urls[1]);
    assert_eq!(submitted.passed_over[0].code, "test.refused");
    assert!(submitted.passed_over[0].retryable);
    assert_eq!(pair_.said(), pair_.went_on(Held::No, "test.refused"));
    // The book remembers.
    let again = pair_.pool.put(b"y".to_vec(), salted()).await.unwrap();
    assert_eq!(
        (again.disperser, pair_.posts()),
        (pair_.urls[1].clone(), [1, 2])
    );
    let health = pair_.pool.health();
    assert_eq!((health[0].1.failures, health[1].1.failures), (1, 0));

    // Both are busy: the one that is free first gets it, and not before.
    let busier = Orders {
        refuse: Some((9, 503, Some("30"))),
        ..Orders::default()
    };
    let pair_ = pair(busy, busier, |_| {}).await;
    let begin = Instant::now();
    let submitted = pair_.pool.put(b"x".to_vec(), salted()).await.unwrap();
    assert!(begin.elapsed() >= Duration::from_secs(1));
    assert_eq!(
        (submitted.disperser, pair_.posts()),
        (pair_.urls[0].clone(), [2, 1])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_takes_the_blob_and_does_not_answer_may_have_it() {
    let hang = Orders {
        hang: true,
        ..Orders::default()
    };
    let quick = |config: &mut DispersersConfig| config.request_timeout = Duration::from_millis(300);
    let pair = pair(hang, Orders::default(), quick).await;
    let submitted = pair.pool.put(b"x".to_vec(), salted()).await.unwrap();
    assert_eq!(submitted.disperser, pair.urls[1]);
    assert_eq!(pair.said(), pair.went_on(Held::Maybe, "client.unreachable"));
    // The same submission: both call it by the same id.
    let [one, two] = [&pair.first, &pair.second].map(|one| one.bodies.lock().unwrap()[0].clone());
    assert_eq!(one, two);
    let id = pair.first.stored.lock().unwrap().as_ref().unwrap().id;
    assert_eq!(submitted.id, id);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_refuse_in_their_own_way() {
    let refusing = |status| Orders {
        refuse: Some((9, status, None)),
        ..Orders::default()
    };
    let pair = pair(refusing(400), refusing(413), |_| {}).await;
    let error = pair.pool.put(b"x".to_vec(), salted()).await.unwrap_err();
    // The code is the same, so one answer stands for both.
    assert_eq!(error.problem().unwrap().code, "test.refused");
    assert!(!error.retryable());
    assert_eq!(pair.posts(), [1, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_one_is_watched_on_and_the_blob_goes_to_the_next_too() {
    let pair = pair(stuck(), Orders::default(), |_| {}).await;
    let submitted = pair.pool.put(b"x".to_vec(), salted()).await.unwrap();
    assert_eq!(submitted.disperser, pair.urls[0]);
    let mut states = Vec::new();
    let asked = policy(table(&pair.first.world));
    let certified = pair
        .pool
        .wait_checked(&submitted, &asked, LONG, |status| states.push(status.state))
        .await
        .unwrap();
    assert_eq!(certified.disperser, pair.urls[1]);
    assert!(certified.passed_over.is_empty(), "it has not failed");
    assert_eq!(*states.last().unwrap(), BlobState::Certified);
    assert_eq!(pair.said(), pair.went_on(Held::Yes, "client.silent"));
    assert_eq!(pair.said.lock().unwrap()[0].id, submitted.id);
    assert_eq!(pair.posts(), [1, 1]);
    let [one, two] = [&pair.first, &pair.second].map(|one| one.bodies.lock().unwrap()[0].clone());
    assert_eq!(one, two, "the same blob under the same id");
    assert_eq!(pair.pool.health()[0].1.last, Some("client.silent"));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_fails_or_lies_is_skipped_with_its_reason() {
    let liar = Orders {
        certificate: Some(one_signer),
        ..Orders::default()
    };
    let failing = Orders {
        fail: true,
        ..Orders::default()
    };
    let other = Orders {
        other_payload: Some(b"other bytes".to_vec()),
        ..Orders::default()
    };
    for (first, code, rests) in [
        (liar, "certificate.threshold", true),
        (other, "client.other_blob", true),
        (failing, "blob.false_commitments", false),
    ] {
        // A patience that is never needed: a failure goes on at once.
        let pair = pair(first, Orders::default(), |config| {
            config.failover_after = LONG
        })
        .await;
        let submitted = pair
            .pool
            .put(b"a payload".to_vec(), salted())
            .await
            .unwrap();
        let asked = policy(table(&pair.first.world));
        let certified = pair
            .pool
            .wait_checked(&submitted, &asked, LONG, |_| {})
            .await
            .unwrap();
        assert_eq!(certified.disperser, pair.urls[1]);
        assert_eq!(certified.passed_over.len(), 1);
        assert_eq!(certified.passed_over[0].disperser, pair.urls[0]);
        assert_eq!(certified.passed_over[0].code, code);
        assert_eq!(pair.said(), pair.went_on(Held::Yes, code));
        assert_eq!(
            pair.pool.health()[0].1.rests_until.is_some(),
            rests,
            "{code}"
        );
        // From now on the other one comes first.
        let next = pair.pool.put(b"the next".to_vec(), salted()).await.unwrap();
        assert_eq!(next.disperser, pair.urls[1]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_goes_on_without_leave() {
    let denied = |config: &mut DispersersConfig| config.before_failover = Some(Arc::new(|_| false));
    let silent = pair(stuck(), Orders::default(), denied).await;
    let submitted = silent.pool.put(b"x".to_vec(), salted()).await.unwrap();
    let asked = policy(table(&silent.first.world));
    let wait = Duration::from_millis(900);
    let error = silent
        .pool
        .wait_checked(&submitted, &asked, wait, |_| {})
        .await
        .unwrap_err();
    assert!(matches!(error, ClientError::Deadline { .. }), "{error}");
    assert!(error.retryable());
    assert_eq!(silent.posts(), [1, 0]);

    let refusing = Orders {
        refuse: Some((1, 503, None)),
        ..Orders::default()
    };
    let pair = pair(refusing, Orders::default(), denied).await;
    let error = pair.pool.put(b"x".to_vec(), salted()).await.unwrap_err();
    assert_eq!(error.problem().unwrap().status, 503);
    assert_eq!(pair.posts(), [1, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_all_fail_each_reason_is_told() {
    let failing = Orders {
        fail: true,
        ..Orders::default()
    };
    let liar = Orders {
        certificate: Some(one_signer),
        ..Orders::default()
    };
    let pair = pair(failing, liar, |_| {}).await;
    let submitted = pair.pool.put(b"x".to_vec(), salted()).await.unwrap();
    let asked = policy(table(&pair.first.world));
    let error = pair
        .pool
        .wait_checked(&submitted, &asked, LONG, |_| {})
        .await
        .unwrap_err();
    let ClientError::EveryDisperser { tried } = &error else {
        panic!("{error}")
    };
    let codes: Vec<_> = tried.iter().map(|one| one.code.as_str()).collect();
    assert_eq!(codes, ["blob.false_commitments", "certificate.threshold"]);
    assert_eq!(error.code(), "client.every_disperser");
}
