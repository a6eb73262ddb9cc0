use ashlar_proto::{Block, Stake};

use super::*;

fn shared(config: PaymentConfig) -> Shared {
    Shared {
        service: 1,
        clients: Vec::new(),
        config,
        known: Mutex::default(),
    }
}

fn terms(funded: u64) -> AccountTerms {
    AccountTerms {
        block: Block(1),
        funded: Stake::from(funded),
        redeemed: Stake::ZERO,
        notice: 10,
        reservation: None,
    }
}

fn down(shared: &Shared) -> StakeError {
    shared.unavailable("http.unreachable", "nobody is there")
}

const KEY: Key = (0, Account([1; 20]));

#[test]
fn what_is_new_is_not_asked_for() {
    let shared = shared(PaymentConfig {
        fresh: Duration::from_secs(100),
        stale: Duration::from_secs(100),
        ..PaymentConfig::default()
    });
    assert_eq!(shared.look(KEY), None);
    assert_eq!(shared.learn(KEY, Ok(terms(5))).unwrap(), terms(5));
    assert_eq!(shared.look(KEY), Some(terms(5)));
    assert_eq!(shared.look((1, KEY.1)), None);
}

#[test]
fn one_asks_for_all_and_an_old_answer_is_better_than_none() {
    let shared = shared(PaymentConfig {
        fresh: Duration::ZERO,
        stale: Duration::from_secs(100),
        ..PaymentConfig::default()
    });
    shared.learn(KEY, Ok(terms(5))).unwrap();
    assert_eq!(shared.look(KEY), None);
    // While the first asks, others take what there is.
    assert_eq!(shared.look(KEY), Some(terms(5)));
    assert_eq!(shared.learn(KEY, Err(down(&shared))).unwrap(), terms(5));
    // And the next one asks again.
    assert_eq!(shared.look(KEY), None);
    assert_eq!(shared.learn(KEY, Ok(terms(6))).unwrap(), terms(6));
    // Of whom nothing is known, nothing is said.
    shared
        .learn((0, Account([2; 20])), Err(down(&shared)))
        .unwrap_err();
}

#[test]
fn too_old_is_an_error_and_memory_is_bounded() {
    let shared = shared(PaymentConfig {
        fresh: Duration::ZERO,
        stale: Duration::ZERO,
        accounts: 4,
        ..PaymentConfig::default()
    });
    shared.learn(KEY, Ok(terms(5))).unwrap();
    shared.learn(KEY, Err(down(&shared))).unwrap_err();
    for account in 0..20 {
        let key = (0, Account([account; 20]));
        assert_eq!(shared.learn(key, Ok(terms(1))).unwrap(), terms(1));
    }
    assert!(shared.known().len() <= 4);
}
